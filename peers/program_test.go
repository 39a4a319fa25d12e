//go:build peers && unix

package peers

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// environment of foreign programs: credentials that open nothing, and nothing
// of the machine's own AWS set-up.
func environment(extra ...string) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") {
			env = append(env, v)
		}
	}
	return append(append(env,
		"AWS_ACCESS_KEY_ID=AKIDPEER", "AWS_SECRET_ACCESS_KEY=peer", "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
	), extra...)
}

// A program is a foreign interpreter with a script of ours.
type program struct {
	env  []string
	argv []string
}

func python(t *testing.T, script string) program {
	t.Helper()
	return program{argv: []string{filepath.Join(need(t, pythonParts), "bin", "python"), filepath.Join("py", script)}}
}

func node(t *testing.T, script string) program {
	t.Helper()
	return program{
		env:  []string{"NODE_PATH=" + filepath.Join(need(t, nodeParts), "node_modules")},
		argv: []string{"node", filepath.Join("js", script)},
	}
}

func java(t *testing.T, class string, options ...string) program {
	t.Helper()
	path := need(t, javaClasses) + string(filepath.ListSeparator) + filepath.Join(need(t, javaParts), "*")
	return program{argv: append(append([]string{"java", "-cp", path}, options...), class)}
}

// run gives the program in as JSON and decodes the JSON that it prints. A
// program that fails or prints something else fails the test with what it said.
func (p program) run(t *testing.T, in, out any) {
	t.Helper()
	input, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.argv[0], p.argv[1:]...)
	cmd.Env = environment(p.env...)
	cmd.Stdin = bytes.NewReader(input)
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v %v\n%s", strings.Join(p.argv, " "), err, context.Cause(ctx), &stderr)
	}
	if err := json.Unmarshal(stdout.Bytes(), out); err != nil {
		t.Fatalf("%s: %v\n%s\n%s", strings.Join(p.argv, " "), err, &stdout, &stderr)
	}
}

// serve starts a foreign server, waits until it prints a line with ready in it,
// and gives that line. It ends with the test.
func (p program) serve(t *testing.T, ready string) string {
	t.Helper()
	cmd := exec.Command(p.argv[0], p.argv[1:]...)
	cmd.Env = environment(p.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that its children end with it
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		w.Close()
		r.Close()
		t.Fatalf("%s: %v", strings.Join(p.argv, " "), err)
	}
	w.Close()

	var log tail
	line := make(chan string, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		in := bufio.NewReader(r)
		for {
			s, err := in.ReadString('\n')
			log.add(s)
			if strings.Contains(s, ready) {
				select {
				case line <- s:
				default:
				}
			}
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		r.Close()
		<-read
		if t.Failed() {
			t.Logf("%s said at last:\n%s", p.argv[0], &log)
		}
	})
	select {
	case s := <-line:
		return s
	case <-read:
		t.Fatalf("%s ended before it was ready:\n%s", strings.Join(p.argv, " "), &log)
	case <-time.After(time.Minute):
		t.Fatalf("%s did not print %q within a minute:\n%s", strings.Join(p.argv, " "), ready, &log)
	}
	return ""
}

// tail keeps the last lines of a server's output.
type tail struct {
	mu    sync.Mutex
	lines []string
}

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, line)
	if len(t.lines) > 100 {
		t.lines = append(t.lines[:0], t.lines[50:]...)
	}
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "")
}

func TestServe(t *testing.T) {
	var pid string
	t.Run("server", func(t *testing.T) {
		pid = strings.TrimSpace(program{argv: []string{"sh", "-c", "echo starting; echo ready $$; sleep 100 & wait"}}.serve(t, "ready"))
	})
	if _, err := os.Stat("/proc"); errors.Is(err, os.ErrNotExist) {
		t.Skip("no /proc to look at")
	}
	if _, err := os.Stat("/proc/" + strings.TrimPrefix(pid, "ready ")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the server of an ended test still runs as %q (%v)", pid, err)
	}
}
