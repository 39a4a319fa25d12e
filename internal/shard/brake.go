package shard

import "sync"

// Brake ends the reading of a shard, for a reason. Its methods may be called by
// any goroutine.
type Brake struct {
	once sync.Once
	why  Ending // written before done is closed
	done chan struct{}
}

// NewBrake is a Brake that has not been used.
func NewBrake() *Brake { return &Brake{done: make(chan struct{})} }

// Stop ends the reading: Handoff or Shutdown. The first call wins.
func (b *Brake) Stop(why Ending) {
	b.once.Do(func() {
		b.why = why
		close(b.done)
	})
}

// Done is closed by the first call of Stop.
func (b *Brake) Done() <-chan struct{} { return b.done }

// Why is what Stop was called with; NotEnding before.
func (b *Brake) Why() Ending {
	if !b.stopped() {
		return NotEnding
	}
	return b.why
}

func (b *Brake) stopped() bool {
	select {
	case <-b.done:
		return true
	default:
		return false
	}
}
