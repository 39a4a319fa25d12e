package mark

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/record"
)

// The tests live in a space of 64 hashes; hash h stands for all of its 64th.
const space = 64

func hash(h int) keyspace.Hash { return keyspace.Hash{Hi: uint64(h) << 58} }

func span(first, last int) keyspace.Range {
	return keyspace.Range{First: hash(first), Last: keyspace.Hash{Hi: uint64(last)<<58 | (1<<58 - 1), Lo: ^uint64(0)}}
}

// hashes are the sub-records of an aggregate; it counts how often it is asked.
type hashes struct {
	of    []int
	asked int
}

func (h *hashes) Len() int { return len(h.of) }
func (h *hashes) Hash(i int) keyspace.Hash {
	h.asked++
	return hash(h.of[i])
}

func (h *hashes) Key(i int) string { return strconv.Itoa(h.of[i]) }

func pid(n int) (id [16]byte) {
	binary.BigEndian.PutUint64(id[:8], uint64(n))
	return id
}

func laned(producer int, over keyspace.Range, counters ...uint64) *aggregate.Identity {
	return &aggregate.Identity{Producer: pid(producer), Laned: true, Range: over, Counters: counters}
}

func TestResendsAreDuplicates(t *testing.T) {
	tr := New(keyspace.Full, 0)
	id := laned(1, keyspace.Full, 0, 1, 2)
	tr.Decide(nil, "1", id, &hashes{of: []int{1, 2, 3}})
	got := tr.Decide(nil, "2", id, &hashes{of: []int{1, 2, 3}})
	if !slices.Equal(got, []Verdict{Duplicate, Duplicate, Duplicate}) {
		t.Errorf("resend: %v", got)
	}
	got = tr.Decide(got[:1], "3", laned(1, keyspace.Full, 2, 3), &hashes{of: []int{3, 1}})
	if !slices.Equal(got, []Verdict{Duplicate, Duplicate, Deliver}) {
		t.Errorf("appended: %v", got)
	}
	got = tr.Decide(nil, "4", laned(2, keyspace.Full, 0), &hashes{of: []int{3}})
	if !slices.Equal(got, []Verdict{Deliver}) {
		t.Errorf("another producer: %v", got)
	}
}

func verdicts(v ...Verdict) []Verdict { return v }

// A record is where its explicit hash key says, also if its key by itself was seen
// in the shard.
func TestExplicitHashKeysDecide(t *testing.T) {
	key := "k"
	halves := keyspace.Split(2)
	if !halves[0].Has(keyspace.OfKey(key)) {
		halves[0], halves[1] = halves[1], halves[0]
	}
	tr := New(halves[0], 0)
	for i := range 3 {
		a := &aggregate.Aggregate{Subs: []aggregate.Sub{
			{Key: key}, {Key: key, ExplicitHashKey: halves[1].First.String()}, {Key: "other", ExplicitHashKey: halves[0].First.String()},
		}}
		if got := tr.Decide(nil, fmt.Sprint(i), nil, a); !slices.Equal(got, verdicts(Deliver, Foreign, Deliver)) {
			t.Errorf("aggregate %d: %v", i, got)
		}
	}
}

func TestDecide(t *testing.T) {
	const (
		d, u, m, f = Deliver, Duplicate, Misplaced, Foreign
	)
	full := keyspace.Full
	top := ^uint64(0)
	type step struct {
		id   *aggregate.Identity
		of   []int
		want []Verdict
		hash bool // records have to be hashed
	}
	for name, c := range map[string]struct {
		shard keyspace.Range
		steps []step
	}{
		"counter 0 is marked": {full, []step{
			{laned(1, full, 0), []int{1}, verdicts(d), false},
			{laned(1, full, 0), []int{1}, verdicts(u), false},
		}},
		"the highest counter is marked": {full, []step{
			{laned(1, full, top-1, top), []int{1, 2}, verdicts(d, d), false},
			{laned(1, full, top), []int{2}, verdicts(u), false},
		}},
		"an aggregate of a parent's lane, stored in the child": {span(0, 31), []step{
			// 40 was not delivered here: the mark must not hold for it.
			{laned(1, full, 5, 6, 9), []int{1, 40, 2}, verdicts(d, m, d), true},
			{laned(1, span(0, 31), 5, 9, 10), []int{1, 2, 3}, verdicts(u, u, d), false},
		}},
		"nothing of it belongs here": {span(0, 31), []step{
			{laned(1, span(32, 63), 5, 6), []int{40, 41}, verdicts(m, m), true},
			{laned(1, span(0, 31), 1), []int{1}, verdicts(d), false},
		}},
		"a mark holds for its range only": {full, []step{
			{laned(1, span(0, 31), 10), []int{1}, verdicts(d), false},
			{laned(1, span(32, 63), 3), []int{40}, verdicts(d), false},
			{laned(1, span(0, 31), 9), []int{1}, verdicts(u), false},
			{laned(1, span(32, 63), 4), []int{41}, verdicts(d), false},
			// The merged lane resends what either may have stored.
			{laned(1, full, 3, 8, 9, 11), []int{40, 41, 1, 1}, verdicts(u, d, u, d), true},
			// Now the merged lane's mark stands alone.
			{laned(1, full, 9, 11, 12), []int{1, 40, 41}, verdicts(u, u, d), false},
		}},
		"a late aggregate of a parent, after the child's": {full, []step{
			{laned(1, full, 20), []int{1}, verdicts(d), false},
			{laned(1, span(0, 31), 7), []int{1}, verdicts(u), false},
			{laned(1, span(0, 31), 25), []int{1}, verdicts(d), false},
			{laned(1, full, 25, 26), []int{1, 1}, verdicts(u, d), true},
		}},
		"not laned": {span(0, 31), []step{
			{&aggregate.Identity{Producer: pid(1), Range: span(0, 31), Counters: []uint64{1, 2}}, []int{1, 40}, verdicts(d, f), true},
			{&aggregate.Identity{Producer: pid(1), Range: span(0, 31), Counters: []uint64{1, 2}}, []int{1, 40}, verdicts(d, f), true},
		}},
		"no identity":                    {span(0, 31), []step{{nil, []int{1, 40, 2}, verdicts(d, f, d), true}}},
		"no identity, one shard for all": {full, []step{{nil, []int{1, 40, 2}, verdicts(d, d, d), false}}},
	} {
		tr := New(c.shard, 0)
		for i, s := range c.steps {
			hs := &hashes{of: s.of}
			if got := tr.Decide(nil, fmt.Sprint(i+1), s.id, hs); !slices.Equal(got, s.want) {
				t.Errorf("%s, step %d: %v, want %v", name, i, got, s.want)
			}
			if (hs.asked > 0) != s.hash {
				t.Errorf("%s, step %d: %d hashes computed", name, i, hs.asked)
			}
		}
	}
}

func TestChildrenInherit(t *testing.T) {
	left, right := New(span(0, 31), 0), New(span(32, 63), 0)
	left.Decide(nil, "1", laned(1, span(0, 31), 10), &hashes{of: []int{1}})
	left.Decide(nil, "2", laned(2, span(0, 31), 10), &hashes{of: []int{1}})
	right.Decide(nil, "1", laned(1, span(32, 63), 4), &hashes{of: []int{40}})
	left.Checkpointed(record.ShardEnd)
	right.Checkpointed(record.ShardEnd)

	merged := New(keyspace.Full, 0)
	for _, parent := range []*Tracker{left, right} {
		s, err := Decode(parent.Encode())
		if err != nil {
			t.Fatal(err)
		}
		merged.Inherit(s)
	}
	want := verdicts(Duplicate, Deliver, Duplicate, Deliver)
	if got := merged.Decide(nil, "1", laned(1, keyspace.Full, 4, 7, 10, 11), &hashes{of: []int{40, 41, 1, 2}}); !slices.Equal(got, want) {
		t.Errorf("merged: %v, want %v", got, want)
	}
	half := New(span(0, 15), 0)
	s, err := Decode(left.Encode())
	if err != nil {
		t.Fatal(err)
	}
	half.Inherit(s)
	if m := half.live.find(pid(1)).marks; len(m) != 1 || m[0].over != span(0, 15) {
		t.Errorf("the mark was not cut to the child: %v", m)
	}
}

func TestMarksSurviveTheStore(t *testing.T) {
	tr := New(span(0, 31), 0)
	tr.Decide(nil, "7", laned(1, keyspace.Full, 1, 2, 300), &hashes{of: []int{1, 40, 2}})
	tr.Decide(nil, "8", laned(2, span(4, 7), 5), &hashes{of: []int{5}})
	at := record.Position{Sequence: "8"}
	tr.Checkpointed(at)
	s, err := Decode(tr.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if s.At != at || s.Shard != span(0, 31) {
		t.Errorf("at %v, shard %v", s.At, s.Shard)
	}
	again := New(span(0, 31), 0)
	if !again.Restore(s, record.Position{Sequence: "9", SubSequence: 3}) {
		t.Fatal("not restored")
	}
	if got := again.Decide(nil, "10", laned(1, span(0, 31), 300, 301), &hashes{of: []int{2, 3}}); !slices.Equal(got, verdicts(Duplicate, Deliver)) {
		t.Errorf("after the restart: %v", got)
	}
	if got := again.Decide(nil, "11", laned(2, span(4, 7), 5, 6), &hashes{of: []int{5, 5}}); !slices.Equal(got, verdicts(Duplicate, Deliver)) {
		t.Errorf("after the restart: %v", got)
	}
}

// Somebody moved the checkpoint back to have records again.
func TestMarksThatLeadTheCheckpointAreDiscarded(t *testing.T) {
	tr := New(keyspace.Full, 0)
	tr.Decide(nil, "100", laned(1, keyspace.Full, 1, 2, 3), &hashes{of: []int{1, 2, 3}})
	tr.Checkpointed(record.Position{Sequence: "100", SubSequence: 1})
	s, err := Decode(tr.Encode())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		checkpoint record.Position
		use        bool
	}{
		{record.Position{}, false},
		{record.Position{Sequence: "LATEST"}, false},
		{record.Position{Sequence: "99", SubSequence: 7}, false},
		{record.Position{Sequence: "100"}, false},
		{record.Position{Sequence: "100", SubSequence: 1}, true},
		{record.Position{Sequence: "100", SubSequence: 2}, true},
		{record.Position{Sequence: "1000"}, true},
		{record.ShardEnd, true},
	} {
		again := New(keyspace.Full, 0)
		if got := again.Restore(s, c.checkpoint); got != c.use || s.Leads(c.checkpoint) == c.use {
			t.Errorf("checkpoint %v: restored %v", c.checkpoint, got)
		}
		want := Deliver
		if c.use {
			want = Duplicate
		}
		if got := again.Decide(nil, "100", laned(1, keyspace.Full, 1, 2, 3), &hashes{of: []int{1, 2, 3}}); got[0] != want {
			t.Errorf("checkpoint %v: first record is a %v", c.checkpoint, got[0])
		}
	}
}

func TestSavedMarksStopInsideAnAggregate(t *testing.T) {
	for name, counters := range map[string][]uint64{"dense": {5, 6, 7, 8}, "gaps": {5, 9, 300, 301}} {
		for sub := range int64(4) {
			tr := New(keyspace.Full, 0)
			id := laned(1, keyspace.Full, counters...)
			tr.Decide(nil, "100", id, &hashes{of: []int{1, 2, 3, 4}})
			tr.Decide(nil, "101", laned(1, keyspace.Full, 400), &hashes{of: []int{1}})
			tr.Checkpointed(record.Position{Sequence: "100", SubSequence: sub})
			s, err := Decode(tr.Encode())
			if err != nil {
				t.Fatal(err)
			}
			if got := s.marks[0].top; got != counters[sub] {
				t.Errorf("%s: checkpoint at sub-record %d: the mark is %d, want %d", name, sub, got, counters[sub])
			}
			again := New(keyspace.Full, 0)
			again.Restore(s, s.At)
			got := again.Decide(nil, "100", id, &hashes{of: []int{1, 2, 3, 4}})
			for i, v := range got {
				if i > int(sub) && v != Deliver {
					t.Errorf("%s: after a restart at %d, sub-record %d is a %v", name, sub, i, v)
				}
			}
			if a, b := again.live.find(pid(1)).marks[0].top, counters[3]; a != b {
				t.Errorf("%s: live mark %d, want %d", name, a, b)
			}
		}
	}
}

func TestRewindForgetsWhatWasNotCheckpointed(t *testing.T) {
	tr := New(keyspace.Full, 0)
	first, second := laned(1, keyspace.Full, 1), laned(1, keyspace.Full, 2)
	tr.Decide(nil, "1", first, &hashes{of: []int{1}})
	tr.Decide(nil, "2", second, &hashes{of: []int{1}})
	tr.Checkpointed(record.Position{Sequence: "1"})
	tr.Rewind()
	if got := tr.Decide(nil, "2", second, &hashes{of: []int{1}}); got[0] != Deliver {
		t.Errorf("read again: %v", got)
	}
	if got := tr.Decide(nil, "3", first, &hashes{of: []int{1}}); got[0] != Duplicate {
		t.Errorf("the checkpointed record again: %v", got)
	}
	tr.Checkpointed(record.Position{Sequence: "1"}) // not behind the last one
	tr.Rewind()
	if got := tr.Decide(nil, "2", second, &hashes{of: []int{1}}); got[0] != Deliver {
		t.Errorf("read a third time: %v", got)
	}
}

// Marks are saved less often than checkpoints. Read from where they belong,
// they catch up with the checkpoint, for the store and for a Rewind too.
func TestMarksThatLagCatchUp(t *testing.T) {
	first, second := laned(1, keyspace.Full, 1, 2), laned(1, keyspace.Full, 3, 4, 5)
	tr := New(keyspace.Full, 0)
	tr.Decide(nil, "1", first, &hashes{of: []int{1, 2}})
	tr.Checkpointed(record.Position{Sequence: "1", SubSequence: 1})
	lagging, err := Decode(tr.Encode())
	if err != nil {
		t.Fatal(err)
	}
	again := New(keyspace.Full, 0)
	again.Restore(lagging, record.Position{Sequence: "2", SubSequence: 1})
	again.Decide(nil, "1", first, &hashes{of: []int{1, 2}})
	again.Decide(nil, "2", second, &hashes{of: []int{1, 2, 3}})
	if got := again.saved.find(pid(1)).marks[0].top; got != 4 {
		t.Errorf("saved mark %d, want 4, that of the checkpoint", got)
	}
	again.Rewind()
	got := again.Decide(nil, "2", second, &hashes{of: []int{1, 2, 3}})
	if want := verdicts(Duplicate, Duplicate, Deliver); !slices.Equal(got, want) {
		t.Errorf("after Rewind: %v, want %v", got, want)
	}
}
