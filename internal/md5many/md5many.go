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
// shortest has side by side, what is left one after the other. The aggregates of a
// request are about as long as each other.
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
	for i, m := range messages {
		sums[i] = finish([4]uint32{s[0][i], s[1][i], s[2][i], s[3][i]}, m[done:], done)
	}
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
