// Package md5many computes MD5 sums of several messages side by side. MD5 has to
// wait for its own last step all the time, and leaves most of a processor idle: four
// messages take as long as one. On processors without AVX-512 it computes one sum
// after the other.
//
// The format of aggregates wants the sum of every one of them, and a request carries
// one for each shard.
package md5many

import (
	"crypto/md5" //nolint:gosec // the format's checksum; nothing here is a secret
	"encoding/binary"
)

// AtOnce is how many messages take about as long as one, where that is possible.
const AtOnce = lanes

const lanes = 4

// state is a, b, c and d of every message.
type state [4][lanes]uint32

var initial = [4]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}

// Sum computes the sums of the messages; sums is as long as messages.
func Sum(sums [][md5.Size]byte, messages [][]byte) {
	for several && len(messages) > 1 {
		n := min(lanes, len(messages))
		sum(sums[:n], messages[:n])
		sums, messages = sums[n:], messages[n:]
	}
	for i, m := range messages {
		sums[i] = md5.Sum(m) //nolint:gosec // see the import
	}
}

// sum computes the sums of two to four messages: as many blocks of all as the
// shortest has side by side, and what is left as well if it is the same number of
// blocks of each, else one after the other. The aggregates of a request, and keys,
// are about as long as each other.
func sum(sums [][md5.Size]byte, messages [][]byte) {
	n := len(messages[0]) / md5.BlockSize
	for _, m := range messages {
		n = min(n, len(m)/md5.BlockSize)
	}
	var s state
	for i, x := range initial {
		s[i] = [lanes]uint32{x, x, x, x}
	}
	if n > 0 {
		var at [lanes]*byte
		for i := range at {
			at[i] = &messages[min(i, len(messages)-1)][0] // the last one also in lanes without one
		}
		blocks(&s, &at, n)
	}
	done := n * md5.BlockSize
	if s.pad(messages, done) {
		for i := range messages {
			for k := range s {
				binary.LittleEndian.PutUint32(sums[i][4*k:], s[k][i])
			}
		}
		return
	}
	for i, m := range messages {
		sums[i] = finish([4]uint32{s[0][i], s[1][i], s[2][i], s[3][i]}, m[done:], done)
	}
}

// pad takes what is left of the messages, and their ends, if that is one block of
// each, or two. It tells whether it is.
func (s *state) pad(messages [][]byte, done int) bool {
	const end = 1 + 8 // a bit, zeros, the length in bits
	size := (len(messages[0]) - done + end + md5.BlockSize - 1) / md5.BlockSize * md5.BlockSize
	var last [lanes][2 * md5.BlockSize]byte
	var at [lanes]*byte
	for i := range at {
		at[i] = &last[i][0]
		if i >= len(messages) {
			continue
		}
		m := messages[i]
		left := len(m) - done
		if left+end > size || left+end <= size-md5.BlockSize || size > len(last[i]) {
			return false
		}
		last[i][copy(last[i][:], m[done:])] = 0x80
		binary.LittleEndian.PutUint64(last[i][size-8:], uint64(len(m))*8)
	}
	blocks(s, &at, size/md5.BlockSize)
	return true
}

// finish is the sum of a message of which a state has taken the first bytes.
func finish(s [4]uint32, rest []byte, done int) (sum [md5.Size]byte) {
	// The form in which crypto/md5 takes up a state: magic, state, an empty block,
	// length.
	const magic = "md5\x01"
	var b [len(magic) + md5.Size + md5.BlockSize + 8]byte
	copy(b[:], magic)
	for i, x := range s {
		binary.BigEndian.PutUint32(b[len(magic)+4*i:], x)
	}
	binary.BigEndian.PutUint64(b[len(b)-8:], uint64(done))
	h := md5.New() //nolint:gosec // see the import
	if err := h.(interface{ UnmarshalBinary(b []byte) error }).UnmarshalBinary(b[:]); err != nil {
		panic(err) // its form is promised to stay
	}
	_, _ = h.Write(rest) // never fails
	h.Sum(sum[:0])
	return sum
}
