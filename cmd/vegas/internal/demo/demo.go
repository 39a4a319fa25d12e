// Package demo runs a fleet on one machine: an embedded Kinesis and a producer in
// this process, workers of one consumer group in processes of their own. While
// records flow, shards split and merge, workers are added, stopped and killed. An
// auditor tells at the end whether every record arrived in order, and for how
// long each incident silenced which shard.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"
)

// Stream and Group are the names of the demo's stream and consumer group.
const (
	Stream = "demo"
	Group  = "billing"
)

// Options of a demo.
type Options struct {
	// Duration from the start to the sums.
	Duration time.Duration
	// Rate of sending in records per second, and their Size in bytes.
	Rate, Size int
	// Shards and Workers at the start.
	Shards, Workers int
	// LeaseTime is how long a worker that was killed keeps its shards.
	LeaseTime time.Duration
	// Seed decides which keys, shards and workers are chosen.
	Seed uint64
	// Command is the program and arguments that run a worker.
	Command func(Worker) []string
	// View shows what happens.
	View View
	// Log gets what the library logs in this process, Errors what workers write to
	// standard error.
	Log    *slog.Logger
	Errors io.Writer
}

// Defaults are those of "vegas demo".
func Defaults() Options {
	return Options{Duration: 45 * time.Second, Rate: 3000, Size: 200, Shards: 4, Workers: 3, LeaseTime: 2 * time.Second, Seed: 1,
		Log: slog.New(slog.DiscardHandler), Errors: io.Discard}
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

// Event is something that happened, or what came of it.
type Event struct {
	At   time.Duration
	Kind Kind
	Note bool // no incident
	Text string
}

const frameEvery = 100 * time.Millisecond

// Run runs a demo. The error is about what kept it from running; what the
// auditor found is in the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	w, err := newWorld(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	o.View.Start(w.server.endpoint)
	report, err := w.run(ctx)
	o.View.End()
	return report, errors.Join(err, w.close())
}

// world is a running demo.
type world struct {
	Options
	*stage
	random *rand.Rand // of the loop's goroutine

	sender  *load
	fleet   *fleet
	traffic traffic
	told    int // incidents whose outcome was told
	sentAll bool
}

func newWorld(ctx context.Context, o Options) (*world, error) {
	s, err := newStage(ctx, o.Shards, o.Seed, o.View)
	if err != nil {
		return nil, err
	}
	w := &world{Options: o, stage: s, random: rand.New(rand.NewPCG(o.Seed, 1))}
	w.fleet = newFleet(w)
	return w, nil
}

// run is the life of the demo: send while things happen, stop sending, wait for
// the rest to arrive, add up.
func (w *world) run(ctx context.Context) (*Report, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tail := min(max(w.Duration/8, time.Second), 4*time.Second)
	sending := max(w.Duration-tail, w.Duration/2)

	w.knowShards()
	for range w.Workers {
		if _, err := w.fleet.add(); err != nil {
			return nil, errors.Join(fmt.Errorf("demo: %w", err), w.fleet.close())
		}
	}
	sendCtx, stopSending := context.WithTimeout(ctx, sending)
	defer stopSending()
	if err := w.startLoad(sendCtx, ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("demo: %w", err), w.fleet.close())
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
			w.sentAll = true
			w.note("sending has ended, what is under way arrives")
			w.healServer()
		case <-frames.C:
		}
		now := w.now()
		if !done && sent != nil {
			plan = w.follow(plan, now)
		}
		done = done || sent == nil && (now >= w.Duration && w.fleet.audit.Complete() || now >= limit)
		if err := w.fleet.failure(); err != nil {
			failure, done = err, true
		}
		w.View.Frame(w.picture())
	}
	interrupted := ctx.Err()
	stopSending()
	if sent != nil {
		failure = errors.Join(failure, <-sent)
	}
	// An interrupted demo is audited as well: wait a little for the rest.
	for deadline := w.now() + w.LeaseTime + 5*time.Second; interrupted != nil && failure == nil && !w.fleet.audit.Complete() && w.now() < deadline; {
		<-frames.C
		w.View.Frame(w.picture())
	}
	w.View.Frame(w.picture())
	if err := w.fleet.close(); failure == nil {
		failure = err
	}
	if failure != nil {
		return nil, fmt.Errorf("demo: %w", failure)
	}
	return w.report(), interrupted
}
