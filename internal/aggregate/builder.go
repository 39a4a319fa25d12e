package aggregate

import (
	"crypto/md5" //nolint:gosec // the format's checksum; nothing here is a secret
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"math/bits"

	"github.com/libvegas/vegas/internal/keyspace"
)

// Builder writes sub-records into one aggregate. The zero Builder is empty and
// writes no identity. It keeps references to the keys that were added, and to
// nothing else, until Reset. It is used by one goroutine at a time.
type Builder struct {
	keys, hash table
	records    []byte // the record fields
	n          int    // how many
	first      Sub    // the keys of the first

	identity    Identity
	hasIdentity bool
	base, last  uint64 // counters of the first and of the last
	deltas      []byte // the differences between counters
	gaps        bool   // some difference is not 1
}

// ErrCounter: a counter does not rise.
var ErrCounter = errors.New("counters of an aggregate must rise")

// Reset empties the Builder. id is the identity that the next aggregate
// carries, nil for none; its Counters are ignored, they come with Add.
func (b *Builder) Reset(id *Identity) {
	b.keys.reset()
	b.hash.reset()
	*b = Builder{keys: b.keys, hash: b.hash, records: b.records[:0], deltas: b.deltas[:0], hasIdentity: id != nil}
	if id != nil {
		b.identity = *id
		b.identity.Counters = nil
	}
}

// Add appends a sub-record. Its explicit hash key must be empty or a number
// that keyspace.Parse takes, otherwise readers refuse the aggregate. Counters
// must rise, unless there is no identity: then they are ignored.
func (b *Builder) Add(s Sub, counter uint64) error {
	if b.hasIdentity && b.n > 0 {
		if counter <= b.last {
			return fmt.Errorf("add to aggregate: counter %d after %d: %w", counter, b.last, ErrCounter)
		}
		b.deltas = binary.AppendUvarint(b.deltas, counter-b.last)
		b.gaps = b.gaps || counter-b.last != 1
	}
	if b.n == 0 {
		b.base = counter
		b.first = Sub{Key: s.Key, ExplicitHashKey: s.ExplicitHashKey}
	}
	b.last = counter
	b.n++
	key, hash := b.keys.add(fieldKey, s.Key), uint64(0)
	if s.ExplicitHashKey != "" {
		hash = b.hash.add(fieldHash, s.ExplicitHashKey)
	}
	b.records = appendTag(b.records, fieldRecord, wireBytes)
	b.records = binary.AppendUvarint(b.records, uint64(sizeRecord(&s, key, hash)))
	b.records = appendRecord(b.records, &s, key, hash)
	return nil
}

// Len is the number of sub-records.
func (b *Builder) Len() int { return b.n }

// Size is exactly how many bytes AppendTo appends, 0 for an empty Builder.
func (b *Builder) Size() int {
	if b.n == 0 {
		return 0
	}
	n := len(b.keys.encoded) + len(b.hash.encoded) + len(b.records)
	if b.hasIdentity {
		n += sizeBytes(fieldIdentity, sizeIdentity(&b.identity, b.base, len(b.deltas), b.gaps))
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
	n := len(b.keys.encoded) + keyBytes + len(b.hash.encoded) + hashBytes + len(b.records) +
		sizeBytes(fieldRecord, sizeRecord(&s, key, hash))
	if b.hasIdentity {
		base, deltas, gaps := counter, len(b.deltas), b.gaps
		if b.n > 0 {
			base = b.base
			deltas += sizeVarint(counter - b.last)
			gaps = gaps || counter-b.last != 1
		}
		n += sizeBytes(fieldIdentity, sizeIdentity(&b.identity, base, deltas, gaps))
	}
	return Overhead + n
}

// Hash is the explicit hash key to put the aggregate with: what routes its
// first sub-record. An empty Builder has the hash of the empty key.
func (b *Builder) Hash() (keyspace.Hash, error) { return b.first.Hash() }

// AppendTo appends the aggregate to dst, nothing for an empty Builder. The same
// sub-records under the same identity always give the same bytes.
func (b *Builder) AppendTo(dst []byte) []byte {
	from := len(dst)
	if dst = b.AppendUnsealed(dst); len(dst) > from {
		body, room := Unsealed(dst[from:])
		sum := md5.Sum(body) //nolint:gosec // see the import
		copy(room, sum[:])
	}
	return dst
}

// AppendUnsealed is AppendTo, but for the checksum: Unsealed tells what it is of, and where it belongs.
func (b *Builder) AppendUnsealed(dst []byte) []byte {
	if b.n == 0 {
		return dst
	}
	dst = append(dst, magic...)
	dst = append(dst, b.keys.encoded...)
	dst = append(dst, b.hash.encoded...)
	dst = append(dst, b.records...)
	if b.hasIdentity {
		dst = appendTag(dst, fieldIdentity, wireBytes)
		dst = binary.AppendUvarint(dst, uint64(sizeIdentity(&b.identity, b.base, len(b.deltas), b.gaps)))
		dst = appendIdentity(dst, &b.identity, b.base, b.deltas, b.gaps)
	}
	return append(dst, noSum[:]...)
}

var noSum [md5.Size]byte

// Unsealed is what the checksum of an aggregate, an MD5 sum, is of, and the room for
// it.
func Unsealed(a []byte) (body, sum []byte) {
	end := len(a) - md5.Size
	return a[len(magic):end], a[end:]
}

// appendRecord appends the inside of a record field.
func appendRecord(dst []byte, s *Sub, key, hash uint64) []byte {
	dst = appendTag(dst, recordKeyIndex, wireVarint)
	dst = binary.AppendUvarint(dst, key)
	if s.ExplicitHashKey != "" {
		dst = appendTag(dst, recordHashIndex, wireVarint)
		dst = binary.AppendUvarint(dst, hash)
	}
	dst = appendTag(dst, recordData, wireBytes)
	dst = binary.AppendUvarint(dst, uint64(len(s.Data)))
	dst = append(dst, s.Data...)
	for i := range s.Headers {
		h := &s.Headers[i]
		dst = appendTag(dst, recordTag, wireBytes)
		dst = binary.AppendUvarint(dst, uint64(sizeHeader(h.Key, h.Value)))
		dst = appendString(dst, tagKey, h.Key)
		dst = appendString(dst, tagValue, h.Value)
	}
	return dst
}

// table is one of the two string tables, in order of first use.
type table struct {
	encoded []byte   // its fields
	strings []string // what they hold
	slots   []slot   // where to look for a string; a power of two, at most half of them taken
}

// slot is one of a hash table whose strings lie where the next free slot was. (A map
// of Go took a fifth of what building an aggregate of 100 bytes a record does.)
type slot struct {
	sum   uint32 // of the string
	place uint32 // of the string, from 1; 0: free
}

const slotsFirst = 1 << 8

var seed = maphash.MakeSeed() // nobody can choose strings that share their slots

func (t *table) reset() {
	clear(t.slots)
	clear(t.strings)
	t.encoded, t.strings = t.encoded[:0], t.strings[:0]
}

// slot is the one that has s, or else the free one for it.
func (t *table) slot(s string) (at *slot, sum uint32) {
	x := maphash.String(seed, s)
	sum = uint32(x)
	for i := x >> 32; ; i++ {
		at = &t.slots[i&uint64(len(t.slots)-1)]
		if at.place == 0 || at.sum == sum && t.strings[at.place-1] == s {
			return at, sum
		}
	}
}

// place is where s is or would be, and how many bytes it would add.
func (t *table) place(s string) (uint64, int) {
	if len(t.slots) > 0 {
		if at, _ := t.slot(s); at.place > 0 {
			return uint64(at.place - 1), 0
		}
	}
	return uint64(len(t.strings)), sizeBytes(fieldKey, len(s))
}

// add is where s is from now on.
func (t *table) add(field uint64, s string) uint64 {
	if 2*len(t.strings) >= len(t.slots) {
		t.grow()
	}
	at, sum := t.slot(s)
	if at.place == 0 {
		t.strings = append(t.strings, s)
		*at = slot{sum, uint32(len(t.strings))}
		t.encoded = appendString(t.encoded, field, s)
	}
	return uint64(at.place - 1)
}

func (t *table) grow() {
	t.slots = make([]slot, max(slotsFirst, 4*len(t.slots)))
	for i, s := range t.strings {
		at, sum := t.slot(s)
		*at = slot{sum, uint32(i + 1)}
	}
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
