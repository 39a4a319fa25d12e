package lane

import (
	"cmp"
	"slices"
	"time"

	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/limits"
	"github.com/libvegas/vegas/internal/shardmap"
)

// lane is the way to one shard.
//
// Invariants, for lanes of aggregates: at most one entry is under way or
// parked; its items' counters are below those of frozen entries, and theirs
// below those of the queue. A closed lane has no frozen entries and no queue.
type lane struct {
	shard   *shardmap.Shard
	q       queue    // ready to leave, in this order
	wait    queue    // raw: behind an unfinished item of the same hash
	again   []*Entry // frozen: to leave again, before the queue
	flights int      // entries under way or parked
	under   int      // their items
	volume  int      // their bounds
	closed  bool     // the shard gave way
	waits   []*lane  // closed lanes over the same range with something under way: the barrier
	held    bool     // misplaced: waits for a newer map
	in      queue    // scratch of spread
	tag     any      // see Machine.Tag

	trouble  trouble
	failures int           // without an acknowledgement in between
	retryAt  time.Duration // backoff
	cause    error         // of the last failure
	rtt      time.Duration // smoothed time to an acknowledgement
	pace     pace
}

// trouble is whether a lane may share a request with others.
type trouble uint8

const (
	healthy trouble = iota
	limited         // throttled, or not stored: with its like
	suspect         // slow or unknown: alone
)

func newLane(s *shardmap.Shard, now time.Duration) *lane {
	return &lane{shard: s, pace: newPace(now)}
}

// due is the time from which the lane may send, Never if that depends on an
// answer, on a map or on new records. By a void map nothing is sent: what the
// shards of another stream acknowledge can be outside of their range, where
// readers ignore it.
func (m *Machine) due(l *lane, now, linger time.Duration) time.Duration {
	switch {
	case l.q.head == nil && len(l.again) == 0,
		!m.shards.Ready(),
		l.flights > 0 && !m.c.Raw && m.c.Broken != Order && (m.c.Broken != OneFlight || l.flights > 1),
		len(l.waits) > 0 && m.c.Broken != Barrier && m.c.Broken != Order,
		l.held:
		return Never
	}
	t := max(l.retryAt, l.pace.ready(now))
	if len(l.again) > 0 {
		return t
	}
	head := l.q.head
	if head.Attempts > 0 || head.Counter <= m.flushed || m.full(l) {
		return t
	}
	return max(t, head.Accepted+linger)
}

// full tells that waiting would bring no more into the next entry.
func (m *Machine) full(l *lane) bool {
	if m.c.Raw {
		return l.q.n >= rawFull
	}
	return l.q.bytes+aggregateFixed >= m.most(l)
}

// most is what an aggregate of several records may take. On a shard that is
// short of room it is what the lane may send in a tenth of a second, or in two
// round trips, but not less than a payload unit: small steps are refused less
// often.
func (m *Machine) most(l *lane) int {
	if !l.pace.learnt {
		return m.c.AggregateBytes
	}
	step := max(100*time.Millisecond, 2*l.rtt).Seconds()
	return min(m.c.AggregateBytes, max(limits.PayloadUnit, int(step*float64(l.pace.bytesPerSecond()))))
}

// rawFull is how many single records make a request worth sending at once.
const rawFull = 250

// next is an upper bound of the size of what cut would make.
func (m *Machine) next(l *lane) int {
	switch {
	case len(l.again) > 0:
		return l.again[0].bound
	case m.c.Raw:
		return len(l.q.head.Data) + len(l.q.head.Key)
	case l.q.head.form != Shared:
		return int(l.q.head.Bound) + aggregateFixed
	}
	return min(l.q.bytes+aggregateFixed, m.c.AggregateBytes)
}

// cut takes the next entry out of the lane and puts it under way.
func (m *Machine) cut(l *lane, now time.Duration) *Entry {
	var e *Entry
	if len(l.again) > 0 {
		e = l.again[0]
		l.again = slices.Delete(l.again, 0, 1)
	} else {
		e = m.build(l)
	}
	for _, it := range e.Items {
		it.state = flying
		if it.Attempts++; it.Attempts > 1 {
			m.counts.Resent++
		}
		it.Shard = l.shard.ID
	}
	l.flights++
	l.under += len(e.Items)
	l.volume += e.bound
	e.charged = e.size()
	l.pace.take(now, e.charged)
	m.counts.Entries++
	return e
}

// build makes an entry of the head of the queue.
func (m *Machine) build(l *lane) *Entry {
	head := l.q.head
	e := m.entry(l)
	e.Shard, e.lane, e.Laned, e.Range, e.Producer = l.shard.ID, l, m.laned, l.shard.Range, head.Producer
	if head.form != Shared {
		e.one[0] = head
		e.Items = e.one[:]
		e.group = head.group
		e.bound = int(head.Bound) + aggregateFixed
		if e.Raw = head.form == Single; e.Raw {
			e.Laned = false
			e.bound = len(head.Data) + len(head.Key)
		}
		l.q.remove(head)
		return e
	}
	n, most := 0, m.most(l)
	e.bound = aggregateFixed
	for it := head; it != nil && (n == 0 || it.form == Shared && e.bound+int(it.Bound) <= most && m.joins(it, head)); it = it.next {
		e.bound += int(it.Bound)
		n++
	}
	e.Items = make([]*Item, n)
	l.q.take(e.Items)
	return e
}

// entry is a new entry. Where each record is one they are made together: they leave
// together, and end so. By itself each was one of the two or three objects that a
// record took.
func (m *Machine) entry(l *lane) *Entry {
	if !m.c.Raw {
		return new(Entry)
	}
	if len(m.blank) == 0 {
		m.blank = make([]Entry, min(l.q.n, entriesAtOnce))
	}
	e := &m.blank[0]
	m.blank = m.blank[1:]
	return e
}

const entriesAtOnce = 64

// joins tells whether an item may be in an aggregate that head begins.
func (m *Machine) joins(it, head *Item) bool {
	return it.Producer == head.Producer || m.c.Broken == Blend
}

// size is what the entry weighs with its key, exactly once it is encoded.
func (e *Entry) size() int {
	if e.Wire > 0 {
		return e.Wire
	}
	return e.bound
}

// find is the open lane of a hash.
func (m *Machine) find(h keyspace.Hash) *lane {
	if len(m.lanes) == 1 {
		return m.lanes[0]
	}
	return m.lanes[m.shards.Find(h)]
}

// spread moves items, by rising counter, into the open lanes of their hashes.
func (m *Machine) spread(items []*Item) {
	for _, it := range items {
		if it.state != done {
			m.place(it)
		}
	}
	m.settle()
}

func sortItems(items []*Item) {
	slices.SortFunc(items, func(a, b *Item) int { return cmp.Compare(a.Counter, b.Counter) })
}

func sortByGroup(lanes []*lane) {
	slices.SortFunc(lanes, func(a, b *lane) int { return cmp.Compare(a.group(), b.group()) })
}

// place puts an item into the scratch queue of its lane; settle must follow.
func (m *Machine) place(it *Item) {
	l := m.find(it.Hash)
	it.owner, it.next, it.prev = l, nil, nil
	if it.state != waiting {
		it.state = queued
	}
	if l.in.n == 0 {
		m.touched = append(m.touched, l)
	}
	l.in.push(it)
}

// settle merges the scratch queues in, by counter.
func (m *Machine) settle() {
	for _, l := range m.touched {
		if m.c.Raw {
			m.settleRaw(l)
			continue
		}
		if m.c.Broken == Merge || m.c.Broken == Front {
			if l.q.n > 0 {
				l.q.join(&l.in)
				l.in = queue{}
				continue
			}
		}
		l.q.merge(&l.in)
	}
	m.touched = m.touched[:0]
}
