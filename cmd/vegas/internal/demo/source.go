package demo

import (
	"context"
	"sync"
	"time"

	"github.com/libvegas/vegas/cmd/vegas/internal/audit"
	"github.com/libvegas/vegas/cmd/vegas/internal/piped"
)

// source writes stamped lines at an even rate to the process that there is at the
// time; while there is none it falls behind, and catches up.
type source struct {
	auditor *audit.Auditor
	rate    int
	size    int
	pick    func() string // a key

	mu   sync.Mutex
	to   *piped.Process
	next chan struct{} // closed when there is another process
}

func (s *source) use(p *piped.Process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = p
	if s.next != nil {
		close(s.next)
	}
	s.next = make(chan struct{})
}

func (s *source) process() (*piped.Process, <-chan struct{}) {
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
				if to.Write(stamps, text) {
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
