package fleettest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/observe"
)

// life is one consumer.
type life struct {
	*slot
	worker   *worker
	name     string
	door     *door
	net      *network
	cancel   context.CancelFunc
	done     chan struct{}
	err      error // of Run, once done
	mode     mode
	parallel int

	mu  sync.Mutex // guards rnd
	rnd *rand.Rand
}

// stopMost is what a stop may take besides the grace time and the lease time, with a
// store that is sick: the last checkpoint, and giving leases away, are tried for
// five seconds each, and a call that is under way takes five.
const stopMost = 20 * time.Second

// stop is the orderly end.
func (l *life) stop() {
	began := time.Now()
	l.books.stops(l.worker)
	l.cancel()
	<-l.done
	if d := time.Since(began); d > l.p.grace+l.lease+stopMost && l.forever.Err() == nil {
		l.audit.fail("%s: the stop took %v", l.name, d)
	}
	l.complain()
}

// complain judges what Run returned.
func (l *life) complain() {
	if l.err == nil {
		return
	}
	l.trace.add("%s ends with %v", l.name, l.err)
	if strings.Contains(l.err.Error(), "#worker-name-taken") {
		l.audit.fail("%s: nobody else of its name lives: %v", l.name, l.err)
	}
	l.ended(l.err)
}

// unwanted: a consumer has ended by itself, and nothing can have made it.
func (l *life) unwanted() {
	if l.forever.Err() == nil {
		l.audit.fail("%s ended by itself: %v", l.name, l.err)
	}
}

// start starts a consumer.
func (s *slot) start(sick float64) *life {
	l := &life{slot: s, name: fmt.Sprintf("%s.%d.%d", s.name, s.number, s.starts), done: make(chan struct{}), mode: s.p.mode, parallel: s.p.parallel}
	s.starts++
	l.rnd = rand.New(rand.NewPCG(s.rnd.Uint64(), 2))
	fanOut := s.p.fanOut
	if s.p.vary {
		l.mode, fanOut, l.parallel = mode(l.rnd.IntN(int(modes))), l.rnd.IntN(2) == 0, 1+l.rnd.IntN(3)
	}
	l.worker = &worker{name: l.name, lease: s.lease, grace: s.p.grace, parallel: l.parallel}
	if l.mode != records {
		l.worker.parallel = 1
	}
	s.guard.Lock()
	s.lives[l.name] = l.worker
	s.guard.Unlock()
	under := s.open()
	l.door = newDoor(under, s.rows, l.name, sick, rand.New(rand.NewPCG(s.rnd.Uint64(), 3)))
	l.door.lag = s.p.lag
	l.door.beat = func(sent time.Time) { s.books.beat(l.worker, sent) }
	name := l.name
	if s.named {
		name = fmt.Sprintf("%s.%d", s.name, s.number)
	}
	net, cfg := connect(s.server, s.trace, l.name, s.p.http2)
	l.net = net
	c, err := vegas.NewConsumer(streamName, s.name, func(o *vegas.ConsumerOptions) {
		o.AWS, o.Store, o.Worker, o.Logger, o.Observer = cfg, l.door, name, s.trace.logger(l.name), l
		o.LeaseTime, o.MaxShards = s.lease, s.maxShards
		o.FanOut, o.Parallel, o.CheckpointEvery, o.Grace, o.PrefetchBytes = fanOut, l.parallel, s.p.every, s.p.grace, s.p.prefetch
		switch {
		case s.p.latest:
			o.Start = vegas.Latest()
		case s.p.after > 0:
			o.Start = vegas.AtTime(s.trace.began.Add(s.p.after))
		}
		if s.p.dead && l.mode != shards {
			o.MaxAttempts = 3
			o.DeadLetter = func(_ context.Context, r *vegas.Record, _ error) error {
				l.books.fails(l.worker, r, false)
				return l.take(r)
			}
		}
	})
	if err != nil {
		s.audit.fail("%s: %v", l.name, err)
		close(l.done)
		return l
	}
	s.trace.add("%s starts as %s: %v, fan-out %v, %d side by side, lease time %v, shards %d", l.name, name, l.mode, fanOut, l.parallel, s.lease, s.maxShards)
	ctx, cancel := context.WithCancel(s.forever)
	l.cancel = cancel
	s.runs.Go(func() {
		defer close(l.done)
		defer cancel()
		if s.p.file { // the memory is shared
			defer func() { _ = under.Close() }()
		}
		switch l.mode {
		case records:
			l.err = c.Run(ctx, l.handle)
		case batches:
			l.err = c.RunBatches(ctx, l.handleBatch)
		default:
			l.err = c.RunShards(ctx, l.handleShard)
		}
		_ = c.Stats()
	})
	return l
}

var (
	errHandler = errors.New("the handler fails")
	errKilled  = errors.New("the process is dead")
)

// draw is what becomes of a call of a handler.
func (l *life) draw() (delay time.Duration, fails, panics bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rnd.Float64() < l.p.slow {
		delay = time.Duration(l.rnd.IntN(3000)) * time.Millisecond
		if l.rnd.IntN(10) == 0 {
			delay *= 10
		}
	}
	return delay, l.rnd.Float64() < l.p.errors, l.rnd.Float64() < l.p.panics
}

// work is what a handler does before it is done with its records.
func (l *life) work(ctx context.Context, shard string) error {
	delay, fails, panics := l.draw()
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		done := ctx.Done()
		if l.p.deaf {
			done = nil
		}
		select {
		case <-timer.C:
		case <-done:
		}
	}
	switch {
	case ctx.Err() != nil:
		l.books.lost(l.worker, shard) // what its last checkpoint does not cover comes again
		return context.Cause(ctx)
	case panics:
		panic("the handler panics")
	case fails:
		return errHandler
	}
	return nil
}

func (l *life) take(rs ...*vegas.Record) error {
	if !l.books.deliver(l.worker, rs...) {
		return errKilled
	}
	return nil
}

func (l *life) handle(ctx context.Context, r *vegas.Record) error {
	defer l.books.enter(l.worker, r.Shard)()
	l.books.fails(l.worker, r, true)
	if err := l.work(ctx, r.Shard); err != nil {
		return err
	}
	l.books.fails(l.worker, r, false)
	if l.plant != nil {
		return l.take(l.plant(int(l.planted.Add(1)), r)...)
	}
	return l.take(r)
}

func (l *life) handleBatch(ctx context.Context, b *vegas.Batch) error {
	shard := b.Records[0].Shard
	defer l.books.enter(l.worker, shard)()
	if err := l.work(ctx, shard); err != nil {
		return err
	}
	return l.take(b.Records...)
}

// handleShard checkpoints some of its batches, and always the last.
func (l *life) handleShard(ctx context.Context, s *vegas.Shard) (err error) {
	defer l.books.enter(l.worker, s.ID())()
	done, written := s.Start(), s.Start()
	defer func() {
		if err != nil || recover() != nil { // what is not checkpointed comes again
			l.books.restarted(l.worker, s.ID(), written)
			err = errors.Join(err, errHandler)
		}
	}()
	for b, err := range s.Batches() {
		if err != nil {
			return err
		}
		if err := l.work(ctx, s.ID()); err != nil {
			return err
		}
		if err := l.take(b.Records...); err != nil {
			return err
		}
		done = b.End
		l.mu.Lock()
		now := l.rnd.IntN(4) == 0
		l.mu.Unlock()
		if now {
			if err := s.Checkpoint(ctx, done); err != nil {
				return err
			}
			written = done
		}
	}
	if done != written {
		if err := s.Checkpoint(ctx, done); err != nil {
			return err
		}
	}
	written = done
	return nil
}

// Event implements observe.Observer.
func (l *life) Event(e observe.Event) {
	at := vegas.Position{Sequence: e.Sequence, SubSequence: e.SubSequence}
	l.trace.add("%s: %s %s %v %s %s, parents %v", l.name, e.Where.Shard, e.Kind, at, e.How, e.Worker, e.Parents)
	switch e.Kind {
	case observe.Acquired:
		l.books.acquired(l.worker, e.Where.Shard, at)
		l.count("shard " + e.How)
	case observe.Stopping:
		l.books.stops(l.worker)
	case observe.Lost:
		l.books.lost(l.worker, e.Where.Shard)
	}
}

// Count implements observe.Observer.
func (l *life) Count(observe.Counter, observe.Where, int64) {}

// Gauge implements observe.Observer.
func (l *life) Gauge(observe.Gauge, observe.Where, int64) {}

// Observe implements observe.Observer.
func (l *life) Observe(observe.Histogram, observe.Where, int64) {}
