package durable

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"unsafe"

	"github.com/libvegas/vegas/record"
)

// waiter is somebody who is told of a record: by callbacks, or as one of a batch
// that waits until the stream has it.
type waiter struct {
	seq uint64
	key string

	durable func(error)
	stored  func(record.Receipt, error)
	early   bool // stored is told when it is durable
	barrier chan struct{}

	batch *batch
	at    int // in batch

	// Guarded by the producer's lock until the call that they are for.
	safe     bool  // the syncer has told of it
	unsafe   error // that it is not
	finished bool  // the ledger has
	receipt  record.Receipt
	err      error
}

var waiters = sync.Pool{New: func() any { return new(waiter) }}

func (w *waiter) recycle() {
	if w != nil {
		*w = waiter{}
		waiters.Put(w)
	}
}

// waiterBytes is what a waiter takes, in its list and in the map.
const waiterBytes = int64(unsafe.Sizeof(waiter{})) + 64

// register makes a waiter wait; the lock is held.
func (p *Producer) register(w *waiter, seq uint64) {
	w.seq = seq
	if w.batch != nil || w.stored != nil && !w.early {
		p.waiting[seq] = w
	}
	if w.batch == nil {
		p.line(w)
	}
}

// line queues a waiter for the syncer; the lock is held.
func (p *Producer) line(w *waiter) {
	if p.unsynced = append(p.unsynced, w); len(p.unsynced) == 1 {
		p.look()
	}
}

// look makes the syncer look.
func (p *Producer) look() {
	select {
	case p.synced <- struct{}{}:
	default:
	}
}

// owe waits for room for a waiter: what is to be told is bounded like what is to
// be sent.
func (p *Producer) owe(ctx context.Context) error {
	most := int(max(p.c.Send.BufferBytes/waiterBytes, 1))
	for {
		p.mu.Lock()
		if p.owed < most {
			p.owed++
			p.mu.Unlock()
			return nil
		}
		changed := p.changes()
		p.mu.Unlock()
		if p.engine.IsCaller() {
			return link("buffer-full", record.ErrBufferFull)
		}
		select {
		case <-changed:
		case <-p.closing.Done():
			return record.ErrClosed
		case <-ctx.Done():
			return link("buffer-full", fmt.Errorf("wait for callbacks to return: %w: %w", record.ErrBufferFull, context.Cause(ctx)))
		}
	}
}

// paid counts n waiters that were told everything; the lock is held.
func (p *Producer) paid(n int) {
	p.owed -= n
	p.change()
}

// changes is closed when something that is waited for may have come; the lock is
// held.
func (p *Producer) changes() <-chan struct{} {
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return p.changed
}

// change wakes those who wait for changes; the lock is held.
func (p *Producer) change() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// sync is the syncer: it waits until records are durable, one after the other,
// and tells those who want to be called back.
func (p *Producer) sync() {
	var ws, told []*waiter
	for {
		p.mu.Lock()
		ws, p.unsynced = p.unsynced, ws[:0]
		quitting := p.quitting
		p.mu.Unlock()
		for rest := ws; len(rest) > 0; rest = rest[len(told):] {
			rest[0].unsafe = p.durable(p.syncing, rest[0].key, rest[0].seq)
			told = rest[:1]
			for _, w := range rest[1:] { // often one write has made many durable
				if p.buf.Sync(atOnce, w.seq) != nil {
					break
				}
				told = rest[:len(told)+1]
			}
			p.tellSynced(told)
		}
		if len(ws) > 0 {
			clear(ws)
			continue
		}
		if quitting {
			return
		}
		<-p.synced
	}
}

// tellSynced queues the calls of the first stage.
func (p *Producer) tellSynced(ws []*waiter) {
	p.mu.Lock()
	for _, w := range ws {
		w.safe = true
		staged := w.stored != nil && !w.early
		if w.unsafe != nil && staged && !w.finished {
			delete(p.waiting, w.seq)
			w.finished, w.err = true, w.unsafe
		}
		if !staged || w.durable != nil {
			p.calls = append(p.calls, call{w: w, last: !staged})
		}
		if staged && w.finished {
			p.calls = append(p.calls, call{w: w, stored: true, last: true})
		}
	}
	p.call() // unlocks
}

// end takes the end of a record; the lock is held.
func (p *Producer) end(seq uint64, r record.Receipt, err error) {
	w := p.waiting[seq]
	if w == nil {
		return
	}
	delete(p.waiting, seq)
	w.finished, w.receipt, w.err = true, r, err
	switch {
	case w.batch != nil:
		w.batch.receipts[w.at] = r
		if err != nil {
			w.batch.fail(w.at, err)
		}
		w.batch.end(1)
		w.recycle()
	case w.safe:
		p.calls = append(p.calls, call{w: w, stored: true, last: true})
	}
}

// call is one callback to be made.
type call struct {
	w      *waiter
	stored bool // of the second stage
	last   bool // of its waiter
}

// call has the queued calls made. It is called with the lock held and releases
// it.
func (p *Producer) call() {
	start := len(p.calls) > 0 && !p.calling
	p.calling = p.calling || start
	p.mu.Unlock()
	if start {
		p.engine.Call(p.runCalls)
	}
}

// runCalls makes the queued calls, in the engine's goroutine for callbacks.
func (p *Producer) runCalls() {
	var todo []call
	made := 0
	returned := false
	// A callback may panic, which the engine handles, or end the goroutine: the
	// others still have to run.
	defer func() {
		if !returned {
			p.mu.Lock()
			p.made(todo[:made])
			p.calls = append(slices.Clone(todo[made:]), p.calls...)
			p.calling = false
			p.call() // unlocks
		}
	}()
	for {
		p.mu.Lock()
		p.made(todo)
		clear(todo)
		todo, p.calls, made = p.calls, todo[:0], 0
		if len(todo) == 0 {
			p.calling = false
			returned = true
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		for _, c := range todo {
			made++
			c.w.tell(c.stored)
		}
	}
}

// made recycles those who were told everything; the lock is held.
func (p *Producer) made(calls []call) {
	n := 0
	for _, c := range calls {
		if c.last {
			if c.w.barrier == nil {
				n++
			}
			c.w.recycle()
		}
	}
	if n > 0 {
		p.paid(n)
	}
}

// tell calls back.
func (w *waiter) tell(stored bool) {
	switch {
	case stored:
		w.stored(w.receipt, w.err)
	case w.barrier != nil:
		close(w.barrier)
	case w.early:
		w.stored(record.Receipt{Durable: w.unsafe == nil}, w.unsafe)
	case w.durable != nil:
		w.durable(w.unsafe)
	}
}

// batch is a call that waits for the ends of its records.
type batch struct {
	done chan struct{}

	// Guarded by the producer's lock until done.
	open     int // and one until all are appended
	receipts []record.Receipt
	errs     []error // nil: none
}

func newBatch(n int) *batch {
	return &batch{done: make(chan struct{}), open: 1, receipts: make([]record.Receipt, n)}
}

func (b *batch) fail(i int, err error) {
	if b.errs == nil {
		b.errs = make([]error, len(b.receipts))
	}
	b.errs[i] = err
}

// end counts n records that have ended.
func (b *batch) end(n int) {
	if b.open -= n; b.open == 0 {
		close(b.done)
	}
}

// forget ends a record that nobody can wait for any longer, if it has not ended;
// the lock is held.
func (p *Producer) forget(seq uint64, err error) { p.end(seq, record.Receipt{}, err) }
