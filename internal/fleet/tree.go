package fleet

import (
	"slices"
	"time"
)

// orphan tells that a shard may not be read yet: a parent is not done with, or
// has no lease and may still turn up. Of a shard that was started once, parents
// without a lease were done with.
func (m *Machine) orphan(parents []string, start bool) bool {
	if m.broken(RuleOrphans) {
		return false
	}
	for _, id := range parents {
		if p := m.leases[id]; p != nil && p.there {
			if !p.row.Ended() {
				return true
			}
		} else if start && !m.listing.gone[id] {
			return true
		}
	}
	return false
}

// unknownParent tells that a shard waits for a parent of which only a listing can
// tell whether it is gone. The listing has to be recent enough to hold the child:
// an older one may come before both.
func (m *Machine) unknownParent(l *entry) bool {
	if !l.there || l.row.Ended() || !l.row.At.IsStart() {
		return false
	}
	for _, id := range l.row.Parents {
		if p := m.leases[id]; (p == nil || !p.there && !p.listed) && !m.listing.gone[id] {
			return true
		}
	}
	return false
}

// startOf is where a shard begins that was never checkpointed: with its oldest
// record when something of a parent was delivered, so that nothing is left out
// between the two, and else where the group does. (A parent that ended before
// the group's start keeps its start.)
func (m *Machine) startOf(l *entry) time.Time {
	for _, id := range l.row.Parents {
		if p := m.leases[id]; p != nil && p.there && p.row.Start.IsZero() && !p.row.At.IsStart() {
			return time.Time{}
		}
	}
	return l.row.Start
}

func childrenOf(id string, all []Shard) []Shard {
	var out []Shard
	for _, s := range all {
		if slices.Contains(s.Parents, id) {
			out = append(out, s)
		}
	}
	return out
}

// outlived lists the leases that are of no use any more: of ended shards that
// the stream has forgotten, and whose children have taken over their marks. A
// listing proves that a shard is forgotten only if it shows a descendant of it.
func (m *Machine) outlived(all []Shard) []*entry {
	there := map[string]bool{}
	for _, s := range all {
		there[s.ID] = true
	}
	proof := map[string]bool{}
	var prove func(of *entry)
	prove = func(of *entry) {
		for _, id := range of.row.Parents {
			if p := m.leases[id]; p != nil && p.there && !proof[id] {
				proof[id] = true
				prove(p)
			}
		}
	}
	needed := map[string]bool{}
	for _, l := range m.all {
		if !l.there {
			continue
		}
		if there[l.id] {
			prove(l)
		}
		if l.row.At.IsStart() {
			for _, p := range l.row.Parents {
				needed[p] = true
			}
		}
	}
	var out []*entry
	for _, l := range m.sorted() {
		if l.there && l.row.Ended() && !there[l.id] && proof[l.id] && !needed[l.id] {
			out = append(out, l)
		}
	}
	return out
}
