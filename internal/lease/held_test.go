package lease

import (
	"context"
	"errors"
	"testing"

	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/memory"
)

// failing loses the next writes.
type failing struct {
	store.Store
	writes int
}

var errAway = errors.New("the store does not answer")

func (f *failing) Swap(ctx context.Context, r store.Row) (store.Row, error) {
	if f.writes > 0 {
		f.writes--
		return store.Row{}, errAway
	}
	return f.Store.Swap(ctx, r)
}

// Marks that were never saved have no row yet: that it is not found says
// nothing of the lease.
func TestARowThatWasNotMadeYetIsNoLostLease(t *testing.T) {
	f := &failing{memory.New(), 1}
	h := &held{store: f, group: "g", stream: "orders", shard: "shardId-000000000000", possession: 7, marks: newRow("g", "mark#x")}
	if err := h.SaveMarks(t.Context(), []byte("marks")); !errors.Is(err, errAway) || errors.Is(err, record.ErrLeaseLost) {
		t.Error(err)
	}
	if err := h.SaveMarks(t.Context(), []byte("marks")); err != nil {
		t.Error(err)
	}
	if err := f.Delete(t.Context(), h.marks); err != nil {
		t.Fatal(err)
	}
	if err := h.SaveMarks(t.Context(), []byte("more")); !errors.Is(err, record.ErrLeaseLost) {
		t.Errorf("after somebody deleted the row: %v", err)
	}
}
