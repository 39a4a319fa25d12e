package lease

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libvegas/vegas/record"
)

// parting is what functions have to return in once their context is over.
const parting = time.Second

// drain waits until the shards that run have ended. When Run is to return, which
// last tells, or ctx when it is over, it does not wait for functions that go on
// although their context has ended: nothing of theirs is written any more, and
// the error names their shards.
func (s *session) drain(ctx context.Context, last bool) error {
	defer close(s.over)
	grace := time.AfterFunc(s.Grace, func() { s.end(record.ErrGraceOver) })
	defer grace.Stop()
	var late <-chan time.Time
	told := ctx.Done()
	if last {
		late, told = time.After(s.Grace+parting), nil
	}
	var errs []error
	for len(s.running) > 0 {
		select {
		case r := <-s.results:
			if _, err := s.ended(ctx, r); err != nil && !errors.Is(err, record.ErrGraceOver) {
				errs = append(errs, err)
			}
		case <-told:
			late, told = time.After(s.Grace+parting), nil
		case <-late:
			if deaf := s.leave(); len(deaf) > 0 {
				errs = append(errs, fmt.Errorf("consume: stream %q: group %q: %w: what handles %s goes on although its context has ended; nothing of it is checkpointed any more: let handlers return when their context ends (see docs/troubleshooting.md#grace-over)",
					s.stream(), s.Name, record.ErrGraceOver, strings.Join(deaf, ", ")))
			}
		}
	}
	return errors.Join(errs...)
}

// leave gives up the functions that go on although their context is over, and
// names their shards.
func (s *session) leave() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var deaf []string
	for id, l := range s.lives {
		if l.Leave() {
			deaf = append(deaf, id)
			delete(s.running, id)
		}
	}
	slices.Sort(deaf)
	return deaf
}
