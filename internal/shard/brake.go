package shard

import (
	"context"
	"sync"
)

// Brake ends the reading of a shard, for a reason. Its methods may be called by
// any goroutine.
type Brake struct {
	once sync.Once
	why  Ending          // written before done is over
	done context.Context //nolint:containedctx // it carries nothing: only its end is used
	end  context.CancelFunc
}

// NewBrake is a Brake that has not been used.
func NewBrake() *Brake {
	b := &Brake{}
	b.done, b.end = context.WithCancel(context.Background())
	return b
}

// Stop ends the reading: Handoff or Shutdown. The first call wins.
func (b *Brake) Stop(why Ending) {
	b.once.Do(func() {
		b.why = why
		b.end()
	})
}

// Done is closed by the first call of Stop.
func (b *Brake) Done() <-chan struct{} { return b.done.Done() }

// Why is what Stop was called with; NotEnding before.
func (b *Brake) Why() Ending {
	if !b.stopped() {
		return NotEnding
	}
	return b.why
}

func (b *Brake) stopped() bool { return b.done.Err() != nil }

// then calls f, once and on a goroutine of its own, when Stop is called; not
// when forget was called before.
func (b *Brake) then(f func()) (forget func() bool) { return context.AfterFunc(b.done, f) }
