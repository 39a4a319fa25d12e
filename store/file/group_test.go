package file

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/internal/filesys"
	"github.com/libvegas/vegas/store"
)

// hold takes a group's lock as another process would.
func hold(t *testing.T, dir string) (release func()) {
	t.Helper()
	lock, err := filesys.OS{}.Lock(filepath.Join(dir, "r-g", "lock"))
	if err != nil {
		t.Fatal(err)
	}
	return func() { _ = lock.Close() }
}

// All that waited for the lock is written at once, in the order in which it came;
// of several changes to a row the first wins.
func TestWritersShareAWrite(t *testing.T) {
	dir := t.TempDir()
	made(t, dir)
	synctest.Test(t, func(t *testing.T) {
		s := New(dir)
		d := &failing{disk: machine{}, until: 1 << 20}
		s.disk = d
		release := hold(t, dir)
		results := make([]error, 64)
		var wg sync.WaitGroup
		for i := range results {
			wg.Go(func() {
				_, results[i] = s.Swap(t.Context(), store.Row{Group: "g", ID: fmt.Sprint("lease#", 2+i/2)})
			})
			synctest.Wait()
		}
		before := d.steps.Load()
		release()
		wg.Wait()
		if steps := d.steps.Load() - before; steps > 6 {
			t.Errorf("64 writes took %d steps of the disk, one takes as many", steps)
		}
		for i, err := range results {
			if won := err == nil; won != (i%2 == 0) || !won && !errors.Is(err, store.ErrConflict) {
				t.Errorf("write %d: %v", i, err)
			}
		}
	})
}

// Large rows do not hold up what waits behind them for longer than a batch.
func TestABatchIsBounded(t *testing.T) {
	g := newGroup(nil, "", "g")
	for range 8 {
		g.waiting = append(g.waiting, &change{row: saved{Body: make([]byte, store.RowBytes)}})
	}
	g.waiting = append(g.waiting, &change{row: saved{ID: "worker#1"}})
	var sizes []int
	for len(g.waiting) > 0 {
		sizes = append(sizes, len(g.take()))
	}
	if !slices.Equal(sizes, []int{2, 2, 2, 3}) {
		t.Errorf("batches of %v", sizes)
	}
}

// Whoever was waiting gets the lock before whoever gave it back.
func TestTheLockGoesToWhoWaits(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "g")
	synctest.Test(t, func(t *testing.T) {
		release, err := machine{}.lock(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan string, 2)
		var wg sync.WaitGroup
		again := func(who string) {
			release, err := machine{}.lock(t.Context(), dir)
			if err != nil {
				t.Error(err)
				return
			}
			got <- who
			time.Sleep(time.Second)
			release()
		}
		wg.Go(func() { again("the one that waited") })
		synctest.Wait()
		release()
		again("the one that had it")
		wg.Wait()
		if first := <-got; first != "the one that waited" {
			t.Errorf("first came %s", first)
		}
	})
}

// A writer that gave up while it waited has written nothing, whoever writes next;
// readers need no lock.
func TestAHeldLockEndsWithTheContext(t *testing.T) {
	dir := t.TempDir()
	row := made(t, dir)
	synctest.Test(t, func(t *testing.T) {
		s := New(dir)
		release := hold(t, dir)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		for i := range 3 { // the one with the turn, and those behind it
			wg.Go(func() {
				if _, err := s.Swap(ctx, row); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("writer %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		if got, err := s.Get(t.Context(), "g", "lease#1"); err != nil || got.Revision != row.Revision {
			t.Errorf("while the lock is held: %v, %v", got, err)
		}
		release()
		if _, err := s.Swap(t.Context(), store.Row{Group: "g", ID: "lease#2"}); err != nil {
			t.Error(err)
		}
		if got, err := s.Get(t.Context(), "g", "lease#1"); err != nil || got.Revision != row.Revision {
			t.Errorf("afterwards: %v, %v", got, err)
		}
	})
}

// A disk that refuses a write, being full, costs that write, and the store goes
// on when it does.
func TestADiskThatWasFull(t *testing.T) {
	for after := range 6 {
		s := New(t.TempDir())
		d := &failing{disk: machine{}, until: 1 << 20, torn: func(n int) int { return n / 2 }}
		s.disk = d
		row, err := s.Swap(t.Context(), store.Row{Group: "g", ID: "lease#1"})
		if err != nil {
			t.Fatal(err)
		}
		d.until = int(d.steps.Load()) + after
		for range 2 {
			next, err := s.Swap(t.Context(), row)
			if err == nil {
				row = next
			} else if !strings.Contains(err.Error(), `write store row "g"/"lease#1": `) {
				t.Error(err)
			}
		}
		d.until = 1 << 20
		if row, err = s.Get(t.Context(), "g", "lease#1"); err != nil {
			t.Fatal(err)
		}
		if row, err = s.Swap(t.Context(), row); err != nil {
			t.Fatal(err)
		}
		if got, err := New(s.dir).Get(t.Context(), "g", "lease#1"); err != nil || got.Revision != row.Revision {
			t.Errorf("after %d steps: %v, %v, want revision %d", after, got, err, row.Revision)
		}
	}
}
