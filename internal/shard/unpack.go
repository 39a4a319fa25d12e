package shard

import (
	"sync"

	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/internal/fetch"
	"github.com/libvegas/vegas/internal/mark"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

// unpacker turns Kinesis records into users' records: it opens aggregates,
// skips what is checkpointed and asks the marks about the rest. It works in
// stream order, before anything is handled side by side.
type unpacker struct {
	stream, shard string
	after         record.Position // what lies up to here is skipped
	dropForeign   bool
	observer      observe.Observer
	warn          func(message string, err error)
	where         observe.Where

	mu    *sync.Mutex // guards marks
	marks *mark.Tracker

	sums    sums             // of the answer's entries
	records []*record.Record // what unpack returns
	slab    []record.Record  // where the answer's next records go
	*scratch

	n counts
}

// scratch is what opening aggregates takes on the way. Nothing of an answer is in it
// while nobody has it.
type scratch struct {
	agg      aggregate.Aggregate
	verdicts []mark.Verdict
}

// scratches are those that nobody uses. When each shard had its own, that was some
// 100 KiB where aggregates have 1,000 records: a consumer of a thousand shards had 199
// MiB resident, and has 106 to 124.
var scratches = sync.Pool{New: func() any { return new(scratch) }}

// counts are of one answer.
type counts struct {
	bytes, duplicates, misplaced, foreign, malformed, forged int64
}

// unpack returns the records to deliver of an answer's entries from an index on,
// below another one, and the position behind these; the zero Position if there were
// none. The list of records is the unpacker's, until it is told to forget or to unpack
// more.
//
// The records of an answer share its memory, which nobody ever uses again for
// something else: they stay valid as long as they are referenced.
func (u *unpacker) unpack(raws []fetch.Record, from, to int) (records []*record.Record, end record.Position) {
	u.forget()
	u.n = counts{}
	u.scratch = scratches.Get().(*scratch)
	if from == 0 {
		u.sums.start()
	}
	for i := from; i < to; i++ {
		raw := &raws[i]
		if message, ok := u.sums.fit(raws, i); ok {
			err := aggregate.DecodeMessage(message, &u.agg)
			if err == nil {
				u.aggregated(raw, to-i-1)
				end = record.Position{Sequence: raw.Sequence, SubSequence: int64(len(u.agg.Subs) - 1)}
				continue
			}
			// Delivered as it is: somebody may be able to read it.
			u.n.malformed++
			u.warn("a malformed aggregate is delivered as it is (see docs/troubleshooting.md#malformed-aggregate)", err)
		}
		end = record.Position{Sequence: raw.Sequence}
		if !u.after.IsStart() && end.Compare(u.after) <= 0 {
			continue
		}
		u.n.bytes += int64(len(raw.Data))
		r := u.add(to - i)
		r.PartitionKey, r.Data = raw.Key, raw.Data
		r.Stream, r.Shard, r.Position, r.ArrivalTime = u.stream, u.shard, end, raw.Arrival
	}
	u.slab = nil
	clear(u.agg.Subs)
	scratches.Put(u.scratch)
	u.scratch = nil
	u.report(len(u.records))
	return u.records, end
}

// forget lets go of what was unpacked: nothing here is to hold on to what the handler
// may drop.
func (u *unpacker) forget() {
	clear(u.records)
	u.records = u.records[:0]
}

// slabRecords is how many records are allocated at a time. An allocation for each
// costs a tenth of what a record of 1 KiB costs; more of them at a time, and one
// that is kept for long holds more neighbours.
const slabRecords = 64

// add makes room for the next of the answer's records, of which at least ahead are
// likely to come, it included.
func (u *unpacker) add(ahead int) *record.Record {
	if len(u.slab) == 0 {
		u.slab = make([]record.Record, min(ahead, slabRecords))
	}
	r := &u.slab[0]
	u.slab = u.slab[1:]
	u.records = append(u.records, r)
	return r
}

// aggregated adds the sub-records of u.agg; more is how many entries follow.
func (u *unpacker) aggregated(raw *fetch.Record, more int) {
	a := &u.agg
	var id *aggregate.Identity
	if a.HasIdentity {
		id = &a.Identity
	} else if a.IdentityError != nil {
		u.n.forged++
		u.warn("an aggregate's identity contradicts it: its records are delivered like another producer's, without de-duplication", a.IdentityError)
	}
	u.mu.Lock()
	u.verdicts = u.marks.Decide(u.verdicts[:0], raw.Sequence, id, a)
	u.mu.Unlock()

	// Where reading starts inside an aggregate, or before the checkpoint to
	// see what the marks had not been saved for.
	first := 0
	if !u.after.IsStart() {
		switch c := record.CompareSequence(raw.Sequence, u.after.Sequence); {
		case u.after.IsShardEnd() || c < 0:
			return
		case c == 0:
			first = int(min(u.after.SubSequence+1, int64(len(a.Subs))))
		}
	}
	for i := first; i < len(a.Subs); i++ {
		switch u.verdicts[i] {
		case mark.Duplicate:
			u.n.duplicates++
			continue
		case mark.Misplaced:
			u.n.misplaced++
			continue
		case mark.Foreign:
			u.n.foreign++
			if u.dropForeign {
				continue
			}
		}
		sub := &a.Subs[i]
		r := u.add(len(a.Subs) - i + more)
		r.PartitionKey, r.ExplicitHashKey, r.Data, r.Headers = sub.Key, sub.ExplicitHashKey, sub.Data, sub.Headers
		r.Stream, r.Shard, r.ArrivalTime, r.Aggregated = u.stream, u.shard, raw.Arrival, true
		r.Position = record.Position{Sequence: raw.Sequence, SubSequence: int64(i)}
		u.n.bytes += int64(len(sub.Data))
	}
}

func (u *unpacker) report(records int) {
	for _, c := range []struct {
		counter observe.Counter
		n       int64
	}{
		{observe.RecordsReceived, int64(records)}, {observe.BytesReceived, u.n.bytes},
		{observe.Duplicates, u.n.duplicates}, {observe.Misplaced, u.n.misplaced}, {observe.Foreign, u.n.foreign},
		{observe.Malformed, u.n.malformed}, {observe.IdentityErrors, u.n.forged},
	} {
		if c.n > 0 {
			u.observer.Count(c.counter, u.where, c.n)
		}
	}
}
