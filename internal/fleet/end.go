package fleet

import "time"

// childTime is how long a closed shard's children may take to be listed. Only a
// listing tells that they did not: a worker that was frozen, or had no answer,
// for so long knows nothing.
const childTime = 30 * time.Second

// finish writes that a shard is done with, once its children have leases: if we
// die before, whoever follows finds the end again and goes on here. It tells
// false if that is better left to another.
func (m *Machine) finish(now time.Duration, l *entry) bool {
	if len(l.children) == 0 && !l.barren && !m.broken(RuleChildless) {
		if m.stopping {
			return false
		}
		m.listing.want = true
		return true
	}
	ids, wait := []string(nil), false
	for _, c := range l.children {
		ids = append(ids, c.ID)
		child := m.entry(c.ID)
		if child.there || m.broken(RuleChildless) {
			continue
		}
		wait = true // its row will bring us back
		child.shard, child.make = c, true
		m.enqueue(child)
	}
	if !wait {
		m.write(now, l, &Ask{Verb: End, Children: ids})
	}
	return true
}
