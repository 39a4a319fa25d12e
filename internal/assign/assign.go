// Package assign decides how many leases each worker of a fleet should own, which
// of the free ones it takes, and which of its own it hands to whom. There is no
// leader: every worker computes the same from what it sees, and acts for itself.
//
// Workers of one view agree: no two take one lease, and together they hand over
// as few as balance needs. What is done of that leaves the rest as it was, so that
// it does not matter who acts first, or sees it earlier. Workers of different
// views disagree for a while, and cannot go on doing so: whoever gives has at
// least two more than whoever gets, so every move makes the fleet more even. That
// holds between any two versions of these rules, and is the one thing that no
// version may change.
package assign

import (
	"cmp"
	"math"
	"slices"
)

// Worker of a fleet: one that joins, runs or stops.
type Worker struct {
	ID string
	// Leases are what it owns, with what is being handed to it, and without what
	// it is handing over: everything asked for counts as done.
	Leases int
	// Limit is the most that it takes; 0: no limit.
	Limit int
	// Stopping: it gives everything away.
	Stopping bool
}

// Move is a lease to hand over; To is empty where no worker has room for it.
type Move struct {
	Lease, To string
}

// Share is how many leases a worker should own, of so many that are free or
// owned. Shares differ by one at most, but for limits; those who have more
// already have the larger one.
func Share(me string, workers []Worker, leases int) int {
	p := draw(workers, leases)
	if i, ok := p.find(me); ok {
		return p.share[i]
	}
	return 0
}

// Take picks from the free leases those that a worker takes now. It leaves room
// for what others are to hand over.
func Take(me string, workers []Worker, leases int, free []string) []string {
	p := draw(workers, leases)
	i, ok := p.find(me)
	if !ok {
		return nil
	}
	coming := 0
	for w := range p.workers {
		coming += p.excess(w)
	}
	room := make([]int, len(p.workers))
	for w := range room {
		room[w] = p.room(w)
		reserved := min(room[w], coming)
		room[w] -= reserved
		coming -= reserved
	}
	if room[i] == 0 {
		return nil
	}

	// Rendezvous: a lease goes to the worker with room that it has the most
	// affinity to. A lease taken takes one of its worker's room with it, so the
	// others' choices stay as they were.
	seeds := make([]uint64, len(p.workers))
	for w := range seeds {
		seeds[w] = hash(p.workers[w].ID)
	}
	var mine []string
	for _, lease := range slices.Sorted(slices.Values(free)) {
		seed, best := hash(lease), -1
		var most uint64
		for w := range room {
			if room[w] == 0 {
				continue
			}
			if a := mix(seed ^ seeds[w]); best < 0 || a > most {
				best, most = w, a
			}
		}
		if best < 0 {
			break
		}
		room[best]--
		if best == i {
			mine = append(mine, lease)
		}
	}
	return mine
}

// Give picks from the leases that a worker may hand over, the first ones first,
// those that it hands over now, and to whom. A stopping worker hands over all.
func Give(me string, mine []string, workers []Worker, leases int) []Move {
	p := draw(workers, leases)
	i, ok := p.find(me)
	if !ok {
		return nil
	}
	n := min(len(mine), p.excess(i))
	if n == 0 {
		return nil
	}
	moves := make([]Move, n)
	for k := range moves {
		moves[k].Lease = mine[k]
	}

	// All that is too much, worker by worker, is laid on all the room, worker by
	// worker. A move takes one from both, so the other moves stay as they were.
	at := 0
	for w := range i {
		at += p.excess(w)
	}
	next := 0
	for w := range p.workers {
		here := p.room(w)
		skip := min(at, here)
		at -= skip
		for ; here > skip && next < n; here-- {
			moves[next].To = p.workers[w].ID
			next++
		}
	}
	if !p.workers[i].Stopping {
		return moves[:next]
	}
	return moves
}

// plan is everybody's share.
type plan struct {
	workers []Worker // by ID
	share   []int
}

// draw fills the workers evenly, as far as their limits go. What would be one
// more for some is for those who have more: they need not give it away.
func draw(workers []Worker, leases int) plan {
	p := plan{slices.Clone(workers), make([]int, len(workers))}
	slices.SortFunc(p.workers, func(a, b Worker) int { return cmp.Compare(a.ID, b.ID) })

	order := make([]int, len(p.workers))
	for w := range order {
		order[w] = w
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p.workers[a].most(), p.workers[b].most()) })
	for k, w := range order {
		rest := len(order) - k
		if most := p.workers[w].most(); most <= leases/rest {
			p.share[w] = most
			leases -= most
			continue
		}
		open := order[k:]
		slices.SortFunc(open, func(a, b int) int {
			return cmp.Or(cmp.Compare(p.workers[b].Leases, p.workers[a].Leases), cmp.Compare(a, b))
		})
		for k, w := range open {
			p.share[w] = leases / rest
			if k < leases%rest {
				p.share[w]++
			}
		}
		break
	}
	return p
}

// most is a worker's limit. What it got beyond that, since two gave to it at
// once, it may keep: there may be nobody with two fewer.
func (w *Worker) most() int {
	switch {
	case w.Stopping:
		return 0
	case w.Limit <= 0:
		return math.MaxInt
	}
	return max(w.Limit, w.Leases)
}

func (p *plan) find(id string) (int, bool) {
	return slices.BinarySearchFunc(p.workers, id, func(w Worker, id string) int { return cmp.Compare(w.ID, id) })
}

func (p *plan) excess(w int) int { return max(0, p.workers[w].Leases-p.share[w]) }
func (p *plan) room(w int) int   { return max(0, p.share[w]-p.workers[w].Leases) }

// hash is FNV-1a.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// mix spreads every bit over all others (the end of MurmurHash3).
func mix(h uint64) uint64 {
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
