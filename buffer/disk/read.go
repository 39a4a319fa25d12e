package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sort"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/internal/filesys"
)

// maxItems is the most that Next returns at once, however small they are.
const maxItems = 10000

// reading is where Next is. It is Next's own.
type reading struct {
	seg    *segment // that scan reads; nil: none
	scan   *scanner
	expect uint64 // the next number in it
	holes  []hole
	left   int64    // frames to come of the group
	seqs   []uint32 // that a remainder was found to hold
	slab   []byte   // data of the items given out last
	lent   []*group // or where it is

	// place is how far items came from memory: those behind stand from there on.
	place struct {
		seg *segment
		at  int64
	}
}

// hole is bytes of a segment that nothing could be made of.
type hole struct {
	from, to int64
	unread   bool
}

func (r *reading) close() {
	if r.scan != nil {
		r.scan.close()
	}
	r.seg, r.scan, r.seqs, r.holes, r.left = nil, nil, nil, nil, 0
}

// Next returns the next items; see buffer.Buffer.
func (l *Log) Next(ctx context.Context, bytes int) ([]buffer.Item, error) {
	l.giving.Lock()
	defer l.giving.Unlock()
	if l.overtaken() {
		l.read.close()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, g := range l.read.lent {
		l.recycle(g)
	}
	l.read.lent = l.read.lent[:0]
	for {
		switch {
		case l.state == fresh:
			return nil, errNotOpen
		case l.state != open:
			return nil, io.EOF
		}
		s := l.advance()
		from := l.out
		if items := l.fromCache(bytes); len(items) > 0 {
			return items, nil
		}
		if l.out > from { // all of it is gone already
			continue
		}
		if s == nil {
			l.mu.Unlock()
			select {
			case <-l.more:
			case <-l.done:
			case <-ctx.Done():
			}
			l.mu.Lock()
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			continue
		}
		size, end, sealed := s.size, s.end, s != l.last
		l.mu.Unlock()
		items, err := l.fromDisk(s, size, end, sealed, bytes)
		l.mu.Lock()
		if err != nil {
			return nil, fmt.Errorf("durable buffer %s: next: %w (see docs/troubleshooting.md#buffer-directory)", l.dir, err)
		}
		if len(items) > 0 {
			return items, nil
		}
	}
}

// overtaken tells that the rest of the segment that is being read came from
// memory. Its file may be removed, so it must not stay open.
func (l *Log) overtaken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.read.seg
	return s != nil && s != l.last && s.end < l.out
}

// advance moves on to the first record that may have to be given out, and
// returns its segment; nil: there is none.
func (l *Log) advance() *segment {
	i := sort.Search(len(l.segments), func(i int) bool { return l.segments[i].end >= l.out })
	for ; i < len(l.segments); i++ {
		s := l.segments[i]
		if s.end < l.out { // an empty one
			continue
		}
		if s.live() > 0 || s == l.last {
			l.out = max(l.out, s.head.first)
			return s
		}
		l.out = s.end + 1
	}
	return nil
}

// fromCache gives what is still in memory.
func (l *Log) fromCache(bytes int) []buffer.Item {
	for len(l.cache) > 0 && l.cache[0].last() < l.out {
		l.uncache()
	}
	var items []buffer.Item
	for len(l.cache) > 0 && l.cache[0].has(l.out) {
		g := l.cache[0]
		from := int(l.out - g.first)
		if items == nil {
			items = make([]buffer.Item, 0, min(len(g.entries)-from, maxItems))
		}
		for i := from; i < len(g.entries); i++ {
			if g.seg.isGone(g.first + uint64(i)) { // buried already
				l.out++
				continue
			}
			it := g.item(i, l.producer)
			if bytes -= len(it.Data); len(items) > 0 && (bytes < 0 || len(items) == maxItems) {
				return items
			}
			g.lent = true
			items = append(items, it)
			l.out++
		}
		l.read.place.seg, l.read.place.at = g.seg, g.end
		l.read.lent = append(l.read.lent, g)
		l.uncache()
	}
	return items
}

// uncache forgets the first group in memory.
func (l *Log) uncache() {
	g := l.cache[0]
	l.cache[0] = nil
	l.cache = l.cache[1:]
	l.held -= int64(len(g.buf))
	if !g.lent {
		l.recycle(g)
	}
}

// fromDisk gives what a segment holds, up to size and end.
func (l *Log) fromDisk(s *segment, size int64, end uint64, sealed bool, bytes int) ([]buffer.Item, error) {
	r := &l.read
	if err := l.openSegment(s); err != nil {
		return nil, err
	}
	if r.scan == nil { // there is nothing to read
		l.finish(s, size)
		return nil, nil
	}
	r.scan.size = size
	r.slab = r.slab[:0]
	var items []buffer.Item
	for {
		e, err := r.scan.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if e.group != nil {
			r.left = int64(e.group.count)
			continue
		}
		if e.frame == nil {
			r.holes = addHole(r.holes, e)
			continue
		}
		seq := e.frame.seq
		if seq > end {
			break // superseded
		}
		if seq < r.expect {
			r.left--
			continue
		}
		var it buffer.Item
		if readBody(e.body, &it) != nil {
			r.holes = addHole(r.holes, event{offset: e.offset, end: e.end})
			continue
		}
		skip := l.isGone(s, seq)
		if !skip && len(items) > 0 && (len(it.Data) > bytes || len(items) == maxItems) {
			r.scan.at = e.offset // of the next call
			return items, nil
		}
		r.left--
		l.settle(s, seq, e.offset)
		r.expect = seq + 1
		if s.remainder() {
			r.seqs = append(r.seqs, uint32(seq-s.head.first))
		}
		l.passed(s, e.frame)
		if skip {
			continue
		}
		bytes -= len(it.Data)
		from := len(r.slab)
		r.slab = append(r.slab, it.Data...)
		it.Data = r.slab[from:len(r.slab):len(r.slab)]
		it.Producer, it.Seq, it.Accepted = s.head.producer, seq, unixNano(e.frame.accepted)
		items = append(items, it)
	}
	if sealed {
		l.finish(s, size)
	} else {
		l.catchUp(s, size, end)
	}
	return items, nil
}

// catchUp ends the reading of what is written of the last segment so far. All of
// it was durable, so what did not come is lost, unless it is still in memory.
func (l *Log) catchUp(s *segment, size int64, end uint64) {
	r := &l.read
	to := end + 1
	l.mu.Lock()
	if len(l.cache) > 0 {
		to = min(to, l.cache[0].first)
	}
	l.mu.Unlock()
	if to <= r.expect {
		return
	}
	l.settle(s, to, size)
	r.expect = to
	l.mu.Lock()
	l.out = max(l.out, to)
	l.mu.Unlock()
}

// openSegment makes reading read a segment, if it can be read.
func (l *Log) openSegment(s *segment) error {
	r := &l.read
	if r.seg == s {
		if r.scan == nil {
			return nil
		}
		if r.place.seg == s && r.place.at > r.scan.at { // what is before came from memory
			r.scan.at, r.place.seg, r.left = r.place.at, nil, 0
		}
		if !s.remainder() { // and so did, perhaps, the beginning of the group that stands there
			r.expect = max(r.expect, l.upTo())
		}
		return nil
	}
	r.close()
	if err := l.learn(s); err != nil {
		return err
	}
	r.seg, r.expect = s, max(l.upTo(), s.head.first)
	scan, err := openFile(l.disk, s.path, kindSegment)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, errHeader):
		if !s.remainder() { // of a remainder that was said
			r.holes = []hole{{0, scan.size, scan.unread}}
		}
		scan.close()
		return nil
	case err != nil:
		r.seg = nil
		return err
	}
	r.scan = scan
	if r.place.seg == s {
		scan.at, r.place.seg = r.place.at, nil
	}
	if s.remainder() {
		r.expect = s.head.first
	}
	return nil
}

func (l *Log) upTo() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out
}

func (l *Log) isGone(s *segment, seq uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return s.isGone(seq)
}

// passed notes that a record was read.
func (l *Log) passed(s *segment, f *frameHead) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.accept(f.seq, f.accepted)
	l.out = max(l.out, f.seq+1)
}

// addHole notes bytes that nothing can be made of.
func addHole(holes []hole, e event) []hole {
	if n := len(holes); n > 0 && holes[n-1].to == e.offset {
		holes[n-1].to = e.end
		holes[n-1].unread = holes[n-1].unread || e.unread
		return holes
	}
	return append(holes, hole{e.offset, e.end, e.unread})
}

// settle deals with what was found damaged before a record, or before the end of
// a segment: the numbers in between are lost. A remainder has gaps: what it
// lacks is known at its end.
func (l *Log) settle(s *segment, seq uint64, at int64) {
	r := &l.read
	if s.remainder() || len(r.holes) == 0 && r.expect >= seq {
		return
	}
	lost := l.missing(s, r.expect, seq)
	if len(r.holes) == 0 && len(lost) > 0 { // they are not even damaged
		r.holes = append(r.holes, hole{at, at, false})
	}
	for _, h := range r.holes {
		l.lose(s, h, lost, len(lost))
		lost = nil
	}
	r.holes = r.holes[:0]
}

// missing are the records before seq that are not gone.
func (l *Log) missing(s *segment, from, seq uint64) []uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lost []uint64
	for ; from < seq; from++ {
		if !s.isGone(from) {
			lost = append(lost, from)
		}
	}
	return lost
}

// finish ends the reading of a segment.
func (l *Log) finish(s *segment, size int64) {
	r := &l.read
	if s.remainder() {
		l.finishRemainder(s, size)
	} else {
		l.finishDense(s, size)
	}
	r.close()
	l.mu.Lock()
	l.out = max(l.out, s.end+1)
	l.mu.Unlock()
	l.keeper.wake()
}

func (l *Log) finishDense(s *segment, size int64) {
	r := &l.read
	if r.expect > s.end && !s.closed { // what follows is none of it: nobody was told that it is durable
		return
	}
	lost := l.missing(s, r.expect, s.end+1)
	if n := len(r.holes); n == 1 && r.left == 0 && r.holes[0].from >= dataStart && r.holes[0].to == size && r.holes[0].to-r.holes[0].from == groupBytes {
		// The closing group was damaged. Where the segment ended is known from
		// the next one, and if that is gone, so are its records, not ours.
		l.lose(s, r.holes[0], lost, 0)
		return
	}
	l.settle(s, s.end+1, size)
}

// finishRemainder deals with what was there when its records were counted.
func (l *Log) finishRemainder(s *segment, size int64) {
	r := &l.read
	l.mu.Lock()
	lost := s.lacks(r.seqs)
	l.mu.Unlock()
	if len(lost) == 0 {
		return
	}
	if len(r.holes) == 0 {
		r.holes = append(r.holes, hole{size, size, false})
	}
	for _, h := range r.holes {
		l.lose(s, h, lost, len(lost))
		lost = nil
	}
}

// learn finds out which records a remainder holds, so that they can be
// acknowledged.
func (l *Log) learn(s *segment) error {
	l.mu.Lock()
	known := !s.remainder() || s.seqs != nil
	l.mu.Unlock()
	if known {
		return nil
	}
	seqs, holes, err := survey(l.disk, s)
	if err != nil {
		return err
	}
	l.mu.Lock()
	lost := l.learnt(s, seqs)
	l.mu.Unlock()
	if len(holes) == 0 && lost > 0 {
		holes = append(holes, hole{s.size, s.size, false})
	}
	for _, h := range holes {
		l.lose(s, h, nil, lost)
		lost = 0
	}
	return nil
}

// learnt notes what a remainder holds, and tells how many records that were
// neither acknowledged nor found.
func (l *Log) learnt(s *segment, seqs []uint32) int {
	if s.seqs != nil {
		return 0
	}
	live := s.live()
	s.learn(seqs)
	lost := max(0, live-s.live())
	l.items -= lost
	return int(lost)
}

// survey reads which records a remainder holds, and what is damaged in it.
func survey(disk filesys.FS, s *segment) (seqs []uint32, holes []hole, err error) {
	scan, err := openFile(disk, s.path, kindSegment)
	if scan != nil {
		defer scan.close()
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, nil
	case errors.Is(err, errHeader):
		return nil, []hole{{0, scan.size, scan.unread}}, nil
	case err != nil:
		return nil, nil, err
	}
	for {
		e, err := scan.next()
		switch {
		case errors.Is(err, io.EOF):
			return seqs, holes, nil
		case e.frame != nil:
			seqs = append(seqs, uint32(e.frame.seq-s.head.first))
		case e.group == nil:
			holes = addHole(holes, e)
		}
	}
}

// lose sets bytes aside, and the numbers that they held as gone.
func (l *Log) lose(s *segment, h hole, lost []uint64, records int) {
	kept := !h.unread && l.setAside(s.path, h.from, h.to, records) == nil
	l.mu.Lock()
	defer l.mu.Unlock()
	if !kept { // they may be readable at the next opening
		s.keep = true
		l.lost += int64(records)
	}
	for _, seq := range lost {
		if s.mark(seq) {
			l.items--
			if kept {
				l.acked = append(l.acked, seq)
			} else {
				s.unsaid.add(s.index(seq))
			}
		}
	}
	l.wakeAppender()
	if records > 0 || h.to > h.from {
		l.o.Logger.Error("the durable buffer is damaged: records that it held cannot be read (see docs/troubleshooting.md#buffer-corrupt)",
			"file", s.path, "from", h.from, "to", h.to, "lost", records, "set_aside", kept)
	}
}
