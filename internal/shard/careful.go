package shard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

// A record that kills its process (memory runs out, native code crashes) would
// kill one worker after the other. No handler can tell, so the lease remembers:
//
//  1. Owners that die at one checkpoint are counted. The checkpoint lies some
//     records before the one that kills.
//  2. From the second death on the shard is read carefully: one record at a
//     time, each checkpointed before the next is begun. The next death leaves a
//     checkpoint right before the record that kills.
//  3. Whoever starts carefully writes down that it tries the first record, and
//     tries it while no other shard of the process tries one: where one shard's
//     record kills, its neighbours' are not to be blamed.
//  4. After MaxCrashes deaths at its checkpoint the record, and it alone, meets
//     the failure policy without being handled, if all but one of the dead had
//     tried it, and one at least.
const (
	// carefulFrom is after how many deaths at one checkpoint reading is careful.
	carefulFrom = 2
	// calmRecords, or as many as passed in calmAfter, end it.
	calmRecords = 1000
	calmAfter   = time.Minute
)

// suspicion is what one life makes of it. Only the goroutine that handles
// records in order uses it.
type suspicion struct {
	since  time.Time // of the first record; zero: none came yet
	passed int
	calm   bool // nothing is suspected any more
}

// careful tells that owners died here.
func (l *Life) careful() bool {
	return !l.suspicion.calm && (l.Suspect || l.Takeovers >= carefulFrom)
}

// blamed tells that the record behind the checkpoint that the life started with
// has killed enough. It must have been tried alone: a death counts for the
// checkpoints of all shards that the worker had.
func (l *Life) blamed() bool {
	return l.MaxCrashes > 0 && l.Takeovers >= l.MaxCrashes && l.Tried >= max(1, l.MaxCrashes-1)
}

// carefully handles one record after the other until nothing is suspected any
// more, and then leaves the rest to others: on. Otherwise the function is over.
func (s *Shard) carefully(ctx context.Context, h func(context.Context, *record.Batch) error) (on bool, err error) {
	l := s.life
	w := s.watch()
	defer w.close()
	l.Observer.Event(observe.Event{Kind: observe.Careful, Time: time.Now(), Where: l.where, Sequence: s.start.Sequence, SubSequence: s.start.SubSequence})
	l.Warn.Warn("workers died while they read this shard: reading it one record at a time (see docs/troubleshooting.md#kills-process)",
		append(l.attrs(), slog.String("checkpoint", s.start.String()), slog.Int("takeovers", l.Takeovers))...)
	low := s.start
	for {
		b, answer, err := s.next()
		if err != nil || b == nil {
			return false, s.finish(err, low, true)
		}
		s.hold(answer)
		for i, r := range b.Records {
			switch {
			case ctx.Err() != nil:
				return false, s.finish(context.Cause(ctx), low, true)
			case s.stopping():
				s.end(s.stop.Why())
				return false, s.finish(nil, low, true)
			case l.calmed(ctx):
				s.putBack(&record.Batch{Records: b.Records[i:], End: b.End, Behind: b.Behind})
				return true, nil
			}
			one := &record.Batch{Records: b.Records[i : i+1 : i+1], End: r.Position, Behind: b.Behind}
			if i == len(b.Records)-1 {
				one.End = b.End
			}
			if err := s.one(ctx, h, one, w); err != nil {
				return false, s.finish(err, low, true)
			}
			low = one.End
			if err := s.surely(ctx, func(ctx context.Context) error { return l.write(ctx, low, false) }); err != nil {
				return false, s.finish(err, low, true)
			}
			l.suspicion.passed++
		}
		low = b.End
	}
}

// one handles a batch of one record. The first one of a life is tried, or blamed.
func (s *Shard) one(ctx context.Context, h func(context.Context, *record.Batch) error, b *record.Batch, w *watch) error {
	l := s.life
	if !l.suspicion.since.IsZero() {
		return s.handleBatch(ctx, h, b, w)
	}
	if l.blamed() {
		if err := s.blame(ctx, b.Records[0]); err != nil {
			return err
		}
		l.suspicion.since = time.Now()
		return nil
	}
	leave, err := l.trials.enter(ctx, s.stop)
	if err != nil {
		return err
	}
	defer leave()
	if err := s.surely(ctx, func(ctx context.Context) error { return l.suspect(ctx, l.Tried+1) }); err != nil {
		return err
	}
	l.suspicion.since = time.Now()
	tried := false
	return s.handleBatch(ctx, func(ctx context.Context, b *record.Batch) error {
		if tried {
			return h(ctx, b)
		}
		tried = true
		err := guard(func() error { return h(ctx, b) })
		leave()
		if err != nil && !errors.Is(err, ErrDied) && !errors.Is(context.Cause(ctx), record.ErrLeaseLost) {
			// It fails, which kills nobody: the next owner is not to count it.
			// Written also where the context is over.
			clearCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrite)
			defer cancel()
			if err := l.suspect(clearCtx, 0); err != nil && !errors.Is(err, record.ErrLeaseLost) {
				l.Warn.Warn("that a record did not kill its worker could not be written", append(l.attrs(), slog.Any("error", err))...)
			}
		}
		return err
	}, b, w)
}

// blame applies the failure policy to a record that killed workers. An error
// means that the record is not done with.
func (s *Shard) blame(ctx context.Context, r *record.Record) error {
	l := s.life
	defer l.unhandled.Add(-1)
	cause := fmt.Errorf("stream %q %s record %v: %d %w (see docs/troubleshooting.md#kills-process)", l.Stream, l.ID, r.Position, l.Takeovers, record.ErrKillsProcess)
	attrs := append(l.attrs(), slog.String("sequence", r.Position.String()), slog.String("key_hash", keyHash(r)), slog.Int("workers", l.Takeovers))
	l.Observer.Count(observe.RecordsKilling, l.where, 1)
	for attempt := 1; ; attempt++ {
		switch {
		case l.DeadLetter != nil:
			err := s.bury(ctx, []*record.Record{r}, cause)
			if err == nil {
				l.Observer.Count(observe.RecordsSkipped, l.where, 1)
				l.Warn.Warn("a record kills its worker, given to the dead-letter function without handling it (see docs/troubleshooting.md#kills-process)", attrs...)
				return nil
			}
			l.Warn.Warn("the dead-letter function failed, the record is held", append(attrs, slog.Any("dead_letter_error", err))...)
		case l.OnError == Skip:
			l.Observer.Count(observe.RecordsSkipped, l.where, 1)
			l.Warn.Warn("a record kills its worker, skipped without handling it (see docs/troubleshooting.md#kills-process)", attrs...)
			return nil
		case l.OnError == Stop:
			return errStop{cause}
		default:
			l.Warn.Warn("a record kills its worker: its shard waits and does not handle it; repair the handler and raise o.MaxCrashes, or give the record up by o.DeadLetter or o.OnError = Skip (see docs/troubleshooting.md#kills-process)", attrs...)
		}
		if !pause(ctx, s.stop.Done(), handlerRetries.Full(attempt, rand.Float64())) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return errStopping
		}
	}
}

// calmed tells that enough has passed, once the lease says so too.
func (l *Life) calmed(ctx context.Context) bool {
	s := &l.suspicion
	if s.passed < calmRecords && (s.passed == 0 || time.Since(s.since) < calmAfter) {
		return false
	}
	if err := l.alone(ctx, func() error { return l.Lease.Calm(ctx) }); err != nil {
		if ctx.Err() == nil {
			l.Warn.Warn("that a shard is no longer read carefully could not be written, trying again later", append(l.attrs(), slog.Any("error", err))...)
		}
		return false
	}
	s.calm = true
	l.Log.Info("no record killed a worker: reading as usual", l.attrs()...)
	return true
}

func (l *Life) suspect(ctx context.Context, tried int) error {
	return l.alone(ctx, func() error { return l.Lease.Suspect(ctx, tried) })
}

// surely writes something until that succeeds, the lease is lost or nothing more
// is to be begun.
func (s *Shard) surely(ctx context.Context, write func(context.Context) error) error {
	for attempt := 1; ; attempt++ {
		err := write(ctx)
		switch {
		case err == nil, errors.Is(err, record.ErrLeaseLost):
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		s.life.Warn.Warn("a checkpoint could not be written, trying again", append(s.life.attrs(), slog.Any("error", err))...)
		if !pause(ctx, s.stop.Done(), writeRetries.Full(attempt, rand.Float64())) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return errStopping
		}
	}
}

// putBack leaves what was not handled of the answer that is held to the next
// call of next.
func (s *Shard) putBack(b *record.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rest, s.restOf, s.held = b, s.held, nil
}

// turnstile lets one shard of the consumer through at a time.
type turnstile struct {
	once sync.Once
	free chan struct{} // holds a token while nobody is inside
}

// enter waits for its turn. leave ends it, and may be called again.
func (t *turnstile) enter(ctx context.Context, stop *Brake) (leave func(), err error) {
	t.once.Do(func() {
		t.free = make(chan struct{}, 1)
		t.free <- struct{}{}
	})
	select {
	case <-t.free:
		return sync.OnceFunc(func() { t.free <- struct{}{} }), nil
	case <-stop.Done():
		return nil, errStopping
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
