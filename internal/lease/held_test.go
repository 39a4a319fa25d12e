package lease

import (
	"context"
	"errors"
	"testing"

	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/mark"
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

// Whose marks count: the shard's own; those of its parents where it has none, or
// where somebody moved its checkpoint back before them.
func TestWhoseMarksCount(t *testing.T) {
	s := memory.New()
	for id, seq := range map[string]string{"child": "20", "parent": "10"} {
		tr := mark.New(keyspace.Full, 0)
		tr.Checkpointed(record.Position{Sequence: seq})
		row := newRow("g", "mark#x:"+id)
		row.Body = tr.Encode()
		if _, err := s.Swap(t.Context(), row); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		shard          string
		at, parent     record.Position
		own, inherited string
	}{
		{"child", record.Position{Sequence: "20"}, record.ShardEnd, "20", ""},
		{"child", record.Position{Sequence: "19"}, record.ShardEnd, "20", "10"},
		{"child", record.Position{}, record.Position{Sequence: "9"}, "20", ""}, // the parent was moved back too
		{"other", record.Position{}, record.ShardEnd, "", "10"},
	} {
		h := &held{store: s, group: "g", stream: "orders", shard: c.shard}
		own, of, err := h.loadMarks(t.Context(), "mark#x:", c.at, []*entry{{id: "parent", at: c.parent}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, inherited := "", ""
		if own != nil {
			got = own.At.Sequence
		}
		for _, m := range of {
			inherited += m.At.Sequence
		}
		if got != c.own || inherited != c.inherited {
			t.Errorf("%s at %v: own marks %q, of parents %q, want %q and %q", c.shard, c.at, got, inherited, c.own, c.inherited)
		}
	}
}
