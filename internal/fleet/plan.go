package fleet

import (
	"time"

	"github.com/libvegas/vegas/internal/assign"
)

const (
	// planEvery is the least time between two plans of which the second only
	// takes our own changes in.
	planEvery = 20 * time.Millisecond
	// patience is how many looks long a lease may be free before it is anybody's.
	patience = 4
)

// plan is which leases to take and to hand over. It walks over all leases, so it
// is made anew only when the view has changed.
type plan struct {
	news    bool          // others changed something
	changed bool          // we did
	made    time.Duration // when
	at      time.Duration // when it changes by itself
	takes   []*entry      // to take, in this order
	overdue int           // leases that nobody takes although they may be taken
}

// assign makes a new plan if there is a reason.
func (m *Machine) assign(now time.Duration) {
	if !m.rows.swept {
		return
	}
	if !m.rows.current(now) && !m.stopping {
		m.plan.news, m.plan.takes = true, nil
		m.wake(m.rows.behind + lookMost)
		return
	}
	if m.plan.news || now >= m.plan.due() {
		m.plan = plan{made: now, at: never}
		m.draw(now)
	}
	m.wake(m.plan.due())
}

// due is when the plan is to be made anew, unless there is news.
func (p *plan) due() time.Duration {
	if p.changed && len(p.takes) == 0 {
		return min(p.at, p.made+planEvery)
	}
	return p.at
}

// draw makes the plan.
func (m *Machine) draw(now time.Duration) {
	v := m.survey(now)
	if m.stopping {
		for _, move := range assign.Give(m.c.ID, v.mine, v.workers, v.leases) {
			m.leases[move.Lease].move = move.To
		}
		return
	}
	m.planTakes(now, v)
	// While rows have yet to be read the others may seem to have less than they do.
	if m.plan.changed = !m.rows.quiet(); !m.plan.changed {
		m.planMoves(v)
	}
}

// view is the fleet as the balance rules see it.
type view struct {
	workers []assign.Worker
	leases  int      // that are owned or may be
	own     int      // ours
	mine    []string // ours, to hand over
	free    []string // to take
	heir    []*entry // to take, and promised to us
	overdue []*entry // to take, and nobody does
}

// survey counts.
func (m *Machine) survey(now time.Duration) *view {
	v := &view{}
	peers := m.sortedPeers()
	for _, p := range peers {
		p.leases = 0
	}
	m.sight.heir, m.plan.overdue = false, 0
	late := now - patience*m.period()
	for _, l := range m.sorted() {
		if l.there && l.row.Ended() || !l.there && !l.listed {
			continue
		}
		l.move = ""
		m.seekParents(now, l)
		if l.there && l.row.Heir == m.c.ID && l.row.Owner != m.c.ID {
			m.sight.heir = true
		}
		if l.mine(m.c.ID) && l.hold != losing {
			m.enqueue(l) // its heir may have come or gone
		}
		owner := m.owner(l)
		p := m.peers[owner]
		switch {
		case owner == m.c.ID:
			v.own++
			v.leases++
			if m.stopping && !l.done || l.hold == reading && l.row.Heir == "" && l.ask == nil {
				v.mine = append(v.mine, l.id)
			}
			if free, at := m.takeable(now, l); free {
				v.heir = append(v.heir, l) // promised by one that died since: others leave it to us
			} else {
				m.plan.at = min(m.plan.at, at)
			}
			continue
		case p != nil && p.alive():
			p.leases++
			v.leases++
		}
		if free, at := m.takeable(now, l); !free {
			l.freeAt = 0
			m.plan.at = min(m.plan.at, at)
			continue
		}
		if p == nil || !p.alive() {
			v.leases++
		}
		if l.freeAt == 0 {
			l.freeAt = max(now, 1)
		}
		if l.freeAt < late {
			v.overdue = append(v.overdue, l)
			m.plan.overdue++
		}
		v.free = append(v.free, l.id)
		m.plan.at = min(m.plan.at, max(l.freeAt+patience*m.period()+1, now+m.period()))
	}
	if m.step == running {
		v.workers = append(v.workers, assign.Worker{ID: m.c.ID, Leases: v.own, Limit: m.c.MaxLeases, Stopping: m.stopping})
	}
	for _, p := range peers {
		if p.alive() { // one that joins has its share, and takes it in a moment
			v.workers = append(v.workers, assign.Worker{ID: p.row.ID, Leases: p.leases, Limit: p.row.Limit, Stopping: p.row.State == Stopping})
		}
	}
	return v
}

// seekParents has the shards listed while one waits for a parent that is not
// known, and less often the more workers do so.
func (m *Machine) seekParents(now time.Duration, l *entry) {
	if m.listing.want || m.listing.under || !m.unknownParent(l) {
		return
	}
	at := m.listing.asked + listEvery*time.Duration(1+len(m.peers))
	if now < at {
		m.plan.at = min(m.plan.at, at)
		return
	}
	m.listing.want = true
}

// owner is who will own a lease once all that is announced or asked for is done.
func (m *Machine) owner(l *entry) string {
	if l.ask != nil {
		switch l.ask.Verb {
		case Take, Create, Announce, Give:
			return l.ask.To
		}
	}
	if !l.there {
		return ""
	}
	if m.runs(l.row.Heir) {
		return l.row.Heir
	}
	return l.row.Owner
}

// planTakes lists the leases to take.
func (m *Machine) planTakes(now time.Duration, v *view) {
	if !m.valid(now) {
		return
	}
	takes := v.heir
	planned := map[*entry]bool{}
	for _, id := range assign.Take(m.c.ID, v.workers, v.leases, v.free) {
		planned[m.leases[id]] = true
		takes = append(takes, m.leases[id])
	}
	for _, l := range v.overdue {
		if m.c.MaxLeases > 0 && v.own+len(takes) >= m.c.MaxLeases {
			break
		}
		if !planned[l] {
			takes = append(takes, l)
		}
	}
	m.plan.takes = takes
}

// planMoves says which of our leases to announce to whom.
func (m *Machine) planMoves(v *view) {
	if m.broken(RuleGreedy) {
		for _, id := range v.mine {
			for _, w := range v.workers {
				if w.ID != m.c.ID && !w.Stopping {
					m.leases[id].move = w.ID
				}
			}
		}
		return
	}
	for _, move := range assign.Give(m.c.ID, v.mine, v.workers, v.leases) {
		m.leases[move.Lease].move = move.To
	}
}
