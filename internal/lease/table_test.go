package lease

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/libvegas/vegas/internal/fleet"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/quiet"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/memory"
	"github.com/libvegas/vegas/store/storetest"
)

// flaky is a store whose calls fail, or whose writes are applied without an
// answer, as told.
type flaky struct {
	store.Store
	mu    sync.Mutex
	down  bool // nothing gets through
	mute  bool // writes are applied, their answers lost
	deaf  bool // nothing is read
	swaps int
}

var errAway = errors.New("the store does not answer")

func (f *flaky) set(down, mute, deaf bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down, f.mute, f.deaf = down, mute, deaf
}

func (f *flaky) Get(ctx context.Context, group, id string) (store.Row, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down || f.deaf {
		return store.Row{}, errAway
	}
	return f.Store.Get(ctx, group, id)
}

func (f *flaky) Swap(ctx context.Context, r store.Row) (store.Row, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.swaps++
	if f.down {
		return store.Row{}, errAway
	}
	out, err := f.Store.Swap(ctx, r)
	if err == nil && f.mute {
		return store.Row{}, errAway
	}
	return out, err
}

func tableOn(s store.Store, me string) *table {
	t := newTable(s, "g", "0:orders:1", me)
	t.warn = quiet.New(slog.New(slog.DiscardHandler))
	return t
}

const oneShard = "shardId-000000000001"

func do(t *testing.T, tab *table, a fleet.Ask) fleet.Answer {
	t.Helper()
	return tab.do(t.Context(), &a, time.Second)
}

// made is a table with one lease, that "a" owns.
func made(t *testing.T, s store.Store) (*table, fleet.Lease) {
	t.Helper()
	tab := tableOn(s, "a")
	ans := do(t, tab, fleet.Ask{Verb: fleet.Create, Shard: fleet.Shard{ID: oneShard, Range: keyspace.Full}, To: "a"})
	if ans.Outcome != fleet.Done || len(ans.Leases) != 1 || ans.Leases[0].Owner != "a" {
		t.Fatalf("create: %+v", ans)
	}
	return tab, ans.Leases[0]
}

func TestAsksOfALease(t *testing.T) {
	f := &flaky{Store: memory.New()}
	a, l := made(t, f)
	b := tableOn(f, "b")
	p := l.Possession

	for _, step := range []struct {
		what string
		by   *table
		ask  fleet.Ask
		want fleet.Outcome
	}{
		{"b finds it made", b, fleet.Ask{Verb: fleet.Create, Shard: fleet.Shard{ID: oneShard, Range: keyspace.Full}, To: "b"}, fleet.Refused},
		{"not from another owner", b, fleet.Ask{Verb: fleet.Take, Lease: oneShard, Possession: p, From: "c", To: "b"}, fleet.Refused},
		{"an heir", a, fleet.Ask{Verb: fleet.Announce, Lease: oneShard, Possession: p, From: "a", To: "b"}, fleet.Done},
		{"said again", a, fleet.Ask{Verb: fleet.Announce, Lease: oneShard, Possession: p, From: "a", To: "b"}, fleet.Done},
		{"not another one", a, fleet.Ask{Verb: fleet.Announce, Lease: oneShard, Possession: p, From: "a", To: "c"}, fleet.Refused},
		{"taken back", a, fleet.Ask{Verb: fleet.Withdraw, Lease: oneShard, Possession: p, From: "a"}, fleet.Done},
		{"given", a, fleet.Ask{Verb: fleet.Give, Lease: oneShard, Possession: p, From: "a", To: "b"}, fleet.Done},
		{"the giver has no say any more", a, fleet.Ask{Verb: fleet.Give, Lease: oneShard, Possession: p, From: "a", To: "c"}, fleet.Refused},
		{"b takes what is its own", b, fleet.Ask{Verb: fleet.Take, Lease: oneShard, Possession: p + 1, From: "b", To: "b"}, fleet.Done},
		{"b dies", a, fleet.Ask{Verb: fleet.Take, Lease: oneShard, Possession: p + 2, From: "b", To: "a", Dead: true}, fleet.Done},
		{"and b's end comes late", b, fleet.Ask{Verb: fleet.End, Lease: oneShard, Possession: p + 2, From: "b"}, fleet.Refused},
		{"the end", a, fleet.Ask{Verb: fleet.End, Lease: oneShard, Possession: p + 3, From: "a", Children: []string{"x", "y"}}, fleet.Done},
		{"nobody takes what has ended", b, fleet.Ask{Verb: fleet.Take, Lease: oneShard, Possession: p + 3, To: "b"}, fleet.Refused},
	} {
		if ans := do(t, step.by, step.ask); ans.Outcome != step.want {
			t.Fatalf("%s: %+v", step.what, ans)
		}
	}
	ans := do(t, b, fleet.Ask{Verb: fleet.Sweep})
	if got := ans.Leases[0]; len(ans.Leases) != 1 || !got.Ended() || got.Owner != "" || got.Possession != p+3 || got.Takeovers != 0 || len(got.Children) != 2 {
		t.Errorf("%+v", ans)
	}
	of := func(shard string) string { return a.layerPrefix() + shard + ":dedupe" }
	for _, id := range []string{of(oneShard), of(oneShard) + ":1", of(oneShard + "0")} {
		if _, err := f.Swap(t.Context(), newRow("g", id)); err != nil {
			t.Fatal(err)
		}
	}
	if ans := do(t, a, fleet.Ask{Verb: fleet.Forget, Lease: oneShard, Possession: p + 3}); ans.Outcome != fleet.Done {
		t.Errorf("forget: %+v", ans)
	}
	if rows, err := f.List(t.Context(), "g", a.layerPrefix()); err != nil || len(rows) != 1 || rows[0].ID != of(oneShard+"0") {
		t.Errorf("layers keep %v, %v", rows, err)
	}
	// What is made anew starts above all that was.
	c := tableOn(f, "c")
	if row, err := f.Store.Get(t.Context(), "g", c.groupID()); err != nil || row.Fields[fieldFloor] == "" {
		t.Errorf("no floor in %v, %v", row, err)
	}
	if ans := do(t, a, fleet.Ask{Verb: fleet.Read, Leases: []string{oneShard}}); len(ans.Gone) != 1 {
		t.Errorf("%+v", ans)
	}
}

// A write without an answer is what its row says, and unknown where that cannot
// be read.
func TestTheRowDecides(t *testing.T) {
	for _, c := range []struct {
		what             string
		down, mute, deaf bool
		want             fleet.Outcome
	}{
		{"applied, the answer lost", false, true, false, fleet.Done},
		{"applied, the answer lost, and not to be read", false, true, true, fleet.Unknown},
		{"nothing gets through", true, false, false, fleet.Unknown},
	} {
		t.Run(c.what, func(t *testing.T) {
			f := &flaky{Store: memory.New()}
			a, l := made(t, f)
			f.set(c.down, c.mute, c.deaf)
			if ans := do(t, a, fleet.Ask{Verb: fleet.Give, Lease: oneShard, Possession: l.Possession, From: "a", To: "b"}); ans.Outcome != c.want {
				t.Errorf("%+v", ans)
			}
			f.set(false, false, false)
			if ans := do(t, a, fleet.Ask{Verb: fleet.Give, Lease: oneShard, Possession: l.Possession, From: "a", To: "b"}); ans.Outcome != fleet.Done {
				t.Errorf("asked again: %+v", ans)
			}
		})
	}
}

// Through a bad network each Ask happens once or not at all, and who is told
// that a Take is done is the owner.
func TestAsksThroughABadNetwork(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		rows := memory.New()
		_, l := made(t, rows)
		lossy := storetest.NewLossy(rows, rnd)
		tabs := map[string]*table{"a": tableOn(lossy, "a"), "b": tableOn(lossy, "b")}
		holds := map[string]uint64{"a": l.Possession}
		for range 30 {
			me, other := "a", "b"
			if rnd.IntN(2) == 0 {
				me, other = other, me
			}
			if p, ok := holds[me]; ok {
				if ans := do(t, tabs[me], fleet.Ask{Verb: fleet.Give, Lease: oneShard, Possession: p, From: me, To: other}); ans.Outcome == fleet.Done {
					delete(holds, me)
				}
				continue
			}
			ans := do(t, tabs[me], fleet.Ask{Verb: fleet.Read, Leases: []string{oneShard}})
			if len(ans.Leases) != 1 || ans.Leases[0].Owner != me {
				continue
			}
			p := ans.Leases[0].Possession
			if ans := do(t, tabs[me], fleet.Ask{Verb: fleet.Take, Lease: oneShard, Possession: p, From: me, To: me}); ans.Outcome == fleet.Done {
				if len(holds) > 0 {
					t.Fatalf("seed %d: %s took what is held by %v", seed, me, holds)
				}
				holds[me] = p + 1
			}
		}
	}
}

func TestHeartbeats(t *testing.T) {
	f := &flaky{Store: memory.New()}
	a, b := tableOn(f, "a"), tableOn(f, "b")
	if _, err := f.Swap(t.Context(), newRow("g", a.groupID())); err != nil {
		t.Fatal(err)
	}
	w := fleet.Worker{ID: "a", Name: "one", State: fleet.Running, Beat: 1, Lease: 5 * time.Second}
	beat := func(want fleet.Outcome) {
		t.Helper()
		w.Beat++
		if ans := do(t, a, fleet.Ask{Verb: fleet.Beat, Worker: w}); ans.Outcome != want {
			t.Fatalf("beat %d: %+v", w.Beat, ans)
		}
	}
	if ans := do(t, a, fleet.Ask{Verb: fleet.Join, Worker: w}); ans.Outcome != fleet.Done {
		t.Fatalf("join: %+v", ans)
	}
	w.Bell.Ring(oneShard)
	w.Bell.Ring("strange")
	beat(fleet.Done)
	f.set(false, true, false)
	beat(fleet.Done) // the row tells
	f.set(false, false, false)
	ans := do(t, b, fleet.Ask{Verb: fleet.Look})
	if got := ans.Workers[0]; len(ans.Workers) != 1 || got.Name != "one" || got.Beat != 3 || got.Lease != 5*time.Second ||
		got.Bell.Count != 2 || got.Bell.Leases[0] != oneShard || got.Bell.Leases[1] != "strange" {
		t.Fatalf("%+v", ans)
	}
	// A heartbeat after what was seen, and the death is refused; and the other
	// way round.
	seen := ans.Workers[0]
	old := b.peers["a"]
	beat(fleet.Done)
	if ans := do(t, b, fleet.Ask{Verb: fleet.Declare, Worker: seen}); ans.Outcome != fleet.Refused || len(ans.Workers) != 1 || ans.Workers[0].Beat != w.Beat {
		t.Errorf("declared over a later heartbeat: %+v", ans)
	}
	seen = do(t, b, fleet.Ask{Verb: fleet.LookSurely}).Workers[0]
	b.peers["a"] = old // as a look does that is behind
	if ans := do(t, b, fleet.Ask{Verb: fleet.Declare, Worker: seen}); ans.Outcome != fleet.Done {
		t.Errorf("%+v", ans)
	}
	beat(fleet.Refused)
	if ans := do(t, b, fleet.Ask{Verb: fleet.Bury, Worker: seen}); ans.Outcome != fleet.Done {
		t.Errorf("%+v", ans)
	}
	beat(fleet.Refused) // nor does it make its row again
	if ans := do(t, b, fleet.Ask{Verb: fleet.LookSurely}); len(ans.Workers) != 0 {
		t.Errorf("risen: %+v", ans)
	}
}

func TestNamesOfShardsInABell(t *testing.T) {
	for id, want := range map[string]string{
		"shardId-000000000000": "0", "shardId-000000012345": "12345", "shardId-1234567890123": "1234567890123",
		"shardId-7": "shardId-7", "shardId-0000000000001": "shardId-0000000000001", "x": "x",
	} {
		if got := shortShard(id); got != want || longShard(got) != id {
			t.Errorf("%s: %s, and back %s", id, got, longShard(got))
		}
	}
}

func TestAClosedGroupTakesNoWorkers(t *testing.T) {
	s := memory.New()
	a := tableOn(s, "a")
	row := newRow("g", a.groupID())
	set(&row, fieldReset, yes)
	if _, err := s.Swap(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	if ans := do(t, a, fleet.Ask{Verb: fleet.Join, Worker: fleet.Worker{ID: "a", Name: "one"}}); ans.Outcome == fleet.Done {
		t.Errorf("%+v", ans)
	}
}

func TestCheckpointsBesideAsks(t *testing.T) {
	f := &flaky{Store: memory.New()}
	a, l := made(t, f)
	h := &held{table: a, stream: "orders", shard: oneShard, possession: l.Possession}
	if err := h.Checkpoint(t.Context(), record.Position{Sequence: "10"}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	do(t, a, fleet.Ask{Verb: fleet.Announce, Lease: oneShard, Possession: l.Possession, From: "a", To: "b"})
	f.set(false, true, false)
	if err := h.Checkpoint(t.Context(), record.Position{Sequence: "11", SubSequence: 3}, time.Time{}); err != nil {
		t.Errorf("its answer was lost: %v", err)
	}
	f.set(false, false, false)
	got := do(t, a, fleet.Ask{Verb: fleet.Read, Leases: []string{oneShard}}).Leases[0]
	if got.At != (record.Position{Sequence: "11", SubSequence: 3}) || got.Heir != "b" {
		t.Errorf("%+v", got)
	}
	// Somebody else has it: the old possession writes nothing.
	b := tableOn(f, "b")
	if ans := do(t, b, fleet.Ask{Verb: fleet.Take, Lease: oneShard, Possession: l.Possession, From: "a", To: "b", Dead: true}); ans.Outcome != fleet.Done || ans.Leases[0].Takeovers != 1 {
		t.Fatalf("%+v", ans)
	}
	if err := h.Checkpoint(t.Context(), record.Position{Sequence: "12"}, time.Time{}); !errors.Is(err, record.ErrLeaseLost) {
		t.Error(err)
	}
	next := &held{table: b, stream: "orders", shard: oneShard, possession: l.Possession + 1}
	if err := next.Checkpoint(t.Context(), record.Position{Sequence: "12"}, time.Time{}); err != nil {
		t.Error(err)
	}
	if got := do(t, b, fleet.Ask{Verb: fleet.Read, Leases: []string{oneShard}}).Leases[0]; got.Takeovers != 0 {
		t.Errorf("nobody died at the new position: %+v", got)
	}
	// A row that was made anew by somebody whose clock is behind is not its own.
	row, err := f.Get(t.Context(), "g", b.leaseID(oneShard))
	if err == nil {
		setNumber(&row, fieldPossession, l.Possession)
		_, err = f.Swap(t.Context(), row)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Checkpoint(t.Context(), record.Position{Sequence: "13"}, time.Time{}); !errors.Is(err, record.ErrLeaseLost) {
		t.Errorf("of a lower possession: %v", err)
	}
}
