package send

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/lane"
	"github.com/libvegas/vegas/internal/limits"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

// Ledger is the buffer that fed records come out of, as far as their ends
// concern it.
type Ledger interface {
	// Stored tells of acknowledged records, in batches. It does not block, and
	// keeps nothing of the slice.
	Stored(stored []Stored)
	// Bury makes dead letters; they are durable when it returns nil. Nothing
	// behind them leaves before: a crash could bring them back under identities
	// that consumers have seen later ones of. After an error it is called again.
	// errs are how they ended, each a *record.SendError. It keeps neither slice,
	// nor the data, and may be called by two goroutines at once.
	Bury(ctx context.Context, dead []buffer.Dead, errs []error) error
}

// Stored is an acknowledged record of a buffer.
type Stored struct {
	Seq     uint64
	Receipt record.Receipt
}

// Feed accepts an item of the buffer under the identity that it has, copies what
// it keeps of it, and waits for room, which is how far one shard that does not
// take its records lets others go on. Items are fed by one goroutine, by rising
// Seq. old says that an earlier opening of the buffer accepted it, which may have
// sent it. An item that can never be sent is buried and counts as accepted. An
// error says that it was not accepted: ctx's, or record.ErrClosed.
func (e *Engine) Feed(ctx context.Context, it *buffer.Item, old bool) error {
	var d draft
	cause := e.check(&d, &record.Record{
		PartitionKey: it.Key, ExplicitHashKey: it.ExplicitHashKey, Data: it.Data, Headers: it.Headers,
	})
	if cause != nil {
		return e.buryUnsent(ctx, it, old, cause)
	}
	d.hashKey()
	clock := time.Now()
	now := clock.Sub(e.start)
	f := fedDraft{draft: d, item: it, old: old, accepted: now - age(it, old, clock, now)}
	if e.cfg.Deadline > 0 {
		f.deadline = max(1, f.accepted+e.cfg.Deadline) // 0 would be none
	}
	cause, err := e.feed(ctx, &f, now)
	if cause != nil {
		return e.buryUnsent(ctx, it, old, e.refused(&record.Record{PartitionKey: it.Key}, cause))
	}
	return err
}

// age is how old an item is. The wall clock tells, for nothing else outlives a
// process; where it is seen to have been set meanwhile nothing is called old for
// that.
func age(it *buffer.Item, old bool, clock time.Time, now time.Duration) time.Duration {
	age := max(0, clock.Round(0).Sub(it.Accepted)) // set back
	if !old {
		age = min(age, now) // set forward: it was accepted by this process
	}
	return age
}

// fedDraft is an item of the buffer that was checked.
type fedDraft struct {
	draft
	item               *buffer.Item
	old                bool
	accepted, deadline time.Duration // by the engine's clock
}

// feed gives an item to the machine, as soon as there is room. cause is why it can
// never be sent.
func (e *Engine) feed(ctx context.Context, d *fedDraft, now time.Duration) (cause, err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for !e.closing {
		if cause = e.sendable(&d.draft); cause == nil {
			break
		}
		if e.shards.fresh() || d.whole() > limits.RecordBytesMax {
			return cause, nil
		}
		e.mu.Unlock()
		err = e.measure(ctx, d.deadline)
		now = e.now()
		e.mu.Lock()
		if errors.Is(err, record.ErrDeadline) {
			return err, nil
		}
		if err != nil {
			return nil, err
		}
	}
	if !e.closing && !e.room.take(d.bytes) {
		// For many at once: a backlog would wait for every single one.
		many := max(d.bytes, e.room.size/16)
		if err := e.lineUp(ctx, many); err != nil { // unlocks while it waits
			return nil, err
		}
		now = e.now()
		e.room.give(many - d.bytes)
		if e.closing {
			e.room.give(d.bytes)
		}
	}
	if e.closing {
		return nil, record.ErrClosed
	}
	if e.feeding == nil || *e.feeding != d.item.Producer {
		id := d.item.Producer
		e.feeding = &id
	}
	p := e.berth(d.hash)
	p.fill(&d.draft)
	p.fed, p.old, p.Counter, p.Producer = true, d.old, d.item.Seq, e.feeding
	p.Accepted, p.Deadline, p.wall = d.accepted, d.deadline, d.item.Accepted.UnixNano()
	if e.enter(now, p) {
		e.wake()
	}
	return nil, nil
}

// fresh tells that the stream's MaxRecordSize was heard of lately: what is too
// large by it may become a dead letter.
func (s *shards) fresh() bool {
	return s.bytes > 0 && min(time.Since(s.described), time.Since(s.measured)) < recordSizeEvery
}

// measure asks for the stream's MaxRecordSize. If nobody tells, the record and
// all behind it wait some time. Its error is ctx's, the deadline's, or that the
// engine has ended.
func (e *Engine) measure(ctx context.Context, deadline time.Duration) error {
	ask, cancel := context.WithTimeout(ctx, lookTimeout)
	s, err := e.cfg.API.Describe(ask)
	cancel()
	if err == nil {
		e.mu.Lock()
		e.shards.measured, e.shards.bytes = time.Now(), s.RecordBytes
		e.machine.SetRecordBytes(s.RecordBytes)
		e.mu.Unlock()
		return nil
	}
	if deadline > 0 && deadline <= e.now() {
		return link("deadline", lane.DeadlineError(err))
	}
	e.warn.Warn("a large record, and all behind it, waits until the stream tells its MaxRecordSize", slog.Any("error", err))
	return e.pause(ctx, describeEvery)
}

// retryEvery is how often is tried again what holds everything up.
const retryEvery = time.Second

// pause waits; its error is ctx's, or that the engine has ended.
func (e *Engine) pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-e.ended:
		return record.ErrClosed
	}
}

// Admit tells what forbids to accept a record at present, without accepting it.
// A size above the default, which the stream was not asked about yet, is
// admitted as far as any stream could take it.
func (e *Engine) Admit(r *record.Record) error {
	if r == nil {
		return e.refused(&record.Record{}, errNoRecord)
	}
	if err := limits.CheckPartitionKey(r.PartitionKey); err != nil {
		return e.refused(r, link("partition-key", err))
	}
	if r.ExplicitHashKey != "" {
		if _, err := keyspace.Effective(r.PartitionKey, r.ExplicitHashKey); err != nil {
			return e.refused(r, link("explicit-hash-key", err))
		}
	}
	n := len(r.Data) + len(r.PartitionKey)
	if n <= sharedBytes && len(r.Headers) == 0 && !e.cfg.Raw && !e.cfg.RequireOrder && !e.over() {
		return nil
	}
	d := draft{key: r.PartitionKey, headers: r.Headers, data: r.Data, bare: aggregate.LooksLikeAggregate(r.Data)}
	d.bound = int32(lane.Bound(r.PartitionKey, r.ExplicitHashKey, r.Data, r.Headers))
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closing:
		return e.refused(r, record.ErrClosed)
	case e.refusal != nil:
		return e.refused(r, e.refusal)
	case e.shards.bytes == 0 && n > limits.RecordBytes && n <= limits.RecordBytesMax:
		return nil
	}
	if err := e.sendable(&d); err != nil {
		return e.refused(r, err)
	}
	return nil
}

// sharedBytes is a size of key and data that an aggregate of any stream takes, and
// that is admitted without the engine's lock: its loop holds it while it handles
// thousands of records. (Of 256 senders a fifth had to wait for it, for 1.7 ms
// each.)
const sharedBytes = 128 << 10

// over tells that the engine has ended.
func (e *Engine) over() bool {
	select {
	case <-e.ended:
		return true
	default:
		return false
	}
}

// Call queues a function behind the callbacks that wait: one runs at a time.
// Flush and Close wait for it.
func (e *Engine) Call(f func()) {
	p := e.parcels.Get().(*parcel)
	p.done = func(record.Receipt, error) { f() }
	e.mu.Lock()
	p.group = e.group
	e.group.open++
	e.mu.Unlock()
	e.calls.add([]*parcel{p})
}

// IsCaller tells whether the calling goroutine runs a callback.
func (e *Engine) IsCaller() bool { return e.calls.isCaller() }

// Hurry lets nothing linger until the function that it returns is called.
func (e *Engine) Hurry() (done func()) {
	hurry := func(n int) {
		e.mu.Lock()
		e.hurries += n
		if e.hurries > 0 {
			e.machine.SetLinger(0)
		} else {
			e.machine.SetLinger(e.cfg.Linger)
		}
		e.mu.Unlock()
		e.wake()
	}
	hurry(1)
	return func() { hurry(-1) }
}

// buryUnsent buries an item that can never be sent, before anything behind it is
// fed.
func (e *Engine) buryUnsent(ctx context.Context, it *buffer.Item, old bool, cause error) error {
	var failed *record.SendError
	if old && errors.As(cause, &failed) {
		failed.Outcome, failed.Err = record.Unknown, sentBefore(failed.Err)
	}
	dead := []buffer.Dead{{Item: *it, Reason: cause.Error(), Unknown: old, At: time.Now()}}
	if err := e.bury(ctx, dead, []error{cause}); err != nil {
		return err
	}
	e.sums.failed.Add(1)
	if e.cfg.Observer != nil {
		e.cfg.Observer.Count(observe.RecordsFailed, e.at, 1)
	}
	return nil
}

// bury makes dead letters, however often it takes. Its error is ctx's, or that
// the engine has ended.
func (e *Engine) bury(ctx context.Context, dead []buffer.Dead, errs []error) error {
	for {
		err := e.cfg.Ledger.Bury(ctx, dead, errs)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		e.warn.Warn("a record cannot be made a dead letter, what is behind it waits", slog.Any("error", err))
		if err := e.pause(ctx, retryEvery); err != nil {
			return fmt.Errorf("bury: stream %q: %w", e.cfg.Stream, err)
		}
	}
}
