// Package lane is the heart of the producer: it decides what is sent when, so
// that records of one key arrive in the order of their acceptance whatever the
// network and the shards do, and it knows of every record whether it was
// stored, was not, or may have been.
//
// # Lanes
//
// Every shard has a lane, and a lane has at most one aggregate under way: the
// acknowledgement clocks the next one. An answer that is no acknowledgement
// brings the same entry back to the head of its lane, to leave again with the
// same bytes. Records of one hash are always in one lane, so they cannot
// overtake each other.
//
// # Splits and merges
//
// The open lanes tile the hash key space. When a shard gives way, so does its
// lane: what is queued moves, by hash and merged by counter, to the lanes that
// replace it. What is under way cannot move yet, so the old lane drains, and
// no lane that overlaps its range sends (the barrier). When its answer comes
// and is no acknowledgement, its records too move over, by counter, and the
// barrier falls.
//
// # Misplaced aggregates
//
// An aggregate that another shard took than predicted is stored there only if
// all its records fall into that shard's range: readers drop the others, some
// the whole aggregate. If not, it counts as not delivered and its records are
// sent again under the same counters. If that shard is not known yet, the entry
// stays parked, its lane occupied, until the map is learnt.
//
// # What it is not
//
// A Machine has no goroutine, clock or lock and does no I/O: times are passed
// in, as durations since any fixed moment of the caller's. It is not safe for
// concurrent use. A runner feeds it (internal/send), a simulator
// tries to break it (internal/simulate).
package lane

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/libvegas/vegas/internal/backoff"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/shardmap"
	"github.com/libvegas/vegas/record"
)

// Never is a time that does not come.
const Never = time.Duration(math.MaxInt64)

// Machine is the state of one producer on one stream.
type Machine struct {
	c        Config
	shards   shardmap.Map
	lanes    []*lane // the open ones: one for each tile of shards, in that order
	draining []*lane // closed ones with something under way
	early    queue   // accepted before the first map
	parked   []*Entry
	sent     []*Request // under way
	finished []*Item
	failures bool // some of finished failed
	open     int
	counter  uint64
	flushed  uint64 // items up to this counter do not linger
	laned    bool
	onHold   bool

	wake  time.Duration // what Poll last said
	rest  time.Duration // patient: when to look for late items again
	lone  int           // requests under way that carry a lane in trouble
	group int32         // the last one given
	turn  int           // where the next round over the lanes starts

	refresh refresh
	raw     raw
	failed  []*Item // with FailKey: those whose followers have to fail
	counts  Counts

	blank   []Entry // raw: for those to come
	touched []*lane // scratch of spread
	ready   roll    // scratch of Poll
	tag     any     // see Tag
}

// Turn is what Poll asks its caller to do.
type Turn struct {
	// Requests are to be sent now, each answered once by Answer or Fail. The
	// caller bounds the time that each takes.
	Requests []*Request
	// Refresh asks for a listing of the shards, and for the stream's record
	// distribution: the answer goes to SetLaned and Learn, or to LearnFailed.
	// At most one is under way.
	Refresh bool
	// Wake is when Poll has something to do at the latest, unless Accept,
	// Answer, Fail, Learn or Flush come first; Never if only these can bring
	// work.
	Wake time.Duration
}

// New is a machine without a map: the first Poll asks for one. It starts laned.
func New(c Config) *Machine {
	m := &Machine{c: c.filled(), laned: true, wake: 0}
	if m.c.Rand == nil {
		m.c.Rand = rand.New(rand.NewPCG(1, 1))
	}
	m.refresh.want = true
	return m
}

// Form tells how an item can travel, by the size of its data and key and by its
// Bound. Items that are TooLarge, and items with headers that would go Single, are
// not to be accepted.
func (m *Machine) Form(whole, bound int) Form { return m.c.form(whole, bound) }

// Tag is the caller's own place at the lane that an item of this hash would enter
// now. It is empty where the lane is new, and forgotten with the lane; before the
// first map there is one for all.
func (m *Machine) Tag(h keyspace.Hash) *any {
	if len(m.lanes) == 0 {
		return &m.tag
	}
	return &m.find(h).tag
}

// Tags is how many such places there are.
func (m *Machine) Tags() int { return max(1, len(m.lanes)) }

// Accept takes in an item, assigns its counter if it has none, and puts it at the
// end of its lane's queue; before the first map is learnt it is kept in order of arrival.
// It reports whether Poll is due earlier than its last Wake said.
func (m *Machine) Accept(now time.Duration, it *Item) (early bool) {
	m.counter++
	if it.Counter > 0 {
		m.counter = it.Counter
	}
	m.open++
	if it.Bound == 0 {
		it.Bound = int32(Bound(it.Key, it.ExplicitHashKey, it.Data, it.Headers))
	}
	it.Counter, it.form, it.state = m.counter, m.c.form(len(it.Data)+len(it.Key), int(it.Bound)), queued
	if m.c.Raw && m.c.Broken != Order && !m.raw.enter(it) && m.c.Broken != OneKey {
		it.state = waiting
	}
	q := &m.early
	var l *lane
	if len(m.lanes) > 0 {
		l = m.find(it.Hash)
		it.owner = l
		q = &l.q
		if it.state == waiting {
			q = &l.wait
		}
		if m.c.Broken == Lock && q.n > 0 && m.c.Rand.IntN(5) == 0 {
			q.tail.Counter, it.Counter = it.Counter, q.tail.Counter
		}
	}
	q.push(it)
	due := deadline(it)
	if m.refresh.want {
		due = min(due, m.refresh.due(m))
	}
	if l != nil && q == &l.q && (q.n == 1 || m.full(l)) && len(m.sent) < m.c.MaxRequests {
		due = min(due, m.due(l, now, m.c.Linger))
	}
	if due < m.wake {
		m.wake = due
		return true
	}
	return false
}

// Withdraw takes an item back if it never left; it then does not come out of
// TakeFinished. Records behind it are not failed by it.
func (m *Machine) Withdraw(it *Item) bool {
	if it.Attempts > 0 || it.state != queued && it.state != waiting {
		return false
	}
	m.unqueue(it)
	if m.c.Raw {
		m.leaveRaw(it)
	}
	it.state = done
	m.open--
	return true
}

// unqueue takes an item out of the queue that holds it.
func (m *Machine) unqueue(it *Item) {
	switch {
	case it.owner == nil:
		m.early.remove(it)
	case it.state == waiting:
		it.owner.wait.remove(it)
	default:
		it.owner.q.remove(it)
	}
}

// Flush lets all that is queued now leave without linger. Poll is due.
func (m *Machine) Flush() { m.flushed = m.counter }

// SetLinger changes Config.Linger. Poll is due.
func (m *Machine) SetLinger(d time.Duration) { m.c.Linger = d }

// Poll ends what is past its deadline, unless Config.Patient leaves that to its
// caller, and says what to do.
func (m *Machine) Poll(now time.Duration) Turn {
	if !m.c.Patient {
		m.expire(now)
	}
	var t Turn
	t.Requests = m.depart(now)
	t.Refresh = m.refreshNow(now)
	t.Wake = m.nextWake(now)
	m.wake = t.Wake
	return t
}

// nextWake is when the passing of time alone brings work.
func (m *Machine) nextWake(now time.Duration) time.Duration {
	t := m.refresh.due(m)
	late := m.early.due()
	room := len(m.sent) < m.c.MaxRequests && !m.onHold
	for _, l := range m.lanes {
		late = min(late, l.deadline())
		if room {
			// What is due now and did not leave waits for a request to end.
			if d := m.due(l, now, m.c.Linger); d > now {
				t = min(t, d)
			}
		}
	}
	for _, e := range m.parked {
		late = min(late, e.deadline())
	}
	return max(min(t, max(late, m.rest)), now)
}

// Hold keeps everything from leaving until it is called with false; deadlines
// go on. Poll is due after that.
func (m *Machine) Hold(on bool) { m.onHold = on }

// SetLaned says whether the service routes by hash. If not (record distribution
// AUTO) aggregates are not laned, every answer to them is final, and nothing is
// promised about order.
func (m *Machine) SetLaned(laned bool) {
	if laned == m.laned {
		return
	}
	m.laned = laned
	for _, l := range m.lanes {
		l.held = false
		m.thaw(l)
	}
	m.settle()
}

// SetRecordBytes changes Config.RecordBytes for what is accepted from now on.
func (m *Machine) SetRecordBytes(n int) { m.c.RecordBytes = n }

// Lanes reports every lane.
func (m *Machine) Lanes(f func(Depth)) {
	oldest := make(map[*lane]time.Duration) // of what is under way
	see := func(entries []*Entry) {
		for _, e := range entries {
			at := e.Items[0].Accepted
			if other, ok := oldest[e.lane]; !ok || at < other {
				oldest[e.lane] = at
			}
		}
	}
	for _, r := range m.sent {
		see(r.Entries)
	}
	see(m.parked)
	for _, lanes := range [][]*lane{m.draining, m.lanes} {
		for _, l := range lanes {
			d := l.depth()
			if at, ok := oldest[l]; ok {
				d.Oldest = min(d.Oldest, at)
			}
			f(d)
		}
	}
}

func (l *lane) depth() Depth {
	d := Depth{Shard: l.shard.ID, Records: l.q.n + l.wait.n + l.under, Bytes: l.q.bytes + l.wait.bytes + l.volume,
		InFlight: l.flights, Oldest: Never, PaceBytes: l.pace.bytesPerSecond(), Draining: l.closed, Cause: l.cause}
	for _, e := range l.again {
		d.Records += len(e.Items)
		d.Bytes += e.bound
		d.Oldest = min(d.Oldest, e.Items[0].Accepted)
	}
	for _, q := range []*queue{&l.q, &l.wait} {
		if q.head != nil {
			d.Oldest = min(d.Oldest, q.head.Accepted)
		}
	}
	return d
}

// Counts are sums since New.
type Counts struct {
	Entries   uint64 // entries that left
	Resent    uint64 // records that left again, per time
	Throttled uint64 // entries
	Unknown   uint64 // entries without a clear answer
	Misplaced uint64 // entries that count as not delivered
	Refreshes uint64 // of the shard map asked for
}

// Counts reports them.
func (m *Machine) Counts() Counts { return m.counts }

// FailQueued ends every item that is not under way: not stored, or unknown if
// an earlier attempt was. A patient machine keeps them.
func (m *Machine) FailQueued(err error) {
	if !m.c.Patient || m.c.Broken == Patience {
		m.drop(err)
	}
}

func (m *Machine) drop(err error) {
	m.dropQueue(&m.early, err)
	for _, l := range m.lanes {
		for _, e := range l.again {
			m.failItems(e.Items, err)
		}
		l.again = nil
		m.dropQueue(&l.q, err)
		m.dropQueue(&l.wait, err)
	}
	m.failed = m.failed[:0] // there is nothing left behind them
}

func (m *Machine) dropQueue(q *queue, err error) {
	for q.head != nil {
		it := q.head
		q.remove(it)
		m.fail(it, err)
	}
}

// Abort ends every item, those under way as unknown. Answers that come later
// are ignored; nothing may be accepted any more.
func (m *Machine) Abort(err error) {
	m.drop(err)
	for _, r := range m.sent {
		for _, e := range r.Entries {
			m.abandon(e, err)
		}
	}
	for _, e := range m.parked {
		m.abandon(e, err)
	}
}

func (m *Machine) abandon(e *Entry, err error) {
	for _, it := range e.Items {
		if it.state != done {
			it.Unknown = true
			m.fail(it, err)
		}
	}
}

// TakeFinished appends the items that have ended since the last call, in the
// order in which they ended, and tells whether some of them failed. Every accepted
// item comes out once, unless Withdraw took it.
func (m *Machine) TakeFinished(dst []*Item) (all []*Item, failed bool) {
	dst, failed = append(dst, m.finished...), m.failures
	clear(m.finished)
	m.finished, m.failures = m.finished[:0], false
	return dst, failed
}

// Open is how many accepted items have not ended.
func (m *Machine) Open() int { return m.open }

// Ready tells that a map was learnt.
func (m *Machine) Ready() bool { return len(m.lanes) > 0 }

// Laned tells what SetLaned last said.
func (m *Machine) Laned() bool { return m.laned }

// Requests is how many are under way.
func (m *Machine) Requests() int { return len(m.sent) }

// Cause is the last failure on the item's shard, nil after an acknowledgement.
func (m *Machine) Cause(it *Item) error {
	if it.owner == nil {
		return nil
	}
	return it.owner.cause
}

// Left calls f with every item that has left and not ended: under way, not to be
// judged yet, or about to leave again. Records behind them can end earlier than
// they do, by a deadline or by FailQueued.
func (m *Machine) Left(f func(*Item)) {
	each := func(e *Entry) {
		for _, it := range e.Items {
			if it.state != done {
				f(it)
			}
		}
	}
	for _, l := range m.lanes {
		for _, e := range l.again {
			each(e)
		}
		for it := l.q.head; it != nil && it.Attempts > 0; it = it.next { // they come first
			f(it)
		}
	}
	for _, r := range m.sent {
		for _, e := range r.Entries {
			each(e)
		}
	}
	for _, e := range m.parked {
		each(e)
	}
}

// fail ends an item that was not acknowledged.
func (m *Machine) fail(it *Item, err error) {
	if m.c.Raw {
		m.failRaw(it, err)
		return
	}
	it.Err = err
	m.end(it)
	if m.c.FailKey {
		m.failed = append(m.failed, it)
	}
}

func (m *Machine) failItems(items []*Item, err error) {
	for _, it := range items {
		if it.state != done {
			m.fail(it, err)
		}
	}
}

func (m *Machine) end(it *Item) {
	if m.c.Raw {
		m.leaveRaw(it)
	}
	it.state, it.owner = done, nil
	m.open--
	m.finished = append(m.finished, it)
	m.failures = m.failures || it.Err != nil
}

// DeadlineError is how a record ends at its deadline, with what held it up.
func DeadlineError(cause error) error {
	if cause == nil {
		return record.ErrDeadline
	}
	return fmt.Errorf("%w; the last attempt on its shard failed: %w", record.ErrDeadline, cause)
}

var retry = backoff.Backoff{Min: 40 * time.Millisecond, Max: 5 * time.Second}

// Depth is the state of a lane.
type Depth struct {
	Shard     string
	Records   int           // queued, frozen or under way
	Bytes     int           // their share of aggregates
	InFlight  int           // entries under way or parked
	Oldest    time.Duration // when the oldest of them was accepted; Never if there are none
	PaceBytes int           // what the lane allows itself a second
	Draining  bool          // its shard has given way
	Cause     error         // the last failure, nil after an acknowledgement
}
