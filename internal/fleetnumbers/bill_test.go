//go:build unix

package fleetnumbers

import (
	"testing"

	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/memory"
)

// What DynamoDB Local bills for such calls stands in the peers module.
func TestBill(t *testing.T) {
	ctx := t.Context()
	b := newBill(memory.New())
	expect := func(what string, writes, reads float64) {
		t.Helper()
		w, r := b.take()
		if sum(w) != writes || sum(r) != reads {
			t.Errorf("%s costs %v and %v, want %v write and %v read units", what, w, r, writes, reads)
		}
	}
	row, err := b.Swap(ctx, store.Row{Group: "g", ID: "worker#1", Fields: map[string]string{"beat": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	expect("a row", 1, 0)
	if _, err := b.Swap(ctx, store.Row{Group: "g", ID: "worker#1"}); err == nil {
		t.Fatal("a row that is there was made again")
	}
	expect("a refusal", 1, 0)
	for range 2 {
		if _, err := store.Peek(ctx, b, "g", "worker#"); err != nil {
			t.Fatal(err)
		}
	}
	expect("two looks", 0, 1)
	big, err := b.Swap(ctx, store.Row{Group: "g", ID: "mark#1", Body: make([]byte, 4500)})
	if err != nil {
		t.Fatal(err)
	}
	expect("4,500 bytes", 5, 0)
	if _, err := b.Get(ctx, "g", "mark#1"); err != nil {
		t.Fatal(err)
	}
	expect("reading them", 0, 2)
	big.Body = nil
	if _, err := b.Swap(ctx, big); err != nil {
		t.Fatal(err)
	}
	expect("taking them away", 5, 0)
	if err := b.Delete(ctx, row); err != nil {
		t.Fatal(err)
	}
	expect("a deletion", 1, 0)
}
