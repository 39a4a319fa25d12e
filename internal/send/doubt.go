package send

import (
	"context"
	"time"
)

// doubt is whether the stream is still the one that the machine's map of shards
// is of. A stream that was deleted and made again under its name has shards of
// the same names with other ranges: by the old map, records would be put, and
// acknowledged, where readers ignore them. While there is doubt nothing leaves.
// The engine's lock guards it.
type doubt struct {
	is      bool
	turn    int           // how often the map was made void: what was asked for earlier is void too
	contact time.Duration // the last answer of the service
}

// idleDoubt is after how long without an answer the stream is asked for before
// records are sent by what is known of it: long enough to spare
// DescribeStreamSummary, which a whole account shares; short enough that a
// stream is hardly deleted and made again unnoticed. A producer that sends more
// often sees for itself that it is gone.
const idleDoubt = time.Minute

// confirmTimeout bounds how long records are kept back by doubt that nobody
// resolves: DescribeStreamSummary may be slow or throttled while records could be
// put.
const confirmTimeout = 2 * time.Second

// ask has the stream looked at before the record that is being accepted
// leaves, if nothing was heard of it for long; the lock is held.
func (e *Engine) ask(now time.Duration) {
	d := &e.doubt
	if d.is || !e.shards.known || e.shards.created.IsZero() || e.machine.Open() > 0 || now-d.contact <= idleDoubt {
		return
	}
	d.is = true
	e.hold(true)
	e.wg.Go(e.confirm)
}

// confirm asks whether the stream is the same as before.
func (e *Engine) confirm() {
	ctx, cancel := context.WithTimeout(e.ctx, confirmTimeout)
	defer cancel()
	s, err := e.cfg.API.Describe(ctx)
	e.mu.Lock()
	switch {
	case err != nil && !e.fatal(err), err == nil && s.Created.Equal(e.shards.created):
		e.dispel() // the same, or nobody can tell
	default:
		e.gone() // the look that follows says what there is
	}
	e.mu.Unlock()
	e.wake()
}

// gone is for an answer that the stream does not exist, or is another one: what
// is known of its shards is void; the lock is held.
func (e *Engine) gone() {
	e.doubt.is = true
	e.doubt.turn++
	e.shards.described, e.shards.measured = time.Time{}, time.Time{}
	e.machine.Forget()
	e.hold(false) // a void map holds by itself
}

// dispel ends doubt; the lock is held.
func (e *Engine) dispel() {
	e.doubt.is = false
	e.doubt.contact = e.now()
	e.hold(false)
}

// hold keeps everything from leaving while there is doubt, and what was fed also
// while the stream is not as it is wanted; the lock is held.
func (e *Engine) hold(doubt bool) {
	e.machine.Hold(doubt || e.refusal != nil && e.cfg.Ledger != nil)
}
