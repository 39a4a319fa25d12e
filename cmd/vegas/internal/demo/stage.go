package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/libvegas/vegas/cmd/vegas/internal/audit"
	"github.com/libvegas/vegas/localkinesis"
)

// stage is what a demo takes place on: a clock, a directory, an embedded Kinesis,
// an auditor, and whoever is told what happens.
type stage struct {
	started time.Time
	dir     string
	server  *server
	auditor *audit.Auditor
	faults  []*localkinesis.Injected
	events  []Event // the newest last
	view    interface{ Event(Event) }
}

func newStage(ctx context.Context, shards int, seed uint64, view interface{ Event(Event) }) (*stage, error) {
	s := &stage{auditor: audit.New(), view: view}
	var err error
	if s.dir, err = os.MkdirTemp("", "vegas-demo-"); err != nil {
		return nil, err
	}
	if s.server, err = serve(ctx, shards, seed); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	s.started = time.Now()
	return s, nil
}

func (s *stage) close() error {
	return errors.Join(s.server.close(), os.RemoveAll(s.dir))
}

// now is the time since the start.
func (s *stage) now() time.Duration { return time.Since(s.started) }

// inject makes the server do wrong, until it is healed.
func (s *stage) inject(f localkinesis.Fault) { s.faults = append(s.faults, s.server.Inject(f)) }

// healServer ends what was injected.
func (s *stage) healServer() {
	for _, f := range s.faults {
		f.Remove()
	}
	s.faults = nil
}

const eventsKept = 200

func (s *stage) tell(e Event) {
	e.At = s.now()
	if s.events = append(s.events, e); len(s.events) > eventsKept {
		s.events = s.events[1:]
	}
	s.view.Event(e)
}

func (s *stage) note(format string, args ...any) {
	s.tell(Event{Note: true, Text: fmt.Sprintf(format, args...)})
}

const keys = 400

// customer draws a key. Some customers buy more than others: squares favour the low
// numbers.
func customer(random *rand.Rand) string {
	u := random.Float64()
	return fmt.Sprintf("customer-%d", int(u*u*keys))
}
