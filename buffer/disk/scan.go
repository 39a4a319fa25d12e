package disk

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/libvegas/vegas/internal/filesys"
)

const (
	readAhead = 256 << 10
	pageBytes = 4096
)

// scanner reads a file from front to back. It keeps one window of it in memory,
// as large as the largest frame. At each place it takes whatever is valid there,
// and where nothing is it looks for the next place where something is.
type scanner struct {
	file filesys.File
	head header
	size int64 // what is read of it
	at   int64 // where reading goes on

	window []byte // of the file, from start on
	start  int64
	unread bool // some of the window could not be read, and is zeros
}

// event is what stands at a place of a file: one of the three.
type event struct {
	offset, end int64

	group *groupHead
	frame *frameHead
	body  []byte // of the frame; valid until the next event
	// Else nothing could be made of the bytes from offset to end; unread: some of
	// them could not be read at all.
	unread bool
}

// errHeader: neither copy of a file's header is valid, or they are another file's.
var errHeader = errors.New("both copies of its header are damaged")

// openFile opens a file for reading and reads its header. If that is damaged the
// scanner is valid all the same: for copying bytes.
func openFile(disk filesys.FS, name string, kind byte) (*scanner, error) {
	f, err := disk.Open(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	s := &scanner{file: f, size: size, at: dataStart}
	b := s.view(0, min(dataStart, size))
	for _, at := range []int{0, headerCopy} {
		if at < len(b) && s.head.get(b[at:]) && s.head.kind == kind && strings.Contains(filepath.Base(name), fmt.Sprintf("%016x", s.head.first)) {
			return s, nil
		}
	}
	s.head = header{}
	return s, fmt.Errorf("%s: %w", name, errHeader)
}

func (s *scanner) close() { _ = s.file.Close() }

// next is what comes next; io.EOF behind the end.
func (s *scanner) next() (event, error) {
	if s.at >= s.size {
		return event{}, io.EOF
	}
	from := s.at
	e, ok := s.valid(from)
	if !ok && e.end == 0 { // not even a frame whose body is damaged
		e = event{offset: from, end: s.find(from + 1), unread: s.unread}
	}
	s.at = e.end
	return e, nil
}

// valid takes what is valid at a place. If only a frame's header is, the event
// says where the frame ends.
func (s *scanner) valid(at int64) (event, bool) {
	b := s.view(at, groupBytes)
	var g groupHead
	if g.get(b, s.head.salt, at) {
		return event{offset: at, end: at + groupBytes, group: &g}, true
	}
	var f frameHead
	if !f.get(b, s.head.salt, at) || !s.holds(f.seq) {
		return event{}, false
	}
	e := event{offset: at, end: at + frameBytes + int64(f.length)}
	if e.end > s.size { // cut off
		e.end = s.size
		return e, false
	}
	body := s.view(at, frameBytes+int64(f.length))[frameBytes:]
	if int64(len(body)) < int64(f.length) || crc32.Checksum(body, castagnoli) != f.body {
		e.unread = s.unread
		return e, false
	}
	e.frame, e.body = &f, body
	return e, true
}

// find is the next place where a header is valid, or the end.
func (s *scanner) find(at int64) int64 {
	for at < s.size {
		if len(s.view(at, groupBytes)) == 0 { // the file is shorter than it was
			return s.size
		}
		b := s.window[at-s.start:]
		i := nextMagic(b, 0)
		at += int64(i)
		if i == len(b) {
			continue
		}
		head := s.view(at, groupBytes)
		var g groupHead
		var f frameHead
		if g.get(head, s.head.salt, at) || f.get(head, s.head.salt, at) && s.holds(f.seq) {
			return at
		}
		at++
	}
	return s.size
}

// view is n bytes from a place, or as many as there are.
func (s *scanner) view(at, n int64) []byte {
	n = min(n, s.size-at)
	if n <= 0 {
		return nil
	}
	if at < s.start || at+n > s.start+int64(len(s.window)) {
		s.load(at, min(max(n, readAhead), s.size-at))
	}
	b := s.window[at-s.start:]
	return b[:min(n, int64(len(b)))]
}

// load moves the window. Pages that cannot be read are zeros in it.
func (s *scanner) load(at, n int64) {
	if int64(cap(s.window)) < n {
		s.window = make([]byte, n)
	}
	s.window, s.start, s.unread = s.window[:n], at, false
	got, err := s.file.ReadAt(s.window, at)
	if int64(got) == n || errors.Is(err, io.EOF) {
		s.window = s.window[:got]
		return
	}
	for from := int64(0); from < n; from += pageBytes {
		page := s.window[from:min(from+pageBytes, n)]
		if got, err := s.file.ReadAt(page, at+from); got < len(page) && err != nil {
			clear(page)
			s.unread = true
		}
	}
}

// closing is what the closing group says at the end of the file, if there is
// one: the number that comes after the file's last.
func (s *scanner) closing() (after uint64, ok bool) {
	at := s.size - groupBytes
	if at < dataStart {
		return 0, false
	}
	var g groupHead
	if !g.get(s.view(at, groupBytes), s.head.salt, at) || g.flags&flagClosing == 0 || g.first > s.bound() {
		return 0, false
	}
	return g.first, true
}

// bound is above every number that a segment without gaps has room for. Whatever
// names a higher one lies, and nobody shall count so far.
func (s *scanner) bound() uint64 { return s.head.first + uint64(s.size/leastFrame) }

// holds tells whether a record of a segment can have this number.
func (s *scanner) holds(seq uint64) bool {
	switch {
	case s.head.kind != kindSegment:
		return true
	case s.head.flags&flagRemainder != 0:
		return seq >= s.head.first && seq <= s.head.last
	}
	return seq >= s.head.first && seq < s.bound()
}
