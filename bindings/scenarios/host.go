//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// host is a driver's process.
type host struct {
	w        *world
	name     string
	language *language
	cmd      *exec.Cmd
	in       io.WriteCloser
	stderr   string        // name of the file that has it
	gone     chan struct{} // closed when it has ended and all it said was read

	mu      sync.Mutex
	calls   int
	answers map[int]chan map[string]any
}

// launch starts a driver in a process group of its own, as a terminal does with what
// is typed there.
func (w *world) launch(name string, l *language, s step) (*host, error) {
	h := &host{w: w, name: name, language: l, answers: map[int]chan map[string]any{}, gone: make(chan struct{})}
	args := l.command(w.root, w.tools)
	h.cmd = exec.CommandContext(w.ctx, args[0], args[1:]...)
	h.cmd.Dir = w.dir
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	h.cmd.Env = w.environment()
	if !w.installed {
		h.cmd.Env = append(h.cmd.Env, "VEGAS_ENGINE="+w.engine)
	}
	h.cmd.Env = append(h.cmd.Env, l.environment(w.root, w.tools)...)
	if kind := s.text("engine"); kind != "" {
		path, env, err := w.engineFor(kind)
		if err != nil {
			return nil, err
		}
		if path != "" {
			h.cmd.Env = append(h.cmd.Env, append(env, "VEGAS_ENGINE="+path)...)
		}
	}
	if err := w.confine(h.cmd, s); err != nil {
		return nil, err
	}
	// A file, for the engine has it too, and may outlive the driver.
	h.stderr = filepath.Join(w.dir, fmt.Sprintf("stderr-%d", len(w.all)))
	stderr, err := os.Create(h.stderr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = stderr.Close() }()
	h.cmd.Stderr = stderr
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if s.flag("no_input") {
		// The commands come by another way, and there is no standard input at all.
		r, wr, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		defer func() { _ = r.Close() }()
		h.in = wr
		h.cmd.ExtraFiles = []*os.File{r}
		h.cmd.Env = append(h.cmd.Env, "VEGAS_SCENARIO_COMMANDS=/dev/fd/3")
	} else if h.in, err = h.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := h.cmd.Start(); err != nil {
		if h.cmd.SysProcAttr.Cloneflags|h.cmd.SysProcAttr.Unshareflags != 0 {
			err = fmt.Errorf("%w: it wants namespaces of its own: run this as root, or where users may have them", err)
		}
		return nil, fmt.Errorf("start the driver for %s: %w", l.name, err)
	}
	go h.listen(out)
	return h, nil
}

// listen takes answers and events until the driver ends.
func (h *host) listen(out io.Reader) {
	defer close(h.gone)
	r := bufio.NewReaderSize(out, 1<<16)
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			break // a line that is cut off was not said
		}
		var m map[string]any
		if json.Unmarshal(line, &m) != nil {
			h.w.fault("host %s wrote %.200q, which is no JSON", h.name, line)
			continue
		}
		if kind, ok := m["event"].(string); ok {
			h.w.event(h, kind, m)
			continue
		}
		id, _ := m["id"].(float64)
		h.mu.Lock()
		answer := h.answers[int(id)]
		delete(h.answers, int(id))
		h.mu.Unlock()
		if answer == nil {
			h.w.fault("host %s answered call %v, which was not made, or is answered", h.name, id)
			continue
		}
		answer <- m
	}
	_ = h.cmd.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, answer := range h.answers {
		delete(h.answers, id)
		close(answer)
	}
}

var errHostEnded = errors.New("the driver has ended")

// call asks the driver to do something. Its answer, a map, may be an error of its own.
func (h *host) call(args map[string]any) <-chan map[string]any {
	answer := make(chan map[string]any, 1)
	h.mu.Lock()
	h.calls++
	id := h.calls
	args["id"] = id
	h.answers[id] = answer
	h.mu.Unlock()
	line, err := json.Marshal(args)
	if err == nil {
		_, err = h.in.Write(append(line, '\n'))
	}
	select {
	case <-h.gone:
		err = errHostEnded
	default:
	}
	if err != nil {
		h.mu.Lock()
		if h.answers[id] == answer {
			delete(h.answers, id)
			close(answer)
		}
		h.mu.Unlock()
	}
	return answer
}

// signal is for the process alone, or for its group, as from a terminal.
func (h *host) signal(sig syscall.Signal, whole bool) error {
	pid := h.cmd.Process.Pid
	if whole {
		pid = -pid
	}
	return syscall.Kill(pid, sig)
}

// ended waits for the driver's end, and tells its exit code: as shells do, 128 and the
// signal for one that a signal has ended.
func (h *host) ended(limit time.Duration) (int, error) {
	select {
	case <-h.gone:
	case <-time.After(limit):
		return 0, fmt.Errorf("host %s has not ended within %v", h.name, limit)
	}
	status, _ := h.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}

// engines are the processes of the host that are its engine's.
func (h *host) engines() []int {
	var found []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		// pid (name) state parent …
		head, rest, _ := strings.Cut(string(text), " (")
		i := strings.LastIndex(rest, ") ")
		if i < 0 {
			continue
		}
		fields := strings.Fields(rest[i+2:])
		if len(fields) < 2 || fields[1] != strconv.Itoa(h.cmd.Process.Pid) || fields[0] == "Z" || !strings.HasPrefix(rest[:i], "vegas-engine") {
			continue
		}
		if pid, err := strconv.Atoi(head); err == nil {
			found = append(found, pid)
		}
	}
	return found
}

func (w *world) says(s step) error {
	h, err := w.running(s)
	if err != nil {
		return err
	}
	line, err := regexp.Compile(s.text("text"))
	if err != nil {
		return err
	}
	return w.until(s.limit(), fmt.Sprintf("host %s to say %q", h.name, line), func() bool {
		text, err := os.ReadFile(h.stderr)
		return err == nil && line.Match(text)
	})
}

func (w *world) countEngines(s step) error {
	h, err := w.running(s)
	if err != nil {
		return err
	}
	want, have := s.number("count", 0), 0
	err = w.until(s.limit(), fmt.Sprintf("host %s to have %d engines", h.name, want), func() bool { have = len(h.engines()); return have == want })
	if err != nil {
		return fmt.Errorf("%w; it has %d", err, have)
	}
	return nil
}

// end ends the process if it has not ended.
func (h *host) end() {
	_ = h.in.Close()
	_ = h.signal(syscall.SIGKILL, false)
	<-h.gone
}
