package fleet

import (
	"cmp"
	"time"
)

const (
	// watchEvery is the time between reads of a lease that is announced to us.
	watchEvery = 50 * time.Millisecond
	// A shard that takes long to drain is watched less closely.
	watchSlow  = 250 * time.Millisecond
	watchClose = 5 * time.Second
)

// consider decides the next thing to do about a lease.
func (m *Machine) consider(now time.Duration, l *entry) {
	if m.step != running {
		return
	}
	if !l.there {
		if l.make && l.ask == nil && !l.doubted {
			m.write(now, l, &Ask{Verb: Create, Shard: l.shard, Possession: m.floor + 1})
		}
		return
	}
	if l.hold == starting {
		m.start(now, l)
	}
	if l.hold != nothing && l.row.Possession != l.possession && !m.broken(RuleEarly) && !m.broken(RuleAnswered) {
		m.lose(l) // whoever has it now, it was not by our doing
	}
	switch {
	case l.hold == reading:
		m.keep(now, l)
	case l.hold == draining && m.broken(RuleBeforeGive) && l.ask == nil && l.row.Heir != "":
		m.give(now, l, l.row.Heir)
	case l.hold != nothing && (l.hold != losing || !m.broken(RuleDeaf)): // until it is Closed
	case m.stopping && l.mine(m.c.ID) && m.giveUp(now, l):
	case l.ask != nil || l.doubted:
	case l.mine(m.c.ID):
		m.settle(now, l)
	case !l.row.Ended() && l.row.Heir == m.c.ID && !m.dead(now, l):
		m.watch(now, l)
	}
}

// keep decides about a shard that we read. We go on reading until the heir has
// had the time to notice that it is one.
func (m *Machine) keep(now time.Duration, l *entry) {
	heir := l.row.Heir
	switch {
	case m.stopping:
		m.drain(l, ToStop)
	case l.ask != nil || l.doubted:
	case heir == "":
		if l.move != "" && m.runs(l.move) {
			m.write(now, l, &Ask{Verb: Announce, To: l.move})
		}
	case heir == Anyone:
		m.drain(l, ToBalance)
	case heir == m.c.ID || !m.runs(heir):
		m.write(now, l, &Ask{Verb: Withdraw})
	default:
		at := l.heirAt + m.period()*3/2
		if now < at {
			m.after(l, at)
			return
		}
		m.drain(l, ToBalance)
	}
}

func (m *Machine) drain(l *entry, why Why) {
	l.hold = draining
	m.act(Act{Kind: Drain, Why: why}, l)
}

// settle decides about a lease that the row says is ours, and whose shard we do
// not read: it was drained, or given to us, or it could not be proven for a
// while, or an answer was lost.
func (m *Machine) settle(now time.Duration, l *entry) {
	heir := l.row.Heir
	promised := heir != "" && heir != m.c.ID && m.runs(heir)
	switch {
	case l.done && l.possession == l.row.Possession && m.finish(now, l):
	case promised:
		m.give(now, l, heir)
	case m.stopping && m.runs(l.move):
		m.give(now, l, l.move)
	case m.stopping:
		m.give(now, l, "")
	case heir == Anyone, l.back != 0 && (l.back == l.row.Possession || l.giver == m.c.ID && now < l.rest), m.c.MaxLeases > 0 && m.held >= m.c.MaxLeases:
		m.rest(now, l)
		m.give(now, l, "")
	case !m.valid(now): // its proof will bring us back
	case now < l.pause:
		m.after(l, l.pause)
	case m.broken(RuleStale), m.broken(RuleLate) && l.possession == l.row.Possession:
		m.begin(l, l.row.Possession)
	default:
		m.take(now, l)
	}
}

// give ends our possession.
func (m *Machine) give(now time.Duration, l *entry, to string) {
	m.write(now, l, &Ask{Verb: Give, To: to})
}

// rest leaves a lease to others for a while.
func (m *Machine) rest(now time.Duration, l *entry) {
	if !m.broken(RuleRested) {
		l.rest = now + m.c.Timing.Rest
	}
}

// giveUp tells that a stopping worker has tried for long enough to give a lease
// away: whoever finds it dead will take it.
func (m *Machine) giveUp(now time.Duration, l *entry) bool {
	l.giving = cmp.Or(l.giving, now)
	if now < l.giving+giveUpAfter {
		m.after(l, l.giving+giveUpAfter)
		return false
	}
	m.owned--
	l.abandoned = true
	return true
}

// watch reads a lease that is announced to us closely, so that its shard is not
// silent for longer than it must.
func (m *Machine) watch(now time.Duration, l *entry) {
	m.rows.want(l.id)
	every := watchEvery
	if now > l.heirAt+watchClose {
		every = watchSlow
	}
	m.after(l, now+every)
}
