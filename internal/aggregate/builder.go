package aggregate

import (
	"crypto/md5" //nolint:gosec // the format's checksum; nothing here is a secret
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/libvegas/vegas/internal/keyspace"
)

// Builder collects sub-records and writes them as one aggregate. The zero
// Builder is empty and writes no identity. It keeps references to what was
// added until Reset. It is used by one goroutine at a time.
type Builder struct {
	subs []indexed
	keys table
	hash table

	records  int // bytes of the record fields
	counters []uint64
	deltas   int  // bytes of the differences between counters
	gaps     bool // some difference is not 1

	identity    Identity
	hasIdentity bool
}

type indexed struct {
	Sub
	key, hash uint64 // places in the tables
	size      int    // bytes of the record message
}

// ErrCounter: a counter does not rise.
var ErrCounter = errors.New("counters of an aggregate must rise")

// Reset empties the Builder. id is the identity that the next aggregate
// carries, nil for none; its Counters are ignored, they come with Add.
func (b *Builder) Reset(id *Identity) {
	clear(b.subs)
	b.subs, b.counters = b.subs[:0], b.counters[:0]
	b.keys.reset()
	b.hash.reset()
	b.records, b.deltas, b.gaps = 0, 0, false
	b.identity, b.hasIdentity = Identity{}, id != nil
	if id != nil {
		b.identity = *id
		b.identity.Counters = nil
	}
}

// Add appends a sub-record. Its explicit hash key must be empty or a number
// that keyspace.Parse takes, otherwise readers refuse the aggregate. Counters
// must rise, unless there is no identity: then they are ignored.
func (b *Builder) Add(s Sub, counter uint64) error {
	if b.hasIdentity {
		if n := len(b.counters); n > 0 {
			last := b.counters[n-1]
			if counter <= last {
				return fmt.Errorf("add to aggregate: counter %d after %d: %w", counter, last, ErrCounter)
			}
			b.deltas += sizeVarint(counter - last)
			b.gaps = b.gaps || counter-last != 1
		}
		b.counters = append(b.counters, counter)
	}
	x := indexed{Sub: s, key: b.keys.add(s.Key)}
	if s.ExplicitHashKey != "" {
		x.hash = b.hash.add(s.ExplicitHashKey)
	}
	x.size = sizeRecord(&s, x.key, x.hash)
	b.records += sizeBytes(fieldRecord, x.size)
	b.subs = append(b.subs, x)
	return nil
}

// Len is the number of sub-records.
func (b *Builder) Len() int { return len(b.subs) }

// Size is exactly how many bytes AppendTo appends, 0 for an empty Builder.
func (b *Builder) Size() int {
	if len(b.subs) == 0 {
		return 0
	}
	n := b.keys.bytes + b.hash.bytes + b.records
	if b.hasIdentity {
		n += sizeBytes(fieldIdentity, sizeIdentity(&b.identity, b.counters[0], b.deltas, b.gaps))
	}
	return Overhead + n
}

// SizeWith is exactly what Size would be after Add of the same arguments.
func (b *Builder) SizeWith(s Sub, counter uint64) int {
	key, keyBytes := b.keys.place(s.Key)
	var hash uint64
	var hashBytes int
	if s.ExplicitHashKey != "" {
		hash, hashBytes = b.hash.place(s.ExplicitHashKey)
	}
	n := b.keys.bytes + keyBytes + b.hash.bytes + hashBytes + b.records +
		sizeBytes(fieldRecord, sizeRecord(&s, key, hash))
	if b.hasIdentity {
		base, deltas, gaps := counter, b.deltas, b.gaps
		if k := len(b.counters); k > 0 {
			base = b.counters[0]
			deltas += sizeVarint(counter - b.counters[k-1])
			gaps = gaps || counter-b.counters[k-1] != 1
		}
		n += sizeBytes(fieldIdentity, sizeIdentity(&b.identity, base, deltas, gaps))
	}
	return Overhead + n
}

// Hash is the explicit hash key to put the aggregate with: what routes its
// first sub-record. An empty Builder has the hash of the empty key.
func (b *Builder) Hash() (keyspace.Hash, error) {
	if len(b.subs) == 0 {
		return keyspace.OfKey(""), nil
	}
	return b.subs[0].Hash()
}

// AppendTo appends the aggregate to dst, nothing for an empty Builder. The same
// sub-records under the same identity always give the same bytes.
func (b *Builder) AppendTo(dst []byte) []byte {
	if len(b.subs) == 0 {
		return dst
	}
	dst = append(dst, magic...)
	start := len(dst)
	for _, k := range b.keys.list {
		dst = appendString(dst, fieldKey, k)
	}
	for _, h := range b.hash.list {
		dst = appendString(dst, fieldHash, h)
	}
	for i := range b.subs {
		dst = b.subs[i].appendTo(dst)
	}
	if b.hasIdentity {
		dst = appendTag(dst, fieldIdentity, wireBytes)
		dst = binary.AppendUvarint(dst, uint64(sizeIdentity(&b.identity, b.counters[0], b.deltas, b.gaps)))
		dst = appendIdentity(dst, &b.identity, b.counters, b.deltas, b.gaps)
	}
	sum := md5.Sum(dst[start:]) //nolint:gosec // see the import
	return append(dst, sum[:]...)
}

func (x *indexed) appendTo(dst []byte) []byte {
	dst = appendTag(dst, fieldRecord, wireBytes)
	dst = binary.AppendUvarint(dst, uint64(x.size))
	dst = appendTag(dst, recordKeyIndex, wireVarint)
	dst = binary.AppendUvarint(dst, x.key)
	if x.ExplicitHashKey != "" {
		dst = appendTag(dst, recordHashIndex, wireVarint)
		dst = binary.AppendUvarint(dst, x.hash)
	}
	dst = appendTag(dst, recordData, wireBytes)
	dst = binary.AppendUvarint(dst, uint64(len(x.Data)))
	dst = append(dst, x.Data...)
	for i := range x.Headers {
		h := &x.Headers[i]
		dst = appendTag(dst, recordTag, wireBytes)
		dst = binary.AppendUvarint(dst, uint64(sizeHeader(h.Key, h.Value)))
		dst = appendString(dst, tagKey, h.Key)
		dst = appendString(dst, tagValue, h.Value)
	}
	return dst
}

// table is one of the two string tables, in order of first use.
type table struct {
	list  []string
	index map[string]uint64
	bytes int

	// The last string looked up: SizeWith and then Add ask for the same one,
	// and neighbours often share it.
	last      string
	lastPlace uint64
	lastKnown bool
}

func (t *table) reset() {
	clear(t.list)
	clear(t.index)
	*t = table{list: t.list[:0], index: t.index}
}

// place is where s is or would be, and how many bytes it would add.
func (t *table) place(s string) (uint64, int) {
	if len(t.list) > 0 && s == t.last {
		if t.lastKnown {
			return t.lastPlace, 0
		}
		return t.lastPlace, sizeBytes(fieldKey, len(s))
	}
	if len(t.list) == 0 {
		return 0, sizeBytes(fieldKey, len(s))
	}
	i, ok := t.index[s]
	if !ok {
		i = uint64(len(t.list))
	}
	t.last, t.lastPlace, t.lastKnown = s, i, ok
	if ok {
		return i, 0
	}
	return i, sizeBytes(fieldKey, len(s))
}

func (t *table) add(s string) uint64 {
	i, bytes := t.place(s)
	if bytes > 0 {
		if t.index == nil {
			t.index = make(map[string]uint64)
		}
		t.index[s] = i
		t.list = append(t.list, s)
		t.bytes += bytes
	}
	t.last, t.lastPlace, t.lastKnown = s, i, true
	return i
}

func sizeRecord(s *Sub, key, hash uint64) int {
	n := 1 + sizeVarint(key) + sizeBytes(recordData, len(s.Data))
	if s.ExplicitHashKey != "" {
		n += 1 + sizeVarint(hash)
	}
	for i := range s.Headers {
		n += sizeBytes(recordTag, sizeHeader(s.Headers[i].Key, s.Headers[i].Value))
	}
	return n
}

func sizeHeader(key, value string) int {
	return sizeBytes(tagKey, len(key)) + sizeBytes(tagValue, len(value))
}

// Wire types of protobuf. https://protobuf.dev/programming-guides/encoding/
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireStart   = 3
	wireEnd     = 4
	wireFixed32 = 5
)

func appendTag(dst []byte, field, wire uint64) []byte {
	return binary.AppendUvarint(dst, field<<3|wire)
}

func appendString(dst []byte, field uint64, s string) []byte {
	dst = appendTag(dst, field, wireBytes)
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func sizeVarint(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// sizeBytes is the size of a whole length-delimited field.
func sizeBytes(field uint64, n int) int {
	return sizeVarint(field<<3) + sizeVarint(uint64(n)) + n
}
