package fleet

import (
	"slices"
	"time"
)

// ringEvery is the least time between two heartbeats of which the second only
// tells changes.
const ringEvery = 50 * time.Millisecond

// pulse is a worker's own heartbeat. One is under way at a time.
type pulse struct {
	under bool
	sent  time.Duration // the last one
	soon  bool          // there is something to tell
	lost  bool          // the last one had no answer
}

// beat writes the worker's row: every so often, and when there is news.
func (m *Machine) beat(now time.Duration) {
	if m.step < confirming || m.step >= dying || m.pulse.under {
		return
	}
	t := m.c.Timing
	due := m.pulse.sent + t.Beat
	if m.pulse.soon {
		due = m.pulse.sent + min(ringEvery, t.Beat)
	}
	if m.pulse.lost {
		due = min(due, m.pulse.sent+t.Beat/4)
	}
	if now < due {
		m.wake(due)
		return
	}
	m.pulse = pulse{under: true, sent: now}
	m.self.Beat++
	w := m.self
	w.Bell.Leases = slices.Clone(w.Bell.Leases)
	m.ask(now, &Ask{Verb: Beat, Worker: w})
}

func (m *Machine) beaten(now time.Duration, a *Ask, ans Answer) {
	m.pulse.under = false
	switch {
	case m.step >= dying:
	case ans.Outcome == Unknown:
		m.pulse.lost = true
	case m.step == leaving:
		if ans.Outcome == Refused || a.Worker.State == Dead {
			m.step = over
		}
	case ans.Outcome == Refused && m.broken(RuleExists) && len(ans.Workers) == 0:
		m.ask(now, &Ask{Verb: Join, Worker: a.Worker})
	case ans.Outcome == Refused && !m.broken(RuleResurrect):
		m.die()
	default:
		m.prove(now, a)
		if m.step == entering && a.Worker.State == Running {
			m.run(now)
		}
	}
}

// prove takes an acknowledged write of the own row: nobody saw the worker silent
// since it was sent.
func (m *Machine) prove(now time.Duration, a *Ask) {
	from := a.sent
	if m.broken(RuleSent) {
		from = now
	}
	m.until = max(m.until, from+m.c.Timing.Lease-m.c.Timing.Margin)
	if m.proven || now >= m.until {
		return
	}
	m.proven = true
	m.plan.news = true
	for _, l := range m.sorted() {
		if l.mine(m.c.ID) {
			m.enqueue(l)
		}
	}
}

// valid tells that our leases are provably ours.
func (m *Machine) valid(now time.Duration) bool { return now < m.until && m.step == running }

// expire gives everything up when its proof is over.
func (m *Machine) expire(now time.Duration) {
	if !m.proven {
		return
	}
	if now < m.until {
		m.wake(m.until)
		return
	}
	m.proven = false
	m.loseAll()
}

// die is the end of a worker that is, or may be, dead to the others.
func (m *Machine) die() {
	m.step, m.why = dying, ErrDead
	m.proven = false
	m.until = 0
	m.loseAll()
}

func (m *Machine) loseAll() {
	if m.held == 0 {
		return
	}
	for _, l := range m.sorted() {
		m.lose(l)
	}
}

// ring tells the others of a lease that we changed.
func (m *Machine) ring(lease string) {
	m.self.Bell.Ring(lease)
	m.pulse.soon = true
}
