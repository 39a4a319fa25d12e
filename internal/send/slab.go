package send

import (
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/libvegas/vegas/internal/keyspace"
)

// slab is memory for the records of one lane, in the order of their acceptance.
// That is the order in which they are built into aggregates, acknowledged and
// called back, so that each step finds the next record already on its way to the
// processor. (With 140,000 records in a buffer of 64 MiB, and memory for each by
// itself, waiting for memory was more than half of what a record cost.)
//
// A slab is used again as a whole. Records of a lane end in its order, but for
// those that are withdrawn: up to slabParcels-1 of them keep their memory, but for
// large payloads, until the last one of their slab has ended, so Send, whose
// context may end any time, does without slabs.
type slab struct {
	parcels [slabParcels]parcel
	left    atomic.Int32 // those that are not done with, or not handed out yet

	// Guarded by the engine's lock.
	used    int    // parcels handed out
	payload int    // bytes of their keys and payloads
	data    []byte // keys and payloads, as far as they fit, one behind the other
}

const (
	// slabParcels is some 5 KiB: a page, beyond which no processor looks ahead, and
	// little for each of a thousand idle lanes.
	slabParcels = 16
	// spareShare is the part of the memory bound that the room for small payloads
	// takes at most which comes on top of that, in the slabs of all lanes together.
	spareShare = 8
)

func newSlab() *slab {
	s := new(slab)
	s.reset()
	return s
}

// reset makes it as good as new, with the payload memory that it has; fill makes
// its parcels so.
func (s *slab) reset() {
	s.used, s.payload, s.data = 0, 0, s.data[:0]
	s.left.Store(slabParcels)
}

// berth is a parcel in the slab of the lane that a hash belongs to; the lock is
// held. A slab whose lane is gone, or that a failed record stays in, is left to
// the garbage collector.
func (e *Engine) berth(h keyspace.Hash) *parcel {
	tag := e.machine.Tag(h)
	s, _ := (*tag).(*slab)
	if s == nil {
		s = e.slabs.Get().(*slab)
		most := int(e.room.size/spareShare) / e.machine.Tags()
		if c, want := cap(s.data), min(e.payload, most); c < want || c > most {
			s.data = make([]byte, 0, want)
		}
		*tag = s
	}
	p := &s.parcels[s.used]
	p.slab = s
	if s.used++; s.used == slabParcels {
		*tag = nil
		// The next ones are likely to take as much. The last one's is yet to come.
		e.payload = s.payload + s.payload/(slabParcels-1)
	}
	return p
}

// keep copies a payload and, in front of it, the key, which would be waited for once
// more where the caller has it when the aggregate is built: that was 7 % of what a
// record of 100 bytes takes without the wire. The copy lasts as long as the slab:
// what an error says of the key is a clone.
func (s *slab) keep(key string, payload []byte) (string, []byte) {
	size := len(key) + len(payload)
	s.payload += size
	n := len(s.data)
	if size > cap(s.data)-n {
		return strings.Clone(key), append([]byte(nil), payload...) // the key can be lent
	}
	s.data = append(append(s.data, key...), payload...)
	k := n + len(key)
	return unsafe.String(unsafe.SliceData(s.data[n:k]), len(key)), s.data[k:len(s.data):len(s.data)]
}

// done takes back a parcel that nobody refers to any more: no caller and, unless
// it is pinned, neither the machine nor a request under way. It lets go at once of
// a payload with memory of its own, and of who waited: its slab may stay with an
// idle lane. (A pinned one has lost its payload already, see deliver.)
func (e *Engine) done(p *parcel) {
	switch s := p.slab; {
	case p.pinned:
		p.batch, p.done = nil, nil
	case s == nil:
		e.recycle(p)
	default:
		p.Key, p.ExplicitHashKey, p.Data, p.Headers, p.Err, p.waiter = "", "", nil, nil, nil, waiter{}
		if s.left.Add(-1) == 0 {
			s.reset()
			e.slabs.Put(s)
		}
	}
}
