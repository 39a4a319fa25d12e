package fleet

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

const (
	// sweepShare is what each live worker adds to the time between sweeps.
	sweepShare = 20 * time.Second
	// mostReads are under way at once.
	mostReads = 4
	// readAgain is the time before a read that had no answer is repeated. It
	// doubles up to readRarely, so that a store in trouble is left in peace.
	readAgain  = 100 * time.Millisecond
	readRarely = time.Second
)

// rows is what has to be read of the lease rows.
type rows struct {
	wanted map[string]bool
	reads  int           // under way
	at     time.Duration // the next read, not before
	missed int           // reads and sweeps in a row that had no answer

	sweep    bool          // wanted
	sweeping bool          // under way
	behind   time.Duration // since when one of the two; 0: neither
	swept    bool          // there was one
	since    time.Duration // when the last one that has an answer was asked
	asked    time.Duration // the last one
	n        uint64
}

func (r *rows) want(id string) { r.wanted[id] = true }

// miss puts the next read off, as one had no answer.
func (r *rows) miss(now time.Duration) {
	r.at = now + min(readAgain<<min(r.missed, 8), readRarely)
	r.missed++
}

// quiet tells that the rows that we know are those of our last news.
func (r *rows) quiet() bool { return r.swept && !r.sweep && !r.sweeping && r.reads+len(r.wanted) == 0 }

// current tells that the rows that we know are worth acting on: there is no news
// that only a sweep can tell. After a while we do without it.
func (r *rows) current(now time.Duration) bool {
	if !r.sweep && !r.sweeping {
		r.behind = 0
		return true
	}
	r.behind = cmp.Or(r.behind, now)
	return now >= r.behind+lookMost
}

// read reads the lease rows of which there is news, and once in a while all.
func (m *Machine) read(now time.Duration) {
	r := &m.rows
	if r.sweep && !r.swept {
		clear(r.wanted)
	}
	switch due := max(r.asked+m.period(), r.at); {
	case r.sweeping:
	case r.sweep && (r.asked == 0 || now >= due):
		m.sweep(now)
	case r.sweep:
		m.wake(due)
	default:
		if due := r.asked + max(m.c.Timing.Sweep, time.Duration(m.sight.live)*sweepShare); now >= due {
			m.sweep(now)
		} else {
			m.wake(due)
		}
	}
	if len(r.wanted) == 0 || r.reads >= mostReads {
		return
	}
	if now < r.at {
		m.wake(r.at)
		return
	}
	r.reads++
	m.ask(now, &Ask{Verb: Read, Leases: slices.Sorted(maps.Keys(r.wanted))})
	clear(r.wanted)
}

func (m *Machine) sweep(now time.Duration) {
	m.rows.sweep, m.rows.sweeping, m.rows.asked = false, true, now
	m.ask(now, &Ask{Verb: Sweep})
}

func (m *Machine) swept(now time.Duration, a *Ask, ans Answer) {
	r := &m.rows
	r.sweeping = false
	if ans.Outcome != Done {
		r.sweep = true
		r.miss(now)
		return
	}
	r.missed = 0
	if !r.swept {
		m.plan.news = true
	}
	r.swept, r.since = true, a.sent
	r.n++
	for _, row := range ans.Leases {
		if m.accept(now, row, a.sent) {
			m.plan.news = true
		}
		l := m.leases[row.ID]
		l.read = r.n
		m.settled(l, a.sent)
	}
	for _, l := range m.sorted() {
		if l.read != r.n {
			m.drop(l, a.sent)
			m.settled(l, a.sent)
		}
	}
}

func (m *Machine) readDone(now time.Duration, a *Ask, ans Answer) {
	r := &m.rows
	r.reads--
	if ans.Outcome != Done {
		r.miss(now)
		for _, id := range a.Leases {
			r.want(id)
		}
		return
	}
	r.missed = 0
	for _, row := range ans.Leases {
		if m.accept(now, row, a.sent) {
			m.plan.news = true
		}
		m.settled(m.leases[row.ID], a.sent)
	}
	for _, id := range ans.Gone {
		if l := m.leases[id]; l != nil {
			m.drop(l, a.sent)
			m.settled(l, a.sent)
		}
	}
}

// settled ends doubts by a read that began at a time.
func (m *Machine) settled(l *entry, asked time.Duration) {
	if !l.doubted || asked < l.doubtAt {
		return
	}
	l.doubted = false
	m.enqueue(l)
	m.plan.changed = true
}
