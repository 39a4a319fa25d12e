package bridge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	frameHead = 5 // size and kind
	// readBytes is what a reader holds, and a larger frame makes it hold more for a
	// while.
	readBytes = 128 << 10
)

// frameReader takes frames out of a byte stream.
type frameReader struct {
	from io.Reader
	buf  []byte
	used int // bytes of buf that were given out
	have int // bytes of buf that were read
}

func newFrameReader(r io.Reader) *frameReader {
	return &frameReader{from: r, buf: make([]byte, readBytes)}
}

var errFrameSize = errors.New("a frame of impossible size")

// next is the next frame; its body is valid until the following call. io.EOF is an
// end between two frames, io.ErrUnexpectedEOF one within.
func (r *frameReader) next() (kind byte, body []byte, err error) {
	if err := r.fill(4); err != nil {
		return 0, nil, err
	}
	size := binary.LittleEndian.Uint32(r.buf[r.used:])
	if size < 1 || size > frameBytes {
		return 0, nil, fmt.Errorf("%w: %d bytes", errFrameSize, size)
	}
	if err := r.fill(4 + int(size)); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	frame := r.buf[r.used : r.used+4+int(size)]
	r.used += len(frame)
	return frame[4], frame[frameHead:], nil
}

// fill makes n bytes that were not given out available. It makes room for a large
// frame as its bytes arrive, and not because its size says so.
func (r *frameReader) fill(n int) error {
	for r.have-r.used < n {
		if r.used > 0 {
			r.compact(n)
		}
		if r.have == len(r.buf) {
			r.buf = append(r.buf, make([]byte, min(len(r.buf), 4+frameBytes-len(r.buf)))...)
		}
		got, err := r.from.Read(r.buf[r.have:])
		r.have += got
		if err != nil && r.have-r.used < n {
			if errors.Is(err, io.EOF) && r.have > r.used {
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// compact moves what was not given out to the front, and lets go of the memory that
// a large frame took.
func (r *frameReader) compact(n int) {
	rest := r.buf[r.used:r.have]
	if len(r.buf) > readBytes && n <= readBytes && len(rest) <= readBytes {
		r.buf = make([]byte, readBytes)
	}
	r.have, r.used = copy(r.buf, rest), 0
}

// beginFrame appends the head of a frame whose size is not known yet; endFrame,
// which is given the length that b had before, completes it.
func beginFrame(b []byte, kind byte) []byte { return append(b, 0, 0, 0, 0, kind) }

func endFrame(b []byte, start int) []byte {
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}
