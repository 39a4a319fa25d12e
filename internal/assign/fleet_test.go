package assign

import (
	"maps"
	"slices"
)

// fleet is who owns what.
type fleet struct {
	workers map[string]*member
	owner   map[string]string // of every lease; empty: free
}

type member struct {
	limit    int
	stopping bool
	naive    bool // follows the rules of v0_test.go
}

// view is a fleet as somebody saw it.
type view struct {
	workers []Worker
	mine    map[string][]string
	free    []string
	leases  int
}

// change is a lease that is taken (from nobody), handed over, or given up (to
// nobody).
type change struct{ lease, from, to string }

func newFleet() *fleet { return &fleet{map[string]*member{}, map[string]string{}} }

func (f *fleet) view() view {
	v := view{mine: map[string][]string{}, leases: len(f.owner)}
	for _, l := range slices.Sorted(maps.Keys(f.owner)) {
		if o := f.owner[l]; o != "" {
			v.mine[o] = append(v.mine[o], l)
		} else {
			v.free = append(v.free, l)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(f.workers)) {
		w := f.workers[id]
		v.workers = append(v.workers, Worker{id, len(v.mine[id]), w.limit, w.stopping})
	}
	return v
}

// remove is a death that everybody knows of.
func (f *fleet) remove(id string) {
	delete(f.workers, id)
	for l, o := range f.owner {
		if o == id {
			f.owner[l] = ""
		}
	}
}

func (f *fleet) takes(v view) (out []change) {
	for _, id := range slices.Sorted(maps.Keys(f.workers)) {
		out = append(out, f.take(id, v)...)
	}
	return out
}

func (f *fleet) gives(v view) (out []change) {
	for _, id := range slices.Sorted(maps.Keys(f.workers)) {
		out = append(out, f.give(id, v)...)
	}
	return out
}

func (f *fleet) take(id string, v view) (out []change) {
	decide := Take
	if f.workers[id].naive {
		decide = naiveTake
	}
	for _, l := range decide(id, v.workers, v.leases, v.free) {
		out = append(out, change{lease: l, to: id})
	}
	return out
}

func (f *fleet) give(id string, v view) (out []change) {
	decide := Give
	if f.workers[id].naive {
		decide = naiveGive
	}
	for _, m := range decide(id, v.mine[id], v.workers, v.leases) {
		out = append(out, change{m.Lease, id, m.To})
	}
	return out
}

// counts of the running workers, and how uneven they are: the sum of squares,
// which a move to a worker with two fewer makes smaller.
func (f *fleet) counts() (counts map[string]int, uneven int) {
	counts = map[string]int{}
	for id, w := range f.workers {
		if !w.stopping {
			counts[id] = 0
		}
	}
	for _, o := range f.owner {
		if _, ok := counts[o]; ok {
			counts[o]++
		}
	}
	for _, n := range counts {
		uneven += n * n
	}
	return counts, uneven
}
