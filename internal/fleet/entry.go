package fleet

import (
	"cmp"
	"slices"
	"time"
)

// entry is what a worker knows of a lease, and does about it.
type entry struct {
	id    string
	row   Lease         // as it was last seen
	there bool          // the row exists
	metAt time.Duration // when it was first seen
	since time.Duration // when the row's possession was first seen
	asOf  time.Duration // the row is not older than this

	ask     *Ask          // under way
	doubted bool          // what became of the last write is not known
	doubtAt time.Duration // since when: a read that began later tells
	untold  bool          // a change may be ours and is not in the bell
	tries   int           // writes without success
	retry   time.Duration // not before
	giving  time.Duration // since when a stopping worker tries to give it away

	hold       hold
	possession uint64 // of the function, also when it has returned
	how        How    // the way in which possession took came
	from       string // from whom
	took       uint64
	giver      string // the owner before us

	back   uint64        // the possession under which its function gave it back
	gave   uint64        // the possession that our giving it up made
	rest   time.Duration // left to others until then
	pause  time.Duration // not taken anew before
	heirAt time.Duration // when its heir was first seen
	move   string        // whom it should be handed over to
	freeAt time.Duration // since when anybody may take it; 0: nobody may

	abandoned bool // given up by a worker that stops

	done     bool // its function has read it to its end
	doneAt   time.Duration
	children []Shard
	barren   bool // a listing that came long after that does not show any

	shard  Shard // of a lease that is to be made
	make   bool  // before its parent ends
	listed bool  // a listing shows the shard

	queued bool
	timer  time.Duration
	read   uint64 // the sweep that showed it
}

// hold is what goes on with a lease's shard in this worker.
type hold uint8

const (
	nothing  hold = iota
	starting      // taken; Start is the next act
	reading
	draining
	losing
)

// mine tells that the row says it is a worker's, with work left to do.
func (l *entry) mine(me string) bool {
	return l.there && l.row.Owner == me && !l.row.Ended() && !l.abandoned
}

// advance takes a checkpoint that is further on, of the same possession. The end
// of a shard is more than a checkpoint: only accept takes it.
func (l *entry) advance(row Lease) {
	if row.At.Compare(l.row.At) > 0 && !row.Ended() {
		l.row.At, l.row.Start, l.row.Takeovers = row.At, row.Start, row.Takeovers
	}
}

// entry finds or makes the place for what is known of a lease.
func (m *Machine) entry(id string) *entry {
	l := m.leases[id]
	if l == nil {
		l = &entry{id: id}
		m.leases[id] = l
		m.all = append(m.all, l)
		m.ordered = false
	}
	return l
}

// sorted are all entries in the order of their IDs, without those that mean
// nothing any more.
func (m *Machine) sorted() []*entry {
	if !m.ordered {
		m.all = slices.DeleteFunc(m.all, func(l *entry) bool { return m.leases[l.id] != l })
		slices.SortFunc(m.all, func(a, b *entry) int { return cmp.Compare(a.id, b.id) })
		m.ordered = true
	}
	return m.all
}

// accept takes a row as somebody saw it, not earlier than asOf. Of two rows the
// one of the higher possession is newer; within a possession the one that was
// surely read later. It tells whether anything changed but the checkpoint.
func (m *Machine) accept(now time.Duration, row Lease, asOf time.Duration) bool {
	l := m.entry(row.ID)
	m.floor = max(m.floor, row.Possession)
	changed := true
	if l.there || l.asOf > asOf {
		switch {
		case row.Possession < l.row.Possession:
			return false
		case row.Possession > l.row.Possession:
		case l.there && l.row.Ended() && !row.Ended():
			return false // the end is final: this was read before, if in the same moment
		case asOf < l.asOf:
			// Which is newer is not known.
			if l.advance(row); row.Heir != l.row.Heir || row.Ended() != l.row.Ended() {
				m.rows.want(l.id)
			}
			return false
		default:
			changed = !l.there || row.Heir != l.row.Heir || row.Owner != l.row.Owner || row.Ended() != l.row.Ended()
		}
	}
	old, was := l.row, l.there
	if l.mine(m.c.ID) {
		m.owned--
	}
	l.row, l.there, l.make = row, true, false
	l.asOf = max(l.asOf, asOf)
	if l.mine(m.c.ID) {
		m.owned++
	}
	if !was {
		l.metAt = now
		if l.took == unnumbered && row.Owner == m.c.ID {
			l.took = row.Possession
		}
	}
	if !was || row.Possession != old.Possession {
		l.since = now
		l.giver = old.Owner
	} else if old.At.Compare(row.At) > 0 {
		l.row.At, l.row.Start = old.At, old.Start
	}
	if changed {
		m.changed(now, l, was, old)
	}
	return changed
}

// changed follows from a row that is new or not what it was.
func (m *Machine) changed(now time.Duration, l *entry, was bool, old Lease) {
	if l.row.Heir != old.Heir {
		l.heirAt = now
	}
	if l.untold {
		l.untold = false
		m.ring(l.id)
	}
	l.tries, l.retry, l.giving = 0, 0, 0
	if l.hold != nothing || l.row.Owner == m.c.ID || l.row.Heir == m.c.ID {
		m.enqueue(l)
	}
	if !was {
		// A parent that is done with may have waited for it.
		for _, p := range l.row.Parents {
			if parent := m.leases[p]; parent != nil && parent.done {
				m.enqueue(parent)
			}
		}
	}
}

// drop takes in that a lease's row is gone.
func (m *Machine) drop(l *entry, asOf time.Duration) {
	if !l.there || asOf < l.asOf {
		return
	}
	if l.mine(m.c.ID) {
		m.owned--
	}
	l.there, l.asOf, l.done = false, asOf, false
	m.lose(l)
	switch {
	case !l.row.Ended():
		m.listing.want = true
	case l.hold == nothing:
		delete(m.leases, l.id)
		m.ordered = false
	}
}

// doubt: what the row is now has to be read.
func (m *Machine) doubt(now time.Duration, l *entry) {
	l.doubted, l.doubtAt = true, now
	m.rows.want(l.id)
}

// release ends the hold on a lease.
func (m *Machine) release(l *entry) {
	if l.hold != nothing {
		l.hold = nothing
		m.held--
	}
}

// lose ends a lease's function at once.
func (m *Machine) lose(l *entry) {
	switch l.hold {
	case starting:
		m.release(l)
		m.enqueue(l)
	case reading, draining:
		l.hold = losing
		m.act(Act{Kind: Lose}, l)
	}
}

// act tells the runner to do something about a possession's function.
func (m *Machine) act(a Act, l *entry) {
	a.Lease = l.row
	a.Lease.ID, a.Lease.Possession = l.id, l.possession
	m.acts = append(m.acts, a)
}
