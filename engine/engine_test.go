//go:build unix

package engine

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/libvegas/vegas"
)

// TestMain lets this binary be an engine, as a user's own main would.
func TestMain(m *testing.M) {
	if os.Getenv("ENGINE_TEST_ENGINE") == "" {
		os.Exit(m.Run())
	}
	Main(Extension{Name: "redact", Consumer: func(map[string]any) (func(vegas.Handler) vegas.Handler, error) {
		return func(next vegas.Handler) vegas.Handler { return next }, nil
	}})
}

// process is an engine that was started.
type process struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	err strings.Builder
}

func start(t *testing.T) *process {
	t.Helper()
	p := &process{Cmd: exec.CommandContext(t.Context(), os.Args[0])}
	p.Env, p.Stderr = append(os.Environ(), "ENGINE_TEST_ENGINE=1"), &p.err
	in, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in, p.out = in, bufio.NewReader(out)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// hello is that of a host that speaks version 1.
const hello = "\x29\x00\x00\x00\x01" + "\x08\x01\x00\x00\x00" + "\x08\x00\x00\x00protocol" +
	"\x07\x02\x00\x00\x00" + "\x03\x01\x00\x00\x00\x00\x00\x00\x00" + "\x03\x01\x00\x00\x00\x00\x00\x00\x00"

// greet says hello and returns the answer.
func (p *process) greet(t *testing.T) string {
	t.Helper()
	if _, err := io.WriteString(p.in, hello); err != nil {
		t.Fatal(err)
	}
	var size uint32
	if err := binary.Read(p.out, binary.LittleEndian, &size); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(p.out, b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestLivesByItsStandardInput(t *testing.T) {
	p := start(t)
	answer := p.greet(t)
	for _, want := range []string{"redact", "local_kinesis", "version"} {
		if !strings.Contains(answer, want) {
			t.Errorf("hello is answered without %s: %q", want, answer)
		}
	}
	if group, err := syscall.Getpgid(p.Process.Pid); err != nil || group != p.Process.Pid {
		t.Errorf("process %d is in group %d, %v", p.Process.Pid, group, err)
	}
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if err := p.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	// Still there: an unknown frame, then one that is none.
	if _, err := io.WriteString(p.in, "\x02\x00\x00\x00\x63x"+"\x00\x00\x00\x00"); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(p.out)
	if err != nil || !strings.Contains(string(rest), "impossible size") {
		t.Errorf("%q, %v", rest, err)
	}
	if err := p.Wait(); p.ProcessState.ExitCode() != 1 {
		t.Errorf("it ended with %v", err)
	}
	if p.err.Len() > 0 {
		t.Errorf("on standard error: %s", p.err.String())
	}
}

func TestEndsWithItsStandardInput(t *testing.T) {
	p := start(t)
	p.greet(t)
	_ = p.in.Close()
	if rest, err := io.ReadAll(p.out); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, r, io.Discard) }()
	if _, err := io.WriteString(w, hello); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err == nil {
		t.Error("no error")
	}
}
