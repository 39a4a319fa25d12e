package mark

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/record"
)

// EncodedBytes is the most that Encode returns: what fits into one row of any
// store beside the row's names and fields.
const EncodedBytes = 384 << 10

// The encoding, all numbers big-endian or varint:
//
//	"vm" | version 1 | varint n, sequence number (n bytes) | varint sub-sequence
//	| first and last hash key of the shard, 16 bytes each
//	| for each producer, seen last first:
//	    producer id (16 bytes) | varint marks
//	    for each: kind 0, the whole shard; or 1 | first, last, 16 bytes each
//	              | varint counter
//	| CRC-32C of all before, 4 bytes
const encodingMagic = "vm\x01"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrDamaged: these bytes are not marks that this version can read.
var ErrDamaged = errors.New("marks are damaged or of another version")

// Saved are marks that were written to a store.
type Saved struct {
	// At is the checkpoint that they belong to.
	At record.Position
	// Shard is the hash range of the shard that they were read from.
	Shard keyspace.Range

	marks []savedMark // of the producer seen least recently first
}

type savedMark struct {
	producer [16]byte
	mark
}

// Leads reports whether the marks belong to a later position than checkpoint,
// so that they cover records that are to be read again. They must then not be
// used. A checkpoint goes back when somebody resets a group by hand, and by
// nothing that vegas does.
func (s *Saved) Leads(checkpoint record.Position) bool { return s.At.Compare(checkpoint) > 0 }

func encode(at record.Position, shard keyspace.Range, t *table) []byte {
	b := make([]byte, 0, min(128+48*len(t.byID), EncodedBytes))
	b = append(b, encodingMagic...)
	b = binary.AppendUvarint(b, uint64(len(at.Sequence)))
	b = append(b, at.Sequence...)
	b = binary.AppendUvarint(b, uint64(max(at.SubSequence, 0)))
	b = appendRange(b, shard)
	for p := t.newest; p != nil; p = p.older {
		start := len(b)
		b = append(b, p.id[:]...)
		b = binary.AppendUvarint(b, uint64(len(p.marks)))
		for _, m := range p.marks {
			if m.over == shard {
				b = append(b, 0)
			} else {
				b = appendRange(append(b, 1), m.over)
			}
			b = binary.AppendUvarint(b, m.top)
		}
		if len(b) > EncodedBytes-crc32.Size {
			b = b[:start]
			break
		}
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func appendRange(b []byte, r keyspace.Range) []byte {
	first, last := r.First.Bytes(), r.Last.Bytes()
	return append(append(b, first[:]...), last[:]...)
}

// Decode reads what Encode wrote. After an error the shard is read without
// marks: duplicates are then possible, losses are not.
func Decode(b []byte) (*Saved, error) {
	if len(b) < len(encodingMagic)+crc32.Size || string(b[:2]) != encodingMagic[:2] {
		return nil, fmt.Errorf("decode marks: %d bytes: %w", len(b), ErrDamaged)
	}
	if b[2] != encodingMagic[2] {
		return nil, fmt.Errorf("decode marks: version %d: %w", b[2], ErrDamaged)
	}
	body, sum := b[:len(b)-crc32.Size], binary.BigEndian.Uint32(b[len(b)-crc32.Size:])
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, fmt.Errorf("decode marks: checksum differs: %w", ErrDamaged)
	}
	r := cursor{rest: body[len(encodingMagic):]}
	s := new(Saved)
	s.At.Sequence = string(r.bytes(r.varint()))
	sub := r.varint()
	s.At.SubSequence = int64(sub)
	s.Shard = r.hashes()
	if r.bad || s.At.SubSequence < 0 || s.Shard.Empty() {
		return nil, fmt.Errorf("decode marks: head: %w", ErrDamaged)
	}
	for len(r.rest) > 0 {
		if !s.decodeProducer(&r) {
			return nil, fmt.Errorf("decode marks: producer at byte %d: %w", len(body)-len(r.rest), ErrDamaged)
		}
	}
	slices.Reverse(s.marks)
	return s, nil
}

func (s *Saved) decodeProducer(r *cursor) bool {
	var id [16]byte
	copy(id[:], r.bytes(uint64(len(id))))
	n := r.varint()
	for ; n > 0 && !r.bad; n-- {
		m := savedMark{producer: id, mark: mark{over: s.Shard}}
		switch kind := r.bytes(1); {
		case r.bad:
			return false
		case kind[0] == 1:
			m.over = r.hashes()
		case kind[0] != 0:
			return false
		}
		m.top = r.varint()
		if r.bad || m.over.Empty() {
			return false
		}
		s.marks = append(s.marks, m)
	}
	return !r.bad
}

// cursor reads from the front; bad sticks.
type cursor struct {
	rest []byte
	bad  bool
}

func (r *cursor) varint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || r.bad {
		r.bad = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *cursor) bytes(n uint64) []byte {
	if r.bad || n > uint64(len(r.rest)) {
		r.bad = true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *cursor) hashes() (out keyspace.Range) {
	if b := r.bytes(32); !r.bad {
		out.First = keyspace.FromBytes([16]byte(b[:16]))
		out.Last = keyspace.FromBytes([16]byte(b[16:]))
	}
	return out
}
