package disk

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/libvegas/vegas/internal/filesys"
)

const (
	// mergeAt is how many remainders side by side become one.
	mergeAt = 8
	// copyBytesAtOnce is about how large a group of a remainder is.
	copyBytesAtOnce = 1 << 20
)

// makeRemainder replaces segments that are pinned by few records.
func (l *Log) makeRemainder() error {
	for {
		old, gone, err := l.pinned()
		if err != nil || len(old) == 0 {
			return err
		}
		switch err := l.replace(old, gone); {
		case errors.Is(err, errUnmovable):
			l.leaveAlone(old, err)
			continue
		case err != nil:
			return fmt.Errorf("rewrite %s: %w", old[0].path, err)
		}
		if err := l.removeSpent(); err != nil {
			return err
		}
	}
}

// errUnmovable: records of a segment cannot be read again.
var errUnmovable = errors.New("records that were read cannot be read again")

// leaveAlone lets segments be as they are in this opening, so that the others do
// not wait for them.
func (l *Log) leaveAlone(old []*segment, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range old {
		s.unmovable = true
	}
	l.o.Logger.Error("the durable buffer is damaged: a segment cannot be made smaller; what is in it was given out, and counts as lost only if it has to be read again (see docs/troubleshooting.md#buffer-corrupt)",
		"file", old[0].path, "error", why)
}

// pinned are neighbours to be replaced by one remainder, and a snapshot of what
// is gone of them. All acknowledgements up to it are in the acks file, so that
// later frames name nothing that the remainder does not hold.
func (l *Log) pinned() ([]*segment, []set, error) {
	for {
		l.mu.Lock()
		if len(l.acked) == 0 && !l.stale {
			break
		}
		l.mu.Unlock()
		if err := l.writeAcks(); err != nil {
			return nil, nil, err
		}
	}
	defer l.mu.Unlock()
	old := l.choose()
	gone := make([]set, len(old))
	for i, s := range old {
		gone[i] = append(set(nil), s.gone...)
	}
	return old, gone, nil
}

// choose finds one segment of which little is left, or remainders that are many.
// Where room is not short it leaves out what was written just before the last one:
// what is left of that was given out just now, and is about to be acknowledged.
func (l *Log) choose() []*segment {
	needed := l.blocked() != nil
	run := 0
	var size int64
	for i, s := range l.segments {
		young := i == len(l.segments)-1 || s.end+1 == l.segments[len(l.segments)-1].head.first && !needed
		if s == l.last || young || s.end >= l.out || s.keep || s.unmovable || s.live() == 0 {
			run = 0
			continue
		}
		pinned := 4*s.live() < s.records()
		if l.short() {
			pinned = 4*s.live() < 3*s.records()
		}
		if pinned && s.end-s.head.first < math.MaxUint32 {
			return l.segments[i : i+1 : i+1]
		}
		switch {
		case !s.remainder():
			run = 0
		case run == 0 || l.segments[i-run].head.producer != s.head.producer ||
			size+s.size-dataStart > l.o.SegmentBytes || s.end-l.segments[i-run].head.first >= math.MaxUint32:
			run, size = 1, s.size
		default:
			run++
			size += s.size - dataStart
		}
		if run == mergeAt {
			return append([]*segment(nil), l.segments[i+1-run:i+1]...)
		}
	}
	return nil
}

// replace writes what is left of segments to one remainder, which takes the
// first one's name.
func (l *Log) replace(old []*segment, gone []set) error {
	first, last := old[0], old[len(old)-1]
	r := &remains{file: nil, head: header{
		kind: kindSegment, flags: flagRemainder, salt: salt(), producer: first.head.producer,
		first: first.head.first, before: first.head.before, last: last.end, acked: l.acks.frame,
	}}
	temp := first.path + ".tmp"
	f, err := l.disk.Open(temp, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	r.file, r.at = f, dataStart
	for i, s := range old {
		if err == nil {
			err = r.copy(l.disk, s, gone[i])
		}
	}
	if err == nil {
		err = r.end()
	}
	if err = firstOf(err, f.Close()); err == nil {
		err = l.disk.Rename(temp, first.path)
	}
	if err != nil {
		_ = l.disk.Remove(temp)
		return err
	}
	l.install(old, r)
	for _, s := range old[1:] {
		l.doomed = append(l.doomed, s.path)
	}
	return l.syncNames()
}

// install puts a remainder in the place of segments.
func (l *Log) install(old []*segment, r *remains) {
	n := &segment{path: old[0].path, head: r.head, size: r.at, end: r.head.last, closed: true, times: r.times}
	n.learn(r.seqs)
	l.mu.Lock()
	defer l.mu.Unlock()
	at := 0
	for l.segments[at] != old[0] {
		at++
	}
	for _, s := range old {
		l.bytes -= s.size
	}
	l.bytes += n.size
	// What was acknowledged meanwhile.
	for _, rel := range r.seqs {
		seq := n.head.first + uint64(rel)
		for _, s := range old {
			if seq >= s.head.first && seq <= s.end {
				if s.isGone(seq) {
					n.mark(seq)
				}
				break
			}
		}
	}
	kept := append([]*segment(nil), l.segments[:at]...)
	kept = append(kept, n)
	l.segments = append(kept, l.segments[at+len(old):]...)
	l.wakeAppender()
}

// remains is a remainder that is being written.
type remains struct {
	file  filesys.File
	head  header
	at    int64
	buf   []byte // a group
	count uint32 // of its frames
	first uint64 // of it
	seqs  []uint32
	times []moment
}

// copy takes over what is left of a segment.
func (r *remains) copy(disk filesys.FS, s *segment, gone set) error {
	scan, err := openFile(disk, s.path, kindSegment)
	if scan != nil {
		defer scan.close()
	}
	if errors.Is(err, errHeader) {
		return fmt.Errorf("%w: %w", errUnmovable, err)
	}
	if err != nil {
		return err
	}
	left := 0
	scan.size = min(scan.size, s.size)
	index := 0 // of a remainder's record
	for {
		e, err := scan.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if e.unread {
			return fmt.Errorf("%w: %s at %d", errUnmovable, s.path, e.offset)
		}
		if e.frame == nil {
			continue
		}
		if e.frame.seq > s.end {
			break
		}
		i := int(e.frame.seq - s.head.first)
		if s.remainder() {
			for index < len(s.seqs) && uint64(s.seqs[index]) < e.frame.seq-s.head.first {
				index++
			}
			i = index
		}
		if gone.has(i) {
			continue
		}
		if err := r.add(&e); err != nil {
			return err
		}
		left++
	}
	want := int(s.records())
	gone.each(func(int) { want-- })
	if left != want {
		return fmt.Errorf("%w: %s: %d records are left, %d were found", errUnmovable, s.path, want, left)
	}
	return nil
}

// add takes a record over.
func (r *remains) add(e *event) error {
	if len(r.seqs) == 0 {
		r.head.created = e.frame.accepted
	}
	if r.count == 0 {
		r.buf = append(r.buf[:0], make([]byte, groupBytes)...)
		r.first = e.frame.seq
	}
	at := len(r.buf)
	r.buf = append(append(r.buf, make([]byte, frameBytes)...), e.body...)
	e.frame.put(r.buf[at:])
	r.count++
	r.seqs = append(r.seqs, uint32(e.frame.seq-r.head.first))
	if n := len(r.times); n == 0 || r.times[n-1].at != e.frame.accepted && n < maxMoments {
		r.times = append(r.times, moment{e.frame.seq, e.frame.accepted})
	}
	if len(r.buf) < copyBytesAtOnce {
		return nil
	}
	return r.flush()
}

func (r *remains) flush() error {
	if r.count == 0 {
		return nil
	}
	seal(r.buf, groupHead{count: r.count, first: r.first, synced: r.at}, r.head.salt, r.at)
	if _, err := r.file.WriteAt(r.buf, r.at); err != nil {
		return err
	}
	r.at += int64(len(r.buf))
	r.count = 0
	return nil
}

// end writes the rest, the closing group and, as its numbers are known now, the
// header.
func (r *remains) end() error {
	if err := r.flush(); err != nil {
		return err
	}
	b := make([]byte, groupBytes)
	seal(b, groupHead{first: r.head.last + 1, synced: r.at, flags: flagClosing}, r.head.salt, r.at)
	if _, err := r.file.WriteAt(b, r.at); err != nil {
		return err
	}
	r.at += groupBytes
	r.head.count = uint64(len(r.seqs))
	if _, err := r.file.WriteAt(r.head.start(), 0); err != nil {
		return err
	}
	return r.file.Sync()
}
