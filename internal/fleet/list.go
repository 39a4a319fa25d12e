package fleet

import "time"

const (
	// listEvery is the least time between listings of the stream's shards.
	listEvery = time.Second
	// cleanEvery is how often the leases of forgotten shards are looked for.
	cleanEvery = time.Hour
	// forgetAfter is how long a lease is known before it may be forgotten: what
	// made it, and had no answer, might be done once more.
	forgetAfter = time.Minute
)

// listing is what is known from listings of the stream's shards.
type listing struct {
	want  bool
	under bool
	ever  bool // it was asked for
	asked time.Duration
	gone  map[string]bool // shards without lease, whose records are gone
}

// list lists the shards if somebody wants that.
func (m *Machine) list(now time.Duration) {
	l := &m.listing
	if !l.want || l.under {
		return
	}
	if due := l.asked + listEvery; l.ever && now < due {
		m.wake(due)
		return
	}
	l.want, l.under, l.ever, l.asked = false, true, true, now
	m.ask(now, &Ask{Verb: List})
}

func (m *Machine) listed(now time.Duration, a *Ask, ans Answer) {
	m.listing.under = false
	if ans.Outcome != Done || len(ans.Shards) == 0 {
		m.listing.want = true
		return
	}
	there := make(map[string]bool, len(ans.Shards))
	for _, s := range ans.Shards {
		there[s.ID] = true
	}
	passed := map[string]bool{}
	for _, l := range m.sorted() {
		l.listed = false
		if l.there && !l.row.At.IsStart() {
			for _, p := range l.row.Parents {
				passed[p] = true
			}
		}
		if l.done && len(l.children) == 0 {
			l.children = childrenOf(l.id, ans.Shards)
			l.barren = len(l.children) == 0 && a.sent >= l.doneAt+childTime
			m.enqueue(l) // finish ends it, or wants another listing
		}
	}
	// A listing may be behind, but not for so long: a shard that waits for its
	// parents and is not listed any more waits for nothing.
	for _, l := range m.all {
		if l.there && !there[l.id] && m.unknownParent(l) && a.sent >= l.since+childTime {
			for _, p := range l.row.Parents {
				m.listing.gone[p] = true
			}
		}
	}
	for _, s := range ans.Shards {
		for _, p := range s.Parents {
			if !there[p] {
				m.listing.gone[p] = true
			}
		}
		// One whose children were started was done with, and is forgotten.
		if l := m.entry(s.ID); !l.there && !passed[s.ID] {
			l.shard, l.listed = s, true
		}
	}
	m.plan.news = true
	if m.first() {
		for _, l := range m.outlived(ans.Shards) {
			if now >= l.metAt+forgetAfter {
				m.write(now, l, &Ask{Verb: Forget})
			}
		}
	}
}

// clean wants a listing once in a while, to find what can be forgotten.
func (m *Machine) clean(now time.Duration) {
	if m.stopping || !m.first() {
		return
	}
	if due := m.cleaned + cleanEvery; now < due {
		m.wake(due)
		return
	}
	m.cleaned, m.listing.want = now, true
}
