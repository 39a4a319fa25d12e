package fleet

import (
	"errors"
	"time"
)

// Machine is one worker. One goroutine owns it. Times are since an arbitrary
// moment, on the worker's own monotonic clock.
//
// The runner calls Poll after every other call and at the time that Poll named,
// carries out what it returns, and answers every Ask.
type Machine struct {
	c        Config
	step     step
	self     Worker // our row, as it was last asked for
	stopping bool
	why      error // what Over will tell

	until  time.Duration // see Until
	proven bool          // until was in the future when we last looked

	pulse pulse
	sight sight
	peers map[string]*peer

	leases  map[string]*entry
	all     []*entry // the same, see sorted
	ordered bool
	floor   uint64 // the highest possession number seen
	held    int    // leases whose function is starting or has not returned
	owned   int    // unfinished leases whose row says that they are ours

	rows    rows
	listing listing
	plan    plan
	queue   queue
	cleaned time.Duration // when the last listing for cleaning was asked for
	leaveBy time.Duration // when the last heartbeat has been tried for long enough

	n    uint64
	asks []*Ask
	acts []Act
	next time.Duration
}

// step is how far a worker has come. It never goes back.
type step uint8

const (
	arriving   step = iota // looks whether its name is free
	making                 // has asked for its row
	confirming             // has its row; is its name still free?
	entering               // tells that it runs
	running                // or stopping
	leaving                // writes that it is dead
	dying                  // is dead; waits for its functions
	over
)

// Why a worker is over without having been told to stop.
var (
	// ErrNameTaken: another worker lives under the same name.
	ErrNameTaken = errors.New("another worker of the group has this name")
	// ErrDead: it was declared dead, or its row is gone, or its creation had no
	// answer: a new Machine with a new ID may go on, once everything of this
	// one has been Closed.
	ErrDead = errors.New("declared dead, by another worker or an administrator")
)

const (
	never = time.Duration(1<<63 - 1)
	// most is how many writes to leases are under way at once.
	most = 64
)

// New is a worker that has not joined yet.
func New(c Config) *Machine {
	return &Machine{
		c:      c,
		self:   Worker{ID: c.ID, Name: c.Name, State: Joining, Limit: c.MaxLeases, Lease: c.Timing.Lease},
		peers:  map[string]*peer{},
		leases: map[string]*entry{},
		rows:   rows{wanted: map[string]bool{}},
		plan:   plan{at: never},
		sight:  sight{soon: true, silent: never},
		listing: listing{
			gone: map[string]bool{},
		},
	}
}

// Poll returns what to ask and what to do now, and when to call again unless
// something happens before.
func (m *Machine) Poll(now time.Duration) (asks []*Ask, acts []Act, next time.Duration) {
	m.next = never
	m.expire(now)
	m.leave(now)
	if m.step < dying {
		m.beat(now)
	}
	if m.step < leaving {
		m.look(now)
	}
	if m.step == running {
		m.assign(now)
		m.work(now)
		m.takeSome(now)
		m.clean(now)
		m.list(now)
		m.read(now)
		m.leave(now)
		m.beat(now)
	}
	asks, acts = m.asks, m.acts
	m.asks, m.acts = nil, nil
	return asks, acts, m.next
}

// wake asks for a Poll at a time.
func (m *Machine) wake(at time.Duration) { m.next = min(m.next, at) }

// ask asks.
func (m *Machine) ask(now time.Duration, a *Ask) {
	m.n++
	a.N, a.sent, a.of = m.n, now, m
	m.asks = append(m.asks, a)
}

// Answer tells the answer to an Ask. One to the Ask of another Machine, or the
// second one to an Ask, is ignored.
func (m *Machine) Answer(now time.Duration, a *Ask, ans Answer) {
	if a.of != m || m.step == over {
		return
	}
	a.of = nil
	switch a.Verb {
	case Join:
		m.joined(now, a, ans)
	case Beat:
		m.beaten(now, a, ans)
	case Look, LookSurely:
		m.looked(now, a, ans)
	case Declare:
		m.declared(now, a, ans)
	case Bury:
		m.buried(now, a, ans)
	case Sweep:
		m.swept(now, a, ans)
	case Read:
		m.readDone(now, a, ans)
	case List:
		m.listed(now, a, ans)
	default:
		m.wrote(now, a, ans)
	}
}

// Closed tells that a shard's function has ended, which it does once for each
// Start. children are those that the end of the shard named, if any.
func (m *Machine) Closed(now time.Duration, lease string, possession uint64, how Closing, children []Shard) {
	l := m.leases[lease]
	if l == nil || l.hold <= starting || l.possession != possession {
		return
	}
	lost := l.hold == losing || how == Lost
	m.release(l)
	switch how {
	case GivenBack:
		l.back = possession
		m.rest(now, l)
	case ReadToEnd:
		l.done, l.doneAt, l.children, l.barren = true, now, children, false
	}
	if lost {
		// Whether it is still ours only the row can tell.
		l.pause = now + m.c.Timing.Beat
		m.doubt(now, l)
	}
	m.enqueue(l)
	m.plan.changed = true
}

// Seen tells lease rows that the runner came by when it wrote checkpoints.
func (m *Machine) Seen(now time.Duration, seen ...Lease) {
	for _, row := range seen {
		l := m.leases[row.ID]
		switch {
		case m.step != running || l == nil || !l.there:
		case row.Possession > l.row.Possession:
			m.accept(now, row, l.asOf)
			m.plan.news = true
		case row.Possession == l.row.Possession:
			l.advance(row)
			if row.Owner != l.row.Owner || row.Heir != l.row.Heir || row.Ended() != l.row.Ended() {
				m.rows.want(l.id)
			}
		}
	}
}

// Stop begins the orderly end: everything is handed over, then Over is true.
func (m *Machine) Stop(now time.Duration) {
	if m.stopping || m.step >= leaving {
		return
	}
	m.stopping = true
	switch m.step {
	case arriving:
		m.step = over
	case confirming, entering:
		m.depart(now, nil)
	case running:
		if !m.broken(RuleFlag) {
			m.self.State = Stopping
		}
		m.pulse.soon = true
		m.plan.news = true
		for _, l := range m.sorted() {
			if l.there && l.row.Owner == m.c.ID {
				m.enqueue(l)
			}
		}
	}
}

// Until is when the worker's leases can no longer be proven.
func (m *Machine) Until() time.Duration { return m.until }

// Over tells that the worker's part has ended: nil after Stop, else why.
func (m *Machine) Over() (bool, error) {
	if m.step != over || m.stopping {
		return m.step == over, nil
	}
	return true, m.why
}

// Lease is what is known of a shard's lease.
func (m *Machine) Lease(id string) (Lease, bool) {
	if l := m.leases[id]; l != nil && l.there {
		return l.row, true
	}
	return Lease{}, false
}

// Overdue is how many shards could be read and have not been for several looks:
// all workers that there are have as many as they may.
func (m *Machine) Overdue() int { return m.plan.overdue }

// Waiting is how many unfinished leases nobody may read yet, or nobody owns.
func (m *Machine) Waiting() int {
	n := 0
	for _, l := range m.all {
		if l.there && !l.row.Ended() && l.row.Owner == "" || !l.there && l.listed {
			n++
		}
	}
	return n
}
