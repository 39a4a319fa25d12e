//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/libvegas/vegas/localkinesis"
)

// world is what one scenario happens in: a server and a store of its own, and hosts
// that speak the language under test, and another one.
type world struct {
	ctx       context.Context
	root      string
	dir       string // for everything that the scenario writes
	engine    string
	tools     string // where drivers are built
	installed bool
	protocol  *protocol

	server   *localkinesis.Server
	endpoint string

	language, other *language
	hosts           map[string]*host
	all             []*host
	waiting         map[string]call // steps that nobody has joined
	faults          map[string]*localkinesis.Injected
	never           map[string]bool // faults that must not happen
	vars            map[string]string
	outcomes        []string // of steps
	code            int      // that a host ended with last

	mu          sync.Mutex
	account     *account
	groupOf     map[string]string  // host/consumer → group
	possessions map[string]float64 // the last one of each group and shard
	audited     map[string]bool    // groups; whether records may come again
	many        map[string]step    // host/producer → the step that tells of each record
	events      map[string][]map[string]any
	counts      map[string]int // records and others by host/consumer and in all
	wrong       []error
}

// call is a step that was begun: its answer, and what waits for that and looks at it.
type call struct {
	answer <-chan map[string]any
	finish func() error
}

const streamName = "orders"

// tell runs a scenario in a language, and says what each step came to.
func (sc *scenario) tell(ctx context.Context, r *runner, l, other *language) (outcomes []string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 3*time.Minute, errors.New("the scenario takes longer than three minutes"))
	defer cancel()
	dir, err := os.MkdirTemp("", "vegas-scenario-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	w := &world{
		ctx: ctx, root: r.root, dir: dir, engine: r.engine, tools: r.tools, installed: r.installed, protocol: r.protocol,
		language: l, other: other, hosts: map[string]*host{}, waiting: map[string]call{},
		faults: map[string]*localkinesis.Injected{}, never: map[string]bool{}, vars: map[string]string{"dir": dir, "stream": streamName, ownEngine: r.own, "key256": strings.Repeat("🔑", 256), "key257": strings.Repeat("k", 257)},
		account: newAccount(), groupOf: map[string]string{}, possessions: map[string]float64{}, audited: map[string]bool{}, many: map[string]step{}, events: map[string][]map[string]any{}, counts: map[string]int{},
		outcomes: make([]string, len(sc.Steps)),
	}
	if err := os.Mkdir(filepath.Join(dir, "home"), 0o755); err != nil {
		return nil, err
	}
	if err := w.serve(sc); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.end()) }()
	for i, s := range sc.Steps {
		if err := w.do(i, s); err != nil {
			return nil, fmt.Errorf("step %d, %s: %w%s", i+1, s.text("do"), err, w.said())
		}
	}
	for name, c := range w.waiting {
		if err := c.finish(); err != nil {
			return nil, fmt.Errorf("what was called %s: %w%s", name, err, w.said())
		}
	}
	if err := w.auditAgain(); err != nil {
		return nil, fmt.Errorf("behind the last step: %w%s", err, w.said())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for name := range w.faults {
		if err := w.tried(name); err != nil {
			w.wrong = append(w.wrong, err)
		}
	}
	return w.outcomes, errors.Join(w.wrong...)
}

// serve starts the scenario's Kinesis.
func (w *world) serve(sc *scenario) error {
	w.server = localkinesis.New(func(o *localkinesis.Options) {
		o.Region, o.NoLimits, o.StateDelay = "us-east-1", !sc.Limits, 50*time.Millisecond
	})
	if err := w.server.CreateStream(streamName, max(sc.Shards, 1)); err != nil {
		return err
	}
	l, err := localkinesis.Listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = w.server.Serve(l) }() // until the world's end
	w.endpoint = "http://" + l.Addr().String()
	w.vars["endpoint"] = w.endpoint
	if err := w.healthy(); err != nil {
		return err
	}
	if sc.RecordBytes > 1<<20 {
		st, err := w.server.Stream(streamName)
		if err != nil {
			return err
		}
		_, err = w.client().UpdateMaxRecordSize(w.ctx, &kinesis.UpdateMaxRecordSizeInput{
			StreamARN: aws.String(st.ARN), MaxRecordSizeInKiB: aws.Int32(int32(sc.RecordBytes >> 10)),
		})
		if err != nil {
			return err
		}
	}
	return w.until(10*time.Second, "the stream to be active", func() bool {
		st, err := w.server.Stream(streamName)
		return err == nil && st.Status == "ACTIVE"
	})
}

func (w *world) healthy() error {
	return w.until(5*time.Second, "the server", func() bool {
		r, err := http.NewRequestWithContext(w.ctx, http.MethodGet, w.endpoint+"/_vegas/health", nil)
		if err != nil {
			return false
		}
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			return false
		}
		defer a.Body.Close()
		_, _ = io.Copy(io.Discard, a.Body)
		return a.StatusCode == http.StatusNoContent
	})
}

func (w *world) client() *kinesis.Client { return kinesis.NewFromConfig(w.server.AWS()) }

// environment is that of hosts: the server, a store beside it, and nothing of the
// machine's own.
func (w *world) environment() []string {
	var env []string
	if w.installed {
		// What leads to packages and engines by other ways is not there.
		env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(w.dir, "home"), "LANG=C.UTF-8", "TMPDIR=" + os.TempDir()}
	} else {
		for _, v := range os.Environ() {
			if !strings.HasPrefix(v, "AWS_") && !strings.HasPrefix(v, "VEGAS_") {
				env = append(env, v)
			}
		}
	}
	return append(env,
		"AWS_ENDPOINT_URL="+w.endpoint, "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
		"VEGAS_STORE=file:"+w.store())
}

func (w *world) store() string { return filepath.Join(w.dir, "positions") }

// at is the host of a step, which starts with its first one.
func (w *world) at(s step) (*host, error) {
	name := s.host()
	if h := w.hosts[name]; h != nil {
		return h, nil
	}
	return w.start(name, w.language, s)
}

func (w *world) start(name string, l *language, s step) (*host, error) {
	h, err := w.launch(name, l, s)
	if err != nil {
		return nil, err
	}
	w.hosts[name] = h
	w.all = append(w.all, h)
	return h, nil
}

// until waits for something, looking often.
func (w *world) until(limit time.Duration, what string, ok func() bool) error {
	over := time.After(limit)
	for !ok() {
		select {
		case <-over:
			return fmt.Errorf("waited %v for %s", limit, what)
		case <-w.ctx.Done():
			return fmt.Errorf("waited for %s: %w", what, context.Cause(w.ctx))
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

// fault notes what must not be; it fails the scenario.
func (w *world) fault(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.wrong) < 10 {
		w.wrong = append(w.wrong, fmt.Errorf(format, args...))
	}
}

// event takes what a driver tells by itself.
func (w *world) event(h *host, kind string, m map[string]any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	of, _ := m["of"].(string)
	place := h.name + "/" + of
	w.counts[kind]++
	w.counts[kind+" "+place]++
	key, _ := m["key"].(string)
	switch kind {
	case "record":
		attempt, _ := m["attempt"].(float64)
		w.account.received(w.groupOf[place], key, describedEvent(m), int(attempt), position(m))
	case "start":
		shard, _ := m["shard"].(string)
		possession, _ := m["possession"].(float64)
		of := w.groupOf[place] + " " + shard
		if possession <= w.possessions[of] {
			w.wrong = append(w.wrong, fmt.Errorf("%s began under possession %v, after %v: it has to rise", of, possession, w.possessions[of]))
		}
		w.possessions[of] = possession
	case "sent":
		if s := w.many[place]; s != nil {
			n, _ := m["number"].(float64)
			key, data := s.numbered(int(n))
			w.account.result(key, data, outcomeOf(m["error"]), "")
		}
	}
	// Those of a long scenario are looked at by counting only.
	if kept := w.events[kind]; len(kept) < 5000 {
		m["host"] = h.name
		w.events[kind] = append(kept, m)
	}
}

func describedEvent(m map[string]any) string {
	if text, ok := m["data"].(string); ok {
		return strings.TrimRight(text, ".")
	}
	size, _ := m["size"].(float64)
	sum, _ := m["crc"].(float64)
	return fmt.Sprintf("%d/%d", int64(size), int64(sum))
}

// said is what hosts wrote to their standard error.
func (w *world) said() string {
	var b strings.Builder
	for _, h := range w.all {
		wrote, _ := os.ReadFile(h.stderr)
		if text := strings.TrimSpace(string(wrote)); text != "" {
			if len(text) > 4000 {
				text = "…" + text[len(text)-4000:]
			}
			fmt.Fprintf(&b, "\n  host %s (%s) wrote:\n    %s", h.name, h.language.name, strings.ReplaceAll(text, "\n", "\n    "))
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, err := range w.wrong {
		fmt.Fprintf(&b, "\n  %v", err)
	}
	return b.String()
}

// end ends all hosts, and sees that no engine outlives them for long.
func (w *world) end() error {
	var wrong []error
	for _, h := range w.all {
		engines := h.engines()
		h.end()
		for _, pid := range engines {
			dead := func() bool { return !alive(pid) }
			if err := w.until(15*time.Second, fmt.Sprintf("engine %d of host %s, which is gone, to end", pid, h.name), dead); err != nil {
				wrong = append(wrong, err)
			}
		}
	}
	_ = w.server.Close()
	return errors.Join(wrong...)
}

func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return !strings.HasPrefix(rest, "Z")
}
