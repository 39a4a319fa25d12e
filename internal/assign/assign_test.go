package assign

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestShare(t *testing.T) {
	for _, c := range []struct {
		name    string
		workers []Worker
		leases  int
		want    []int
	}{
		{"nobody else", []Worker{{ID: "a"}}, 5, []int{5}},
		{"nothing to own", []Worker{{ID: "a"}, {ID: "b"}}, 0, []int{0, 0}},
		{"the larger share is for who has more", []Worker{{ID: "a", Leases: 1}, {ID: "b", Leases: 4}}, 5, []int{2, 3}},
		{"or else for the smaller ID", []Worker{{ID: "b"}, {ID: "a"}}, 5, []int{2, 3}},
		{"more workers than leases", []Worker{{ID: "a"}, {ID: "b", Leases: 1}, {ID: "c"}}, 2, []int{1, 1, 0}},
		{"a limit above the share changes nothing", []Worker{{ID: "a", Limit: 3}, {ID: "b"}}, 6, []int{3, 3}},
		{"a limit below it is filled up by others", []Worker{{ID: "a", Limit: 2}, {ID: "b"}}, 6, []int{2, 4}},
		{"limits leave some free", []Worker{{ID: "a", Limit: 2}, {ID: "b", Limit: 1}}, 6, []int{2, 1}},
		{"what is beyond the limit may stay", []Worker{{ID: "a", Leases: 3, Limit: 2}, {ID: "b"}}, 8, []int{3, 5}},
		{"who stops has no share", []Worker{{ID: "a", Leases: 3, Stopping: true}, {ID: "b"}}, 5, []int{0, 5}},
		{"all stop", []Worker{{ID: "a", Stopping: true}}, 5, []int{0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i, w := range c.workers {
				if got := Share(w.ID, c.workers, c.leases); got != c.want[i] {
					t.Errorf("%s: %d, want %d", w.ID, got, c.want[i])
				}
			}
		})
	}
}

func TestStranger(t *testing.T) {
	all := []Worker{{ID: "a"}}
	if n := Share("x", all, 3); n != 0 {
		t.Errorf("share %d", n)
	}
	if got := Take("x", all, 3, []string{"1", "2", "3"}); got != nil {
		t.Errorf("takes %v", got)
	}
	if got := Give("x", []string{"1"}, all, 3); got != nil {
		t.Errorf("gives %v", got)
	}
}

// Where the count of leases is behind the workers' own, there may be too much and
// no room: that is kept.
func TestNobodyGivesToNobodyForBalance(t *testing.T) {
	all := []Worker{{ID: "a", Leases: 4}, {ID: "b", Leases: 3}}
	if got := Give("a", []string{"1", "2", "3", "4"}, all, 4); len(got) != 0 {
		t.Errorf("gives %v", got)
	}
}

// someFleet is any state that a fleet may get into.
func someFleet(r *rand.Rand) *fleet {
	f := newFleet()
	for i := range 1 + r.IntN(8) {
		w := &member{stopping: r.IntN(6) == 0}
		if r.IntN(4) == 0 {
			w.limit = 1 + r.IntN(12)
		}
		f.workers[fmt.Sprint("w", i)] = w
	}
	ids := append(slices.Sorted(maps.Keys(f.workers)), "")
	favourite := ids[r.IntN(len(ids))]
	for i := range r.IntN(60) {
		owner := ids[r.IntN(len(ids))]
		if r.IntN(3) == 0 {
			owner = favourite
		}
		f.owner[fmt.Sprintf("l%02d", i)] = owner
	}
	return f
}

func forSeeds(t *testing.T, n uint64, f func(t *testing.T, r *rand.Rand)) {
	for seed := range n {
		f(t, rand.New(rand.NewPCG(seed, 1)))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// Every single move, whatever else has happened since, leads to a worker with two
// fewer, together they are the fewest that balance needs, and one round of them
// is enough.
func TestOneView(t *testing.T) {
	forSeeds(t, 3000, func(t *testing.T, r *rand.Rand) {
		f := someFleet(r)
		v := f.view()
		all := append(f.takes(v), f.gives(v)...)

		seen := map[string]bool{}
		moves, before := 0, map[string]int{}
		for _, w := range v.workers {
			before[w.ID] = w.Leases
		}
		for _, c := range all {
			if seen[c.lease] {
				t.Errorf("%s is moved twice", c.lease)
			}
			seen[c.lease] = true
			if c.from != "" && !f.workers[c.from].stopping {
				moves++
			}
		}
		least := needed(v)
		if moves != least {
			t.Errorf("%d moves, needed are %d: %v", moves, least, v.workers)
		}

		// In any order, by anybody: balance gets better with every move.
		r.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
		slices.SortStableFunc(all, func(a, b change) int { return cmp.Compare(rank(f, a), rank(f, b)) })
		for _, c := range all {
			_, was := f.counts()
			f.owner[c.lease] = c.to
			if _, is := f.counts(); rank(f, c) == 0 && is >= was {
				t.Errorf("%v does not help: %d, was %d", c, is, was)
			}
		}
		settled(t, f)
		if w := f.view(); len(f.takes(w))+len(f.gives(w)) > 0 {
			t.Errorf("goes on: %v %v", f.takes(w), f.gives(w))
		}
	})
}

// rank puts moves for balance before what fills the fleet.
func rank(f *fleet, c change) int {
	if c.from != "" && !f.workers[c.from].stopping {
		return 0
	}
	return 1
}

// needed counts moves by force: one lease at a time, from whoever has too many,
// until all that is free can be shared out evenly.
func needed(v view) int {
	count, limit, loose := map[string]int{}, map[string]int{}, v.leases
	for _, w := range v.workers {
		if !w.Stopping {
			count[w.ID], limit[w.ID] = w.Leases, w.most()
			loose -= w.Leases
		}
	}
	if len(count) == 0 {
		return 0
	}
	for moves := 0; ; moves++ {
		// Share out what is loose to whoever has the least.
		filled := maps.Clone(count)
		for range loose {
			to := ""
			for id, n := range filled {
				if n < limit[id] && (to == "" || n < filled[to]) {
					to = id
				}
			}
			if to == "" {
				break
			}
			filled[to]++
		}
		// Does anybody still have two fewer than somebody who had them before?
		most, least := "", ""
		for id := range filled {
			if count[id] > 0 && filled[id] == count[id] && (most == "" || filled[id] > filled[most]) {
				most = id
			}
			if filled[id] < limit[id] && (least == "" || filled[id] < filled[least]) {
				least = id
			}
		}
		if most == "" || least == "" || filled[most]-filled[least] < 2 {
			return moves
		}
		count[most]--
		loose++
	}
}

// settled: all that can be owned is, and evenly.
func settled(t *testing.T, f *fleet) {
	t.Helper()
	counts, _ := f.counts()
	v := f.view()
	most, roomy := 0, ""
	for id, n := range counts {
		most = max(most, n)
		if w := f.workers[id]; (w.limit == 0 || n < w.limit) && (roomy == "" || n < counts[roomy]) {
			roomy = id
		}
	}
	if roomy == "" {
		return
	}
	if most-counts[roomy] > 1 {
		t.Errorf("uneven: %v", counts)
	}
	if len(v.free) > 0 {
		t.Errorf("%d are free, and %s has room", len(v.free), roomy)
	}
	for id, w := range f.workers {
		if w.stopping && len(v.mine[id]) > 0 {
			t.Errorf("%s stops and still has %d", id, len(v.mine[id]))
		}
	}
}

// What some have done already does not change what the others do.
func TestDoneOrSeenInAnyOrder(t *testing.T) {
	forSeeds(t, 1000, func(t *testing.T, r *rand.Rand) {
		f := someFleet(r)
		v := f.view()
		want := map[change]bool{}
		for _, c := range append(f.takes(v), f.gives(v)...) {
			want[change{c.lease, "", ""}] = true
		}
		for done := 0; ; {
			v := f.view()
			all := append(f.takes(v), f.gives(v)...)
			if len(all) == 0 {
				if done != len(want) {
					t.Errorf("%d moves one by one, %d at once", done, len(want))
				}
				return
			}
			c := all[r.IntN(len(all))]
			f.owner[c.lease] = c.to
			if done++; done > len(want) {
				t.Errorf("more moves one by one than the %d at once", len(want))
				return
			}
		}
	})
}

// Workers whose views of the others are behind, by as much as they like, each at
// its own time, and while the fleet changes: soon after it has come to rest it is
// balanced.
func TestViewsThatAreBehind(t *testing.T) {
	forSeeds(t, 300, func(t *testing.T, r *rand.Rand) { run(t, r, false) })
}

// And so does a fleet in which some follow other rules.
func TestTwoVersionsSettle(t *testing.T) {
	forSeeds(t, 300, func(t *testing.T, r *rand.Rand) { run(t, r, true) })
}

func run(t *testing.T, r *rand.Rand, mixed bool) {
	f := someFleet(r)
	for _, w := range f.workers {
		if w.naive = mixed && r.IntN(2) == 0; mixed {
			w.limit = 0 // the other rules know none
		}
	}
	if len(f.workers) == 0 {
		return
	}
	var past []view
	for step, quiet := 0, 0; ; step++ {
		if step < 40 && r.IntN(6) == 0 {
			switch id := fmt.Sprint("w", r.IntN(9)); {
			case f.workers[id] == nil:
				f.workers[id] = &member{naive: mixed && r.IntN(2) == 0}
			case r.IntN(2) == 0:
				f.remove(id)
			default:
				f.workers[id].stopping = true
			}
			continue
		}
		ids := slices.Sorted(maps.Keys(f.workers))
		if len(ids) == 0 {
			f.workers["w0"] = &member{}
			continue
		}
		now := f.view()
		past = append(past, now)
		id := ids[r.IntN(len(ids))]
		old := past[max(0, len(past)-1-r.IntN(12))]
		v := f.mixed(id, now, old)
		if r.IntN(2) == 0 {
			f.try(f.take(id, v))
		} else {
			f.try(f.give(id, v))
		}

		if v := f.view(); len(f.takes(v))+len(f.gives(v)) == 0 {
			if quiet++; quiet > 20 && step > 40 {
				settled(t, f)
				return
			}
		} else {
			quiet = 0
		}
		if step > 5000 {
			t.Errorf("does not settle: %s", f.shares())
			return
		}
	}
}

// mixed is an old view of the others, with what a worker knows of itself.
func (f *fleet) mixed(id string, now, old view) view {
	v := view{mine: now.mine, free: old.free, leases: old.leases}
	for _, w := range old.workers {
		if w.ID != id {
			v.workers = append(v.workers, w)
		}
	}
	w := f.workers[id]
	v.workers = append(v.workers, Worker{id, len(now.mine[id]), w.limit, w.stopping})
	return v
}

// try carries out what is still possible: a lease is taken only when it is free,
// and handed over only to a worker that lives.
func (f *fleet) try(all []change) {
	for _, c := range all {
		to := f.workers[c.to]
		if f.owner[c.lease] == c.from && (c.to == "" || to != nil && !to.stopping) {
			f.owner[c.lease] = c.to
		}
	}
}

func TestAffinitySpreadsEvenly(t *testing.T) {
	count := map[string]int{}
	ids := []string{"worker-1", "worker-2", "worker-3", "worker-4"}
	for i := range 4000 {
		lease, best, most := fmt.Sprintf("shardId-%012d", i), "", uint64(0)
		for _, id := range ids {
			if a := mix(hash(lease) ^ hash(id)); a > most {
				best, most = id, a
			}
		}
		count[best]++
	}
	for _, id := range ids {
		if count[id] < 850 || count[id] > 1150 {
			t.Errorf("%s is closest to %d of 4,000", id, count[id])
		}
	}
}

// A thousand leases, twenty workers, one of them new, and a tenth of the leases
// free.
func BenchmarkDecide(b *testing.B) {
	var all []Worker
	var free, mine []string
	for i := range 20 {
		all = append(all, Worker{ID: fmt.Sprintf("%032x", i), Leases: 47})
	}
	all[7].Leases = 0
	for i := range 1000 {
		id := fmt.Sprintf("123456789012:orders:1700000000:shardId-%012d", i)
		if i < 100 {
			free = append(free, id)
		} else if i < 147 {
			mine = append(mine, id)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		Take(all[7].ID, all, 1000, free)
		Give(all[3].ID, mine, all, 1000)
	}
}
