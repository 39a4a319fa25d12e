package fleet

import "time"

// takeable tells that anybody may take a lease now, as far as we know; or when
// to ask again, if that is a matter of time.
func (m *Machine) takeable(now time.Duration, l *entry) (free bool, again time.Duration) {
	switch {
	case l.ask != nil && !m.broken(RuleTwice), l.doubted:
		return false, never
	case l.hold != nothing && !m.broken(RuleDeaf):
		return false, never
	case !l.there:
		if !l.listed || m.orphan(l.shard.Parents, true) {
			return false, never
		}
	case l.row.Ended() || l.row.Owner == m.c.ID || m.orphan(l.row.Parents, l.row.At.IsStart()):
		return false, never
	case m.broken(RuleForce) && l.row.Heir == m.c.ID:
	case l.row.Owner != "" && !m.dead(now, l):
		return false, never
	case l.row.Heir != m.c.ID && m.runs(l.row.Heir):
		return false, never // its heir goes first
	}
	if at := max(l.rest, l.retry); now < at {
		return false, at
	}
	return true, never
}

// takeSome takes what is planned, as far as writes may be under way.
func (m *Machine) takeSome(now time.Duration) {
	if !m.valid(now) || m.stopping {
		m.plan.takes = nil
		return
	}
	for len(m.plan.takes) > 0 && m.queue.writes < most {
		l := m.plan.takes[0]
		m.plan.takes = m.plan.takes[1:]
		if free, _ := m.takeable(now, l); free {
			m.take(now, l)
		}
	}
}

// unnumbered is a possession of ours of which the store makes the number.
const unnumbered = ^uint64(0)

// take makes a lease ours, of whomever it is now: a new possession in any case.
func (m *Machine) take(now time.Duration, l *entry) {
	me := m.c.ID
	if !l.there {
		l.how, l.from, l.took = Free, "", unnumbered
		m.write(now, l, &Ask{Verb: Create, Shard: l.shard, Possession: m.floor + 1, To: me})
		return
	}
	a := &Ask{Verb: Take, To: me}
	switch owner := l.row.Owner; {
	case owner == "" && l.gave == l.row.Possession, owner == me && (l.possession == l.row.Possession || l.giver == me):
		l.how, l.from = Again, me
	case owner == "":
		l.how, l.from = Free, ""
	case owner != me:
		l.how, l.from = FromDead, owner
		a.Dead = true
	case l.took != l.row.Possession: // else it is what we asked for
		l.how, l.from = ByHandoff, l.giver
	}
	l.took = l.row.Possession + 1
	m.write(now, l, a)
	if m.broken(RuleEarly) && l.ask == a {
		m.begin(l, l.took)
	}
}

// taken takes the answer to a Take or Create that made a possession of ours.
func (m *Machine) taken(l *entry, a *Ask, ans Answer) {
	if m.step != running {
		return
	}
	for _, row := range ans.Leases {
		if row.ID != l.id {
			continue
		}
		if l.row.Possession == row.Possession && l.row.Owner == m.c.ID || m.broken(RuleAnswered) {
			m.begin(l, row.Possession)
		}
	}
}

// begin makes Start the next act.
func (m *Machine) begin(l *entry, possession uint64) {
	if l.hold == nothing {
		m.held++
	}
	l.hold, l.possession = starting, possession
	l.done, l.back = false, 0
	m.enqueue(l)
}

// start starts a shard, if its lease is still worth something.
func (m *Machine) start(now time.Duration, l *entry) {
	if !m.broken(RuleEarly) && (!m.valid(now) || m.stopping || m.tooMany() || !l.mine(m.c.ID) || l.row.Possession != l.possession && !m.broken(RuleAnswered)) {
		m.release(l)
		return
	}
	l.hold = reading
	m.act(Act{Kind: Start, Begin: m.startOf(l), How: l.how, From: l.from}, l)
}

// tooMany tells that we have more than our limit.
func (m *Machine) tooMany() bool { return m.c.MaxLeases > 0 && m.held > m.c.MaxLeases }
