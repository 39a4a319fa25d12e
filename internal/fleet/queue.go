package fleet

import (
	"container/heap"
	"time"
)

// queue is the leases that something may have to be done about: the machine looks
// at no others.
type queue struct {
	now    []*entry
	full   []*entry // that wait until fewer writes are under way
	timers timers
	writes int // under way
}

func (m *Machine) enqueue(l *entry) {
	if !l.queued {
		l.queued = true
		m.queue.now = append(m.queue.now, l)
	}
}

// after looks at a lease again at a time.
func (m *Machine) after(l *entry, at time.Duration) {
	if l.timer == 0 || at < l.timer {
		l.timer = at
		heap.Push(&m.queue.timers, timer{at, l})
	}
}

// work does what is to be done about the leases in the queue.
func (m *Machine) work(now time.Duration) {
	q := &m.queue
	for len(q.timers) > 0 && q.timers[0].at <= now {
		t := heap.Pop(&q.timers).(timer)
		if t.l.timer == t.at {
			t.l.timer = 0
			m.enqueue(t.l)
		}
	}
	for len(q.now) > 0 || len(q.full) > 0 && q.writes < most {
		from := &q.now
		if len(q.now) == 0 {
			from = &q.full
		}
		l := (*from)[0]
		if *from = (*from)[1:]; len(*from) == 0 {
			*from = nil
		}
		l.queued = false
		m.consider(now, l)
	}
	if len(q.timers) > 0 {
		m.wake(q.timers[0].at)
	}
}

// write asks for a change of a lease, or puts that off while too many are under
// way.
func (m *Machine) write(now time.Duration, l *entry, a *Ask) {
	if l.ask != nil && !m.broken(RuleTwice) {
		return // its answer will bring us back
	}
	if now < l.retry {
		m.after(l, l.retry)
		return
	}
	if m.queue.writes >= most {
		if !l.queued {
			l.queued = true
			m.queue.full = append(m.queue.full, l)
		}
		return
	}
	m.queue.writes++
	l.ask = a
	a.Lease = l.id
	if l.there {
		a.Possession, a.From = l.row.Possession, l.row.Owner
	}
	m.ask(now, a)
}

// wrote takes the answer to a write to a lease.
func (m *Machine) wrote(now time.Duration, a *Ask, ans Answer) {
	m.queue.writes--
	l := m.entry(a.Lease)
	if l.ask == a {
		l.ask = nil
	}
	if m.step != running {
		return
	}
	switch ans.Outcome {
	case Done:
		m.applied(now, l, a, ans)
	case Refused:
		m.failed(now, l)
		l.took = 0
		there := false
		for _, row := range ans.Leases {
			there = there || row.ID == l.id
			if m.accept(now, row, a.sent) {
				m.plan.news = true
			}
		}
		if !there {
			m.drop(l, a.sent)
			if a.Verb == Create { // there is a row that cannot be read
				l.retry = now + m.c.Timing.Sweep
			}
		}
	case Unknown:
		m.failed(now, l)
		l.untold = true
		m.doubt(now, l)
	}
	m.plan.changed = true
	m.enqueue(l)
}

// failed puts the next try off.
func (m *Machine) failed(now time.Duration, l *entry) {
	l.tries++
	wait := min(50*time.Millisecond<<min(l.tries, 6), time.Second)
	l.retry = now + wait/2 + time.Duration(float64(wait/2)*m.c.Rand())
}

// applied takes in a write of ours.
func (m *Machine) applied(now time.Duration, l *entry, a *Ask, ans Answer) {
	l.untold = false
	l.tries, l.retry, l.giving = 0, 0, 0
	if a.Verb == Forget {
		m.drop(l, now)
		return
	}
	for _, row := range ans.Leases {
		m.accept(now, row, now)
	}
	m.ring(l.id)
	switch a.Verb {
	case Take, Create:
		if a.To == m.c.ID {
			m.taken(l, a, ans)
		}
	case Give:
		l.gave = a.Possession + 1
	}
}

// timers is a heap; an entry's timer that has changed leaves its old one behind.
type timers []timer

type timer struct {
	at time.Duration
	l  *entry
}

// Len is a heap's.
func (t timers) Len() int { return len(t) }

// Less is a heap's.
func (t timers) Less(i, j int) bool { return t[i].at < t[j].at }

// Swap is a heap's.
func (t timers) Swap(i, j int) { t[i], t[j] = t[j], t[i] }

// Push is a heap's.
func (t *timers) Push(x any) { *t = append(*t, x.(timer)) }

// Pop is a heap's.
func (t *timers) Pop() any {
	last := (*t)[len(*t)-1]
	*t = (*t)[:len(*t)-1]
	return last
}
