// Package crash runs the examples as processes for their tests, against an
// embedded server, and kills them.
package crash

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libvegas/vegas/localkinesis"
)

// worker is the variable that makes a test's binary the example itself.
const worker = "VEGAS_EXAMPLE_WORKER"

// Main is the TestMain of an example: run is its main function.
func Main(m *testing.M, run func(ctx context.Context, args []string) error) {
	if os.Getenv(worker) == "" {
		os.Exit(m.Run())
	}
	// Standard input ends with the test's process, however that ends.
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		cancel()
	}()
	if err := run(ctx, os.Args[1:]); err != nil {
		slog.Error("the example has failed", slog.Any("error", err))
		os.Exit(1)
	}
	os.Exit(0)
}

// Server starts an embedded server that processes of this machine reach. It ends
// with the test.
func Server(t *testing.T, streams map[string]int) *localkinesis.Server {
	t.Helper()
	srv := localkinesis.New(func(o *localkinesis.Options) {
		o.Streams, o.StateDelay, o.NoLimits = streams, 0, true
		o.Log = slog.New(slog.DiscardHandler)
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(srv.Close(), <-done); err != nil {
			t.Error(err)
		}
	})
	t.Setenv("AWS_ENDPOINT_URL", "http://"+l.Addr().String())
	t.Setenv("AWS_REGION", "us-east-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "example")
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	return srv
}

// Process is a running example.
type Process struct {
	cmd  *exec.Cmd
	in   interface{ Close() error }
	out  output
	gone chan struct{}
}

// Start runs the example with args. It ends with the test.
func Start(t *testing.T, args ...string) *Process {
	t.Helper()
	p := &Process{cmd: exec.Command(os.Args[0], args...), gone: make(chan struct{})} //nolint:noctx // it is killed by Kill
	p.cmd.Env = append(os.Environ(), worker+"=1")
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in = in
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.gone)
	}()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s said:\n%s", strings.Join(args, " "), &p.out)
		}
	})
	return p
}

// Kill ends it as kill -9 does.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.gone
	_ = p.in.Close()
}

// Stop asks it to end, and waits until it has.
func (p *Process) Stop(t *testing.T) {
	t.Helper()
	_ = p.in.Close()
	<-p.gone
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
}

// Interrupt is a Ctrl-C, at which it has to end by itself.
func (p *Process) Interrupt(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-p.gone
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
}

// Said is what it has said until now.
func (p *Process) Said() string { return p.out.String() }

// output is what a process has said.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Wait looks again and again until something is so, and fails the test when it
// is not in time.
func Wait(t *testing.T, limit time.Duration, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	over := time.NewTimer(limit)
	defer over.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-over.C:
			t.Fatalf("not within %v: %s", limit, what)
		case <-t.Context().Done():
			t.Fatal(context.Cause(t.Context()))
		}
	}
}

// Pause lets d pass.
func Pause(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}
