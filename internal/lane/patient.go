package lane

import (
	"slices"
	"time"
)

// lateGap is how long late items that were told of are not told of again, unless
// End comes first: what has to be done before they may end can fail for long.
const lateGap = time.Second

// Late appends the items that are past their deadline and not in a request: at
// most once a second, unless they are ended in between. They stay where they
// are, so that nothing behind them leaves before they do or have ended.
func (m *Machine) Late(now time.Duration, late []*Item) []*Item {
	if now < m.rest {
		return late
	}
	n := len(late)
	of := func(q *queue) {
		before := len(late)
		if late = q.late(now, late); len(late) > before {
			q.earliest = now // they may be there for longer
		}
	}
	frozen := func(e *Entry) {
		if e.deadline() > now {
			return
		}
		for _, it := range e.Items {
			if it.state != done && deadline(it) <= now {
				late = append(late, it)
			}
		}
	}
	of(&m.early)
	for _, l := range m.lanes {
		for _, e := range l.again {
			frozen(e)
		}
		of(&l.q)
		of(&l.wait)
	}
	for _, e := range m.parked {
		frozen(e)
	}
	if len(late) > n {
		sortItems(late[n:])
		m.rest = now + lateGap
	}
	return late
}

// End ends items that Late gave out, each with its error, and those behind them
// with Config.FailKey. One that has ended meanwhile, or left again, is left out.
func (m *Machine) End(items []*Item, errs []error) {
	m.rest = 0
	torn := make(map[*lane]bool)
	for i, it := range items {
		switch it.state {
		case queued, waiting:
			m.unqueue(it)
		case frozen:
			torn[it.owner] = true
		case flying:
			if !slices.ContainsFunc(m.parked, func(e *Entry) bool { return slices.Contains(e.Items, it) }) {
				continue
			}
		default:
			continue
		}
		m.fail(it, errs[i])
	}
	for _, l := range m.lanes { // in their order: a map has none
		if torn[l] && m.c.Broken != Apart {
			m.thaw(l)
		}
	}
	m.settle()
	for i := 0; i < len(m.parked); i++ {
		e := m.parked[i]
		if e.late = 0; e.over() {
			m.unpark(i)
			i--
			m.land(e.lane, e)
		}
	}
	m.failFollowers()
}
