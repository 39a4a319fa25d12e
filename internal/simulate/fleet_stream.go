package simulate

import (
	"fmt"
	"strconv"
	"time"

	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/internal/fleet"
	"github.com/libvegas/vegas/internal/keyspace"
)

// fleetSlots is how many different hashes fleets' streams have.
const fleetSlots = 1024

func fleetHash(slot int) keyspace.Hash { return keyspace.Hash{Hi: uint64(slot) << 54} }

// fleetShard is a shard of the stream that a fleet reads.
type fleetShard struct {
	id         string
	from, to   int // slots
	rng        keyspace.Range
	parents    []*fleetShard
	parentIDs  []string
	children   []*fleetShard
	born, died time.Duration
	closed     bool
	forgotten  time.Duration // by the stream; 0: not
	log        []*written
	again      [producers]*message // stored, and to be stored once more before anything else of theirs

	readers []*life // functions that have not returned, of all workers

	// The auditor's.
	low     int    // everything before it in the log is done with
	clear   bool   // everything of its ancestors was done with
	crowded bool   // it is in the list of those that have several functions
	created int    // leases that were made for it
	highest uint64 // possession number ever
}

// message is a record as its producer means it.
type message struct {
	slot    int
	counter uint64
	owed    bool // it has to be handled
	first   bool // it was handled
	covered int  // copies of it that were handled and are covered by a checkpoint
	// Somebody moved a checkpoint back: it is handled again, and what is stored
	// again of it may be.
	loose, unmarked bool
}

// written is one Kinesis record in a shard: an aggregate of one message.
type written struct {
	m       *message
	seq     uint64
	name    string
	at      time.Duration
	id      aggregate.Identity
	by      *life // who handled it last
	covered bool
}

// Len, Hash and Key make it mark.Records.
func (s *written) Len() int { return 1 }

// Hash is what routes it.
func (s *written) Hash(int) keyspace.Hash { return fleetHash(s.m.slot) }

// Key says that the hash is not a key's: it is drawn.
func (s *written) Key(int) string { return "" }

// stream is the stream that a fleet reads, and its producer.
type stream struct {
	*world
	all     []*fleetShard
	open    []*fleetShard // by range
	byID    map[string]*fleetShard
	counter uint64
	began   time.Duration // messages stored before are not owed
}

func newStream(w *world, n int) *stream {
	s := &stream{world: w, byID: make(map[string]*fleetShard)}
	for i := range n {
		s.open = append(s.open, s.add(fleetSlots*i/n, fleetSlots*(i+1)/n))
	}
	return s
}

func (s *stream) add(from, to int, parents ...*fleetShard) *fleetShard {
	t := &fleetShard{id: fmt.Sprintf("s%03d", len(s.all)), from: from, to: to, parents: parents, born: s.now}
	t.rng = keyspace.Range{First: fleetHash(from), Last: keyspace.Max}
	if to < fleetSlots {
		t.rng.Last = fleetHash(to).Prev()
	}
	for _, p := range parents {
		t.parentIDs = append(t.parentIDs, p.id)
		p.children = append(p.children, t)
		p.died, p.closed = s.now, true
		for _, r := range p.readers {
			r.kick()
		}
	}
	s.all = append(s.all, t)
	s.byID[t.id] = t
	return t
}

// reshard splits or merges at random, where possible.
func (s *stream) reshard(most int) {
	if len(s.all) >= most {
		return
	}
	i := s.rnd.IntN(len(s.open))
	if len(s.open) > 1 && s.rnd.IntN(2) == 0 {
		i = min(i, len(s.open)-2)
		a, b := s.open[i], s.open[i+1]
		c := s.add(a.from, b.to, a, b)
		s.open = append(s.open[:i], append([]*fleetShard{c}, s.open[i+2:]...)...)
		if s.traced {
			s.trace("stream: %s and %s merge into %s", a.id, b.id, c.id)
		}
		s.resend(a)
		s.resend(b)
		return
	}
	a := s.open[i]
	if a.to-a.from < 2 {
		return
	}
	mid := a.from + 1 + s.rnd.IntN(a.to-a.from-1)
	b, c := s.add(a.from, mid, a), s.add(mid, a.to, a)
	s.open = append(s.open[:i], append([]*fleetShard{b, c}, s.open[i+1:]...)...)
	if s.traced {
		s.trace("stream: %s splits into %s and %s", a.id, b.id, c.id)
	}
	s.resend(a)
}

// resend stores what the producers have to store again.
func (s *stream) resend(t *fleetShard) {
	for i := range producers {
		s.resendOf(t, i)
	}
}

func (s *stream) resendOf(t *fleetShard, producer int) {
	if m := t.again[producer]; m != nil {
		t.again[producer] = nil
		s.store(m)
	}
}

// producers send to the stream, each under hashes of its own.
const producers = 2

// produce stores a message at one of a few hashes of a shard; sometimes its
// answer is lost, and before anything else of its producer goes that way it is
// stored again.
func (s *stream) produce(resent float64) {
	t := s.open[s.rnd.IntN(len(s.open))]
	slot := t.from + s.rnd.IntN(min(4, t.to-t.from))
	p := slot % producers
	if t.again[p] != nil && s.chance(.6) {
		return // it still waits for the answer
	}
	s.resendOf(t, p)
	s.counter++
	m := &message{slot: slot, counter: s.counter, owed: s.now >= s.began}
	if t = s.store(m); s.chance(resent) {
		t.again[p] = m
	}
}

func (s *stream) route(slot int) *fleetShard {
	for _, t := range s.open {
		if slot < t.to {
			return t
		}
	}
	return nil
}

func (s *stream) store(m *message) *fleetShard {
	t := s.route(m.slot)
	s.seq++
	c := &written{m: m, seq: s.seq, name: strconv.FormatUint(s.seq, 10), at: s.now}
	c.id = aggregate.Identity{Producer: [16]byte{byte(m.slot % producers)}, Laned: true, Range: t.rng, Counters: []uint64{m.counter}}
	t.log = append(t.log, c)
	if s.traced {
		s.trace("stream: %s at %s is record %d of slot %d", t.id, c.name, m.counter, m.slot)
	}
	for _, r := range t.readers {
		r.kick()
	}
	return t
}

// list is the stream's shards as they were at a moment.
func (s *stream) list(at time.Duration) []fleet.Shard {
	var out []fleet.Shard
	for _, t := range s.all {
		if t.born <= at && (t.forgotten == 0 || t.forgotten > at) {
			out = append(out, t.shard())
		}
	}
	return out
}

func (t *fleetShard) shard() fleet.Shard {
	return fleet.Shard{ID: t.id, Parents: t.parentIDs, Range: t.rng}
}

func (t *fleetShard) describeChildren() []fleet.Shard {
	var out []fleet.Shard
	for _, c := range t.children {
		out = append(out, c.shard())
	}
	return out
}

// find is the index of the first written at or behind a sequence number.
func (t *fleetShard) find(seq uint64) int {
	low, high := 0, len(t.log)
	for low < high {
		if mid := (low + high) / 2; t.log[mid].seq < seq {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

func (t *fleetShard) leave(r *life) {
	for i, x := range t.readers {
		if x == r {
			t.readers = append(t.readers[:i], t.readers[i+1:]...)
			return
		}
	}
}
