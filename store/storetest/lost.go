package storetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/libvegas/vegas/store"
)

// ErrLost is the error of a write through Lossy whose answer did not arrive.
var ErrLost = errors.New("the answer was lost")

// Lossy is a store behind a bad network: of its writes some do not reach it, of
// some only the answer is lost, and some arrive after their caller was told that
// they failed, when others have written since. All three end with ErrLost.
type Lossy struct {
	store.Store

	mu     sync.Mutex
	random *rand.Rand
	late   []func()
}

// NewLossy makes s lossy, by chance from random.
func NewLossy(s store.Store, random *rand.Rand) *Lossy { return &Lossy{Store: s, random: random} }

// Swap is the store's, with half of the writes lost one way or another.
func (l *Lossy) Swap(ctx context.Context, row store.Row) (store.Row, error) {
	return l.pass(ctx, func(ctx context.Context) (store.Row, error) { return l.Store.Swap(ctx, row) })
}

// Delete is the store's, with half of the writes lost one way or another.
func (l *Lossy) Delete(ctx context.Context, row store.Row) error {
	_, err := l.pass(ctx, func(ctx context.Context) (store.Row, error) { return row, l.Store.Delete(ctx, row) })
	return err
}

// Settle lets all late writes arrive.
func (l *Lossy) Settle() {
	for l.arrive(func() bool { return true }) {
	}
}

func (l *Lossy) pass(ctx context.Context, write func(context.Context) (store.Row, error)) (store.Row, error) {
	l.arrive(func() bool { return l.random.IntN(4) == 0 })
	l.mu.Lock()
	fate := l.random.IntN(6)
	if fate == 0 {
		later := context.WithoutCancel(ctx)
		l.late = append(l.late, func() { _, _ = write(later) }) // nobody waits for the answer
	}
	l.mu.Unlock()
	switch fate {
	case 0, 1:
		return store.Row{}, ErrLost
	case 2:
		if _, err := write(ctx); err != nil && !errors.Is(err, store.ErrConflict) {
			return store.Row{}, err
		}
		return store.Row{}, ErrLost
	}
	return write(ctx)
}

// arrive lets the oldest late write arrive, if there is one and due says so.
func (l *Lossy) arrive(due func() bool) bool {
	l.mu.Lock()
	var write func()
	if len(l.late) > 0 && due() {
		write, l.late = l.late[0], l.late[1:]
	}
	l.mu.Unlock()
	if write == nil {
		return false
	}
	write()
	return true
}

// lostAnswers: whoever gets no answer reads and lets the row decide; then each
// write happens once, wherever its first attempts went. A store that applied a
// late write over a newer one would count too much.
func lostAnswers(t *testing.T, s store.Store) {
	const writers, rounds = 8, 5
	put(t, s, row("g", "counter", "n", "0"))
	lossy := NewLossy(s, rand.New(rand.NewPCG(1, 2)))
	var wg sync.WaitGroup
	for i := range writers {
		me := "writer" + strconv.Itoa(i)
		wg.Go(func() {
			for round := 1; round <= rounds; {
				r, err := s.Get(t.Context(), "g", "counter")
				if err != nil {
					t.Error(err)
					return
				}
				if r.Fields[me] == strconv.Itoa(round) { // an earlier attempt was applied
					round++
					continue
				}
				n, _ := strconv.Atoi(r.Fields["n"])
				r = edit(edit(r, "n", strconv.Itoa(n+1)), me, strconv.Itoa(round))
				if _, err := lossy.Swap(t.Context(), r); err != nil && !errors.Is(err, ErrLost) && !errors.Is(err, store.ErrConflict) {
					t.Errorf("%s: %v", me, err)
					return
				}
			}
		})
	}
	wg.Wait()
	lossy.Settle()
	if got := get(t, s, "g", "counter"); got.Fields["n"] != strconv.Itoa(writers*rounds) {
		t.Errorf("%s increments arrived, want %d", got.Fields["n"], writers*rounds)
	}
}

// interruptedWrites: a write whose context ends on the way was applied as a whole
// or not at all, and can no longer be applied once its row has been written.
func interruptedWrites(t *testing.T, s store.Store) {
	var wg sync.WaitGroup
	for i := range 8 {
		id := "lease#" + strconv.Itoa(i)
		r := put(t, s, row("g", id, "n", "0"))
		wg.Go(func() {
			for n := 1; n <= 8; n++ {
				next := edit(r, "n", strconv.Itoa(n))
				next.Body = make([]byte, 1000*n)
				ctx, cancel := context.WithCancel(t.Context())
				go func() {
					for range rand.IntN(100) {
						runtime.Gosched()
					}
					cancel()
				}()
				written, err := s.Swap(ctx, next)
				<-ctx.Done()
				read := get(t, s, "g", id)
				switch {
				case err == nil && !same(read, written):
					t.Errorf("%s: read %s after %s was acknowledged", id, show(read), show(written))
				case errors.Is(err, store.ErrConflict):
					t.Errorf("%s has one writer, which met a conflict: %v", id, err)
				case !same(read, r) && (read.Fields["n"] != next.Fields["n"] || len(read.Body) != len(next.Body)):
					t.Errorf("%s: %s, neither what was there nor what was to be written", id, show(read))
				}
				r = settle(t, s, read)
			}
		})
	}
	wg.Wait()
}

// settle writes a row, so that no write that began earlier can be applied any
// more, and returns what is stored.
func settle(t *testing.T, s store.Store, r store.Row) store.Row {
	for {
		written, err := s.Swap(t.Context(), r)
		if err == nil {
			return written
		}
		if !errors.Is(err, store.ErrConflict) { // else the interrupted write came late
			t.Errorf("write %q: %v", r.ID, err)
			return r
		}
		r = get(t, s, r.Group, r.ID)
	}
}
