// Package demo runs a whole stream in one process: an embedded Kinesis that
// splits, merges, throttles and loses answers, a producer, consumers, and an
// auditor that tells at the end whether every record arrived once and in order.
package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/libvegas/vegas/cmd/vegas/internal/audit"
	"github.com/libvegas/vegas/localkinesis"
)

// Stream is the name of the demo's stream.
const Stream = "demo"

// Options of a demo.
type Options struct {
	// Duration from the start to the sums.
	Duration time.Duration
	// Rate of sending in records per second, and their Size in bytes.
	Rate, Size int
	// Shards at the start.
	Shards int
	// Seed decides which keys and shards are chosen.
	Seed uint64
	// View shows what happens.
	View View
	// Log gets what the library logs.
	Log *slog.Logger
}

// Defaults are those of "vegas demo".
func Defaults() Options {
	return Options{Duration: 45 * time.Second, Rate: 3000, Size: 200, Shards: 2, Seed: 1,
		Log: slog.New(slog.DiscardHandler)}
}

// View shows a running demo. One goroutine calls it.
type View interface {
	// Start is called once, before anything happens.
	Start(endpoint string)
	// Event is called when something worth telling happened.
	Event(Event)
	// Frame is called ten times a second.
	Frame(*Picture)
	// End gives the output back; the last picture may stay.
	End()
}

// Event is something that happened.
type Event struct {
	At   time.Duration
	Kind EventKind
	Text string
}

// EventKind groups events by what they mean for those who watch.
type EventKind uint8

// Kinds of events.
const (
	Reshard EventKind = iota // the stream took another shape
	Fault                    // the server misbehaves from now on
	Note                     // anything else
)

const frameEvery = 100 * time.Millisecond

// Run runs a demo. The error is about what kept it from running; what the
// auditor found is in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	w, err := newWorld(ctx, o)
	if err != nil {
		return nil, err
	}
	o.View.Start(w.endpoint)
	report, err := w.run(ctx)
	o.View.End()
	return report, errors.Join(err, w.close())
}

// world is a running demo.
type world struct {
	Options
	started  time.Time
	server   *localkinesis.Server
	endpoint string
	served   chan error
	random   *rand.Rand // of the loop's goroutine

	auditor *audit.Auditor
	sender  *load
	readers []*reader
	traffic traffic
	faults  []*localkinesis.Injected
	passing []passing // faults that end by the clock
	splits  int
	merges  int
	events  []Event // the newest last
}

func newWorld(ctx context.Context, o Options) (*world, error) {
	w := &world{Options: o, auditor: audit.New(), random: rand.New(rand.NewPCG(o.Seed, 1))}
	w.server = localkinesis.New(func(s *localkinesis.Options) {
		s.Streams = map[string]int{Stream: o.Shards}
		s.Seed = o.Seed
	})
	l, err := localkinesis.Listen("127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	w.endpoint = "http://" + l.Addr().String()
	w.served = make(chan error, 1)
	go func() { w.served <- w.server.Serve(l) }()
	// Its first answer says that it serves, which Server.AWS needs.
	health, err := http.NewRequestWithContext(ctx, http.MethodGet, w.endpoint+"/_vegas/health", nil)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("demo: %w", err), w.close())
	}
	answer, err := http.DefaultClient.Do(health)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("demo: %w", err), w.close())
	}
	_ = answer.Body.Close()
	w.started = time.Now()
	return w, nil
}

func (w *world) close() error { return errors.Join(w.server.Close(), <-w.served) }

// now is the time since the start.
func (w *world) now() time.Duration { return time.Since(w.started) }

// run is the life of the demo: send under faults, stop sending, wait for the
// rest to arrive, add up.
func (w *world) run(ctx context.Context) (*Report, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tail := min(max(w.Duration/8, time.Second), 4*time.Second)
	sending := max(w.Duration-tail, w.Duration/2)

	readCtx, stopReading := context.WithCancel(context.WithoutCancel(ctx))
	defer stopReading()
	if err := w.startReaders(readCtx); err != nil {
		return nil, err
	}
	sendCtx, stopSending := context.WithTimeout(ctx, sending)
	defer stopSending()
	if err := w.startLoad(sendCtx, ctx); err != nil {
		return nil, errors.Join(err, w.stopReaders(stopReading))
	}

	plan := w.plan(sending)
	frames := time.NewTicker(frameEvery)
	defer frames.Stop()
	limit := w.Duration + 20*time.Second
	var failure error
	sent := w.sender.done
	for done := false; !done; {
		select {
		case <-ctx.Done():
			done = true
		case err := <-sent:
			sent = nil
			if err != nil {
				failure, done = err, true
				break
			}
			w.tell(Note, "sending has ended, what is under way arrives")
			for _, f := range w.faults {
				f.Remove()
			}
		case <-frames.C:
		}
		if now := w.now(); !done {
			if sent != nil {
				plan = w.follow(plan, now)
				w.pass(now)
			}
			done = sent == nil && (now >= w.Duration && w.complete() || now >= limit)
			for _, r := range w.readers {
				if err := r.failed(); err != nil {
					failure, done = err, true
				}
			}
		}
		w.View.Frame(w.picture())
	}
	interrupted := ctx.Err()
	stopSending()
	if sent != nil {
		failure = errors.Join(failure, <-sent)
	}
	// An interrupted demo is audited as well: wait a little for the rest.
	for deadline := w.now() + 5*time.Second; interrupted != nil && failure == nil && !w.complete() && w.now() < deadline; {
		<-frames.C
		w.View.Frame(w.picture())
	}
	failure = errors.Join(failure, w.stopReaders(stopReading))
	w.View.Frame(w.picture())
	if failure != nil {
		return nil, fmt.Errorf("demo: %w", failure)
	}
	return w.report(), interrupted
}

func (w *world) complete() bool {
	for _, r := range w.readers {
		if !r.audit.Complete() {
			return false
		}
	}
	return true
}

const eventsKept = 200

func (w *world) tell(kind EventKind, format string, args ...any) {
	e := Event{At: w.now(), Kind: kind, Text: fmt.Sprintf(format, args...)}
	if w.events = append(w.events, e); len(w.events) > eventsKept {
		w.events = w.events[1:]
	}
	w.View.Event(e)
}
