// Package keyspace is the arithmetic of Kinesis hash keys: the 128-bit numbers
// that partition keys hash to, and the ranges of them that shards own.
//
// A partition key hashes to the MD5 of its UTF-8 bytes read as a big-endian
// 128-bit integer; an explicit hash key is that integer in decimal.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecord.html
package keyspace

import (
	"cmp"
	"crypto/md5" //nolint:gosec // the service routes by MD5; nothing here is a secret
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// Hash is a position in the hash key space, 0 to 2^128-1.
type Hash struct{ Hi, Lo uint64 }

// Max is the largest hash key, 2^128-1.
var Max = Hash{^uint64(0), ^uint64(0)}

// Full is the range of a whole stream.
var Full = Range{Last: Max}

// ErrHash reports text that is not a decimal number of 0 to 2^128-1.
var ErrHash = errors.New("not a hash key: want a decimal number from 0 to 2^128-1 without leading zeros")

// OfKey is the hash of a partition key.
func OfKey(key string) Hash {
	sum := md5.Sum([]byte(key)) //nolint:gosec // see the import
	return Hash{binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:])}
}

// Effective is the hash a record is routed by: its explicit hash key where it
// has one, else the hash of its partition key.
func Effective(key, explicit string) (Hash, error) {
	if explicit == "" {
		return OfKey(key), nil
	}
	return Parse(explicit)
}

// FromBytes reads 16 big-endian bytes.
func FromBytes(b [16]byte) Hash {
	return Hash{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// Bytes is the hash as 16 big-endian bytes.
func (h Hash) Bytes() (b [16]byte) {
	binary.BigEndian.PutUint64(b[:8], h.Hi)
	binary.BigEndian.PutUint64(b[8:], h.Lo)
	return b
}

// Parse reads a decimal hash key as the service writes them: 0 to 2^128-1, no
// sign, no leading zeros.
func Parse(s string) (Hash, error) {
	if s == "" || len(s) > 39 || (len(s) > 1 && s[0] == '0') {
		return Hash{}, fmt.Errorf("%q: %w", clip(s), ErrHash)
	}
	var h Hash
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return Hash{}, fmt.Errorf("%q: %w", clip(s), ErrHash)
		}
		over, lo := bits.Mul64(h.Lo, 10)
		top, hi := bits.Mul64(h.Hi, 10)
		var carry uint64
		lo, carry = bits.Add64(lo, uint64(d), 0)
		hi, carry = bits.Add64(hi, over, carry)
		if top != 0 || carry != 0 {
			return Hash{}, fmt.Errorf("%q: %w", clip(s), ErrHash)
		}
		h = Hash{hi, lo}
	}
	return h, nil
}

func clip(s string) string {
	if len(s) > 48 {
		return s[:48] + "..."
	}
	return s
}

// AppendText appends the decimal form.
func (h Hash) AppendText(b []byte) ([]byte, error) {
	var buf [39]byte
	i := len(buf)
	for {
		var r uint64
		h.Hi, r = h.Hi/10, h.Hi%10
		h.Lo, r = bits.Div64(r, h.Lo, 10)
		i--
		buf[i] = byte('0' + r)
		if h == (Hash{}) {
			return append(b, buf[i:]...), nil
		}
	}
}

// String is the decimal form.
func (h Hash) String() string {
	b, _ := h.AppendText(make([]byte, 0, 39))
	return string(b)
}

// Compare orders hashes as numbers: -1, 0 or 1.
func (h Hash) Compare(o Hash) int {
	if c := cmp.Compare(h.Hi, o.Hi); c != 0 {
		return c
	}
	return cmp.Compare(h.Lo, o.Lo)
}

// Less reports h < o.
func (h Hash) Less(o Hash) bool { return h.Hi < o.Hi || h.Hi == o.Hi && h.Lo < o.Lo }

// Next is h+1, wrapping to 0 after Max.
func (h Hash) Next() Hash {
	lo, c := bits.Add64(h.Lo, 1, 0)
	return Hash{h.Hi + c, lo}
}

// Prev is h-1, wrapping to Max before 0.
func (h Hash) Prev() Hash {
	lo, c := bits.Sub64(h.Lo, 1, 0)
	return Hash{h.Hi - c, lo}
}

// Range is a run of the hash key space with both ends inside it. A range whose
// Last is before its First is empty.
type Range struct{ First, Last Hash }

// ParseRange reads the two decimal ends of a shard's HashKeyRange.
func ParseRange(first, last string) (Range, error) {
	a, err := Parse(first)
	if err != nil {
		return Range{}, err
	}
	b, err := Parse(last)
	if err != nil {
		return Range{}, err
	}
	return Range{a, b}, nil
}

// Has reports whether h lies inside.
func (r Range) Has(h Hash) bool { return !h.Less(r.First) && !r.Last.Less(h) }

// Empty reports a range that holds nothing.
func (r Range) Empty() bool { return r.Last.Less(r.First) }

// Covers reports whether every hash of o lies inside r.
func (r Range) Covers(o Range) bool {
	return o.Empty() || !o.First.Less(r.First) && !r.Last.Less(o.Last)
}

// Cut is what r and o have in common; it may be empty.
func (r Range) Cut(o Range) Range {
	if r.First.Less(o.First) {
		r.First = o.First
	}
	if o.Last.Less(r.Last) {
		r.Last = o.Last
	}
	return r
}

// Overlaps reports whether r and o have anything in common.
func (r Range) Overlaps(o Range) bool { return !r.Cut(o).Empty() }

// Middle is the hash that splits r into two halves of equal size, the first
// hash of the upper one.
func (r Range) Middle() Hash {
	lo, c := bits.Add64(r.First.Lo, r.Last.Lo, 0)
	hi, c := bits.Add64(r.First.Hi, r.Last.Hi, c)
	m := Hash{hi>>1 | c<<63, lo>>1 | hi<<63}
	return m.Next()
}

// Split cuts the whole space into n ranges of equal size as CreateStream does;
// the last one takes the remainder.
func Split(n int) []Range {
	if n <= 0 {
		return nil
	}
	// floor(2^128 / n) = Q of (2^128-1)/n, plus one when n divides 2^128.
	qHi, r := bits.Div64(0, ^uint64(0), uint64(n))
	qLo, r := bits.Div64(r, ^uint64(0), uint64(n))
	step := Hash{qHi, qLo}
	if r == uint64(n)-1 {
		step = step.Next()
	}
	out := make([]Range, n)
	var at Hash
	for i := range out {
		out[i].First = at
		lo, c := bits.Add64(at.Lo, step.Lo, 0)
		hi, _ := bits.Add64(at.Hi, step.Hi, c)
		at = Hash{hi, lo}
		out[i].Last = at.Prev()
	}
	out[n-1].Last = Max
	return out
}

// String is "first-last" in decimal.
func (r Range) String() string { return r.First.String() + "-" + r.Last.String() }

// Fraction is the share of the whole space before h, 0 to 1, for drawing.
func (h Hash) Fraction() float64 {
	return float64(h.Hi)/(1<<63)/2 + float64(h.Lo)/(1<<63)/(1<<63)/4
}
