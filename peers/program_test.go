//go:build peers && unix

package peers

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/libvegas/vegas/internal/foreign"
)

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
	path := foreign.ClassPath(need(t, javaClasses), need(t, javaParts))
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
	cmd.Env = foreign.Environment(p.env...)
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
	cmd.Env = foreign.Environment(p.env...)
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
	stopWatch := watch(t, cmd.Process.Pid)

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
		stopWatch()
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

// watch has a process group killed when this process ends without its clean-up:
// a panic of the test's own time limit, kill -9. The function ends the watch.
func watch(t *testing.T, group int) (stop func()) {
	t.Helper()
	w := exec.Command("sh", "-c", `cat >/dev/null; kill -9 "-$0"`, strconv.Itoa(group))
	w.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := w.StdinPipe() // its other end closes with this process
	if err == nil {
		err = w.Start()
	}
	if err != nil {
		_ = syscall.Kill(-group, syscall.SIGKILL)
		t.Fatalf("watch over process group %d: %v", group, err)
	}
	return func() {
		_ = syscall.Kill(-w.Process.Pid, syscall.SIGKILL)
		_ = w.Wait()
		_ = in.Close()
	}
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

// A server ends with its test, and with this process however that ends.
func TestServe(t *testing.T) {
	server := program{argv: []string{"sh", "-c", "echo starting; echo ready $$; sleep 100 & wait"}}
	if os.Getenv("PEERS_DIE") != "" {
		fmt.Print(server.serve(t, "ready"))
		os.Exit(1)
	}
	if _, err := os.Stat("/proc/self"); err != nil {
		t.Skip("no /proc to look at")
	}
	ended := func(line string) {
		t.Helper()
		_, pid, ok := strings.Cut(strings.TrimSpace(line), "ready ")
		if !ok {
			t.Fatalf("no process id in %q", line)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := until(ctx, "server ended", func() (bool, error) {
			_, err := os.Stat("/proc/" + pid)
			return errors.Is(err, os.ErrNotExist), nil
		}); err != nil {
			t.Error(err)
		}
	}
	var line string
	t.Run("server", func(t *testing.T) { line = server.serve(t, "ready") })
	ended(line)

	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestServe$")
	cmd.Env = append(os.Environ(), "PEERS_DIE=1")
	out, err := cmd.Output()
	if err == nil {
		t.Errorf("the process that had to die did not: %s", out)
	}
	ended(string(out))
}
