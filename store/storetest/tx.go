package storetest

import (
	"context"
	"errors"
	"testing"

	"github.com/libvegas/vegas/store"
)

// Transactions checks the transactions of a store. open returns a new and empty
// one each time; Transactions closes it.
func Transactions(t *testing.T, open func(t *testing.T) store.Transactor) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s store.Transactor)
	}{
		{"Commit stores all of it", commitStoresAll},
		{"Nothing is seen before Commit", unseenBeforeCommit},
		{"Rollback leaves nothing", rollbackLeavesNothing},
		{"Swap needs the revision that is stored", txSwapNeedsRevision},
		{"A transaction goes on after a conflict", goesOnAfterConflict},
		{"A revision of a transaction that was rolled back is of no use", rolledBackRevision},
		{"A context that is over ends the transaction", contextEndsTransaction},
		{"What follows a transaction waits for it", othersWaitTheirTurn},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			c.test(t, s)
			if err := s.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

func begin(ctx context.Context, t *testing.T, s store.Transactor) store.Tx {
	t.Helper()
	tx, err := s.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

func putIn(t *testing.T, tx store.Tx, r store.Row) store.Row {
	t.Helper()
	out, err := tx.Swap(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func commitStoresAll(t *testing.T, s store.Transactor) {
	ctx := t.Context()
	old := put(t, s, row("g", "lease#1", "n", "1"))
	tx := begin(ctx, t, s)
	lease := putIn(t, tx, edit(old, "n", "2"))
	mark := row("g", "mark#1")
	mark.Body = []byte{0, 1, 255}
	mark = putIn(t, tx, mark)
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	tx.Rollback() // does nothing
	for _, want := range []store.Row{lease, mark} {
		if got := get(t, s, "g", want.ID); !same(got, want) {
			t.Errorf("stored %v, want %v", got, want)
		}
	}
}

func unseenBeforeCommit(t *testing.T, s store.Transactor) {
	ctx := t.Context()
	old := put(t, s, row("g", "lease#1", "n", "1"))
	tx := begin(ctx, t, s)
	defer tx.Rollback()
	putIn(t, tx, edit(old, "n", "2"))
	putIn(t, tx, row("g", "lease#2"))
	if rows, err := s.List(ctx, "g", ""); err != nil || len(rows) != 1 || !same(rows[0], old) {
		t.Errorf("during the transaction others see %v, %v, want %v", rows, err, old)
	}
}

func rollbackLeavesNothing(t *testing.T, s store.Transactor) {
	old := put(t, s, row("g", "lease#1", "n", "1"))
	tx := begin(t.Context(), t, s)
	putIn(t, tx, edit(old, "n", "2"))
	putIn(t, tx, row("g", "lease#2"))
	tx.Rollback()
	tx.Rollback()
	if rows, err := s.List(t.Context(), "g", ""); err != nil || len(rows) != 1 || !same(rows[0], old) {
		t.Errorf("after Rollback: %v, %v, want %v", rows, err, old)
	}
	if err := tx.Commit(t.Context()); err == nil {
		t.Error("a transaction was committed after it had been rolled back")
	}
}

func txSwapNeedsRevision(t *testing.T, s store.Transactor) {
	ctx := t.Context()
	old := put(t, s, row("g", "lease#1", "n", "1"))
	now := put(t, s, edit(old, "n", "2"))
	tx := begin(ctx, t, s)
	defer tx.Rollback()
	for what, r := range map[string]store.Row{
		"an old revision":          old,
		"a row that is there":      row("g", "lease#1"),
		"a row that is not there":  {Group: "g", ID: "lease#2", Revision: now.Revision},
		"a row of another group":   {Group: "h", ID: "lease#1", Revision: now.Revision},
		"its own revision, no one": {Group: "g", ID: "lease#1", Revision: now.Revision + 1000},
	} {
		if _, err := tx.Swap(ctx, r); !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: %v, want ErrConflict", what, err)
		}
	}
}

func goesOnAfterConflict(t *testing.T, s store.Transactor) {
	ctx := t.Context()
	old := put(t, s, row("g", "lease#1", "n", "1"))
	tx := begin(ctx, t, s)
	defer tx.Rollback()
	if _, err := tx.Swap(ctx, row("g", "lease#1")); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("%v, want ErrConflict", err)
	}
	want := putIn(t, tx, edit(old, "n", "2"))
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if got := get(t, s, "g", "lease#1"); !same(got, want) {
		t.Errorf("stored %v, want %v", got, want)
	}
}

func rolledBackRevision(t *testing.T, s store.Transactor) {
	ctx := t.Context()
	old := put(t, s, row("g", "lease#1", "n", "1"))
	tx := begin(ctx, t, s)
	lost := putIn(t, tx, edit(old, "n", "2"))
	tx.Rollback()
	if _, err := s.Swap(ctx, edit(lost, "n", "3")); !errors.Is(err, store.ErrConflict) {
		t.Errorf("written over a revision that never was: %v, want ErrConflict", err)
	}
	put(t, s, edit(old, "n", "4"))
}

func contextEndsTransaction(t *testing.T, s store.Transactor) {
	old := put(t, s, row("g", "lease#1", "n", "1"))
	ctx, cancel := context.WithCancel(t.Context())
	tx := begin(ctx, t, s)
	putIn(t, tx, edit(old, "n", "2"))
	cancel()
	if err := tx.Commit(ctx); err == nil {
		t.Error("committed although its context was over")
	}
	tx.Rollback()
	put(t, s, edit(old, "n", "3")) // the transaction left no lock and no trace
	if _, err := s.Begin(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("begun with a context that is over: %v, want context.Canceled", err)
	}
}

// A write of the same row while a transaction has written it waits, and then
// meets what was committed.
func othersWaitTheirTurn(t *testing.T, s store.Transactor) {
	ctx := t.Context()
	old := put(t, s, row("g", "lease#1", "n", "1"))
	tx := begin(ctx, t, s)
	putIn(t, tx, edit(old, "n", "2"))
	done := make(chan error)
	for range 4 {
		go func() {
			_, err := s.Swap(ctx, edit(old, "n", "3"))
			done <- err
		}()
	}
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if err := <-done; !errors.Is(err, store.ErrConflict) {
			t.Errorf("written over what a transaction wrote: %v, want ErrConflict", err)
		}
	}
	if got := get(t, s, "g", "lease#1"); got.Fields["n"] != "2" {
		t.Errorf("the transaction's write is gone: %v", got)
	}
}
