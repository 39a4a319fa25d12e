package kinesisapi

import (
	"io"
	"slices"
	"sync"

	"github.com/libvegas/vegas/internal/wire"
)

// bodies are requests whose calls have succeeded: memory for the next ones.
var bodies = sync.Pool{New: func() any { return new([]byte) }}

// desk is memory to decode an answer with. Whoever takes one is its owner until it
// gives it back, and nothing of the answer is in it then.
type desk struct {
	body []byte
	wire.Decoder
}

// desks are those that nobody uses, the last one used on top. A sync.Pool would
// lose them: a few large answers make a garbage collection, and two of these empty
// it. Here a desk is dropped when it was of no use for a while.
type desks struct {
	mu    sync.Mutex
	free  []*desk
	bytes int // of all free ones
	taken int // since spare was counted anew
	spare int // how many were never needed since then
}

const (
	// desksKept bounds the bytes of free desks. One is in use only while an answer
	// comes in and is decoded.
	desksKept = 64 << 20
	// desksLook is how many answers it takes to see which desks are of no use.
	desksLook = 64
)

var answers desks

func (s *desks) take() *desk {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := new(desk)
	if n := len(s.free); n > 0 {
		d = s.free[n-1]
		s.free = s.free[:n-1]
		s.bytes -= cap(d.body)
	}
	s.spare = min(s.spare, len(s.free))
	if s.taken++; s.taken == desksLook {
		for _, d := range s.free[:s.spare] {
			s.bytes -= cap(d.body)
		}
		s.free = slices.Delete(s.free, 0, s.spare)
		s.taken, s.spare = 0, len(s.free)
	}
	return d
}

func (s *desks) giveBack(d *desk) {
	d.body = d.body[:0]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bytes+cap(d.body) <= desksKept {
		s.free = append(s.free, d)
		s.bytes += cap(d.body)
	}
}

// grow makes room for size bytes, and for the next answer, which may be somewhat
// larger.
func (d *desk) grow(size int64) {
	if int64(cap(d.body)) < size {
		d.body = make([]byte, 0, size+size/8)
	}
}

// read fills the desk with all of r. size is how much that is said to be;
// negative: it is not known.
func (d *desk) read(r io.Reader, size int64) error {
	d.grow(min(max(size+1, 4<<10), 16<<20)) // one more, so that the end shows without growing
	b := d.body[:0]
	for {
		if len(b) == cap(b) {
			b = slices.Grow(b, max(64<<10, len(b)))
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		d.body = b
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
