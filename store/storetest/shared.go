package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/store"
)

// Shared checks that stores opened on one place see each other's writes and
// keep them when they are closed. open returns a new handle on the same place
// each time.
func Shared(t *testing.T, open func(t *testing.T) store.Store) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, open func(t *testing.T) store.Store)
	}{
		{"Handles conflict like goroutines", handlesConflict},
		{"An acknowledged write is read by every handle", acknowledgedIsRead},
		{"No increment of any handle is lost", handlesIncrement},
		{"Rows outlive the handles", rowsOutliveHandles},
		{"A separate handle is closed by itself", separateIsClosedByItself},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.test(t, func(t *testing.T) store.Store {
				s := open(t)
				t.Cleanup(func() {
					if err := s.Close(); err != nil {
						t.Errorf("close: %v", err)
					}
				})
				return s
			})
		})
	}
}

// Two processes of a group are two handles: the slower must be refused.
func handlesConflict(t *testing.T, open func(t *testing.T) store.Store) {
	ctx := t.Context()
	a, b := open(t), open(t)
	one := put(t, a, row("conflicts", "lease#1", "n", "1"))
	if got := get(t, b, "conflicts", "lease#1"); !same(got, one) {
		t.Errorf("the other handle reads %v, want %v", got, one)
	}
	two := put(t, b, edit(one, "n", "2"))
	if _, err := a.Swap(ctx, edit(one, "n", "3")); !errors.Is(err, store.ErrConflict) {
		t.Errorf("write over the other handle's write: %v, want ErrConflict", err)
	}
	if err := a.Delete(ctx, one); !errors.Is(err, store.ErrConflict) {
		t.Errorf("delete of the other handle's write: %v, want ErrConflict", err)
	}
	if err := b.Delete(ctx, two); err != nil {
		t.Error(err)
	}
	three := put(t, a, row("conflicts", "lease#1", "n", "4"))
	if three.Revision == one.Revision || three.Revision == two.Revision {
		t.Errorf("made anew with a revision seen before: %d after %d, %d", three.Revision, one.Revision, two.Revision)
	}
}

// Whoever is told that a lease was given up, by whatever way, must find it given
// up: neither List nor Get may lag behind an acknowledged write.
func acknowledgedIsRead(t *testing.T, open func(t *testing.T) store.Store) {
	ctx := t.Context()
	a, b := open(t), open(t)
	r := row("acknowledged", "lease#1")
	for i := range 20 {
		r = put(t, a, edit(r, "n", strconv.Itoa(i)))
		if rows, err := b.List(ctx, "acknowledged", "lease#"); err != nil || len(rows) != 1 || !same(rows[0], r) {
			t.Fatalf("after write %d the other handle lists %v, %v, want %v", i, rows, err, r)
		}
		other := put(t, a, row("acknowledged", fmt.Sprint("lease#other", i)))
		if got := get(t, b, "acknowledged", other.ID); !same(got, other) {
			t.Fatalf("the other handle reads %v, want %v", got, other)
		}
		if err := a.Delete(ctx, other); err != nil {
			t.Fatal(err)
		}
		if rows, err := b.List(ctx, "acknowledged", ""); err != nil || len(rows) != 1 {
			t.Fatalf("after a deletion the other handle lists %v, %v", rows, err)
		}
	}
}

func handlesIncrement(t *testing.T, open func(t *testing.T) store.Store) {
	const handles, rounds = 8, 8
	a := open(t)
	put(t, a, row("increments", "counter", "n", "0"))
	var wg sync.WaitGroup
	for i := range handles {
		s := open(t)
		wg.Go(func() {
			for range rounds {
				if err := increment(t.Context(), s, "increments", "counter"); err != nil {
					t.Errorf("handle %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	if got := get(t, a, "increments", "counter").Fields["n"]; got != strconv.Itoa(handles*rounds) {
		t.Errorf("%s increments by %d handles arrived, want %d", got, handles, handles*rounds)
	}
}

// A group goes on where it stopped, and numbers given before it stopped do not
// come again.
func rowsOutliveHandles(t *testing.T, open func(t *testing.T) store.Store) {
	var kept, gone store.Row
	t.Run("first", func(t *testing.T) {
		s := open(t)
		kept = put(t, s, row("outlive", "lease#1", "n", "1"))
		gone = put(t, s, row("outlive", "lease#2", "n", "1"))
		if err := s.Delete(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
	})
	s := open(t)
	if got := get(t, s, "outlive", "lease#1"); !same(got, kept) {
		t.Errorf("after closing: %v, want %v", got, kept)
	}
	if again := put(t, s, row("outlive", "lease#2")); again.Revision == gone.Revision {
		t.Errorf("made anew with revision %d, which it had before", again.Revision)
	}
}

// Heartbeats go over a handle of their own, and its end is not the store's.
func separateIsClosedByItself(t *testing.T, open func(t *testing.T) store.Store) {
	s := open(t)
	own := store.Separate(s)
	r := put(t, own, row("separate", "worker#1"))
	if err := own.Close(); err != nil {
		t.Error(err)
	}
	if got := get(t, s, "separate", "worker#1"); !same(got, r) {
		t.Errorf("got %v, want %v", got, r)
	}
}

// AnyClock checks that a store in this process does not lean on the wall clock:
// a machine's may jump by years, at its start or when somebody sets it, and
// neither revisions nor what is read may follow. open returns a new handle on
// the same place each time; it is called inside a synctest bubble, too, whose
// clock starts in the year 2000.
func AnyClock(t *testing.T, open func(t *testing.T) store.Store) {
	seen := map[uint64]bool{}
	live := func(t *testing.T) {
		s := open(t)
		r, err := s.Get(t.Context(), "clock", "lease#1")
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
		if err != nil {
			r = row("clock", "lease#1")
		}
		write := func() {
			r = put(t, s, r)
			if seen[r.Revision] {
				t.Errorf("at %v revision %d came again", time.Now(), r.Revision)
			}
			seen[r.Revision] = true
			if got := get(t, s, "clock", "lease#1"); !same(got, r) {
				t.Errorf("at %v: read %v, want %v", time.Now(), got, r)
			}
		}
		for range 3 {
			write()
			if err := s.Delete(context.WithoutCancel(t.Context()), r); err != nil {
				t.Fatal(err)
			}
			r.Revision = 0
			write()
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	live(t)
	synctest.Test(t, func(t *testing.T) { // back to the year 2000
		live(t)
		time.Sleep(100 * 365 * 24 * time.Hour) // and on to 2100
		live(t)
	})
	live(t)
}
