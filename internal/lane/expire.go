package lane

import (
	"time"

	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/record"
)

// expire ends the items that are past their deadline and not under way. The
// rest of an entry that loses some goes back to the queue: it cannot leave
// with the same bytes any more. Records that later ones of their key overtake
// this way leave a gap, no inversion: the earlier one is never sent again.
func (m *Machine) expire(now time.Duration) {
	m.endLate(m.early.late(now, nil), nil)
	for _, l := range m.lanes {
		if l.frozenUntil() <= now {
			for _, e := range l.again {
				m.failLate(e, now, l.cause)
			}
			m.thaw(l)
		}
		if m.c.Raw && min(l.q.due(), l.wait.due()) <= now {
			// Both at once: the records of one key are in both.
			l.q.earliest, l.wait.earliest = now, now
			l.q.mixed, l.wait.mixed = true, true
		}
		m.endLate(l.wait.late(now, l.q.late(now, nil)), l.cause)
	}
	m.settle()
	for i := 0; i < len(m.parked); i++ {
		e := m.parked[i]
		if e.deadline() > now {
			continue
		}
		if m.failLate(e, now, nil); e.over() {
			m.unpark(i)
			i--
			m.land(e.lane, e)
		}
	}
	m.failFollowers()
}

// sweepGap bounds how often a queue is searched whose deadlines have no order.
const sweepGap = 10 * time.Millisecond

// late appends the items that are past their deadline; they stay in the queue.
func (q *queue) late(now time.Duration, late []*Item) []*Item {
	if q.n == 0 || q.earliest > now {
		return late
	}
	earliest := Never
	for it := q.head; it != nil; it = it.next {
		d := deadline(it)
		if d <= now {
			late = append(late, it)
			continue
		}
		earliest = min(earliest, d)
		if !q.mixed {
			break
		}
	}
	if q.mixed {
		earliest = max(earliest, now+sweepGap)
	}
	q.earliest = earliest
	return late
}

// endLate ends items of a lane's queues, in the order of acceptance: the end of
// a single record lets the next one of its key change the queue.
func (m *Machine) endLate(late []*Item, cause error) {
	if len(late) == 0 {
		return
	}
	if m.c.Raw {
		sortItems(late)
	}
	err := DeadlineError(cause)
	for _, it := range late {
		if it.state == done {
			continue // with FailKey, behind an earlier one
		}
		m.unqueue(it)
		m.fail(it, err)
	}
}

// deadline is the first deadline of those items that have not ended.
func (e *Entry) deadline() time.Duration {
	if e.late == 0 {
		e.late = Never
		for _, it := range e.Items {
			if it.state != done {
				e.late = min(e.late, deadline(it))
			}
		}
	}
	return e.late
}

// deadline is no later than the first deadline of what waits in the lane.
func (l *lane) deadline() time.Duration {
	return min(l.q.due(), l.wait.due(), l.frozenUntil())
}

// frozenUntil is the first deadline in a frozen entry.
func (l *lane) frozenUntil() time.Duration {
	t := Never
	for _, e := range l.again {
		t = min(t, e.deadline())
	}
	return t
}

// over tells that every item has ended.
func (e *Entry) over() bool {
	for _, it := range e.Items {
		if it.state != done {
			return false
		}
	}
	return true
}

func (m *Machine) failLate(e *Entry, now time.Duration, cause error) {
	err := DeadlineError(cause)
	for _, it := range e.Items {
		if it.state != done && deadline(it) <= now {
			m.fail(it, err)
		}
	}
	e.late = 0
}

// thaw takes the frozen entries of a lane apart; settle must follow.
func (m *Machine) thaw(l *lane) {
	for _, e := range l.again {
		for _, it := range e.Items {
			if it.state != done {
				m.place(it)
			}
		}
	}
	l.again = nil
}

// failFollowers ends, with FailKey, what is queued behind the items that have
// failed since its last call.
func (m *Machine) failFollowers() {
	if len(m.failed) == 0 || len(m.lanes) == 0 && m.early.n == 0 {
		m.failed = m.failed[:0]
		return
	}
	first := make(map[keyspace.Hash]uint64)
	lanes := make([]*lane, 0, 1)
	seen := make(map[*lane]bool)
	for _, it := range m.failed {
		if c, ok := first[it.Hash]; !ok || it.Counter < c {
			first[it.Hash] = it.Counter
		}
		if len(m.lanes) > 0 {
			if l := m.find(it.Hash); !seen[l] {
				seen[l] = true
				lanes = append(lanes, l)
			}
		}
	}
	follows := func(it *Item) bool {
		c, ok := first[it.Hash]
		return ok && it.Counter > c && it.state != done
	}
	m.failQueue(&m.early, follows)
	for _, l := range lanes {
		broken := false
		for _, e := range l.again {
			for _, it := range e.Items {
				if follows(it) {
					m.fail(it, record.ErrEarlierFailed)
					broken = true
				}
			}
		}
		if broken {
			m.thaw(l)
			m.settle()
		}
		m.failQueue(&l.q, follows)
	}
	m.failed = m.failed[:0]
}

func (m *Machine) failQueue(q *queue, which func(*Item) bool) {
	for it := q.head; it != nil; {
		next := it.next
		if which(it) {
			q.remove(it)
			m.fail(it, record.ErrEarlierFailed)
		}
		it = next
	}
}
