package vegas_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/localkinesis"
	"github.com/libvegas/vegas/store/file"
)

// mortalWorker makes the test's binary a worker whose handler kills the process
// at one of the records. Its value is a directory.
const mortalWorker = "VEGAS_TEST_MORTAL_WORKER"

const poison = "poison"

// diesOfPoison is that worker: it writes down what it handles, and what it gives
// up, and ends with its standard input.
func diesOfPoison(dir string) error {
	handled, err := os.OpenFile(filepath.Join(dir, "handled"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		cancel()
	}()
	c, err := vegas.NewConsumer("orders", "g", func(o *vegas.ConsumerOptions) {
		o.Store, o.LeaseTime, o.PollIdle, o.PollBusy = file.New(filepath.Join(dir, "store")), time.Second, 100*time.Millisecond, 50*time.Millisecond
		o.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
		o.DeadLetter = func(_ context.Context, r *vegas.Record, err error) error {
			if !errors.Is(err, vegas.ErrKillsProcess) {
				return err
			}
			_, err = fmt.Fprintf(handled, "dead letter %s\n", r.Data)
			return err
		}
	})
	if err != nil {
		return err
	}
	return c.Run(ctx, func(_ context.Context, r *vegas.Record) error {
		if string(r.Data) == poison {
			os.Exit(7)
		}
		_, err := fmt.Fprintf(handled, "%s\n", r.Data)
		return err
	})
}

// A record that kills every process that handles it is given up after a few
// deaths, it alone, and its shard goes on.
func TestARecordThatKillsItsProcess(t *testing.T) {
	srv := localkinesis.New(func(o *localkinesis.Options) {
		o.Streams, o.StateDelay = map[string]int{"orders": 2}, 0
		o.Log = slog.New(slog.DiscardHandler)
	})
	l, err := localkinesis.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	defer func() {
		if err := errors.Join(srv.Close(), <-served); err != nil {
			t.Error(err)
		}
	}()
	var want []string
	for i := range 60 {
		data := fmt.Sprintf("record %d", i)
		if i == 30 {
			data = poison
		} else {
			want = append(want, data)
		}
		if _, err := srv.Put("orders", fmt.Sprint("key ", i%7), "", []byte(data)); err != nil {
			t.Fatal(err)
		}
	}

	dir := t.TempDir()
	var said strings.Builder
	lines := func() map[string]int {
		text, err := os.ReadFile(filepath.Join(dir, "handled"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		out := map[string]int{}
		for line := range strings.Lines(string(text)) {
			out[strings.TrimSpace(line)]++
		}
		return out
	}
	complete := func() bool {
		got := lines()
		for _, w := range want {
			if got[w] == 0 {
				return false
			}
		}
		return got["dead letter "+poison] > 0
	}
	deaths := 0
	for life := 0; !complete(); life++ {
		if life == 12 {
			t.Fatalf("after %d deaths: %v\n%s", deaths, lines(), &said)
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), mortalWorker+"="+dir, "AWS_ENDPOINT_URL=http://"+l.Addr().String(), "AWS_REGION=us-east-1",
			"AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=example", "AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull)
		cmd.Stderr = &said
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		gone := make(chan error, 1)
		go func() { gone <- cmd.Wait() }()
		err = untilComplete(gone, in, complete)
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 7 {
			deaths++
		} else if err != nil {
			t.Fatalf("%v\n%s", err, &said)
		}
	}
	if got := lines(); deaths < 3 || deaths > 8 || got["dead letter "+poison] != 1 || got["dead letter record 29"]+got["dead letter record 31"] > 0 {
		t.Errorf("%d deaths, %v", deaths, got)
	}
	t.Logf("%d deaths", deaths)
}

// untilComplete waits for a worker's death, or ends it once all is done.
func untilComplete(gone <-chan error, in io.Closer, complete func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-gone:
			return errors.Join(err, in.Close())
		case <-tick.C:
			if complete() {
				_ = in.Close()
				return <-gone
			}
		}
	}
}
