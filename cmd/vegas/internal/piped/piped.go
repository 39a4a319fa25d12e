// Package piped runs "vegas produce --durable --report-accepted" and the like:
// commands that are given lines, and tell how many of them are safe, from the
// first. Such a process may be killed at any moment; whoever gave it lines then
// knows which of them need not be kept.
package piped

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"sync"

	"github.com/libvegas/vegas/cmd/vegas/internal/audit"
	"github.com/libvegas/vegas/internal/tail"
)

// Process is a running command.
type Process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	said   tail.Tail // on its standard error
	ended  chan struct{}
	answer func(audit.Stamp, bool)

	mu       sync.Mutex
	gone     bool
	waiting  []audit.Stamp // written, and not reported as safe
	reported int64
}

// Start runs a command, which has no streams yet but possibly a standard error.
// answer is called for each line that it is given: with true when it is safe, with
// false if the process ended before it had said so.
func Start(cmd *exec.Cmd, answer func(s audit.Stamp, safe bool)) (*Process, error) {
	p := &Process{cmd: cmd, ended: make(chan struct{}), answer: answer}
	if cmd.Stderr != nil {
		cmd.Stderr = io.MultiWriter(&p.said, cmd.Stderr)
	} else {
		cmd.Stderr = &p.said
	}
	var err error
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the producer: %w", err)
	}
	go p.listen(out)
	return p, nil
}

// listen books what the process reports, until it ends.
func (p *Process) listen(out io.Reader) {
	defer close(p.ended)
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadSlice('\n')
		if err != nil {
			break // a number that a kill has cut counts for nothing
		}
		if n, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 10, 64); err == nil {
			for _, s := range p.upTo(n) {
				p.answer(s, true)
			}
		}
	}
	_ = p.cmd.Wait() // its state tells
	p.mu.Lock()
	p.gone = true
	left := p.waiting
	p.waiting = nil
	p.mu.Unlock()
	for _, s := range left {
		p.answer(s, false)
	}
}

// upTo takes the lines up to the n-th of the process.
func (p *Process) upTo(n int64) []audit.Stamp {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := min(max(n-p.reported, 0), int64(len(p.waiting)))
	safe := p.waiting[:k]
	p.waiting = p.waiting[k:]
	p.reported += k
	return safe
}

// Write gives it lines, one for each stamp. It tells false if the process is gone:
// then these lines are not answered. One goroutine calls it.
func (p *Process) Write(stamps []audit.Stamp, text []byte) bool {
	p.mu.Lock()
	if p.gone {
		p.mu.Unlock()
		return false
	}
	p.waiting = append(p.waiting, stamps...)
	p.mu.Unlock()
	_, _ = p.stdin.Write(text) // to nobody, if it is killed meanwhile
	return true
}

// ID is the number of the process.
func (p *Process) ID() int { return p.cmd.Process.Pid }

// Ended is closed when the process has ended and every line was answered.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Kill ends it at once.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// Finish ends its input, which has it send what is left and end, and kills it if
// ctx ends first.
func (p *Process) Finish(ctx context.Context) error {
	_ = p.stdin.Close()
	select {
	case <-p.ended:
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("the producer did not end: %s", p.Said())
	}
	if !p.cmd.ProcessState.Success() {
		return fmt.Errorf("the producer ended with %v: %s", p.cmd.ProcessState, p.Said())
	}
	return nil
}

// Said is the end of what it wrote to standard error.
func (p *Process) Said() string { return p.said.String() }
