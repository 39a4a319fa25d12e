package demo

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"github.com/libvegas/vegas/cmd/vegas/internal/audit"
)

// process is "vegas produce --durable --report-accepted", seen from outside: lines
// go in, and the number of those that are safe comes out.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	said  tail // on its standard error
	ended chan struct{}

	mu       sync.Mutex
	gone     bool
	waiting  []audit.Stamp // written, and not reported as safe
	reported int64
}

// answered is called for each line that the process was given: whether it is known
// to be safe.
type answered func(s audit.Stamp, safe bool)

// startProcess runs a command.
func startProcess(args, env []string, errors io.Writer, answer answered) (*process, error) {
	p := &process{ended: make(chan struct{})}
	p.cmd = &exec.Cmd{Path: args[0], Args: args[1:], Env: env, Stderr: io.MultiWriter(&p.said, errors)}
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the producer: %w", err)
	}
	go p.listen(out, answer)
	return p, nil
}

// listen books what the process reports, until it ends.
func (p *process) listen(out io.Reader, answer answered) {
	defer close(p.ended)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		n, err := strconv.ParseInt(lines.Text(), 10, 64)
		if err != nil {
			continue // cut by a kill
		}
		for _, s := range p.upTo(n) {
			answer(s, true)
		}
	}
	_ = p.cmd.Wait() // its state tells
	p.mu.Lock()
	p.gone = true
	left := p.waiting
	p.waiting = nil
	p.mu.Unlock()
	for _, s := range left {
		answer(s, false)
	}
}

// upTo takes the lines up to the n-th of the process.
func (p *process) upTo(n int64) []audit.Stamp {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := min(max(n-p.reported, 0), int64(len(p.waiting)))
	safe := p.waiting[:k]
	p.waiting = p.waiting[k:]
	p.reported += k
	return safe
}

// write gives it lines. It tells false if the process is gone, and then answers
// nothing for them.
func (p *process) write(stamps []audit.Stamp, text []byte) bool {
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

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// finish has it send what is left and end, and kills it if ctx ends first.
func (p *process) finish(ctx context.Context) error {
	_ = p.stdin.Close()
	select {
	case <-p.ended:
	case <-ctx.Done():
		p.kill()
		return fmt.Errorf("the producer did not end: %s", p.said.String())
	}
	if !p.cmd.ProcessState.Success() {
		return fmt.Errorf("the producer ended with %v: %s", p.cmd.ProcessState, p.said.String())
	}
	return nil
}

// source writes stamped lines at an even rate to the process that there is at the
// time; while there is none it falls behind, and catches up.
type source struct {
	auditor *audit.Auditor
	rate    int
	size    int
	pick    func() string // a key

	mu   sync.Mutex
	to   *process
	next chan struct{} // closed when there is another process
}

func (s *source) use(p *process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = p
	if s.next != nil {
		close(s.next)
	}
	s.next = make(chan struct{})
}

func (s *source) process() (*process, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.to, s.next
}

// run writes until ctx ends.
func (s *source) run(ctx context.Context) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	start := time.Now()
	var stamps []audit.Stamp
	var text []byte
	for n := 0; ; {
		stamps, text = stamps[:0], text[:0]
		for due := int(time.Since(start).Seconds() * float64(s.rate)); n < due && len(text) < 32<<10; n++ {
			stamp := s.auditor.Next(s.pick(), time.Now())
			stamps = append(stamps, stamp)
			text = append(stamp.Append(text, s.size), '\n')
		}
		if len(stamps) > 0 {
			for {
				to, next := s.process()
				if to.write(stamps, text) {
					break
				}
				select { // nobody has had these lines yet
				case <-next:
				case <-ctx.Done():
					for _, stamp := range stamps {
						s.auditor.Answer(stamp, audit.NotStored)
					}
					return
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
