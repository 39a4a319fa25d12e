package aggregate

import (
	"encoding/binary"
	"errors"

	"github.com/libvegas/vegas/internal/keyspace"
)

// trimFirst and trimLast shorten the ends of a lane's range: shards split at
// round numbers, so that most ends are long runs of 00 or ff.
func trimFirst(h keyspace.Hash) ([16]byte, int) { return trim(h, 0x00) }
func trimLast(h keyspace.Hash) ([16]byte, int)  { return trim(h, 0xff) }

func trim(h keyspace.Hash, fill byte) (b [16]byte, n int) {
	b, n = h.Bytes(), 16
	for n > 0 && b[n-1] == fill {
		n--
	}
	return b, n
}

func untrim(b []byte, fill byte) keyspace.Hash {
	var full [16]byte
	for i := copy(full[:], b); i < len(full); i++ {
		full[i] = fill
	}
	return keyspace.FromBytes(full)
}

func sizeIdentity(id *Identity, base uint64, deltas int, gaps bool) int {
	n := sizeBytes(identityProducer, len(id.Producer))
	if id.Laned {
		n += 2
	}
	if _, k := trimFirst(id.Range.First); k > 0 {
		n += sizeBytes(identityFirst, k)
	}
	if _, k := trimLast(id.Range.Last); k > 0 {
		n += sizeBytes(identityLast, k)
	}
	if base > 0 {
		n += 1 + sizeVarint(base)
	}
	if gaps {
		n += sizeBytes(identityDeltas, deltas)
	}
	return n
}

// appendIdentity writes the inside of the identity field.
func appendIdentity(dst []byte, id *Identity, base uint64, deltas []byte, gaps bool) []byte {
	dst = appendTag(dst, identityProducer, wireBytes)
	dst = append(dst, byte(len(id.Producer)))
	dst = append(dst, id.Producer[:]...)
	if id.Laned {
		dst = appendTag(dst, identityFlags, wireVarint)
		dst = append(dst, flagLaned)
	}
	if b, k := trimFirst(id.Range.First); k > 0 {
		dst = appendTag(dst, identityFirst, wireBytes)
		dst = append(append(dst, byte(k)), b[:k]...)
	}
	if b, k := trimLast(id.Range.Last); k > 0 {
		dst = appendTag(dst, identityLast, wireBytes)
		dst = append(append(dst, byte(k)), b[:k]...)
	}
	if base > 0 {
		dst = appendTag(dst, identityBase, wireVarint)
		dst = binary.AppendUvarint(dst, base)
	}
	if gaps {
		dst = appendTag(dst, identityDeltas, wireBytes)
		dst = binary.AppendUvarint(dst, uint64(len(deltas)))
		dst = append(dst, deltas...)
	}
	return dst
}

// Reasons not to believe an identity.
var (
	errIdentityField   = errors.New("identity: malformed field")
	errIdentityTwice   = errors.New("identity: repeated field")
	errIdentityLength  = errors.New("identity: producer id is not 16 bytes or an end of the range is longer")
	errIdentityRange   = errors.New("identity: range ends before it starts")
	errIdentityCount   = errors.New("identity: not one counter for each record")
	errIdentityCounter = errors.New("identity: counters do not rise")
)

// decodeIdentity reads the identity field at f into a.Identity and reports
// whether it is sound; if not, a.IdentityError says why.
func (a *Aggregate) decodeIdentity(msg []byte, f identityField) bool {
	switch {
	case f.repeated:
		a.IdentityError = errIdentityTwice
	case f.wire != wireBytes:
		a.IdentityError = errIdentityField
	default:
		a.IdentityError = a.Identity.decode(f.at.of(msg), len(a.Subs))
	}
	if a.IdentityError != nil {
		a.Identity = Identity{Counters: a.Identity.Counters[:0]}
		return false
	}
	return true
}

// decode reads the inside of an identity field of an aggregate of n records.
// Counters are allocated only for as many as there are records.
func (id *Identity) decode(b []byte, n int) error {
	var base uint64
	var deltas []byte
	var seen uint64
	id.Range = keyspace.Full
	r := reader{buf: b}
	for r.more() {
		f := r.field()
		if f.number > identityDeltas || r.bad {
			continue // of a later version
		}
		if seen&(1<<f.number) != 0 {
			return errIdentityTwice
		}
		seen |= 1 << f.number
		want := uint64(wireBytes)
		if f.number == identityFlags || f.number == identityBase {
			want = wireVarint
		}
		if f.wire != want {
			return errIdentityField
		}
		switch f.number {
		case identityProducer:
			if copy(id.Producer[:], f.at.of(b)) != f.at.len() || f.at.len() != len(id.Producer) {
				return errIdentityLength
			}
		case identityFlags:
			id.Laned = f.value&flagLaned != 0
		case identityFirst, identityLast:
			if f.at.len() > 16 {
				return errIdentityLength
			}
			if f.number == identityFirst {
				id.Range.First = untrim(f.at.of(b), 0x00)
			} else {
				id.Range.Last = untrim(f.at.of(b), 0xff)
			}
		case identityBase:
			base = f.value
		case identityDeltas:
			deltas = f.at.of(b)
		}
	}
	switch {
	case r.bad:
		return errIdentityField
	case seen&(1<<identityProducer) == 0:
		return errIdentityLength
	case id.Range.Empty():
		return errIdentityRange
	}
	return id.decodeCounters(base, deltas, n)
}

func (id *Identity) decodeCounters(base uint64, deltas []byte, n int) error {
	if len(deltas) == 0 {
		if base+uint64(n-1) < base {
			return errIdentityCounter
		}
		id.grow(n)
		for i := range n {
			id.Counters = append(id.Counters, base+uint64(i))
		}
		return nil
	}
	if len(deltas) < n-1 {
		return errIdentityCount
	}
	id.grow(n)
	id.Counters = append(id.Counters, base)
	r := reader{buf: deltas}
	for at := base; r.more(); {
		d := r.varint()
		switch {
		case r.bad:
			return errIdentityField
		case len(id.Counters) == n:
			return errIdentityCount
		case at+d <= at: // no step, or past the largest number
			return errIdentityCounter
		}
		at += d
		id.Counters = append(id.Counters, at)
	}
	if len(id.Counters) != n {
		return errIdentityCount
	}
	return nil
}

func (id *Identity) grow(n int) {
	if cap(id.Counters) < n {
		id.Counters = make([]uint64, 0, n)
	}
}
