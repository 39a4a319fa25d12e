package fetch

import (
	"context"
	"sync"
)

// callsAtOnce bounds the calls of a Reader that are under way, and with them its
// connections: when a thousand shards start at the same moment, most of them
// wait for some milliseconds.
const callsAtOnce = 256

// gate lets some in at a time, always the same number of them.
type gate struct {
	once   sync.Once
	places chan struct{}
}

func (g *gate) enter(ctx context.Context, places int) error {
	g.once.Do(func() { g.places = make(chan struct{}, places) })
	select {
	case g.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *gate) leave() { <-g.places }

// apart makes a call on a goroutine of its own. The SDK goes 32 KiB deep into the
// stack, which a goroutine keeps: of a thousand that mostly wait for the next
// call that would be most of the process, and count twice for the collector's
// goal.
func apart[T any](ctx context.Context, r *Reader, call func() (T, error)) (T, error) {
	type answer struct {
		out T
		err error
	}
	if err := r.calls.enter(ctx, callsAtOnce); err != nil {
		var none T
		return none, err
	}
	got := make(chan answer, 1)
	go func() {
		defer r.calls.leave()
		out, err := call()
		got <- answer{out, err}
	}()
	a := <-got
	return a.out, a.err
}
