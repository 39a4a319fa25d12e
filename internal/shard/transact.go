package shard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store"
)

// togetherFor is how long handlers run in one transaction before it is
// committed: as long as it is open it holds locks, and where a database has one
// writer at a time it holds up everybody's heartbeats too.
const togetherFor = 250 * time.Millisecond

// Transactor is a Lease whose checkpoints can be committed together with what
// handlers write.
type Transactor interface {
	Begin(ctx context.Context) (Transaction, error)
}

// Transaction is one that a handler runs in.
type Transaction interface {
	// Context is ctx with the transaction in it.
	Context(ctx context.Context) context.Context
	// Commit moves the checkpoint from a position to a later one, with a time as in
	// Lease.Checkpoint, stores marks unless they are nil, and ends the transaction. An error that is *Moved tells
	// that the checkpoint stands elsewhere, so that nothing was stored now, and
	// perhaps all of it before; one that is store.ErrRolledBack that the database
	// refuses what the handlers did. After any other error all of it may be tried
	// again: only one of the tries is stored.
	Commit(ctx context.Context, from, to record.Position, seen time.Time, marks []byte) error
	// Rollback ends the transaction as if it had not been. After Commit it does
	// nothing.
	Rollback()
}

// Moved is the error of a Commit that found the checkpoint further on: an earlier
// one, whose answer was lost, has arrived after all.
type Moved struct {
	At   record.Position
	Seen time.Time
}

func (e *Moved) Error() string { return fmt.Sprintf("the checkpoint is at %v already", e.At) }

// Transacted is Records with each handler in a transaction of the store: what it
// wrote there and the position behind its record are stored together. Several
// records share a transaction; when one of them fails it is rolled back, and they
// are handled again one by one, so that a bad record meets the failure policy
// alone.
func Transacted(h record.Handler) Func {
	return transacted(func(ctx context.Context, b *record.Batch) error { return h(ctx, b.Records[0]) },
		func(ctx context.Context, t *transactions, b *record.Batch) error { return t.records(ctx, h, b) })
}

// TransactedBatches is BatchesFunc with a transaction for each batch.
func TransactedBatches(h func(context.Context, *record.Batch) error) Func {
	return transacted(h, func(ctx context.Context, t *transactions, b *record.Batch) error { return t.batch(ctx, h, b, nil) })
}

// transacted handles batches by handle, and in careful mode single records by
// one.
func transacted(one func(context.Context, *record.Batch) error, handle func(context.Context, *transactions, *record.Batch) error) Func {
	return func(ctx context.Context, s *Shard) error {
		s.transacts = true
		if s.life.careful() {
			if on, err := s.carefully(ctx, s.within(one)); !on {
				return err
			}
		}
		t := &transactions{s: s, w: s.watch(), low: s.life.checkpoint()}
		defer t.w.close()
		wrote := time.Now()
		for {
			b, answer, err := s.next()
			if err != nil || b == nil {
				return s.finish(err, t.low, true)
			}
			s.hold(answer)
			if len(b.Records) > 0 {
				if err := handle(ctx, t, b); err != nil {
					return s.finish(err, t.low, true)
				}
				wrote = time.Now()
			}
			t.low = b.End
			// What brought nothing to handle is passed over now and then.
			if time.Since(wrote) >= s.life.CheckpointEvery {
				wrote = time.Now()
				if err := s.life.write(ctx, t.low, false); err != nil && ctx.Err() == nil {
					s.life.Warn.Warn("a checkpoint could not be written, trying again later", append(s.life.attrs(), slog.Any("error", err))...)
				}
			}
		}
	}
}

// transactions handle a shard's records in order.
type transactions struct {
	s   *Shard
	w   *watch
	low record.Position // up to here all is done with
}

// records handles those of a batch, as many in one transaction as it takes time.
func (t *transactions) records(ctx context.Context, h record.Handler, b *record.Batch) error {
	l := t.s.life
	alone := 0 // how many of the next records get a transaction each
	for rs := b.Records; ; {
		// Not what was handled: an answer that was lost may have stored more of
		// it, or less.
		n := 0
		for t.low = later(t.low, l.checkpoint()); n < len(rs) && rs[n].Position.Compare(t.low) <= 0; n++ {
			l.unhandled.Add(-1)
		}
		rs, alone = rs[n:], max(0, alone-n)
		switch {
		case len(rs) == 0:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case t.s.stopping():
			return errStopping
		}
		some, end := rs, b.End
		if alone > 0 && len(rs) > 1 {
			some, end = rs[:1], rs[0].Position
		}
		n, err := t.together(ctx, h, some, end)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, errStopping):
			return err
		case n > 1:
			alone = n
			l.Warn.Warn("a handler failed, and what it shared a transaction with is rolled back: its records are handled one by one",
				append(l.attrs(), slog.String("sequence", rs[0].Position.String()), slog.Int("records", n), slog.Any("error", err))...)
		default: // the first one, in a transaction that no other has touched
			one := &record.Batch{Records: rs[:1:1], End: rs[0].Position, Behind: b.Behind}
			if len(rs) == 1 {
				one.End = b.End
			}
			err := t.batch(ctx, func(ctx context.Context, b *record.Batch) error { return h(ctx, b.Records[0]) }, one, err)
			if err != nil {
				return err
			}
			rs, alone = rs[1:], max(0, alone-1)
		}
	}
}

func later(a, b record.Position) record.Position {
	if a.Compare(b) < 0 {
		return b
	}
	return a
}

// together handles the first n records, as many as it takes time, in one
// transaction. After an error the last of n may have failed, or all together.
func (t *transactions) together(ctx context.Context, h record.Handler, rs []*record.Record, end record.Position) (n int, err error) {
	l := t.s.life
	err = t.s.transact(ctx, func(ctx context.Context) (record.Position, error) {
		defer t.w.rest()
		first := t.w.wake()
		for n = 0; n < len(rs); {
			r := rs[n]
			n++
			began := t.w.begin(r, 1)
			err := guard(func() error { return h(ctx, r) })
			now := t.w.time()
			l.Observer.Observe(observe.HandlerTime, l.where, int64(now.Sub(began)))
			switch {
			case err != nil:
				return record.Position{}, err
			case n < len(rs) && (now.Sub(first) >= togetherFor || t.s.stopping()):
				return r.Position, nil
			}
		}
		return end, nil
	})
	if err == nil {
		now := time.Now()
		for _, r := range rs[:n] {
			l.Observer.Observe(observe.EndToEnd, l.where, int64(now.Sub(r.ArrivalTime)))
		}
	}
	return n, err
}

// batch handles b in transactions of its own until it is done with: handled,
// given to the dead letters, or skipped. failed, if any, is its first failure.
func (t *transactions) batch(ctx context.Context, h func(context.Context, *record.Batch) error, b *record.Batch, failed error) error {
	handle := t.s.within(h)
	err := t.s.handleBatch(ctx, func(ctx context.Context, b *record.Batch) error {
		if err := failed; err != nil {
			failed = nil
			return err
		}
		return handle(ctx, b)
	}, b, t.w)
	if err != nil {
		return err
	}
	t.low = b.End
	return t.s.surely(ctx, func(ctx context.Context) error { return t.s.life.write(ctx, b.End, false) })
}

// within makes a handler of batches commit what it did with their end.
func (s *Shard) within(h func(context.Context, *record.Batch) error) func(context.Context, *record.Batch) error {
	return func(ctx context.Context, b *record.Batch) error {
		for s.life.checkpoint().Compare(b.Records[len(b.Records)-1].Position) < 0 {
			if err := s.transact(ctx, func(ctx context.Context) (record.Position, error) { return b.End, h(ctx, b) }); err != nil {
				return err
			}
		}
		return nil
	}
}

// transact runs f in a transaction and commits it with the position that f
// returns. Its error is f's, or what the database has against what f did. What
// is the matter with the store itself is waited for, and f is run again; so the
// checkpoint may have moved by an earlier run, and not to where the last one
// wanted it.
func (s *Shard) transact(ctx context.Context, f func(context.Context) (record.Position, error)) error {
	l := s.life
	for attempt := 1; ; attempt++ {
		err := l.alone(ctx, func() error { return l.attempt(ctx, f) })
		trouble, ok := errors.AsType[errTrouble](err)
		if !ok {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		l.Warn.Warn("the transaction of a handler could not be stored, trying again", append(l.attrs(), slog.Any("error", trouble.error))...)
		if !pause(ctx, s.stop.Done(), writeRetries.Full(attempt, rand.Float64())) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return errStopping
		}
	}
}

// errTrouble is an error for which no handler is to be blamed.
type errTrouble struct{ error }

func (e errTrouble) Unwrap() error { return e.error }

// attempt is one transaction.
func (l *Life) attempt(ctx context.Context, f func(context.Context) (record.Position, error)) error {
	from := l.checkpoint()
	tx, err := l.begin(ctx)
	if err != nil {
		return errTrouble{err}
	}
	defer tx.Rollback() // also where f does not return
	var to record.Position
	err = guard(func() (err error) {
		to, err = f(tx.Context(ctx))
		return err
	})
	if err != nil {
		tx.Rollback()
		// A handler cannot do anything about a database that went away. If it
		// still begins transactions, it is there.
		again, beginErr := l.begin(ctx)
		if beginErr != nil {
			return errTrouble{err}
		}
		again.Rollback()
		return err
	}
	return l.commit(ctx, tx, from, to)
}

func (l *Life) begin(ctx context.Context) (Transaction, error) {
	t, ok := l.Lease.(Transactor)
	if !ok {
		return nil, errors.New("the store has no transactions")
	}
	return t.Begin(ctx)
}

// commit ends a transaction. Marks go along when they are due, as of the
// checkpoint before: they may lag.
func (l *Life) commit(ctx context.Context, tx Transaction, from, to record.Position) error {
	now := time.Now()
	l.mu.Lock()
	if l.left {
		l.mu.Unlock()
		return l.leftBehind(to)
	}
	var marks []byte
	first, seen := !l.known, l.seen.at(to)
	if l.marks.Producers() > 0 && (first || !l.lags && from.Compare(l.savedAt) > 0 && now.Sub(l.saved) >= marksEvery) {
		marks = l.marks.Encode()
	}
	l.mu.Unlock()
	err := tx.Commit(ctx, from, to, seen, marks)
	if moved, ok := errors.AsType[*Moved](err); ok {
		l.moved(moved.At, moved.Seen)
		return nil
	}
	switch {
	case err == nil:
	case errors.Is(err, record.ErrLeaseLost), errors.Is(err, store.ErrRolledBack):
		return err
	default:
		return errTrouble{err}
	}
	if marks != nil {
		l.mu.Lock()
		l.savedAt, l.known = from, true
		if !first {
			l.saved = now
		}
		l.mu.Unlock()
	}
	l.moved(to, seen)
	return nil
}
