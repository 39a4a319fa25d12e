package lease

import (
	"errors"
	"testing"

	"github.com/libvegas/vegas/internal/fleet"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/mark"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store/memory"
)

// Marks that were never saved have no row yet: that it is not found says
// nothing of the lease.
func TestARowThatWasNotMadeYetIsNoLostLease(t *testing.T) {
	f := &flaky{Store: memory.New()}
	h := &held{table: tableOn(f, "a"), stream: "orders", shard: "shardId-000000000000", possession: 7, marks: newRow("g", "mark#x")}
	f.set(true, false, false)
	if err := h.SaveMarks(t.Context(), []byte("marks")); !errors.Is(err, errAway) || errors.Is(err, record.ErrLeaseLost) {
		t.Error(err)
	}
	f.set(false, false, false)
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

// A death is counted once, also where the store's answer is lost.
func TestADeathCountsOnce(t *testing.T) {
	f := &flaky{Store: memory.New()}
	tab, l := made(t, f)
	h := &held{table: tab, stream: "orders", shard: oneShard, possession: l.Possession}
	for n := 1; n <= 2; n++ {
		f.set(false, n == 2, false)
		if err := h.Died(t.Context()); err != nil {
			t.Error(err)
		}
		if ans := do(t, tableOn(f.Store, "b"), fleet.Ask{Verb: fleet.Sweep}); len(ans.Leases) != 1 || ans.Leases[0].Takeovers != n {
			t.Errorf("death %d: %+v", n, ans)
		}
	}
}

// Whose marks count: the shard's own; those of its parents where it has none, or
// where somebody moved its checkpoint back before them.
func TestWhoseMarksCount(t *testing.T) {
	s := memory.New()
	tab := tableOn(s, "a")
	for shard, seq := range map[string]string{"child": "20", "parent": "10"} {
		tr := mark.New(keyspace.Full, 0)
		tr.Checkpointed(record.Position{Sequence: seq})
		row := newRow("g", tab.markID(shard))
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
		h := &held{table: tab, stream: "orders", shard: c.shard}
		parent := fleet.Lease{Shard: fleet.Shard{ID: "parent"}, At: c.parent}
		own, of, err := h.loadMarks(t.Context(), c.at, []fleet.Lease{parent}, nil)
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
