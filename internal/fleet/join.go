package fleet

import "time"

// join makes the worker's row, once nobody else lives under its name. A row of
// that name that does not change for its lease time is one that died.
func (m *Machine) join(now time.Duration) {
	for _, p := range m.sortedPeers() {
		if !m.namesake(p) {
			continue
		}
		if p.lives(m.c.Timing) && p.row.State != Stopping {
			m.step, m.why = over, ErrNameTaken
		}
		return // until it is over, or declared dead
	}
	m.step = making
	m.self.Beat = 1
	m.pulse = pulse{sent: now}
	m.ask(now, &Ask{Verb: Join, Worker: m.self})
}

func (m *Machine) joined(now time.Duration, a *Ask, ans Answer) {
	switch {
	case m.step == running && m.broken(RuleExists):
		m.prove(now, a)
	case m.step != making:
	case ans.Outcome == Unknown && m.broken(RuleAgain):
		m.ask(now, &Ask{Verb: Join, Worker: m.self})
	case ans.Outcome == Done || m.broken(RuleAgain):
		m.step = confirming
		m.prove(now, a)
		m.sight.soon = true
		if m.stopping {
			m.depart(now, nil)
		}
	default:
		// It may be there, or come to be. Another ID is free of that.
		m.step, m.why = over, ErrDead
	}
}

// confirm looks whether the name is still free, now that our row is there for
// others to see. Of two that joined at once, each sees the other: the larger ID
// leaves, the smaller waits until that is done, or until the other has not seen
// it and runs. Only one that lives counts: a row may also have been made late, for
// a process that was killed, or for this one when it had another ID.
func (m *Machine) confirm(now time.Duration) {
	wait := false
	for _, p := range m.sortedPeers() {
		switch {
		case !m.namesake(p) || m.broken(RuleName):
		case p.lives(m.c.Timing) && (p.row.State != Joining || p.row.ID < m.c.ID):
			m.depart(now, ErrNameTaken)
			return
		default:
			wait = true
		}
	}
	if wait {
		return
	}
	m.step = entering
	m.self.State = Running
	m.pulse.soon = true
}

// namesake tells that another worker lives under our name.
func (m *Machine) namesake(p *peer) bool {
	return m.c.Name != "" && p.row.Name == m.c.Name && p.alive()
}

// run begins the work.
func (m *Machine) run(now time.Duration) {
	m.step = running
	m.cleaned = now + 2*forgetAfter - cleanEvery
	m.rows.sweep = true
	m.listing.want = true
	m.plan.news = true
}
