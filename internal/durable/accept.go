package durable

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

// Send sends one record and returns when it is durable, or stored with
// WaitStored.
func (p *Producer) Send(ctx context.Context, r *record.Record) (record.Receipt, error) {
	if p.c.WaitStored && r != nil {
		own := *r
		receipts, errs := p.SendAll(ctx, []*record.Record{&own})
		if errs != nil {
			return record.Receipt{}, errs[0]
		}
		return receipts[0], nil
	}
	if err := p.admit(ctx, r); err != nil {
		return record.Receipt{}, err
	}
	e := newEntry(p)
	defer e.release()
	e.own = *r // the caller's stays on its stack
	e.one[0] = &e.own
	began := p.clock()
	if err := p.append(ctx, e, e.one[:]); err != nil {
		return record.Receipt{}, p.refused(r, err)
	}
	if err := p.durable(ctx, r.PartitionKey, e.first); err != nil {
		return record.Receipt{}, err
	}
	p.took(began)
	return record.Receipt{Durable: true}, nil
}

// SendAll sends records in their order and returns when all are durable, or
// stored with WaitStored. The errors are one per record, nil as a whole if there
// are none.
func (p *Producer) SendAll(ctx context.Context, rs []*record.Record) ([]record.Receipt, []error) {
	began := p.clock()
	b := newBatch(len(rs))
	e := newEntry(p)
	defer e.release()
	seqs := make([]uint64, len(rs)) // 0: refused
	var chunk []*record.Record
	var at []int // where they are in rs
	bytes := 0
	flush := func() {
		if len(chunk) == 0 {
			return
		}
		if err := p.append(ctx, e, chunk); err != nil {
			p.mu.Lock()
			for _, i := range at {
				b.fail(i, p.refused(rs[i], err))
			}
			b.open -= len(e.waiters)
			p.mu.Unlock()
		} else {
			for n, i := range at {
				seqs[i] = e.first + uint64(n)
			}
		}
		chunk, at, e.waiters, bytes = chunk[:0], at[:0], e.waiters[:0], 0
	}
	for i, r := range rs {
		if err := p.admit(ctx, r); err != nil {
			p.mu.Lock()
			b.fail(i, err)
			p.mu.Unlock()
			continue
		}
		if bytes += len(r.Data); len(chunk) > 0 && (bytes > chunkBytes || len(chunk) == chunkRecords) {
			flush()
			bytes = len(r.Data)
		}
		chunk, at = append(chunk, r), append(at, i)
		if p.c.WaitStored {
			w := waiters.Get().(*waiter)
			w.key, w.batch, w.at = r.PartitionKey, b, i
			e.waiters = append(e.waiters, w)
			p.mu.Lock()
			b.open++
			p.mu.Unlock()
		}
	}
	flush()
	for i, seq := range seqs {
		if seq == 0 {
			continue
		}
		if err := p.durable(ctx, rs[i].PartitionKey, seq); err != nil {
			p.mu.Lock()
			if p.c.WaitStored {
				p.forget(seq, err)
			} else {
				b.fail(i, err)
			}
			p.mu.Unlock()
		} else if !p.c.WaitStored {
			b.receipts[i].Durable = true
		}
	}
	p.took(began)
	if p.c.WaitStored {
		p.await(ctx, b, rs, seqs)
	}
	return b.receipts, b.errs
}

// A batch is appended in runs of at most so much, so that others get in between
// and any number fits.
const (
	chunkBytes   = 1 << 20
	chunkRecords = 1000
)

// await waits until all records of a batch have ended, or ctx.
func (p *Producer) await(ctx context.Context, b *batch, rs []*record.Record, seqs []uint64) {
	p.mu.Lock()
	b.end(1)
	p.mu.Unlock()
	select {
	case <-b.done:
		return
	case <-ctx.Done():
	}
	for i, seq := range seqs {
		if seq != 0 {
			err := p.pending(rs[i].PartitionKey, context.Cause(ctx))
			p.mu.Lock()
			p.forget(seq, err)
			p.mu.Unlock()
		}
	}
	<-b.done
}

// SendAsync accepts a record; done, where it is not nil, is called when the
// record is durable, or stored with WaitStored.
func (p *Producer) SendAsync(ctx context.Context, r *record.Record, done func(record.Receipt, error)) error {
	if done == nil {
		return p.accept(ctx, r, nil)
	}
	w := waiters.Get().(*waiter)
	w.stored, w.early = done, !p.c.WaitStored
	return p.accept(ctx, r, w)
}

// SendStaged accepts a record; durable and stored, where they are not nil, are
// called at its two stages, in this order.
func (p *Producer) SendStaged(ctx context.Context, r *record.Record, durable func(error), stored func(record.Receipt, error)) error {
	if durable == nil && stored == nil {
		return p.accept(ctx, r, nil)
	}
	w := waiters.Get().(*waiter)
	w.durable, w.stored = durable, stored
	return p.accept(ctx, r, w)
}

func (p *Producer) accept(ctx context.Context, r *record.Record, w *waiter) error {
	if err := p.admit(ctx, r); err != nil {
		w.recycle()
		return err
	}
	e := newEntry(p)
	defer e.release()
	e.one[0] = r
	if w != nil {
		if err := p.owe(ctx); err != nil {
			w.recycle()
			return p.refused(r, err)
		}
		w.key = r.PartitionKey
		e.waiters = append(e.waiters, w)
	}
	if err := p.append(ctx, e, e.one[:]); err != nil {
		if w != nil {
			p.mu.Lock()
			p.paid(1)
			p.mu.Unlock()
			w.recycle()
		}
		return p.refused(r, err)
	}
	return nil
}

// admit tells what forbids to accept a record.
func (p *Producer) admit(ctx context.Context, r *record.Record) error {
	if ctx.Err() != nil {
		if r == nil {
			r = &record.Record{}
		}
		return p.refused(r, context.Cause(ctx))
	}
	return p.engine.Admit(r)
}

// append takes records into the buffer. An error says that none was.
func (p *Producer) append(ctx context.Context, e *entry, rs []*record.Record) error {
	if !p.gate.enter() {
		return record.ErrClosed
	}
	defer p.gate.leave()
	e.count = len(rs)
	_, err := p.buf.Append(atOnce, rs, e.assigned)
	if !errors.Is(err, record.ErrBufferFull) {
		return err
	}
	// Room does not depend on callbacks, but what waits for hours must not hold
	// up everybody who wants to be called.
	if p.engine.IsCaller() {
		return link("buffer-full", fmt.Errorf("%w: called by a callback, which may not wait", err))
	}
	ctx, cancel := either(ctx, p.closing)
	defer cancel()
	if _, err = p.buf.Append(ctx, rs, e.assigned); err != nil && p.closing.Err() != nil {
		return record.ErrClosed
	}
	if errors.Is(err, record.ErrBufferFull) {
		err = link("buffer-full", fmt.Errorf("wait for room: %w", err))
	}
	return err
}

// atOnce is for calls that may not wait.
var atOnce = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// either is ctx, which other ends too.
func either(ctx, other context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(other, func() { cancel(context.Cause(other)) })
	return ctx, func() { stop(); cancel(nil) }
}

// durable waits until a record is.
func (p *Producer) durable(ctx context.Context, key string, seq uint64) error {
	if err := p.buf.Sync(ctx, seq); err != nil {
		return p.unsafe(key, err)
	}
	return nil
}

// unsafe is the error of a record that is not known to be durable.
func (p *Producer) unsafe(key string, err error) error {
	e := &record.SendError{Stream: p.c.Send.Stream, Key: key, Err: err}
	if errors.Is(err, buffer.ErrNotBuffered) {
		e.Outcome = record.NotStored
	} else if !errors.Is(err, buffer.ErrUnknown) {
		e.Err = fmt.Errorf("it is in the durable buffer %s, not yet safe from a crash of the machine, and will be sent: %w", p.c.Place, err)
	}
	return e
}

// pending is the error of a record that is in the buffer when nobody can wait
// for it any longer.
func (p *Producer) pending(key string, cause error) error {
	return &record.SendError{
		Stream: p.c.Send.Stream, Key: key, Outcome: record.Unknown,
		Err: fmt.Errorf("it is in the durable buffer %s and will be sent: %w", p.c.Place, cause),
	}
}

// refused is the error of a record that was not accepted.
func (p *Producer) refused(r *record.Record, cause error) error {
	return &record.SendError{Stream: p.c.Send.Stream, Key: r.PartitionKey, Outcome: record.NotStored, Err: cause}
}

// link adds the place in the documentation that explains an error.
func link(word string, err error) error {
	return fmt.Errorf("%w (see docs/troubleshooting.md#%s)", err, word)
}

// clock is the time, if anybody wants to know how long something takes.
func (p *Producer) clock() time.Time {
	if p.watch.observer == nil {
		return time.Time{}
	}
	return time.Now()
}

// took reports how long a caller waited until its records were durable.
func (p *Producer) took(began time.Time) {
	if o := p.watch.observer; o != nil {
		o.Observe(observe.DurableLatency, p.at, int64(time.Since(began)))
	}
}

// entry is the memory of one call of Append.
type entry struct {
	p        *Producer
	own      record.Record
	one      [1]*record.Record
	count    int
	waiters  []*waiter // none, or one for each record
	first    uint64
	assigned func(first uint64) // made once: a closure for each call would be an allocation
}

var entries = sync.Pool{New: func() any {
	e := new(entry)
	e.assigned = e.assign
	return e
}}

func newEntry(p *Producer) *entry {
	e := entries.Get().(*entry)
	e.p = p
	return e
}

func (e *entry) release() {
	clear(e.waiters[:cap(e.waiters)])
	*e = entry{waiters: e.waiters[:0], assigned: e.assigned}
	if cap(e.waiters) <= 16 {
		entries.Put(e)
	}
}

// assign learns the numbers: in their order, and before any of the records can
// come out of the buffer.
func (e *entry) assign(first uint64) {
	p := e.p
	e.first = first
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.first == 0 {
		p.first = first
	}
	p.last = first + uint64(e.count) - 1
	for i, w := range e.waiters {
		p.register(w, first+uint64(i))
	}
}
