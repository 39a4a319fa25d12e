package fleet

import "time"

const (
	// lookQuick is the time between looks while somebody is about to hand
	// something over.
	lookQuick = 100 * time.Millisecond
	// lookShare is what each live worker adds to it: in a large fleet the looks
	// of all together stay few.
	lookShare  = 40 * time.Millisecond
	lookMost   = time.Second
	quickAfter = 3 * time.Second // for so long after somebody begins to stop
)

// sight is what the worker knows by looking at the others.
type sight struct {
	under  bool
	asked  time.Duration // the last one
	came   time.Duration // the last answer
	last   time.Duration // the one before
	seen   bool          // there was one
	soon   bool          // the next is due
	surely bool          // the next has to be sure
	sure   time.Duration // when the last sure one was asked that has an answer
	silent time.Duration // when the next worker will have been silent for too long
	heir   bool          // a lease is announced to us
	quick  time.Duration // until then somebody may hand over a lease any moment
	live   int           // workers, with us
	first  bool          // no running one has a smaller ID
}

// period is the time between looks in a fleet of this size.
func (m *Machine) period() time.Duration {
	return max(m.c.Timing.Look, min(time.Duration(m.sight.live)*lookShare, lookMost))
}

// count takes stock of the others after their rows were seen.
func (m *Machine) count() {
	s := &m.sight
	s.live, s.first, s.quick = 1, true, 0
	for _, p := range m.peers {
		if !p.alive() {
			continue
		}
		s.live++
		switch p.row.State {
		case Running:
			s.first = s.first && m.c.ID < p.row.ID
		case Stopping:
			s.quick = max(s.quick, p.stoppedAt+quickAfter)
		}
	}
}

// first tells that we have the smallest ID of those who run: what needs doing once
// is ours.
func (m *Machine) first() bool { return m.sight.first && m.runs(m.c.ID) }

// look looks at the other workers.
func (m *Machine) look(now time.Duration) {
	if m.sight.under || m.step == making {
		return
	}
	due := m.sight.asked + m.period()
	if m.sight.heir || now < m.sight.quick {
		due = min(due, m.sight.asked+lookQuick)
	}
	due = min(due, max(m.sight.silent, m.sight.asked+ringEvery))
	if m.broken(RulePaused) && now >= m.sight.silent {
		m.declare(now, now)
	}
	if now < due && !m.sight.soon {
		m.wake(due)
		return
	}
	verb := Look
	if m.sight.surely || m.step < running {
		verb = LookSurely
	}
	m.sight.under, m.sight.soon, m.sight.surely, m.sight.asked = true, false, false, now
	m.ask(now, &Ask{Verb: verb})
}

func (m *Machine) looked(now time.Duration, a *Ask, ans Answer) {
	m.sight.under = false
	if ans.Outcome != Done {
		m.sight.surely = m.sight.surely || a.Verb == LookSurely
		return
	}
	if blind := now - m.sight.came - m.period() - m.c.Timing.Lease/4; m.sight.seen && blind > 0 {
		// For so long we saw nobody, and perhaps nobody could be seen: that does
		// not count as silence.
		for _, p := range m.peers {
			p.since += blind
		}
	}
	m.sight.seen, m.sight.last, m.sight.came = true, m.sight.came, now
	there := make(map[string]bool, len(ans.Workers))
	for _, row := range ans.Workers {
		there[row.ID] = true
		m.meet(now, row)
	}
	for _, p := range m.sortedPeers() {
		switch {
		case there[p.row.ID] || p.buried:
		case !p.alive():
			p.buried = now >= p.deadAt+m.c.Timing.Lease
		case a.Verb == LookSurely && a.sent > p.metAt:
			p.buried, p.deadAt = true, now
			m.plan.news = true
		default:
			m.sight.surely = true // gone, or the look was behind
		}
	}
	if a.Verb == LookSurely {
		m.sight.sure = a.sent
		m.plan.news = true
	}
	m.count()
	m.declare(now, a.sent)
	m.bury(now)
	switch {
	case m.step == arriving:
		m.join(now)
	case m.step == confirming && a.Verb == LookSurely:
		m.confirm(now)
	}
}
