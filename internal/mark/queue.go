package mark

import (
	"encoding/binary"

	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/record"
)

const (
	// queueKept is how many raises wait for a checkpoint. Beyond it they are
	// thinned out, and saved marks lag: a reader that never checkpoints must
	// not grow.
	queueKept = 4096
	// queueBytes is what the waiting raises spend on counters that have gaps.
	// Beyond it an aggregate's raise waits for the checkpoint behind its end.
	queueBytes = 1 << 20
)

// queue holds the raises that no checkpoint covers yet, in stream order.
type queue struct {
	waiting []raise
	bytes   int
}

// raise is what one aggregate does to a mark.
type raise struct {
	seq      string
	producer [16]byte
	over     keyspace.Range
	n        int64  // sub-records
	base     uint64 // the first counter
	top      uint64 // the last counter
	deltas   []byte // differences between counters as varints; nil if all are 1
	whole    bool   // there was no room for deltas: only the end of it is known
}

func (q *queue) push(seq string, id *aggregate.Identity, over keyspace.Range) {
	if len(q.waiting) >= queueKept {
		q.thin()
	}
	n := len(id.Counters)
	r := raise{seq: seq, producer: id.Producer, over: over, n: int64(n), base: id.Counters[0], top: id.Counters[n-1]}
	if r.top-r.base != uint64(n-1) {
		size := 0
		for i := 1; i < n; i++ {
			size += varintLen(id.Counters[i] - id.Counters[i-1])
		}
		if q.bytes+size > queueBytes {
			r.whole = true
		} else {
			q.bytes += size
			r.deltas = make([]byte, 0, size)
			for i := 1; i < n; i++ {
				r.deltas = binary.AppendUvarint(r.deltas, id.Counters[i]-id.Counters[i-1])
			}
		}
	}
	q.waiting = append(q.waiting, r)
}

// pass hands over what a checkpoint covers, and forgets what it covers whole.
func (q *queue) pass(pos record.Position, raised func(id [16]byte, over keyspace.Range, top uint64)) {
	done := 0
	for i := range q.waiting {
		r := &q.waiting[i]
		if pos.Compare(record.Position{Sequence: r.seq, SubSequence: r.n - 1}) >= 0 {
			raised(r.producer, r.over, r.top)
			q.bytes -= len(r.deltas)
			done++
			continue
		}
		if pos.Compare(record.Position{Sequence: r.seq}) >= 0 {
			if top, ok := r.counter(pos.SubSequence); ok {
				raised(r.producer, r.over, top)
			}
		}
		break
	}
	kept := copy(q.waiting, q.waiting[done:])
	clear(q.waiting[kept:])
	q.waiting = q.waiting[:kept]
}

// counter is that of sub-record i.
func (r *raise) counter(i int64) (uint64, bool) {
	if r.whole || i < 0 {
		return 0, false
	}
	if r.deltas == nil {
		return r.base + uint64(i), true
	}
	c, rest := r.base, r.deltas
	for range i {
		d, n := binary.Uvarint(rest)
		c, rest = c+d, rest[n:]
	}
	return c, true
}

func (q *queue) clear() {
	clear(q.waiting)
	q.waiting, q.bytes = q.waiting[:0], 0
}

// thin drops every other raise of each mark, the last one never, and then the
// oldest if that was not enough. What a later raise of the same mark does not
// make up for is a mark that lags.
func (q *queue) thin() {
	type key struct {
		producer [16]byte
		over     keyspace.Range
	}
	seen := make(map[key]int)
	at := len(q.waiting)
	for i := len(q.waiting) - 1; i >= 0; i-- {
		k := key{q.waiting[i].producer, q.waiting[i].over}
		seen[k]++
		if seen[k]%2 == 1 {
			at--
			q.waiting[at], q.waiting[i] = q.waiting[i], q.waiting[at]
		}
	}
	at = max(at, len(q.waiting)-queueKept*3/4)
	for i := range at {
		q.bytes -= len(q.waiting[i].deltas)
	}
	kept := copy(q.waiting, q.waiting[at:])
	clear(q.waiting[kept:])
	q.waiting = q.waiting[:kept]
}

func varintLen(v uint64) int {
	var b [binary.MaxVarintLen64]byte
	return binary.PutUvarint(b[:], v)
}
