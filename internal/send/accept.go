package send

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/libvegas/vegas/internal/lane"
	"github.com/libvegas/vegas/internal/limits"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

// Send sends one record and waits for its end. If ctx ends before the record
// left, it is withdrawn; later the result is unknown and the engine goes on
// with it.
func (e *Engine) Send(ctx context.Context, r *record.Record) (record.Receipt, error) {
	var ds [1]draft
	d := &ds[0]
	if err := e.check(d, r); err != nil {
		return record.Receipt{}, err
	}
	p := e.parcels.Get().(*parcel)
	if p.signal == nil {
		p.signal = make(chan struct{}, 1)
	}
	d.hashKey()
	d.single, d.wait = p, true
	if _, err := e.accept(ctx, ds[:]); err != nil {
		e.recycle(p)
		return record.Receipt{}, e.refused(r, err)
	}
	if ctx.Done() == nil {
		<-p.signal
	} else {
		select {
		case <-p.signal:
		case <-ctx.Done():
			if err := e.abandon(p, context.Cause(ctx)); err != nil {
				return record.Receipt{}, err
			}
			<-p.signal // it ended just now
		}
	}
	receipt, err := e.result(p)
	e.done(p)
	return receipt, err
}

// SendAll sends the records in their order and waits for all. The errors are
// one per record, nil where it was stored; nil as a whole if all were.
func (e *Engine) SendAll(ctx context.Context, rs []*record.Record) ([]record.Receipt, []error) {
	b := &batch{
		done:     make(chan struct{}),
		open:     len(rs),
		parcels:  make([]*parcel, len(rs)),
		receipts: make([]record.Receipt, len(rs)),
	}
	if len(rs) == 0 {
		return b.receipts, nil
	}
	var some [few]draft
	for i := 0; i < len(rs); {
		ds := some[:0]
		for ; i < len(rs) && len(ds) < few; i++ {
			d := &some[len(ds)]
			*d = draft{waiter: waiter{batch: b, at: i}}
			if err := e.check(d, rs[i]); err != nil {
				e.refuse(d, err)
				continue
			}
			ds = ds[:len(ds)+1]
		}
		hash(ds)
		for len(ds) > 0 {
			n, err := e.accept(ctx, ds)
			if ds = ds[n:]; err != nil {
				e.refuse(&ds[0], e.refused(rs[ds[0].at], err))
				ds = ds[1:]
			}
		}
	}
	select {
	case <-b.done:
	case <-ctx.Done():
		for i := range rs {
			e.abandonAt(b, i, context.Cause(ctx))
		}
		<-b.done // the others ended just now
	}
	return b.receipts, b.errs
}

// few is how many records of a SendAll are accepted at once. One at a time, they
// would read the clock and take the lock once each, a tenth of what that takes.
const few = 16

// refuse is the end of a batch's record that was not accepted.
func (e *Engine) refuse(d *draft, err error) {
	e.mu.Lock()
	last := d.batch.take(d.at, record.Receipt{}, err)
	e.mu.Unlock()
	if last {
		close(d.batch.done)
	}
}

// abandonAt is abandon for a record of a batch, if it has not ended.
func (e *Engine) abandonAt(b *batch, i int, cause error) {
	e.mu.Lock()
	p := b.parcels[i]
	if p == nil {
		e.mu.Unlock()
		return
	}
	withdrawn, err := e.giveUp(p, cause)
	last := err != nil && b.take(i, record.Receipt{}, err)
	e.mu.Unlock()
	if withdrawn {
		e.withdrawn(p)
	}
	if last {
		close(b.done)
	}
}

// SendAsync accepts a record; done, where it is not nil, is called with its end,
// once, by the dispatcher. ctx bounds the wait for room only. An error says that
// the record was not accepted: done is then not called.
func (e *Engine) SendAsync(ctx context.Context, r *record.Record, done func(record.Receipt, error)) error {
	var ds [1]draft
	if err := e.check(&ds[0], r); err != nil {
		return err
	}
	ds[0].hashKey()
	ds[0].done = done
	if _, err := e.accept(ctx, ds[:]); err != nil {
		return e.refused(r, err)
	}
	return nil
}

// accept gives the first n records to the machine, at least one, for which it waits
// until there is room. An error says why the one behind them was not accepted, of
// which nothing remains.
func (e *Engine) accept(ctx context.Context, ds []draft) (n int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, context.Cause(ctx)
	}
	if ds[0].large() {
		if err := e.awaitLook(ctx); err != nil {
			return 0, err
		}
	}
	now := e.now() // not while others wait for the lock
	early := false
	e.mu.Lock()
	for n < len(ds) {
		d := &ds[n]
		if n > 0 && d.large() {
			break
		}
		if err = e.admissible(d); err != nil {
			break
		}
		if !e.room.take(d.bytes) {
			if n > 0 { // which may have to leave first
				break
			}
			if err = e.claim(ctx, d); err != nil { // unlocks while it waits
				break
			}
			now = e.now()
		}
		e.latest = max(e.latest, now)
		early = e.admit(d) || early
		n++
	}
	e.mu.Unlock()
	if early {
		e.wake()
	}
	return n, err
}

// large tells of a record that cannot be judged before the stream was looked at.
func (d *draft) large() bool {
	return d.whole() > limits.RecordBytes && d.whole() <= limits.RecordBytesMax
}

// admit makes a draft that has room a parcel of the machine, which was accepted at
// e.latest; the lock is held.
func (e *Engine) admit(d *draft) (early bool) {
	p := d.single
	if p == nil {
		p = e.berth(d.hash)
	}
	p.fill(d)
	p.Accepted = e.latest
	if e.cfg.Deadline > 0 {
		p.Deadline = e.latest + e.cfg.Deadline
	}
	if p.batch != nil {
		p.batch.parcels[p.at] = p
	}
	return e.enter(e.latest, p)
}

// enter gives a parcel that has room to the machine; the lock is held.
func (e *Engine) enter(now time.Duration, p *parcel) (early bool) {
	p.group = e.group
	e.group.open++
	e.ensureRunning()
	e.ask(now)
	return e.machine.Accept(now, &p.Item)
}

// admissible tells what forbids to accept a record; the lock is held.
func (e *Engine) admissible(d *draft) error {
	if e.closing {
		return record.ErrClosed
	}
	if e.refusal != nil {
		return e.refusal
	}
	return e.sendable(d)
}

// sendable tells why a record can never be sent; the lock is held.
func (e *Engine) sendable(d *draft) error {
	switch e.machine.Form(d.whole(), int(d.bound)) {
	case lane.TooLarge:
		if d.whole() <= limits.RecordBytesMax {
			e.askRecordSize()
		}
		return link("record-too-large", fmt.Errorf("%w: data and partition key are %d bytes, the stream's MaxRecordSize is %d",
			record.ErrTooLarge, d.whole(), e.shards.recordBytes()))
	case lane.Single:
		if len(d.headers) > 0 {
			return link("headers-need-aggregation", errHeaders)
		}
		if d.bare {
			return link("looks-like-aggregate", errLooksLikeAggregate)
		}
	}
	return nil
}

var (
	errHeaders = errors.New("headers travel inside an aggregate: this record cannot be wrapped in one (too large, or o.Aggregate is off)")

	errLooksLikeAggregate = errors.New("the payload is a KPL aggregate, which readers would open: it has to be wrapped, and cannot be (too large, or o.Aggregate is off)")
)

// claim waits for room for a record that is still admissible then. It is called,
// and returns, with the lock held.
func (e *Engine) claim(ctx context.Context, d *draft) error {
	if err := e.lineUp(ctx, d.bytes); err != nil {
		return err
	}
	if err := e.admissible(d); err != nil { // things changed meanwhile
		e.room.give(d.bytes)
		return err
	}
	return nil
}

// lineUp waits for room. It is called, and returns, with the lock held.
func (e *Engine) lineUp(ctx context.Context, bytes int64) error {
	c := e.room.lineUp(bytes)
	e.mu.Unlock()
	e.lining.Add(1)
	err := e.awaitRoom(ctx, c)
	e.lining.Add(-1)
	e.mu.Lock()
	if err != nil {
		e.room.leave(c)
		return err
	}
	if c.void {
		return record.ErrClosed
	}
	return nil
}

func (e *Engine) awaitRoom(ctx context.Context, c *claim) error {
	select {
	case <-c.granted:
		return nil
	default:
	}
	// The dispatcher makes room when a callback returns, so a callback must
	// not wait for it. Asking costs a microsecond; only those who would have
	// to wait do.
	if e.calls.isCaller() {
		return link("buffer-full", record.ErrBufferFull)
	}
	select {
	case <-c.granted:
		return nil
	case <-ctx.Done():
		return link("buffer-full", fmt.Errorf("wait for room: %w: %w", record.ErrBufferFull, context.Cause(ctx)))
	}
}

// awaitLook waits for the first look at the stream, which tells its
// MaxRecordSize: a record over the default limit cannot be judged before.
func (e *Engine) awaitLook(ctx context.Context) error {
	select {
	case <-e.looked:
		return nil
	default:
	}
	if e.cfg.Deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, e.cfg.Deadline, record.ErrDeadline)
		defer cancel()
	}
	e.mu.Lock()
	if e.closing {
		e.mu.Unlock()
		return record.ErrClosed
	}
	e.ensureRunning()
	e.mu.Unlock()
	select {
	case <-e.looked:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-e.ended:
		return record.ErrClosed
	}
}

// abandon is for a sender whose context ended: it takes the record back if it
// never left, else leaves it to the engine. It returns the sender's error, nil
// if the record ended in the meantime: its signal is there or about to come.
func (e *Engine) abandon(p *parcel, cause error) error {
	e.mu.Lock()
	withdrawn, err := e.giveUp(p, cause)
	e.mu.Unlock()
	if withdrawn {
		e.withdrawn(p)
	}
	return err
}

// giveUp does what abandon says; the lock is held.
func (e *Engine) giveUp(p *parcel, cause error) (withdrawn bool, err error) {
	if p.Ended() {
		return false, nil
	}
	if why := e.why(p); why != nil {
		cause = fmt.Errorf("%w, after: %w", cause, why)
	}
	failed := &record.SendError{Stream: e.cfg.Stream, Shard: p.Shard, Key: strings.Clone(p.Key), Attempts: int(p.Attempts), Err: cause}
	if !e.machine.Withdraw(&p.Item) {
		p.abandoned = true
		failed.Outcome = record.Unknown
		return false, failed
	}
	failed.Outcome = record.NotStored
	e.room.give(p.bytes)
	e.groupEnd(p.group, 1)
	return true, failed
}

// withdrawn ends a parcel that the machine gave back.
func (e *Engine) withdrawn(p *parcel) {
	e.sums.failed.Add(1)
	if e.cfg.Observer != nil {
		e.cfg.Observer.Count(observe.RecordsFailed, e.at, 1)
	}
	e.done(p)
	e.wake() // it may have been the last one that Close waits for
}

// why is what has held a record up so far, nil if nothing is known; the lock is
// held.
func (e *Engine) why(p *parcel) error {
	if err := e.machine.Cause(&p.Item); err != nil || p.Attempts > 0 {
		return err
	}
	return e.lastLook
}

// Flush lets what was accepted before the call leave at once and waits for its
// end, callbacks included.
func (e *Engine) Flush(ctx context.Context) error {
	if e.calls.isCaller() {
		return fmt.Errorf("flush: stream %q: called by a callback, which it would wait for", e.cfg.Stream)
	}
	e.mu.Lock()
	if !e.running {
		e.mu.Unlock()
		return nil
	}
	e.machine.Flush()
	e.seal()
	waits := append([]*group(nil), e.sealed...)
	e.mu.Unlock()
	e.wake()
	for _, g := range waits {
		select {
		case <-g.done:
		case <-ctx.Done():
			return fmt.Errorf("flush: stream %q: %w", e.cfg.Stream, context.Cause(ctx))
		}
	}
	return nil
}

// Close refuses further records, drains, and ends everything the engine
// started. When ctx ends first, all that is open ends as not stored or unknown.
// It may be called again, and waits for the same end.
func (e *Engine) Close(ctx context.Context) error {
	if e.calls.isCaller() {
		return fmt.Errorf("close producer: stream %q: called by a callback, which it would wait for", e.cfg.Stream)
	}
	e.mu.Lock()
	first := !e.closing
	e.closing = true
	if first {
		defer e.log.Info("producer stopped")
	}
	e.room.dismiss()
	if !e.running && first {
		e.cancel()
		close(e.ended)
		e.calls.close()
	}
	e.machine.Flush()
	e.mu.Unlock()
	e.wake()

	select {
	case <-e.calls.over:
		return nil
	case <-ctx.Done():
	}
	e.mu.Lock()
	open := e.machine.Open()
	e.aborted = true
	if open > 0 {
		e.machine.Abort(fmt.Errorf("%w before it was acknowledged: %w", record.ErrClosed, context.Cause(ctx)))
	}
	e.mu.Unlock()
	e.cancel() // the calls under way
	e.wake()
	<-e.ended
	// Callbacks are the user's code: one that hangs must not hang Close.
	t := time.NewTimer(callbackGrace)
	defer t.Stop()
	select {
	case <-e.calls.over:
		if open == 0 {
			return nil
		}
	case <-t.C:
		if open == 0 {
			return fmt.Errorf("close producer: stream %q: all records have ended, but a callback does not return: %w", e.cfg.Stream, context.Cause(ctx))
		}
	}
	return fmt.Errorf("close producer: stream %q: %d records were not acknowledged: %w", e.cfg.Stream, open, context.Cause(ctx))
}

// Ended is closed when the engine has ended all that it started, callbacks
// excepted.
func (e *Engine) Ended() <-chan struct{} { return e.ended }

// callbackGrace is how long Close waits for callbacks after its context ended.
const callbackGrace = time.Second

// link adds the place in the documentation that explains an error.
func link(word string, err error) error {
	return fmt.Errorf("%w (see docs/troubleshooting.md#%s)", err, word)
}
