package shard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

// Records makes a shard function of a record handler: it calls the handler for
// one record after the other (or side by side by key, see Policy.Parallel),
// applies the failure policy and writes checkpoints by itself.
func Records(h record.Handler) Func {
	return func(ctx context.Context, s *Shard) error {
		if s.life.careful() {
			on, err := s.carefully(ctx, func(ctx context.Context, b *record.Batch) error { return h(ctx, b.Records[0]) })
			if !on {
				return err
			}
		}
		if s.life.Parallel > 1 {
			return s.sideBySide(ctx, h)
		}
		k := s.keep(ctx)
		defer k.close()
		w := s.watch()
		defer w.close()
		s.pieces = true
		for {
			b, answer, err := s.next()
			if err != nil || b == nil {
				return k.last(err)
			}
			s.hold(answer)
			if err := s.inOrder(ctx, h, b, k, w); err != nil {
				return k.last(err)
			}
			k.passed(b.End)
			s.open.forget()
		}
	}
}

// inOrder handles the records of a batch one after the other.
func (s *Shard) inOrder(ctx context.Context, h record.Handler, b *record.Batch, k *keeper, w *watch) error {
	defer w.rest()
	w.wake()
	for _, r := range b.Records {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case s.stopping():
			s.end(s.stop.Why())
			return errStopping
		}
		if err := s.handle(ctx, h, r, w); err != nil {
			return err
		}
		k.passed(r.Position)
	}
	return nil
}

// BatchesFunc makes a shard function of a batch handler.
func BatchesFunc(h func(context.Context, *record.Batch) error) Func {
	return func(ctx context.Context, s *Shard) error {
		if s.life.careful() {
			if on, err := s.carefully(ctx, h); !on {
				return err
			}
		}
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
			if len(b.Records) > 0 {
				if err := s.handleBatch(ctx, h, b, w); err != nil {
					return k.last(err)
				}
			}
			k.passed(b.End)
		}
	}
}

// ErrExited is the error of a shard whose handler does not return.
var ErrExited = errors.New("a handler ended its goroutine instead of returning (runtime.Goexit; in tests t.FailNow and t.Fatal do so): let it return an error")

// errStopping tells that the reading was stopped between two attempts.
var errStopping = ErrNotBegun

// ErrNotBegun is the error of a handler that has not begun its record, because the
// reading of the shard was stopped. It is no failure of the record.
var ErrNotBegun = errors.New("the reading of the shard was stopped")

// handle calls the handler until the record is done with: handled, given to the
// dead letters, or skipped. An error means that it is not, and that the shard
// is to be left. It begins at the time that w has read last, when the one before
// ended; its caller lets w rest.
func (s *Shard) handle(ctx context.Context, h record.Handler, r *record.Record, w *watch) error {
	l := s.life
	defer l.unhandled.Add(-1)
	for attempt := 1; ; attempt++ {
		began := w.begin(r, 1)
		if err := l.expired(began); err != nil {
			return err
		}
		err := guard(func() error { return h(ctx, r) })
		if now := w.time(); !l.Unobserved {
			l.Observer.Observe(observe.HandlerTime, l.where, int64(now.Sub(began)))
			if err == nil {
				l.Observer.Observe(observe.EndToEnd, l.where, int64(now.Sub(r.ArrivalTime)))
			}
		}
		if err == nil {
			return nil
		}
		w.rest()
		done, err := s.failed(ctx, []*record.Record{r}, attempt, err)
		w.wake()
		if done || err != nil {
			return err
		}
	}
}

func (s *Shard) handleBatch(ctx context.Context, h func(context.Context, *record.Batch) error, b *record.Batch, w *watch) error {
	l := s.life
	defer l.unhandled.Add(-int64(len(b.Records)))
	for attempt := 1; ; attempt++ {
		w.wake()
		began := w.begin(b.Records[0], len(b.Records))
		if err := l.expired(began); err != nil {
			w.rest()
			return err
		}
		err := guard(func() error { return h(ctx, b) })
		w.rest()
		l.Observer.Observe(observe.HandlerTime, l.where, int64(time.Since(began)))
		if err == nil {
			l.Observer.Observe(observe.EndToEnd, l.where, int64(time.Since(b.Records[0].ArrivalTime)))
			return nil
		}
		if done, err := s.failed(ctx, b.Records, attempt, err); done || err != nil {
			return err
		}
	}
}

// failed applies the failure policy to records whose attempt-th handling
// failed, and waits before the next one. done: they are done with.
func (s *Shard) failed(ctx context.Context, rs []*record.Record, attempt int, cause error) (done bool, err error) {
	if done, err = s.judge(ctx, rs, attempt, cause); done || err != nil {
		return done, err
	}
	if !pause(ctx, s.stop.Done(), handlerRetries.Full(attempt, rand.Float64())) {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		return false, errStopping
	}
	return false, nil
}

// judge applies the failure policy. Where they are neither done with nor an error
// comes of it, they are to be handled again after a pause.
func (s *Shard) judge(ctx context.Context, rs []*record.Record, attempt int, cause error) (done bool, err error) {
	l := s.life
	switch {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case errors.Is(cause, ErrDied), errors.Is(cause, ErrNotBegun):
		return false, cause // no handler's failure
	}
	l.Observer.Count(observe.HandlerErrors, l.where, 1)
	attrs := append(l.attrs(), slog.String("sequence", rs[0].Position.String()), slog.String("key_hash", keyHash(rs[0])),
		slog.Int("attempt", attempt), slog.Any("error", cause))
	if l.MaxAttempts > 0 && attempt >= l.MaxAttempts {
		switch {
		case l.DeadLetter != nil:
			err := s.bury(ctx, rs, cause)
			if errors.Is(err, ErrDied) {
				return false, err
			}
			if err != nil {
				// It is not to be lost because nobody would take it.
				l.Warn.Warn("the dead-letter function failed, the record is held", append(attrs, slog.Any("dead_letter_error", err))...)
				break
			}
			l.Observer.Count(observe.RecordsSkipped, l.where, int64(len(rs)))
			l.Warn.Warn("attempts used up, given to the dead-letter function", attrs...)
			return true, nil
		case l.OnError == Skip:
			l.Observer.Count(observe.RecordsSkipped, l.where, int64(len(rs)))
			l.Warn.Warn("attempts used up, skipped", attrs...)
			return true, nil
		case l.OnError == Stop:
			return false, errStop{fmt.Errorf("stream %q %s record %v: handler failed %d times: %w", l.Stream, l.ID, rs[0].Position, attempt, cause)}
		}
	}
	l.Warn.Warn("handler failed, trying again (see docs/troubleshooting.md#handler-holds)", attrs...)
	return false, nil
}

func (s *Shard) bury(ctx context.Context, rs []*record.Record, cause error) error {
	all := func(ctx context.Context) (end record.Position, err error) {
		for _, r := range rs {
			if err := guard(func() error { return s.life.DeadLetter(ctx, r, cause) }); err != nil {
				return end, err
			}
			end = r.Position
		}
		return end, nil
	}
	if s.transacts {
		return s.transact(ctx, all)
	}
	_, err := all(ctx)
	return err
}

// keyHash names a record's key to people without telling it.
func keyHash(r *record.Record) string {
	h, err := keyspace.Effective(r.PartitionKey, r.ExplicitHashKey)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%016x%016x", h.Hi, h.Lo)
}
