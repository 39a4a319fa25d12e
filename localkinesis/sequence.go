package localkinesis

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math/bits"
)

// sequence is a sequence number: a 188-bit integer, 56 decimal digits starting
// with 49. From the most significant end it holds the digit 2, the second of
// the shard's creation (36 bits), the low four bits of the shard's index, a
// counter within the shard (64 bits), a byte of zero, the second it was given (36
// bits), the shard's index (32 bits) and the version 2. So numbers of a shard
// rise, and those of a shard created later are above those of its parents.
//
// The service documents none of this ("opaque"); the layout is the one that
// kinesalite found by looking, db/index.js in https://github.com/mhart/kinesalite.
type sequence [3]uint64

// sequenceEnd is the counter of a closed shard's EndingSequenceNumber.
const sequenceEnd = 1<<63 - 1

var errSequence = errors.New("not a sequence number of this server")

func makeSequence(created int64, index uint32, counter uint64, second int64) sequence {
	c, t := uint64(created)&(1<<36-1), uint64(second)&(1<<36-1)
	return sequence{
		2<<56 | c<<20 | uint64(index&15)<<16 | counter>>48,
		counter<<16 | t>>28,
		t<<36 | uint64(index)<<4 | 2,
	}
}

func (q sequence) created() int64  { return int64(q[0] >> 20 & (1<<36 - 1)) }
func (q sequence) counter() uint64 { return q[0]<<48 | q[1]>>16 }
func (q sequence) second() int64   { return int64((q[1]<<28 | q[2]>>36) & (1<<36 - 1)) }
func (q sequence) index() uint32   { return uint32(q[2] >> 4) }

func (q sequence) compare(o sequence) int {
	for i := range q {
		if c := cmp.Compare(q[i], o[i]); c != 0 {
			return c
		}
	}
	return 0
}

// next is the smallest number above q.
func (q sequence) next() sequence {
	var c uint64
	q[2], c = bits.Add64(q[2], 1, 0)
	q[1], c = bits.Add64(q[1], 0, c)
	q[0] += c
	return q
}

// between is a number above q and below any that the shard gives after q; it is
// told by a one in the byte after the counter.
func (q sequence) between() sequence {
	q[1] |= 1 << 8
	return q
}

const e19 = 10_000_000_000_000_000_000

func (q sequence) append(b []byte) []byte {
	var buf [58]byte // 2^192 has 58 digits
	i := len(buf)
	for q != (sequence{}) {
		var r uint64
		q[0], r = q[0]/e19, q[0]%e19
		q[1], r = bits.Div64(r, q[1], e19)
		q[2], r = bits.Div64(r, q[2], e19)
		for n := 0; n < 19 && i > 0 && (r != 0 || q != (sequence{})); n++ {
			i--
			buf[i] = byte('0' + r%10)
			r /= 10
		}
	}
	if i == len(buf) {
		return append(b, '0')
	}
	return append(b, buf[i:]...)
}

func (q sequence) String() string { return string(q.append(nil)) }

// parseSequence reads a number this package gave or could have given.
func parseSequence(s string) (sequence, error) {
	if len(s) != 56 {
		return sequence{}, errSequence
	}
	var q sequence
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return sequence{}, errSequence
		}
		c := uint64(d)
		for j := 2; j >= 0; j-- {
			hi, lo := bits.Mul64(q[j], 10)
			var k uint64
			q[j], k = bits.Add64(lo, c, 0)
			c = hi + k
		}
	}
	if q[0]>>56 != 2 || q[2]&15 != 2 || byte(q[1]>>8) > 1 || uint32(q[0]>>16&15) != q.index()&15 {
		return sequence{}, errSequence
	}
	return q, nil
}

func (q sequence) put(b []byte) {
	binary.BigEndian.PutUint64(b, q[0])
	binary.BigEndian.PutUint64(b[8:], q[1])
	binary.BigEndian.PutUint64(b[16:], q[2])
}

func readSequence(b []byte) sequence {
	return sequence{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:])}
}
