package storetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/libvegas/vegas/store"
)

// racers is how many goroutines compete in the races.
const racers = 64

// Of all workers that see a free lease, one gets it.
func oneCreatorWins(t *testing.T, s store.Store) {
	won := race(t, func(ctx context.Context, i int) error {
		_, err := s.Swap(ctx, row("g", "lease#1", "owner", strconv.Itoa(i)))
		return err
	})
	if got := get(t, s, "g", "lease#1").Fields["owner"]; got != strconv.Itoa(won) {
		t.Errorf("goroutine %d was told that it won, the row says %s", won, got)
	}
}

// Whoever deletes a row may act on it, so only one may be told that it did.
func oneDeleterWins(t *testing.T, s store.Store) {
	r := put(t, s, row("g", "lease#1"))
	race(t, func(ctx context.Context, _ int) error { return s.Delete(ctx, r) })
}

// race runs try in many goroutines at once and returns the one that succeeded;
// all others must meet a conflict.
func race(t *testing.T, try func(ctx context.Context, i int) error) int {
	t.Helper()
	errs := make([]error, racers)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			<-start
			errs[i] = try(t.Context(), i)
		})
	}
	close(start)
	wg.Wait()
	won := -1
	for i, err := range errs {
		switch {
		case err == nil && won >= 0:
			t.Errorf("goroutines %d and %d both succeeded", won, i)
		case err == nil:
			won = i
		case !errors.Is(err, store.ErrConflict):
			t.Errorf("goroutine %d: %v, want ErrConflict", i, err)
		}
	}
	if won < 0 {
		t.Error("nobody succeeded")
	}
	return won
}

// A fencing token is an increment: none may be lost. Two rows, so that a store
// may not serialise by luck alone.
func noIncrementIsLost(t *testing.T, s store.Store) {
	for _, id := range []string{"a", "b"} {
		put(t, s, row("g", id, "n", "0"))
	}
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			if err := increment(t.Context(), s, "g", []string{"a", "b"}[i%2]); err != nil {
				t.Errorf("goroutine %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	for _, id := range []string{"a", "b"} {
		if got := get(t, s, "g", id).Fields["n"]; got != strconv.Itoa(racers/2) {
			t.Errorf("row %s: %s increments arrived, want %d", id, got, racers/2)
		}
	}
}

// increment adds one to the field n, again and again until it meets no
// conflict.
func increment(ctx context.Context, s store.Store, group, id string) error {
	for {
		r, err := s.Get(ctx, group, id)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(r.Fields["n"])
		if err != nil {
			return err
		}
		_, err = s.Swap(ctx, edit(r, "n", strconv.Itoa(n+1)))
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// everyRevisionHasOneWinner races writers and deleters of one row. Whatever they
// do, the writes that succeeded are a chain: each came from what the one before
// it left, and no number came twice, deletions or not. A fork would be two
// owners of a lease.
func everyRevisionHasOneWinner(t *testing.T, s store.Store) {
	type step struct{ from, to uint64 } // to 0: deleted
	steps := make([][]step, racers)
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			for try := range 3 {
				r, err := s.Get(t.Context(), "g", "lease#1")
				if errors.Is(err, store.ErrNotFound) {
					r, err = row("g", "lease#1"), nil
				}
				if err != nil {
					t.Errorf("goroutine %d: %v", i, err)
					return
				}
				done := step{from: r.Revision}
				if r.Revision != 0 && (i+try)%4 == 0 {
					err = s.Delete(t.Context(), r)
				} else {
					r, err = s.Swap(t.Context(), edit(r, "writer", strconv.Itoa(i)))
					done.to = r.Revision
				}
				switch {
				case err == nil:
					steps[i] = append(steps[i], done)
				case !errors.Is(err, store.ErrConflict):
					t.Errorf("goroutine %d: %v, want ErrConflict", i, err)
				}
			}
		})
	}
	wg.Wait()
	left, made := map[uint64]int{}, map[uint64]bool{}
	rows := 0 // how many there are, by what was told
	for _, d := range slices.Concat(steps...) {
		if d.from == 0 {
			rows++
		} else if left[d.from]++; left[d.from] > 1 {
			t.Errorf("%d writes succeeded from revision %d", left[d.from], d.from)
		}
		if d.to == 0 {
			rows--
		} else if made[d.to] {
			t.Errorf("revision %d was given twice", d.to)
		}
		made[d.to] = true
	}
	switch end, err := s.Get(t.Context(), "g", "lease#1"); {
	case errors.Is(err, store.ErrNotFound):
		if rows != 0 {
			t.Errorf("%d more creations than deletions, and no row", rows)
		}
	case err != nil:
		t.Error(err)
	case rows != 1 || !made[end.Revision] || left[end.Revision] > 0:
		t.Errorf("revision %d is stored after %d more creations than deletions, and it was replaced %d times", end.Revision, rows, left[end.Revision])
	}
}

// closesWhileUsed: a program that ends closes its store while heartbeats are
// under way; they must end, one way or the other.
func closesWhileUsed(t *testing.T, s store.Store) {
	var wg sync.WaitGroup
	started := make(chan struct{}, racers)
	for i := range racers {
		wg.Go(func() {
			r := row("g", strconv.Itoa(i))
			for range 100 {
				var err error
				if r, err = s.Swap(t.Context(), r); err != nil {
					if errors.Is(err, store.ErrConflict) {
						t.Errorf("goroutine %d, alone on its row: %v", i, err)
					}
					return
				}
				select {
				case started <- struct{}{}:
				default:
				}
			}
		})
	}
	<-started
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

// A row is one thing: its fields and its body change together.
func readersSeeWholeRows(t *testing.T, s store.Store) {
	write := func(r store.Row, i int) store.Row {
		r.Fields = map[string]string{"n": strconv.Itoa(i)}
		r.Body = bytes.Repeat([]byte{byte(i)}, 1000+i*100)
		return r
	}
	r := put(t, s, write(row("g", "mark#1"), 0))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	check := func(r store.Row) {
		i, err := strconv.Atoi(r.Fields["n"])
		if err != nil || len(r.Body) != 1000+i*100 || bytes.Count(r.Body, []byte{byte(i)}) != len(r.Body) {
			t.Errorf("a torn row: n=%q and %d bytes", r.Fields["n"], len(r.Body))
		}
	}
	for i := range 4 {
		wg.Go(func() {
			var last uint64
			seen := map[uint64]bool{}
			for {
				select {
				case <-stop:
					return
				default:
				}
				var got store.Row
				if i%2 == 0 {
					got = get(t, s, "g", "mark#1")
				} else if rows, err := s.List(t.Context(), "g", "mark#"); err != nil || len(rows) != 1 {
					t.Errorf("List: %d rows, %v", len(rows), err)
					return
				} else {
					got = rows[0]
				}
				check(got)
				if got.Revision != last && seen[got.Revision] {
					t.Errorf("went back to revision %d", got.Revision)
				}
				last = got.Revision
				seen[last] = true
			}
		})
	}
	for i := range 50 {
		r = put(t, s, write(r, i))
	}
	close(stop)
	wg.Wait()
}
