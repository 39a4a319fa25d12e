package simulate

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/limits"
	"github.com/libvegas/vegas/internal/shardmap"
)

// slots is how many different hashes there are: few, so that keys, ranges and
// their edges meet often.
const slots = 32

func slotHash(slot int) keyspace.Hash { return keyspace.Hash{Hi: uint64(slot) << 59} }

// slotKey is the key whose hash that is.
func slotKey(slot int) string { return "0123456789abcdefghijklmnopqrstuv"[slot : slot+1] }

// slotRange is the hash range of slots from up to but not including to.
func slotRange(from, to int) keyspace.Range {
	r := keyspace.Range{First: slotHash(from), Last: keyspace.Max}
	if to < slots {
		r.Last = slotHash(to).Prev()
	}
	return r
}

// world is the stream: shards, what is stored in them, and the clock with what
// is still to happen.
type world struct {
	rnd    *rand.Rand
	now    time.Duration
	shards []*shard
	open   []*shard // by range
	seq    uint64
	auto   bool
	moves  int // splits, merges and changes of auto so far
	events events
	order  uint64
	limits bool // shards throttle
	outage outage
	traced bool
	trace  func(format string, args ...any)
}

type shard struct {
	n              int // in the order of their making
	id             string
	from, to       int // slots
	rng            keyspace.Range
	parents        []*shard
	born, died     int // in moves; died 0: open
	log            []*stored
	bytes, records float64 // allowed now
	at             time.Duration
}

// stored is a Kinesis record in a shard.
type stored struct {
	seq  uint64
	name string // seq as the service writes it
	what *payload
}

// payload is a Kinesis record as it was sent.
type payload struct {
	producer [16]byte
	foreign  bool // of a producer without identities
	raw      bool
	laned    bool
	rng      keyspace.Range
	recs     []*sent
	slots    []int // the keys that they carry
	counters []uint64
	bytes    int
}

// Len, Hash and Key make a payload mark.Records.
func (p *payload) Len() int { return len(p.recs) }

// Hash is what routes sub-record i.
func (p *payload) Hash(i int) keyspace.Hash { return p.recs[i].item.Hash }

// Key is the key of sub-record i.
func (p *payload) Key(i int) string { return p.recs[i].item.Key }

func newWorld(rnd *rand.Rand, n int) *world {
	w := &world{rnd: rnd}
	for i := range n {
		w.open = append(w.open, w.add(slots*i/n, slots*(i+1)/n))
	}
	return w
}

func (w *world) add(from, to int, parents ...*shard) *shard {
	s := &shard{n: len(w.shards), id: fmt.Sprintf("shardId-%012d", len(w.shards)), from: from, to: to, rng: slotRange(from, to),
		parents: parents, born: w.moves, at: w.now, bytes: limits.ShardWriteBytes, records: limits.ShardWriteRecords}
	w.shards = append(w.shards, s)
	return s
}

// reshard splits or merges at random, where possible.
func (w *world) reshard() {
	if len(w.shards) > 20 {
		return
	}
	i := w.rnd.IntN(len(w.open))
	a := w.open[i]
	if len(w.open) > 1 && w.rnd.IntN(2) == 0 {
		i = min(i, len(w.open)-2)
		a, b := w.open[i], w.open[i+1]
		w.moves++
		a.died, b.died = w.moves, w.moves
		c := w.add(a.from, b.to, a, b)
		w.open = append(w.open[:i], append([]*shard{c}, w.open[i+2:]...)...)
		if w.traced {
			w.trace("merge %s and %s into %s", a.id, b.id, c.id)
		}
		return
	}
	if a.to-a.from < 2 {
		return
	}
	mid := a.from + 1 + w.rnd.IntN(a.to-a.from-1)
	w.moves++
	a.died = w.moves
	b, c := w.add(a.from, mid, a), w.add(mid, a.to, a)
	w.open = append(w.open[:i], append([]*shard{b, c}, w.open[i+1:]...)...)
	if w.traced {
		w.trace("split %s into %s and %s at slot %d", a.id, b.id, c.id, mid)
	}
}

// flip turns AUTO on or off.
func (w *world) flip() {
	w.auto = !w.auto
	w.moves++
	if w.traced {
		w.trace("auto %v", w.auto)
	}
}

// list is ListShards: at a moment in the past if stale, its second page
// possibly from a later one; closed shards left out if onlyOpen, those closed
// before the move horizon gone for good.
func (w *world) list(stale, onlyOpen bool, horizon int) []shardmap.Shard {
	first, second := w.moves, w.moves
	if stale {
		first = w.rnd.IntN(w.moves + 1)
		second = first + w.rnd.IntN(w.moves-first+1)
	}
	page := len(w.shards)
	if first != second {
		page = w.rnd.IntN(len(w.shards) + 1)
	}
	var out []shardmap.Shard
	for i, s := range w.shards {
		at := first
		if i >= page {
			at = second
		}
		closed := s.died > 0 && s.died <= at
		if s.born > at || closed && (onlyOpen || s.died < horizon) {
			continue
		}
		l := shardmap.Shard{ID: s.id, Range: s.rng, Closed: closed}
		for _, p := range s.parents {
			l.Parents = append(l.Parents, p.id)
		}
		out = append(out, l)
	}
	return out
}

// route is the shard that takes a hash.
func (w *world) route(h keyspace.Hash) *shard {
	if w.auto {
		return w.open[w.rnd.IntN(len(w.open))]
	}
	for _, s := range w.open {
		if s.rng.Has(h) {
			return s
		}
	}
	return nil
}

// put stores a payload, unless the shard is over its limits.
func (w *world) put(p *payload) (*shard, *stored) {
	s := w.route(p.recs[0].item.Hash)
	if w.limits && !s.take(w.now, p.bytes) {
		return s, nil
	}
	return s, w.store(s, p)
}

func (w *world) store(s *shard, p *payload) *stored {
	w.seq++
	st := &stored{seq: w.seq, name: strconv.FormatUint(w.seq, 10), what: p}
	s.log = append(s.log, st)
	for _, r := range p.recs {
		r.copies++
		if w.auto || !p.laned && !p.raw {
			r.loose = true
		}
	}
	return st
}

// take is a token bucket as large as one second.
func (s *shard) take(now time.Duration, bytes int) bool {
	d := (now - s.at).Seconds()
	s.at = now
	s.bytes = min(s.bytes+d*limits.ShardWriteBytes, limits.ShardWriteBytes)
	s.records = min(s.records+d*limits.ShardWriteRecords, limits.ShardWriteRecords)
	if s.bytes < float64(bytes) || s.records < 1 {
		return false
	}
	s.bytes -= float64(bytes)
	s.records--
	return true
}

// event is something that happens at its time; equal times in order of
// planning.
type event struct {
	at    time.Duration
	order uint64
	do    func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }

// Push is heap.Interface's.
func (e *events) Push(x any) { *e = append(*e, x.(event)) }

// Pop is heap.Interface's.
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	old[len(old)-1] = event{}
	*e = old[:len(old)-1]
	return x
}

// after plans something.
func (w *world) after(d time.Duration, do func()) {
	w.order++
	heap.Push(&w.events, event{w.now + max(d, 0), w.order, do})
}

// every does something again and again, until a time; never if mean is 0.
func (w *world) every(mean, until time.Duration, do func()) {
	if mean <= 0 {
		return
	}
	var again func()
	again = func() {
		if w.now <= until {
			do()
			w.after(w.within(2*mean), again)
		}
	}
	w.after(w.within(2*mean), again)
}

// tell tells of each step, if anybody wants to know.
func (w *world) tell(line func(string), p *plan) {
	if line == nil {
		return
	}
	w.traced = true
	w.trace = func(format string, args ...any) {
		line(fmt.Sprintf("%10v  %s", w.now, fmt.Sprintf(format, args...)))
	}
	w.trace("plan %+v", *p)
}

// step lets the next thing happen; false when there is none up to the time.
func (w *world) step(until time.Duration) bool {
	if len(w.events) == 0 || w.events[0].at > until {
		w.now = max(w.now, until)
		return false
	}
	e := heap.Pop(&w.events).(event)
	w.now = max(w.now, e.at)
	e.do()
	return true
}

// run lets everything happen up to a time.
func (w *world) run(until time.Duration) {
	for more := true; more; {
		more = w.step(until)
	}
}

func (w *world) within(d time.Duration) time.Duration {
	return time.Duration(w.rnd.Int64N(int64(d) + 1))
}

func (w *world) chance(p float64) bool { return p > 0 && w.rnd.Float64() < p }
