package dedupe

import (
	"context"
	"sync"

	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

// state is what is known of one possession of a shard.
type state struct {
	observer observe.Observer
	where    observe.Where
	warn     func(message string, attrs ...any)

	saver *saver // nil: memory is all there is
	once  sync.Once
	ready chan struct{} // closed when what was saved has been read

	mu     sync.Mutex // guards what follows, and is never held across a wait
	table  table
	flying map[hash]chan struct{} // keys being handled; closed at the end, nil while nobody waits
}

// enter tells whether a record is passed over. If not it is being handled, until leave.
// It waits for whatever is being handled under the same key. at is where it lies.
func (st *state) enter(ctx context.Context, e entry, at record.Position) (passed bool, err error) {
	if err := st.open(ctx, e.at); err != nil {
		return false, err
	}
	for {
		passed, wait := st.try(e, at)
		if wait == nil {
			if passed {
				st.observer.Count(observe.Deduplicated, st.where, 1)
			}
			return passed, nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// open makes sure that what was saved has been read. at is when the first record
// arrived.
func (st *state) open(ctx context.Context, at int64) error {
	select {
	case <-st.ready:
		return nil
	default:
	}
	st.once.Do(func() {
		if st.saver == nil {
			close(st.ready)
			return
		}
		go func() {
			defer close(st.ready)
			st.saver.load(at)
		}()
	})
	select {
	case <-st.ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// try is enter without waiting: wait is what to wait for.
func (st *state) try(e entry, at record.Position) (passed bool, wait chan struct{}) {
	st.mu.Lock()
	defer st.mu.Unlock()
	wait, busy := st.flying[e.key]
	switch {
	case busy && wait == nil:
		wait = make(chan struct{})
		st.flying[e.key] = wait
		return false, wait
	case busy:
		return false, wait
	case st.table.passes(e):
		// If it was handled before, that was rolled back, and what was handled in its
		// place now counts.
		st.saver.revoke(e, at)
		return true, nil
	}
	st.flying[e.key] = nil
	return false, nil
}

// leave tells how a record ended that entered, and where it lies.
func (st *state) leave(e entry, at record.Position, handled bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if wait := st.flying[e.key]; wait != nil {
		close(wait)
	}
	delete(st.flying, e.key)
	if handled {
		st.forgot(st.table.put(e))
		st.saver.note(e, at)
		return
	}
	// If it was handled before, it is not any more: a transaction was rolled back.
	if old := st.table.find(e.key); old != nil && old.origin == e.origin {
		st.table.remove(e.key)
	}
	st.saver.revoke(e, at)
}

// forgot tells of keys that were forgotten for want of room.
func (st *state) forgot(n int) {
	if n == 0 {
		return
	}
	st.observer.Count(observe.KeysForgotten, st.where, int64(n))
	if st.warn != nil {
		st.warn("keys were forgotten before their window was over, for there were too many: duplicates are possible (see docs/troubleshooting.md#dedupe-keys)",
			"shard", st.where.Shard, "keys", len(st.table.index))
	}
}
