package simulate

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/lane"
	"github.com/libvegas/vegas/record"
)

// sent is a user's record on its way, and what became of it.
type sent struct {
	owner  *sender
	item   lane.Item
	slot   int
	poison bool // requests with it are refused
	copies int  // stored so far
	loose  bool // some copy went without identity, or under AUTO: no order, no marks
	raw    bool // it travelled by itself, without identity
	shared bool // it shared an aggregate with poison

	foreign   bool
	acked     bool
	ended     bool
	withdrawn bool

	doubt *lane.Entry // it last left in, and may be stored by

	handled   int // by the consumer, and covered by a checkpoint
	delivered bool

	origin *sent    // of one that came out of a log: what was accepted
	kept   *keeping // what was accepted by a durable producer
}

// of is the user's record.
func (r *sent) of() *sent {
	if r.origin != nil {
		return r.origin
	}
	return r
}

// name is how the trace calls it.
func (r *sent) name() string { return fmt.Sprintf("%d@%d", r.item.Counter, r.slot) }

// sender is a producer: a machine with a network around it.
type sender struct {
	*world
	name    string
	id      [16]byte
	m       *lane.Machine
	c       lane.Config
	p       *plan
	all     []*sent
	flying  map[keyspace.Hash]*sent // raw mode: under way
	lanes   map[string]int          // aggregates under way per shard
	wake    time.Duration
	dead    bool
	closed  bool // takes nothing more
	horizon int
	fail    func(format string, args ...any)
	scratch []*lane.Item
	runner  *durable // of a durable producer
}

var (
	errNet     = errors.New("no answer")
	errLimit   = record.ErrThrottled
	errServer  = errors.New("internal failure")
	errRefused = errors.New("refused")
	errDenied  = errors.New("access denied")
	errGone    = errors.New("closed")
)

func newSender(w *world, p *plan, name string, fail func(string, ...any)) *sender {
	s := &sender{world: w, p: p, name: name, fail: fail, wake: lane.Never,
		flying: map[keyspace.Hash]*sent{}, lanes: map[string]int{}}
	for i := range s.id {
		s.id[i] = byte(w.rnd.Uint32())
	}
	s.c = p.lane
	s.c.Producer = s.id
	s.c.Rand = rand.New(rand.NewPCG(w.rnd.Uint64(), 2))
	s.m = lane.New(s.c)
	s.after(0, s.poll)
	return s
}

// accept takes a record from the user.
func (s *sender) accept() {
	if s.dead || s.closed {
		return
	}
	slot := s.rnd.IntN(slots)
	if s.chance(s.p.hot) {
		slot = s.p.hotSlot
	}
	r := &sent{owner: s, slot: slot, poison: s.chance(s.p.poison)}
	it := &r.item
	it.Key, it.Hash, it.Accepted, it.Tag = slotKey(slot), slotHash(slot), s.now, r
	it.Data = payloads[s.rnd.IntN(3)]
	if s.chance(s.p.large) {
		it.Data = payloads[3+s.rnd.IntN(2)]
	}
	if s.chance(s.p.deadlines) {
		it.Deadline = s.now + s.within(s.p.deadline) + time.Millisecond
	}
	if s.m.Form(len(it.Data)+len(it.Key), 0) == lane.TooLarge {
		it.Data = payloads[3]
	}
	s.all = append(s.all, r)
	early := s.m.Accept(s.now, it)
	if s.traced {
		s.trace("%s accepts %s", s.name, r.name())
	}
	if early {
		s.poll()
	}
}

// payloads are sizes small and large against the machine's aggregates, which
// the plan makes small.
var payloads = [][]byte{nil, make([]byte, 10), make([]byte, 60), make([]byte, 500), make([]byte, 900)}

func (s *sender) poll() {
	if s.dead {
		return
	}
	if s.runner != nil {
		s.runner.poll()
		return
	}
	t := s.turn()
	s.collect()
	s.leave(t)
}

func (s *sender) turn() lane.Turn {
	t := s.m.Poll(s.now)
	if s.p.checks {
		if err := s.m.Check(); err != nil && !s.p.blind {
			s.fail("%s: %v", s.name, err)
		}
	}
	return t
}

// leave does what a turn asks for.
func (s *sender) leave(t lane.Turn) {
	for _, r := range t.Requests {
		s.send(r)
	}
	if t.Refresh {
		s.list()
	}
	if s.wake = t.Wake; t.Wake != lane.Never {
		s.after(t.Wake-s.now, func() {
			if s.wake == t.Wake {
				s.poll()
			}
		})
	}
}

// list answers a request for the map.
func (s *sender) list() {
	p := s.p
	calm := s.now > p.calm
	s.after(s.within(20*time.Millisecond), func() {
		failed := !calm && (s.chance(p.listFails) || s.now < s.outage.until)
		listing, auto := s.world.list(!calm && s.chance(p.stale), p.onlyOpen, s.horizon), s.auto
		if s.chance(p.forget) {
			s.horizon = max(s.horizon, s.rnd.IntN(s.moves+1))
		}
		s.after(s.within(20*time.Millisecond), func() {
			if s.dead {
				return
			}
			if failed {
				if s.runner != nil {
					s.m.FailQueued(errDenied) // as where the stream is not there
				}
				s.m.LearnFailed(s.now, s.chance(.3))
			} else {
				s.m.SetLaned(!auto)
				if s.chance(.05) {
					s.m.SetRecordBytes(800 + s.rnd.IntN(800))
				}
				c := s.m.Learn(s.now, listing)
				if s.traced {
					s.trace("%s learns a map of %d shards, laned %v, opened %d, closed %d", s.name, len(listing), !auto, len(c.Opened), len(c.Closed))
				}
			}
			s.poll()
		})
	})
}

// wrap is what an entry puts on the wire.
func (s *sender) wrap(e *lane.Entry) *payload {
	p := &payload{producer: s.id, raw: e.Raw || s.c.Raw, laned: e.Laned && !s.c.Raw, rng: e.Range}
	if e.Producer != nil {
		p.producer = *e.Producer
	}
	poison := false
	for _, it := range e.Items {
		r := it.Tag.(*sent)
		p.recs = append(p.recs, r.of())
		p.slots = append(p.slots, r.slot)
		p.counters = append(p.counters, it.Counter)
		p.bytes += len(it.Data) + len(it.Key)
		r.of().raw = r.of().raw || p.raw
		poison = poison || r.of().poison
		if r.withdrawn || r.ended || s.runner != nil && s.runner.log.gone(r.of()) {
			s.fail("%s sends %s, which has ended", s.name, r.name())
		}
	}
	if s.p.mutant == wrongKey {
		for i := range p.slots {
			p.slots[i] = p.slots[0]
		}
	}
	if poison {
		for _, r := range p.recs {
			r.of().shared = true
		}
	}
	return p
}

// takeOff and settled watch what the machine promised about requests under way.
func (s *sender) takeOff(e *lane.Entry, p *payload) {
	if s.p.blind {
		return
	}
	if s.c.Raw {
		r := p.recs[0]
		if o := s.flying[r.item.Hash]; o != nil {
			s.fail("%s sends %s while %s is under way", s.name, r.name(), o.name())
		}
		s.flying[r.item.Hash] = r
		return
	}
	if s.lanes[e.Shard]++; s.lanes[e.Shard] > 1 {
		s.fail("%s has two aggregates for %s under way", s.name, e.Shard)
	}
	for _, it := range e.Items {
		r := it.Tag.(*sent)
		d := r.doubt
		if d == nil || d == e || d.Shard != e.Shard || s.p.flips > 0 {
			continue
		}
		if !slices.ContainsFunc(d.Items, func(it *lane.Item) bool { return it.Tag.(*sent).ended }) {
			s.fail("%s: %s leaves for %s in other bytes than before, when it may have been stored", s.name, r.name(), e.Shard)
		}
	}
	for i := range p.counters {
		if i > 0 && p.counters[i] <= p.counters[i-1] {
			s.fail("%s: counters %v do not rise", s.name, p.counters)
		}
		if !e.Range.Has(p.recs[i].item.Hash) {
			s.fail("%s: %s is not in the range of its lane", s.name, p.recs[i].name())
		}
	}
}

func (s *sender) settled(e *lane.Entry, st lane.Status) {
	if s.c.Raw {
		delete(s.flying, e.Items[0].Hash)
		return
	}
	s.lanes[e.Shard]--
	for _, it := range e.Items {
		if r := it.Tag.(*sent); st == lane.Unknown {
			r.doubt = e
		}
	}
}

// withdraw is a user losing patience.
func (s *sender) withdraw() {
	if s.dead || len(s.all) == 0 {
		return
	}
	r := s.all[len(s.all)-1-s.rnd.IntN(min(8, len(s.all)))]
	if r.ended || r.withdrawn {
		return
	}
	left := r.item.Attempts > 0
	if s.m.Withdraw(&r.item) {
		r.withdrawn = true
		if s.traced {
			s.trace("%s withdraws %s", s.name, r.name())
		}
		if left {
			s.fail("%s withdrew %s, which had left", s.name, r.name())
		}
	} else if !left {
		s.fail("%s did not withdraw %s, which never left", s.name, r.name())
	}
}

// crash loses the producer with all it knows.
func (s *sender) crash() {
	if s.traced {
		s.trace("%s crashes", s.name)
	}
	s.dead = true
}

// abort is Close at the end of its patience.
func (s *sender) abort() {
	if s.dead {
		return
	}
	if s.traced {
		s.trace("%s gives up", s.name)
	}
	s.closed = true
	s.m.Abort(errGone)
	s.collect()
	if n := s.m.Open(); n != 0 {
		s.fail("%s: %d records are open after Abort", s.name, n)
	}
}

// collect takes what has ended.
func (s *sender) collect() {
	s.scratch, _ = s.m.TakeFinished(s.scratch[:0])
	for _, it := range s.scratch {
		r := it.Tag.(*sent)
		switch {
		case r.ended || r.withdrawn:
			s.fail("%s: %s ends twice", s.name, r.name())
		case errors.Is(it.Err, errRefused) && !errors.Is(it.Err, record.ErrDeadline) && !r.shared:
			s.fail("%s: %s was refused and had no part in it", s.name, r.name())
		case errors.Is(it.Err, record.ErrDeadline) && (it.Deadline == 0 || it.Deadline > s.now):
			s.fail("%s: %s ended %v before its deadline", s.name, r.name(), it.Deadline-s.now)
		case errors.Is(it.Err, record.ErrEarlierFailed) && !s.c.FailKey:
			s.fail("%s: %s failed for an earlier one, unasked", s.name, r.name())
		}
		r.ended, r.acked = true, it.Err == nil
		if s.traced {
			s.trace("%s ends %s: %v, unknown %v, %s %s/%d", s.name, r.name(), it.Err, it.Unknown, it.Shard, it.Sequence, it.Index)
		}
	}
	if !s.c.FailKey {
		return
	}
	for _, it := range s.scratch {
		if it.Err == nil {
			continue
		}
		for _, r := range s.all {
			if !r.ended && !r.withdrawn && r.item.Hash == it.Hash && r.item.Counter > it.Counter && r.item.Attempts == 0 {
				s.fail("%s: %s goes on behind %s, which failed", s.name, r.name(), it.Tag.(*sent).name())
			}
		}
	}
}

func names(rs []*sent) string {
	b := []byte{'['}
	for i, r := range rs {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(b, r.name()...)
	}
	return string(append(b, ']'))
}

// foreign puts an aggregate of another library, as one with a stale map does:
// some of its records outside the shard.
func (w *world) foreign(all *[]*sent) {
	p := &payload{foreign: true, raw: w.chance(.3)}
	n := 1
	if !p.raw {
		n += w.rnd.IntN(3)
	}
	for range n {
		r := &sent{slot: w.rnd.IntN(slots), foreign: true}
		p.slots = append(p.slots, r.slot)
		r.item.Key, r.item.Hash = slotKey(r.slot), slotHash(r.slot)
		p.recs = append(p.recs, r)
	}
	*all = append(*all, p.recs...)
	s := w.route(p.recs[0].item.Hash)
	st := w.store(s, p)
	if w.traced {
		w.trace("%s stores %s of another library as %d", s.id, names(p.recs), st.seq)
	}
}
