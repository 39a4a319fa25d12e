package durable

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libvegas/vegas/record"
)

// Flush lets nothing linger until all records that were accepted before the
// call, also in earlier openings, are stored or dead letters, callbacks
// included.
func (p *Producer) Flush(ctx context.Context) error {
	if p.engine.IsCaller() {
		return fmt.Errorf("flush: stream %q: called by a callback, which it would wait for", p.c.Send.Stream)
	}
	select {
	case <-p.over:
		if n := p.buf.Stats().Items; n > 0 {
			return p.left("flush", n, atNextStart, record.ErrClosed)
		}
		return nil
	default:
	}
	if err := p.drain(ctx, false); err != nil {
		return p.left("flush", p.buf.Stats().Items, onAndOn, err)
	}
	return nil
}

// What becomes of records that are left in the buffer.
const (
	onAndOn     = "they go on being sent, also after the next start"
	atNextStart = "they are sent at the next start"
)

// left is the error of who waited for the buffer to be empty.
func (p *Producer) left(op string, n int64, fate string, cause error) error {
	if n == 0 {
		return fmt.Errorf("%s: stream %q: callbacks have not returned: %w", op, p.c.Send.Stream, cause)
	}
	if why := p.engine.Why(); why != nil {
		cause = fmt.Errorf("%w, after: %w", cause, why)
	}
	return fmt.Errorf("%s: stream %q: %d records are left in the durable buffer %s, %s: %w",
		op, p.c.Send.Stream, n, p.c.Place, fate, cause)
}

// drain waits until what has been accepted, or all that there is, has ended, and
// its callbacks have returned.
func (p *Producer) drain(ctx context.Context, all bool) error {
	defer p.engine.Hurry()()
	p.mu.Lock()
	last := p.last
	p.mu.Unlock()
	tick := time.NewTicker(drainEvery)
	defer tick.Stop()
	for {
		// Numbers of this opening end what earlier ones left.
		s := p.buf.Stats()
		p.mu.Lock()
		bound := last + 1
		if last == 0 {
			bound = p.first
		}
		done := p.burying == 0 && (s.Items == 0 || !all && bound > 0 && s.First >= bound)
		unreadable, changed := p.unreadable, p.changes()
		p.mu.Unlock()
		if done {
			break
		}
		if unreadable != nil {
			return unreadable
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-p.over:
			return record.ErrClosed
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if last == 0 {
		return nil // nobody can have asked to be called
	}
	returned := make(chan struct{})
	p.mu.Lock()
	p.line(&waiter{seq: last, barrier: returned})
	p.mu.Unlock()
	select {
	case <-returned:
		return nil
	case <-p.over:
		return record.ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// drainEvery is how often is looked whether the buffer is empty when nobody says
// so: it may have lost records that were never given out.
const drainEvery = time.Second

// Close refuses further records, waits until the stream has all that are in the
// buffer, and ends everything. When ctx ends first the others stay in the buffer
// for the next opening. It may be called again, and waits for the same end.
func (p *Producer) Close(ctx context.Context) error {
	if p.engine.IsCaller() {
		return fmt.Errorf("close producer: stream %q: called by a callback, which it would wait for", p.c.Send.Stream)
	}
	p.stopping.Do(func() { go p.stop() })
	select {
	case <-p.over:
	case <-ctx.Done():
		p.cut.patient(context.Cause(ctx))
		<-p.over
	}
	return p.ended
}

// grace is for what has to end after Close's context has: the writes that
// callers wait for.
const grace = time.Second

// stop does what Close says.
func (p *Producer) stop() {
	p.cut.closing(record.ErrClosed)
	p.gate.close() // nobody waits for room any more
	err := p.drain(p.patient, true)

	// Nothing is fed any more. What was appended gets durable, if the disk lets
	// it, and then everybody is told what is known.
	p.cut.feeding(record.ErrClosed)
	if err != nil {
		timer := time.AfterFunc(grace, func() { p.cut.syncing(record.ErrClosed) })
		defer timer.Stop()
	}
	p.mu.Lock()
	p.quitting = true
	p.mu.Unlock()
	p.look()
	p.wg.Wait()
	if err != nil {
		p.giveUp(fmt.Errorf("%w: %w", record.ErrClosed, err))
	}
	hung := p.engine.Close(p.patient)
	s := p.buf.Stats()
	unclosed := p.buf.Close()
	switch {
	case s.Items > 0:
		if err == nil { // they came while it ended
			err = record.ErrClosed
		}
		err = p.left("close producer", s.Items, atNextStart, err)
	default: // all have ended, perhaps just after ctx
		err = hung
	}
	if unclosed != nil {
		err = errors.Join(err, fmt.Errorf("close producer: stream %q: %w", p.c.Send.Stream, unclosed))
	}
	p.ended = err
	for _, cut := range []context.CancelCauseFunc{p.cut.syncing, p.cut.patient} {
		cut(nil)
	}
	close(p.over)
}

// giveUp tells everybody who waits for the stream that their records are left to
// the next start.
func (p *Producer) giveUp(cause error) {
	p.mu.Lock()
	var seqs []uint64
	for seq := range p.waiting {
		seqs = append(seqs, seq)
	}
	slices.Sort(seqs)
	for _, seq := range seqs {
		p.forget(seq, p.pending(p.waiting[seq].key, cause))
	}
	p.call() // unlocks
}

// Ended is closed when Close has ended everything.
func (p *Producer) Ended() <-chan struct{} { return p.over }
