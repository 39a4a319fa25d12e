package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/cmd/vegas/internal/audit"
	"github.com/libvegas/vegas/cmd/vegas/internal/piped"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/store/memory"
)

// Outage is the demo of a durable producer: its stream goes away for a while, and
// its process is killed meanwhile. It is the command line's own,
//
//	vegas produce demo --durable DIR --report-accepted --key-json key
//
// which is given lines, and tells how many of them are safe. A consumer behind it
// hands what arrives to the auditor.
type Outage struct {
	// Duration from the start to the sums.
	Duration time.Duration
	// Rate of sending in records per second, and their Size in bytes.
	Rate, Size int
	// Shards at the start.
	Shards int
	// Seed decides which keys are chosen.
	Seed uint64
	// Command is the program and arguments that send lines to the stream at an
	// endpoint, and keep them in a directory.
	Command func(endpoint, dir string) []string
	// Environment is that of the command.
	Environment []string
	// View shows what happens.
	View OutageView
	// Log gets what the library logs in this process, Errors what the producer
	// writes to standard error.
	Log    *slog.Logger
	Errors io.Writer
}

// OutageDefaults are those of "vegas demo --outage".
func OutageDefaults() Outage {
	return Outage{Duration: 25 * time.Second, Rate: 2000, Size: 200, Shards: 3, Seed: 1,
		Log: slog.New(slog.DiscardHandler), Errors: io.Discard}
}

// OutageView shows a running demo. One goroutine calls it.
type OutageView interface {
	// Start is called once, before anything happens.
	Start()
	// Event is called when something worth telling happened.
	Event(Event)
	// Frame is called ten times a second.
	Frame(*OutagePicture)
	// End gives the output back; the last picture may stay.
	End()
}

// OutagePicture is the demo at one moment.
type OutagePicture struct {
	At, Duration time.Duration
	PID          int // 0: the producer's process was killed, or has ended
	Over         bool
	Sent         audit.Sums
	Rate         float64 // lines accepted a second
	Got          audit.Sums
	GotRate      float64
	Waiting      int64
	Removed      int64 // duplicates, by the consumer
	Chart        chart
	Events       []Event // the newest last
}

// RunOutage runs a demo. The error is about what kept it from running; what the
// auditor found is in the report.
func RunOutage(ctx context.Context, o Outage) (*OutageReport, error) {
	w, err := newOutage(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	o.View.Start()
	report, err := w.run(ctx)
	o.View.End()
	return report, errors.Join(err, w.close())
}

// outage is a running demo.
type outage struct {
	Outage
	*stage
	network *network
	got     *audit.Reader
	source  *source
	process *piped.Process // nil: it was killed

	accepted, delivered meter
	delay               histogram // from the line to the consumer's handler
	removed             atomic.Int64
	chart               chart
	top                 int64 // waiting
	kills               int64
}

func newOutage(ctx context.Context, o Outage) (*outage, error) {
	s, err := newStage(ctx, o.Shards, o.Seed, o.View)
	if err != nil {
		return nil, err
	}
	w := &outage{Outage: o, stage: s, got: s.auditor.Reader()}
	if w.network, err = openNetwork(strings.TrimPrefix(s.server.endpoint, "http://")); err != nil {
		return nil, errors.Join(err, s.close())
	}
	random := rand.New(rand.NewPCG(o.Seed, 2))
	w.source = &source{auditor: s.auditor, rate: o.Rate, size: o.Size, pick: func() string { return customer(random) }}
	if err := w.start(); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *outage) close() error {
	if w.process != nil {
		w.process.Kill()
	}
	w.network.close()
	return w.stage.close()
}

// buffer is the directory that survives the process.
func (w *outage) buffer() string { return filepath.Join(w.dir, "buffer") }

// start starts the producer's process.
func (w *outage) start() error {
	args := w.Command(w.network.endpoint(), w.buffer())
	p, err := piped.Start(&exec.Cmd{Path: args[0], Args: args[1:], Env: w.Environment, Stderr: w.Errors}, func(s audit.Stamp, safe bool) {
		if !safe {
			w.auditor.Answer(s, audit.Unknown)
			return
		}
		w.auditor.Answer(s, audit.Acknowledged)
		w.accepted.add(w.now(), 1)
	})
	if err != nil {
		return err
	}
	w.process = p
	w.source.use(p)
	return nil
}

// consume hands what arrives to the auditor, until ctx ends.
func (w *outage) consume(ctx context.Context) error {
	c, err := vegas.NewConsumer(Stream, Group, func(o *vegas.ConsumerOptions) {
		o.AWS, o.Store, o.Logger, o.Observer = w.server.AWS(), memory.New(), w.Log, duplicates{n: &w.removed}
		o.PollIdle, o.PollBusy = pollEvery, pollEvery
	})
	if err != nil {
		return err
	}
	return c.RunBatches(ctx, func(_ context.Context, b *vegas.Batch) error {
		now := time.Now()
		for _, r := range b.Records {
			if s, err := w.got.Deliver(r.PartitionKey, r.Data); err == nil {
				w.delay.add(now.Sub(w.started), now.Sub(s.Sent))
			}
		}
		w.delivered.add(now.Sub(w.started), int64(len(b.Records)))
		return nil
	})
}

// duplicates counts what the consumer removes.
type duplicates struct {
	observe.Nop
	n *atomic.Int64
}

// Count is observe.Observer's.
func (d duplicates) Count(c observe.Counter, _ observe.Where, n int64) {
	if c == observe.Duplicates {
		d.n.Add(n)
	}
}

// run is the life of the demo.
func (w *outage) run(ctx context.Context) (*OutageReport, error) {
	consuming, stopConsuming := context.WithCancel(context.WithoutCancel(ctx))
	defer stopConsuming()
	consumed := make(chan error, 1)
	go func() { consumed <- w.consume(consuming) }()

	tail := min(max(w.Duration/8, time.Second), 4*time.Second)
	sending := w.Duration - tail
	sendCtx, stopSending := context.WithTimeout(ctx, sending)
	defer stopSending()
	sent := make(chan struct{})
	go func() { w.source.run(sendCtx); close(sent) }()

	plan := outagePlan(sending)
	frames := time.NewTicker(frameEvery)
	defer frames.Stop()
	finished := make(chan error, 1)
	failure, ending := error(nil), false
	for done := false; !done; {
		select {
		case err := <-consumed:
			return nil, fmt.Errorf("demo: the consumer ended: %w", err)
		case <-sent:
			sent, ending = nil, true
			if failure = w.heal(); failure != nil {
				done = true
				break
			}
			w.note("sending has ended, what is left in the directory follows")
			go func(p *piped.Process) {
				limit, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				defer cancel()
				finished <- p.Finish(limit)
			}(w.process)
		case failure = <-finished:
			w.process, done = nil, true
		case <-frames.C:
		}
		if !ending && len(plan) > 0 && w.now() >= plan[0].at {
			failure = plan[0].do(w)
			done, plan = done || failure != nil, plan[1:]
		}
		w.frame(ending)
	}
	stopSending()
	if failure != nil && w.process != nil {
		w.process.Kill() // whoever writes to it does not wait then
	}
	if sent != nil {
		<-sent
	}
	if failure == nil {
		w.arrived(frames.C)
	}
	stopConsuming()
	if err := <-consumed; failure == nil {
		failure = err
	}
	if failure != nil {
		return nil, fmt.Errorf("demo: %w", failure)
	}
	return w.report(), ctx.Err()
}

// arrived waits for the consumer to have everything, but not for ever.
func (w *outage) arrived(tick <-chan time.Time) {
	for deadline := w.now() + 10*time.Second; !w.got.Complete() && w.now() < deadline; {
		<-tick
		w.frame(true)
	}
	// Nothing may follow: look a little longer, twice the time between two reads.
	for until := w.now() + 2*pollEvery; w.now() < until; {
		<-tick
		w.frame(true)
	}
}

// frame shows how it stands.
func (w *outage) frame(ending bool) {
	at := w.now()
	p := &OutagePicture{At: at, Duration: w.Duration, Sent: w.auditor.Sent(), Got: w.got.Live(),
		Rate: w.accepted.rate(at), GotRate: w.delivered.rate(at), Removed: w.removed.Load(), Events: w.events}
	p.Waiting = max(p.Sent.Acknowledged-p.Got.Delivered, 0)
	for n := int(at / frameEvery); len(w.chart.values) < n; {
		w.chart.values = append(w.chart.values, p.Waiting)
	}
	w.top = max(w.top, p.Waiting)
	w.chart.end = w.Duration
	if p.Over = ending && w.process == nil; ending {
		w.chart.end = max(w.Duration, at)
	}
	if w.process != nil {
		p.PID = w.process.ID()
	}
	p.Chart = w.chart
	w.View.Frame(p)
}
