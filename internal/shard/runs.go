package shard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/libvegas/vegas/internal/fetch"
	"github.com/libvegas/vegas/internal/progress"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

// Host handles runs of records somewhere else: in another process, or in another
// language. It returns when nothing of the run is being handled any more, whatever
// becomes of ctx or of the shard. What it was told neither as done nor in a failure
// was not begun, and comes again. An error ends the shard's function: ErrDied, if
// what handled the records has gone.
type Host func(ctx context.Context, s *Shard, r *Run) ([]Failure, error)

// ErrDied is the error of a Host whose other side has died while it had records.
// It counts as the death of an owner: one of them may have killed it.
var ErrDied = errors.New("the program that handles the records is gone")

// Failure is how the handling of one record of a run failed, or that of a batch,
// under index 0.
type Failure struct {
	Index int
	Err   error
}

// RunOptions are how runs are cut.
type RunOptions struct {
	// Batch: a run is done with, or fails, as a whole.
	Batch bool
	// Room is asked before each run how much its records may cost together. One
	// record fits always.
	Room func(*Shard) int
	Cost func(*record.Record) int
}

// Run is one run of records of a shard, in stream order.
type Run struct {
	Records  []*record.Record
	Attempts []int // for each record, from 1
	// Behind is how far the answer that the last record came with lies behind the
	// tip of the shard.
	Behind time.Duration

	mu   sync.Mutex
	over bool
	done []bool // for each record
	left int    // not done
	on   func(fresh []int)
}

// NewRun makes a run, for what calls a Host by itself.
func NewRun(rs []*record.Record, attempts []int, behind time.Duration) *Run {
	return &Run{Records: rs, Attempts: attempts, Behind: behind, done: make([]bool, len(rs)), left: len(rs)}
}

// Done tells that the records from an index on, below another one, are done with.
// It may be called while the Host runs, by any goroutine, and for a record more than
// once; when the Host has returned it does nothing.
func (r *Run) Done(from, to int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	fresh := make([]int, 0, max(0, to-from))
	for i := max(0, from); i < min(to, len(r.done)); i++ {
		if !r.done[i] {
			r.done[i] = true
			fresh = append(fresh, i)
		}
	}
	r.left -= len(fresh)
	if len(fresh) > 0 && r.on != nil {
		r.on(fresh)
	}
}

// OnDone has f called with the indexes of records that have become done, from within
// Done.
func (r *Run) OnDone(f func(fresh []int)) { r.on = f }

// first is the first record that is not done. The caller holds mu.
func (r *Run) first() *record.Record {
	for i, done := range r.done {
		if !done {
			return r.Records[i]
		}
	}
	return nil
}

// End lets nothing be done any more, and tells whether all is.
func (r *Run) End() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	return r.left == 0
}

// idleRun is how long a Host that has begun nothing of a run is left alone.
const idleRun = 100 * time.Millisecond

// Runs makes a shard function of a Host: one run after the other, with the failure
// policy for each record by itself, and checkpoints as Records writes them. With
// Policy.Parallel the Host may begin the records of a run side by side, but not one
// behind another of its key that has failed; then a record that waits for its next
// attempt holds up its own key only, and without the shard.
func Runs(o RunOptions, h Host) Func {
	return func(ctx context.Context, s *Shard) error {
		whole := s.whole(h)
		if s.life.careful() {
			if on, err := s.carefully(ctx, whole); !on {
				return err
			}
		}
		if o.Batch {
			return s.batchRuns(ctx, o, whole)
		}
		k := s.keep(ctx)
		defer k.close()
		w := s.watch()
		defer w.close()
		u := &runner{s: s, o: o, h: h, k: k, w: w}
		defer u.release()
		return k.last(u.all(ctx))
	}
}

// whole makes a handler of batches: each is one run, handled as a whole.
func (s *Shard) whole(h Host) func(context.Context, *record.Batch) error {
	var last *record.Record
	attempt := 0
	return func(ctx context.Context, b *record.Batch) error {
		if b.Records[0] != last {
			last, attempt = b.Records[0], 0
		}
		attempt++
		attempts := make([]int, len(b.Records))
		for i := range attempts {
			attempts[i] = attempt
		}
		for {
			r := NewRun(b.Records, attempts, b.Behind)
			failures, err := h(ctx, s, r)
			switch done := r.End(); {
			case err != nil:
				return err
			case len(failures) > 0:
				return failures[0].Err
			case done:
				return nil
			case !pause(ctx, s.stop.Done(), idleRun):
				return errStopping // or the context is over, which who calls sees
			}
		}
	}
}

// Manual makes a shard function of a Host whose program writes checkpoints itself:
// what is done with makes room and nothing else, and a failure is the function's, so
// that the shard begins anew from its last checkpoint.
func Manual(o RunOptions, h Host) Func {
	return func(ctx context.Context, s *Shard) error {
		for b, err := range s.Batches() {
			if err != nil {
				return err
			}
			for rs := b.Records; len(rs) > 0; {
				if s.stopping() {
					return nil
				}
				if err := s.life.expired(time.Now()); err != nil {
					return err
				}
				n := o.fits(s, rs)
				attempts := make([]int, n)
				for i := range attempts {
					attempts[i] = 1
				}
				r := NewRun(rs[:n:n], attempts, b.Behind)
				failures, err := h(ctx, s, r)
				switch done := r.End(); {
				case err != nil:
					return err
				case ctx.Err() != nil:
					return context.Cause(ctx)
				case len(failures) > 0:
					return fmt.Errorf("record %v: %w", rs[min(max(0, failures[0].Index), n-1)].Position, failures[0].Err)
				case done:
					rs = rs[n:]
				default:
					pause(ctx, s.stop.Done(), idleRun)
					if !o.Batch {
						rs = append(r.open(), rs[n:]...)
					}
				}
			}
		}
		return nil
	}
}

// open are the records that are not done.
func (r *Run) open() []*record.Record {
	var open []*record.Record
	for i, done := range r.done {
		if !done {
			open = append(open, r.Records[i])
		}
	}
	return open
}

// Fatal tells that an error of a shard's function ends the consumer.
func Fatal(err error) bool {
	_, ok := errors.AsType[errStop](err)
	return ok
}

// batchRuns cuts answers into batches, and handles each as a whole.
func (s *Shard) batchRuns(ctx context.Context, o RunOptions, h func(context.Context, *record.Batch) error) error {
	k := s.keep(ctx)
	defer k.close()
	w := s.watch()
	defer w.close()
	for {
		b, answer, err := s.next()
		if err != nil || b == nil {
			return k.last(err)
		}
		s.hold(answer)
		for rs := b.Records; len(rs) > 0; {
			switch {
			case ctx.Err() != nil:
				return k.last(context.Cause(ctx))
			case s.stopping():
				return k.last(errStopping)
			}
			n := o.fits(s, rs)
			one := &record.Batch{Records: rs[:n:n], End: rs[n-1].Position, Behind: b.Behind}
			if err := s.handleBatch(ctx, h, one, w); err != nil {
				return k.last(err)
			}
			k.passed(one.End)
			rs = rs[n:]
		}
		k.passed(b.End)
	}
}

// fits is how many of the records the next run takes, at least one.
func (o *RunOptions) fits(s *Shard, rs []*record.Record) int {
	n := 1
	for room := o.Room(s) - o.Cost(rs[0]); n < len(rs); n++ {
		if room -= o.Cost(rs[n]); room < 0 {
			break
		}
	}
	return n
}

// runner gives out a shard's records in runs.
type runner struct {
	s *Shard
	o RunOptions
	h Host
	k *keeper
	w *watch

	open []item // not done with, in stream order
	room []item // what open lies in
	at   []int  // of open: the next run
}

// item is a record that is not done with.
type item struct {
	r       *record.Record
	ticket  progress.Ticket
	of      *parcel
	attempt int       // how often it has failed
	due     time.Time // not to be handled before
	done    bool
}

// all handles the shard to its end.
func (u *runner) all(ctx context.Context) error {
	s := u.s
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ended := false; ; {
		due := u.cut(time.Now())
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case s.stopping():
			return errStopping
		case len(u.at) > 0:
			if err := u.run(ctx); err != nil {
				return err
			}
			continue
		case ended && len(u.open) == 0:
			return nil
		}
		var wake <-chan time.Time
		if len(u.open) > 0 {
			timer.Reset(time.Until(due))
			wake = timer.C
		}
		if ended || len(u.open) > 0 && (s.life.Parallel <= 1 || len(u.open) > spanRecords) {
			select {
			case <-wake:
			case <-s.stop.Done():
			case <-ctx.Done():
			}
			continue
		}
		b, answer, err := s.nextBefore(wake)
		switch {
		case errors.Is(err, errDue):
		case err != nil:
			return err
		case b == nil:
			ended = true
		default:
			u.add(b, answer)
		}
	}
}

// add takes the records of an answer.
func (u *runner) add(b *record.Batch, answer *fetch.Answer) {
	p := &parcel{answer: answer}
	p.left.Store(int64(len(b.Records)) + 1)
	if n := len(u.open) + len(b.Records); n > cap(u.open) {
		if n > cap(u.room) {
			u.room = make([]item, n)
		}
		u.open = append(u.room[:0], u.open...)
		clear(u.room[len(u.open):])
	}
	u.k.mu.Lock()
	for _, r := range b.Records {
		u.open = append(u.open, item{r: r, ticket: u.k.window.Add(r.Position), of: p})
	}
	u.k.window.Pass(b.End)
	u.k.moved()
	u.k.mu.Unlock()
	p.done(1)
}

// cut finds the next run, in u.at. Where there is none, due is when the first of
// the records that wait for their next attempt may have it.
func (u *runner) cut(now time.Time) (due time.Time) {
	u.at = u.at[:0]
	room := 0
	var waiting map[string]bool // keys
	for i := range u.open {
		it := &u.open[i]
		if it.due.After(now) {
			if due.IsZero() || it.due.Before(due) {
				due = it.due
			}
			if u.s.life.Parallel <= 1 {
				return due
			}
			if waiting == nil {
				waiting = map[string]bool{}
			}
			waiting[it.r.PartitionKey] = true
			continue
		}
		if waiting[it.r.PartitionKey] {
			continue
		}
		if len(u.at) == 0 {
			room = u.o.Room(u.s)
		}
		if room -= u.o.Cost(it.r); room < 0 && len(u.at) > 0 {
			break
		}
		u.at = append(u.at, i)
	}
	return due
}

// run gives the records at u.at to the host, and applies the failure policy to
// those that failed. An error means that the shard is to be left.
func (u *runner) run(ctx context.Context) error {
	l := u.s.life
	r := NewRun(make([]*record.Record, len(u.at)), make([]int, len(u.at)), 0)
	for i, at := range u.at {
		r.Records[i], r.Attempts[i] = u.open[at].r, u.open[at].attempt+1
	}
	r.Behind = u.open[u.at[len(u.at)-1]].of.answer.Behind
	defer u.drop()

	r.OnDone(func(fresh []int) {
		u.passed(fresh)
		u.w.wake()
		if first := r.first(); first != nil {
			u.w.begin(first, r.left)
		} else {
			u.w.rest()
		}
	})
	began := u.w.wake()
	if err := l.expired(began); err != nil {
		return err
	}
	u.w.begin(r.Records[0], len(r.Records))
	var failures []Failure
	err := guard(func() (err error) {
		failures, err = u.h(ctx, u.s, r)
		return err
	})
	r.End()
	u.w.rest()
	l.Observer.Observe(observe.HandlerTime, l.where, int64(time.Since(began)))
	if err != nil {
		return err
	}
	idle := r.left == len(r.Records)
	for _, f := range failures {
		if f.Index < 0 || f.Index >= len(u.at) {
			continue
		}
		it := &u.open[u.at[f.Index]]
		if it.done {
			continue
		}
		idle = false
		it.attempt++
		done, err := u.s.judge(ctx, []*record.Record{it.r}, it.attempt, f.Err)
		switch {
		case err != nil:
			return err
		case done:
			u.passed([]int{f.Index})
		default:
			it.due = time.Now().Add(handlerRetries.Full(it.attempt, rand.Float64()))
		}
	}
	if idle {
		pause(ctx, u.s.stop.Done(), idleRun)
	}
	return nil
}

// passed tells that records of the run, by their indexes, are done with. The
// runner waits for the host meanwhile, or calls it itself.
func (u *runner) passed(run []int) {
	l, now := u.s.life, time.Now()
	u.k.mu.Lock()
	defer u.k.mu.Unlock()
	rose := false
	for _, i := range run {
		it := &u.open[u.at[i]]
		it.done = true
		rose = u.k.window.Done(it.ticket) || rose
		if !l.Unobserved {
			l.Observer.Observe(observe.EndToEnd, l.where, int64(now.Sub(it.r.ArrivalTime)))
		}
	}
	if rose {
		u.k.moved()
	}
	l.unhandled.Add(-int64(len(run)))
}

// drop lets go of what is done with.
func (u *runner) drop() {
	// Only the records of the run can be, mostly the first ones: what follows stays
	// in its place.
	to := u.at[len(u.at)-1] + 1
	for i := to - 1; i >= 0; i-- {
		if it := u.open[i]; it.done {
			it.of.done(1)
		} else {
			to--
			u.open[to] = it
		}
	}
	clear(u.open[:to])
	u.open = u.open[to:]
}

// release lets go of everything.
func (u *runner) release() {
	for _, it := range u.open {
		it.of.done(1)
	}
	u.open = nil
}

// died writes down that what handled records has died at the checkpoint.
func (l *Life) died(ctx context.Context, cause error) error {
	ctx, cancel := context.WithTimeout(ctx, lastWrite)
	defer cancel()
	err := l.alone(ctx, func() error { return l.Lease.Died(ctx) })
	l.Warn.Warn("the program died while it handled records of the shard (see docs/troubleshooting.md#kills-process)",
		append(l.attrs(), slog.String("checkpoint", l.checkpoint().String()), slog.Any("error", cause))...)
	switch {
	case errors.Is(err, record.ErrLeaseLost):
		return err
	case err != nil:
		l.Warn.Warn("that a program died could not be written", append(l.attrs(), slog.Any("error", err))...)
	}
	return nil
}

// Stopping is what ends the reading of a shard, for a Host to see.
func Stopping(s *Shard) *Brake { return s.stop }
