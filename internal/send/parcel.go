package send

import (
	"errors"
	"strings"
	"unsafe"

	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/lane"
	"github.com/libvegas/vegas/internal/limits"
	"github.com/libvegas/vegas/internal/md5many"
	"github.com/libvegas/vegas/record"
)

// parcel is a record on its way through the engine: the machine's item and who
// waits for its end. It is recycled once everybody is done with it.
type parcel struct {
	lane.Item
	slab  *slab // whose memory it is; nil: its own
	bytes int64 // what it takes of the memory bound
	bare  bool  // its payload may not go out unwrapped: readers would open it
	fed   bool  // it came out of a buffer, which has to be told of its end
	old   bool  // fed: by an earlier opening of the buffer, which may have sent it
	grave bool  // fed: it is a dead letter there
	wall  int64 // fed: when it was accepted, by the clock of then, in Unix nanoseconds

	waiter
	signal chan struct{} // capacity 1, made by the first Send

	// Guarded by the engine's lock.
	group     *group
	abandoned bool // nobody waits any more
	pinned    bool // the machine or a worker may still look at it: not to be recycled
}

// waiter is who waits for a record's end; one of these, or nobody.
type waiter struct {
	wait  bool   // Send: signal gets one value
	row   bool   // SendRows: it is told of by number
	cost  uint32 // of a row
	batch *batch
	at    int // in batch, or a row's number
	done  func(record.Receipt, error)
}

// batch is a SendAll that waits for its records. It takes their results as they
// end, so that it holds no more of them than the memory bound allows.
type batch struct {
	done chan struct{} // closed by who took the last result

	// Guarded by the engine's lock until done.
	open     int       // records without a result
	parcels  []*parcel // those that have not ended, others are nil
	receipts []record.Receipt
	errs     []error // nil: none
}

// take takes record i's result, and tells whether it was the last; the lock is held.
func (b *batch) take(i int, r record.Receipt, err error) (last bool) {
	b.parcels[i], b.receipts[i] = nil, r
	if err != nil {
		if b.errs == nil {
			b.errs = make([]error, len(b.receipts))
		}
		b.errs[i] = err
	}
	b.open--
	return b.open == 0
}

// parcelBytes is what a record costs besides its key, data and headers.
const parcelBytes = int64(unsafe.Sizeof(parcel{}))

// keepBuffer is the largest payload memory that is kept for the next record.
const keepBuffer = 4 << 10

// of finds an item's parcel.
func of(it *lane.Item) *parcel { return it.Tag.(*parcel) }

// draft is a record that was checked, and is not accepted yet.
type draft struct {
	key, explicit string // the caller's, not as its record: that would be on the heap then
	headers       []record.Header
	data          []byte
	hash          keyspace.Hash
	bound         int32 // see lane.Bound
	bare          bool  // see parcel
	owned         bool  // the payload is a copy
	bytes         int64 // what it will take of the memory bound

	single *parcel // to become this one; nil: one of a slab
	waiter
}

// whole is what the stream's MaxRecordSize bounds.
func (d *draft) whole() int { return len(d.data) + len(d.key) }

// hash hashes the keys of a SendAll's drafts side by side: that took 9 % of the
// engine's time with 10,000 keys, and 21 % one after the other.
func hash(ds []draft) {
	var at [few]int
	var keys [few]string
	var hashes [few]keyspace.Hash
	n := 0
	for i := range ds {
		if ds[i].explicit == "" {
			at[n], keys[n] = i, ds[i].key
			n++
		}
	}
	keyspace.CachedAll(hashes[:n], keys[:n], md5many.Sum)
	for k, i := range at[:n] {
		ds[i].hash = hashes[k]
	}
}

// hashKey hashes the key of one draft.
func (d *draft) hashKey() {
	if d.explicit == "" {
		d.hash = keyspace.Cached(d.key)
	}
}

// check makes the draft of a record, but for the hash of its key. A large payload is copied already: not while
// others wait for the lock.
func (e *Engine) check(d *draft, r *record.Record) (err error) {
	if r == nil {
		return e.refused(&record.Record{}, errNoRecord)
	}
	if err := limits.CheckPartitionKey(r.PartitionKey); err != nil {
		return e.refused(r, link("partition-key", err))
	}
	if r.ExplicitHashKey != "" {
		if d.hash, err = keyspace.Parse(r.ExplicitHashKey); err != nil {
			return e.refused(r, link("explicit-hash-key", err))
		}
	}
	d.key, d.explicit, d.headers, d.data = r.PartitionKey, r.ExplicitHashKey, r.Headers, r.Data
	d.bound = int32(lane.Bound(r.PartitionKey, r.ExplicitHashKey, r.Data, r.Headers))
	d.bytes = parcelBytes + int64(len(r.PartitionKey)+len(r.ExplicitHashKey)+len(r.Data))
	for i := range r.Headers {
		d.bytes += int64(len(r.Headers[i].Key)+len(r.Headers[i].Value)) + 32
	}
	d.bare = aggregate.LooksLikeAggregate(r.Data)
	if d.owned = len(d.data) > keepBuffer; d.owned {
		d.data = append([]byte(nil), d.data...)
	}
	return nil
}

// fill makes a parcel a draft's, whatever it was, and copies what the engine keeps
// of the record.
func (p *parcel) fill(d *draft) {
	data, slab, signal := p.Data, p.slab, p.signal
	*p = parcel{} // not a literal with the fields below, which is made elsewhere and copied: 35 ns
	p.slab, p.signal, p.Tag = slab, signal, p
	p.Key, p.ExplicitHashKey, p.Hash, p.Bound = d.key, d.explicit, d.hash, d.bound
	p.bytes, p.bare, p.waiter = d.bytes, d.bare, d.waiter
	if len(d.headers) > 0 {
		p.Headers = append([]record.Header(nil), d.headers...)
	}
	switch {
	case d.owned:
		p.Data = d.data
	case slab != nil:
		p.Key, p.Data = slab.keep(d.key, d.data)
	default:
		p.Data = append(data[:0], d.data...)
	}
}

var errNoRecord = errors.New("the record is nil")

// recycle takes back a parcel of its own that nobody refers to any more: not the
// machine, no request under way, no caller.
func (e *Engine) recycle(p *parcel) {
	data, signal := p.Data, p.signal
	*p = parcel{signal: signal}
	if cap(data) <= keepBuffer {
		p.Data = data[:0]
	}
	e.parcels.Put(p)
}

// result is how a parcel ended, for its sender.
func (e *Engine) result(p *parcel) (record.Receipt, error) {
	if p.Err == nil {
		return record.Receipt{
			Shard:    p.Shard,
			Position: record.Position{Sequence: p.Sequence, SubSequence: int64(p.Index)},
		}, nil
	}
	out := record.NotStored
	if p.Unknown {
		out = record.Unknown
	}
	err := p.Err
	if errors.Is(err, record.ErrDeadline) {
		err = link("deadline", err)
	}
	return record.Receipt{}, &record.SendError{
		Stream: e.cfg.Stream, Shard: p.Shard, Key: strings.Clone(p.Key), Outcome: out, Attempts: int(p.Attempts), Err: err,
	}
}

// refused is the error of a record that was not accepted.
func (e *Engine) refused(r *record.Record, cause error) error {
	return &record.SendError{Stream: e.cfg.Stream, Key: strings.Clone(r.PartitionKey), Outcome: record.NotStored, Err: cause}
}
