package fleettest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/file"
	"github.com/libvegas/vegas/store/memory"
)

// group is a consumer group and the program that consumes for it: one consumer
// after the other.
type group struct {
	*fleet
	p     groupPlan
	name  string
	rnd   *rand.Rand
	books *account
	rows  *rows
	open  func() store.Store   // as one process does
	runs  sync.WaitGroup       // lives that have not ended, of dead workers too
	cut   []context.CancelFunc // those that try for ever

	planted atomic.Int64
}

func newGroup(f *fleet, i int) *group {
	g := &group{fleet: f, p: f.plan.groups[i], name: fmt.Sprint("group", i), rnd: source(f.plan.seed, uint64(200+i))}
	g.books = f.audit.account(g.name, f.plan.auto)
	g.rows = newRows(f.audit.fail, g.books.began, f.trace, g.name)
	shared := memory.New()
	g.open = func() store.Store { return shared }
	if g.p.file {
		dir := f.dir + "/" + g.name
		g.open = func() store.Store { return file.New(dir) }
	}
	return g
}

// life is one consumer.
type life struct {
	*group
	worker   *worker
	name     string
	door     *door
	net      *network
	cancel   context.CancelFunc
	done     chan struct{}
	err      error // of Run, once done
	mode     mode
	parallel int

	mu      sync.Mutex // guards what follows
	rnd     *rand.Rand
	failing map[vegas.Position]bool // records whose handler failed and did not succeed yet, where handlers run side by side
}

// run consumes until ctx is over, with consumers that stop, crash, and lose
// what they need. Afterwards one more consumer reads all that is left.
func (g *group) run(ctx context.Context) {
	wait(ctx, g.p.delay)
	n := 0
	for ; ctx.Err() == nil; n++ {
		l := g.start(n, g.p.storeSick)
		how := g.ending()
		select {
		case <-l.done:
			l.complain()
			if g.p.storeSick == 0 && g.plan.faults == 0 && !g.plan.slow {
				l.unwanted()
			}
			wait(ctx, time.Second)
			continue
		case <-time.After(time.Duration(g.rnd.Int64N(int64(g.p.life)) + 1)):
		case <-ctx.Done():
			how = stop
		}
		g.end(l, how)
	}
	g.last(n)
}

// ending draws how a life ends.
func (g *group) ending() ending {
	for e := ends - 1; e > stop; e-- {
		if g.rnd.Float64() < g.p.ends[e] {
			return e
		}
	}
	return stop
}

// end ends a life.
func (g *group) end(l *life, how ending) {
	g.trace.add("%s: %v", l.name, how)
	switch how {
	case crash:
		g.books.killed(l.worker)
		l.door.lock()
		l.net.cut()
		l.cancel()
	case partition:
		g.books.disturbed(l.worker, "")
		l.door.lock()
		l.net.cut()
		g.cut = append(g.cut, l.cancel)
	case outage:
		g.books.disturbed(l.worker, "")
		l.door.set(true)
		wait(g.forever, time.Duration(g.rnd.IntN(20000))*time.Millisecond)
		l.door.set(false)
		wait(g.forever, time.Duration(g.rnd.IntN(20000))*time.Millisecond)
		fallthrough
	default:
		l.stop()
	}
	wait(g.forever, time.Duration(g.rnd.IntN(3000))*time.Millisecond)
}

// stop is the orderly end.
func (l *life) stop() {
	began := time.Now()
	l.cancel()
	<-l.done
	l.mu.Lock()
	gap := len(l.failing) > 0
	l.mu.Unlock()
	// Some handler was not done in time, or what failed was not tried again:
	// what was handled beside it, further on, comes again.
	if gap || time.Since(began) >= l.p.grace {
		l.books.disturbed(l.worker, "")
	}
	l.complain()
}

// complain judges what Run returned.
func (l *life) complain() {
	if l.err == nil {
		return
	}
	l.trace.add("%s ends with %v", l.name, l.err)
	l.books.disturbed(l.worker, "")
	l.ended(l.err)
}

// unwanted: a consumer has ended by itself, and nothing can have made it.
func (l *life) unwanted() {
	if l.forever.Err() == nil {
		l.audit.fail("%s ended by itself: %v", l.name, l.err)
	}
}

// last lets a consumer that nothing happens to read all that is left, and then
// another one, which must find nothing.
func (g *group) last(n int) {
	select {
	case <-g.produced:
	case <-g.forever.Done():
	}
	missing := func() int { return g.books.missing(func() { g.audit.look(g.server, streamName) }) }
	for ; ; n++ {
		l := g.start(n, 0)
		stuck := time.Now().Add(20 * time.Minute)
		for missing() > 0 && time.Now().Before(stuck) {
			select {
			case <-l.done:
			case <-time.After(time.Second):
				continue
			}
			break
		}
		select {
		case <-l.done:
			l.complain()
			l.unwanted()
			if time.Now().Before(stuck) && g.forever.Err() == nil {
				wait(g.forever, time.Second)
				continue
			}
		default:
		}
		wait(g.forever, 5*time.Second)
		g.trace.add("%s: is told to stop, %d records missing", l.name, missing())
		l.stop()
		break
	}
	l := g.start(n+1, 0)
	wait(g.forever, 10*time.Second)
	l.stop()
	for _, cancel := range g.cut {
		cancel()
	}
	g.runs.Wait()
}

// start starts a consumer.
func (g *group) start(n int, sick float64) *life {
	l := &life{group: g, name: fmt.Sprintf("%s.%d", g.name, n), done: make(chan struct{}), mode: g.p.mode, parallel: g.p.parallel, failing: map[vegas.Position]bool{}}
	l.rnd = rand.New(rand.NewPCG(g.rnd.Uint64(), 2))
	l.worker = &worker{name: l.name}
	fanOut := g.p.fanOut
	if g.p.vary {
		l.mode, fanOut, l.parallel = mode(l.rnd.IntN(int(modes))), l.rnd.IntN(2) == 0, 1+l.rnd.IntN(3)
	}
	under := g.open()
	l.door = newDoor(under, g.rows, l.name, sick, rand.New(rand.NewPCG(g.rnd.Uint64(), 3)))
	net, cfg := connect(g.server, g.trace, l.name, g.p.http2)
	l.net = net
	c, err := vegas.NewConsumer(streamName, g.name, func(o *vegas.ConsumerOptions) {
		o.AWS, o.Store, o.Worker, o.Logger, o.Observer = cfg, l.door, l.name, g.trace.logger(l.name), l
		o.FanOut, o.Parallel, o.CheckpointEvery, o.Grace, o.PrefetchBytes = fanOut, l.parallel, g.p.every, g.p.grace, g.p.prefetch
		switch {
		case g.p.latest:
			o.Start = vegas.Latest()
		case g.p.after > 0:
			o.Start = vegas.AtTime(g.trace.began.Add(g.p.after))
		}
		if g.p.dead && l.mode != shards {
			o.MaxAttempts = 3
			o.DeadLetter = func(_ context.Context, r *vegas.Record, _ error) error {
				l.note(r, false)
				return l.take(r)
			}
		}
	})
	if err != nil {
		g.audit.fail("%s: %v", l.name, err)
		close(l.done)
		return l
	}
	g.trace.add("%s starts: %v, fan-out %v, %d side by side", l.name, l.mode, fanOut, l.parallel)
	ctx, cancel := context.WithCancel(g.forever)
	l.cancel = cancel
	g.runs.Go(func() {
		defer close(l.done)
		defer cancel()
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
func (l *life) work(ctx context.Context) error {
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
	l.note(r, true)
	if err := l.work(ctx); err != nil {
		return err
	}
	l.note(r, false)
	if l.plant != nil {
		return l.take(l.plant(int(l.planted.Add(1)), r)...)
	}
	return l.take(r)
}

func (l *life) note(r *vegas.Record, failing bool) {
	if l.parallel == 1 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if failing {
		l.failing[r.Position] = true
	} else {
		delete(l.failing, r.Position)
	}
}

func (l *life) handleBatch(ctx context.Context, b *vegas.Batch) error {
	if err := l.work(ctx); err != nil {
		return err
	}
	return l.take(b.Records...)
}

// handleShard checkpoints some of its batches, and always the last.
func (l *life) handleShard(ctx context.Context, s *vegas.Shard) (err error) {
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
		if err := l.work(ctx); err != nil {
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
	l.trace.add("%s: %s %s %v, parents %v", l.name, e.Where.Shard, e.Kind, at, e.Parents)
	switch e.Kind {
	case observe.Acquired:
		l.books.acquired(l.worker, e.Where.Shard, at)
	case observe.Lost:
		l.books.disturbed(l.worker, e.Where.Shard)
	}
}

// Count implements observe.Observer.
func (l *life) Count(observe.Counter, observe.Where, int64) {}

// Gauge implements observe.Observer.
func (l *life) Gauge(observe.Gauge, observe.Where, int64) {}

// Observe implements observe.Observer.
func (l *life) Observe(observe.Histogram, observe.Where, int64) {}
