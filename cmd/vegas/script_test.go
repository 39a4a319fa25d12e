package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/libvegas/vegas/localkinesis"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"vegas": func() { os.Exit(run()) }})
}

// TestScripts runs the files of testdata/script. Each has an embedded Kinesis
// of its own behind the environment that every AWS tool reads, and begins with
// what it documents. $ENDPOINT is its address, $NOTKINESIS that of some web
// server, whose /empty says nothing; "store STREAM KEY FILE" puts a file into a stream past any producer.
//
// The short form, for the race detector under which every process starts
// slowly, has those where much runs side by side.
func TestScripts(t *testing.T) {
	dir, files := "testdata/script", []string(nil)
	if testing.Short() {
		for _, name := range []string{"consume", "durable", "events", "dev", "demo"} {
			files = append(files, filepath.Join(dir, name+".txtar"))
		}
		dir = ""
	}
	testscript.Run(t, testscript.Params{
		Dir:                dir,
		Files:              files,
		UpdateScripts:      os.Getenv("UPDATE_SCRIPTS") != "", // writes what "cmp" finds into the files
		RequireUniqueNames: true,
		Cmds:               map[string]func(*testscript.TestScript, bool, []string){"store": storeRaw},
		Setup: func(e *testscript.Env) error {
			srv := localkinesis.New(func(o *localkinesis.Options) { o.StateDelay = 0 })
			l, err := localkinesis.Listen("127.0.0.1:0")
			if err != nil {
				return err
			}
			done := make(chan error, 1)
			go func() { done <- srv.Serve(l) }()
			e.Defer(func() {
				_ = srv.Close()
				if err := <-done; err != nil {
					e.T().Log(err)
				}
			})
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/empty") {
					return
				}
				_, _ = io.WriteString(w, "<html>It works!</html>")
			}))
			e.Defer(web.Close)
			e.Values[serverKey{}] = srv
			for name, value := range map[string]string{
				"HOME":                        e.WorkDir,
				"XDG_CACHE_HOME":              e.WorkDir + "/.cache",
				"AWS_ENDPOINT_URL_KINESIS":    "http://" + l.Addr().String(),
				"ENDPOINT":                    "http://" + l.Addr().String(),
				"NOTKINESIS":                  web.URL,
				"AWS_REGION":                  "us-east-1",
				"AWS_ACCESS_KEY_ID":           "local",
				"AWS_SECRET_ACCESS_KEY":       "local",
				"AWS_EC2_METADATA_DISABLED":   "true",
				"AWS_SHARED_CREDENTIALS_FILE": e.WorkDir + "/none",
				"AWS_CONFIG_FILE":             e.WorkDir + "/none",
			} {
				e.Setenv(name, value)
			}
			return nil
		},
	})
}

type serverKey struct{}

// storeRaw is the scripts' "store" command.
func storeRaw(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: store STREAM KEY FILE")
	}
	_, err := ts.Value(serverKey{}).(*localkinesis.Server).Put(args[0], args[1], "", []byte(ts.ReadFile(args[2])))
	ts.Check(err)
}
