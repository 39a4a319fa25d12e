package fleet

import "time"

// giveUpAfter is how long a stopping worker tries to give a lease away.
const giveUpAfter = 5 * time.Second

// leave ends the worker once nothing is left to do.
func (m *Machine) leave(now time.Duration) {
	switch m.step {
	case running:
		if !m.stopping || m.held > 0 {
			return
		}
		switch {
		case now >= m.until:
			m.step = over // nothing of it is valid any more
		case m.owned == 0 && m.queue.writes == 0:
			m.depart(now, nil)
		default:
			m.wake(m.until)
		}
	case leaving:
		if now >= m.leaveBy {
			m.step = over
			return
		}
		m.wake(m.leaveBy)
	case dying:
		if m.held == 0 {
			m.step = over
		}
	}
}

// depart writes that the worker is no more, so that nobody waits for it.
func (m *Machine) depart(now time.Duration, why error) {
	m.step, m.why = leaving, why
	m.self.State = Dead
	m.pulse.soon = true
	m.leaveBy = now + m.c.Timing.Lease
}
