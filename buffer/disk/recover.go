package disk

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/internal/filesys"
)

// recover finds out what is in the directory, and puts in order what a crash has
// left.
func (l *Log) recover() error {
	names, err := l.disk.List(l.dir)
	if err == nil {
		// A killed process may have left names that are not durable yet; what they
		// replace must not be removed before.
		err = l.syncNames()
	}
	if err != nil {
		return fmt.Errorf("durable buffer %s: %w", l.dir, err)
	}
	if err := l.removeUnfinished(names); err != nil {
		return fmt.Errorf("durable buffer %s: %w: name a directory that this program may write to (see docs/troubleshooting.md#buffer-directory)", l.dir, err)
	}
	l.findSpare()
	segments, superseded, err := listSegments(l.disk, l.dir, names)
	if err != nil {
		return fmt.Errorf("durable buffer %s: %w", l.dir, err)
	}
	if err := l.removeSuperseded(superseded); err != nil {
		return fmt.Errorf("durable buffer %s: %w", l.dir, err)
	}
	acks, newest, err := readAcks(l.disk, l.dir, names)
	if err != nil {
		return fmt.Errorf("durable buffer %s: %w", l.dir, err)
	}
	l.segments = segments
	l.countAside(names)
	if err := l.endLast(acks.last); err != nil {
		return fmt.Errorf("durable buffer %s: %w", l.dir, err)
	}
	for _, s := range l.segments {
		l.acks.frame = max(l.acks.frame, s.head.acked)
	}
	l.apply(acks)
	l.removeOld(names, newest)
	if newest != "" {
		l.acks.path = filepath.Join(l.dir, newest)
		l.acks.number, _ = numbered(newest, acksPrefix)
	}
	// A file of this opening's own: an earlier one may have failed on that.
	l.stale = len(l.segments) > 0
	dead, err := l.listDead(names, !acks.whole || !acks.ended)
	if err != nil {
		return fmt.Errorf("durable buffer %s: %w", l.dir, err)
	}
	if !acks.whole {
		l.o.Logger.Warn("what was acknowledged could not be read whole from the durable buffer: records are sent again that the stream has already, under the same identity (see docs/troubleshooting.md#buffer-corrupt)",
			slog.String("file", l.acks.path))
	}
	for _, s := range l.segments {
		l.bytes += s.size
		l.items += s.live()
		l.durable = max(l.durable, s.end)
	}
	l.next = max(l.durable, acks.last, dead) + 1
	l.out = 1
	oldest := l.advance()
	for _, s := range l.segments {
		if s == oldest || s.remainder() {
			l.date(s)
		}
	}
	return nil
}

// date finds out which record is the first left of a segment, and when it was
// accepted.
func (l *Log) date(s *segment) {
	scan, err := openFile(l.disk, s.path, kindSegment)
	if scan != nil {
		defer scan.close()
	}
	if err != nil { // it will be said when it is read
		return
	}
	for {
		e, err := scan.next()
		if err != nil {
			return
		}
		if e.group != nil && !s.remainder() && e.group.first+uint64(e.group.count) <= s.firstLive() {
			scan.at = e.end + e.group.length
		}
		if e.frame != nil && !s.isGone(e.frame.seq) {
			s.accept(e.frame.seq, e.frame.accepted)
			s.lowest = e.frame.seq
			return
		}
	}
}

// removeUnfinished removes files that never got their name.
func (l *Log) removeUnfinished(names []string) error {
	for _, name := range names {
		if strings.HasSuffix(name, tempSuffix) {
			if err := l.disk.Remove(filepath.Join(l.dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeSuperseded removes segments that a remainder stands for.
func (l *Log) removeSuperseded(paths []string) error {
	for _, path := range paths {
		if err := l.disk.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// listSegments reads the headers and the ends of all segments, in order. Where
// the last one ends is left open, if it does not say so.
func listSegments(disk filesys.FS, dir string, names []string) (segments []*segment, superseded []string, err error) {
	var last uint64 // that a remainder stands for
	for _, name := range names {
		first, ok := segmentFirst(name)
		if !ok {
			continue
		}
		path := filepath.Join(dir, name)
		if first <= last {
			superseded = append(superseded, path)
			continue
		}
		s, err := readSegment(disk, path, first)
		if err != nil {
			return nil, nil, err
		}
		if s.remainder() {
			last = s.end
		}
		segments = append(segments, s)
	}
	slices.SortFunc(segments, func(a, b *segment) int { return cmp.Compare(a.head.first, b.head.first) })
	for i, s := range segments[:max(0, len(segments)-1)] {
		if next := segments[i+1]; !s.closed {
			s.end = max(s.head.first-1, min(next.head.before, next.head.first-1))
		}
	}
	return segments, superseded, nil
}

func segmentFirst(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, ".log")
	if !ok || len(digits) != 16 {
		return 0, false
	}
	first, err := strconv.ParseUint(digits, 16, 64)
	return first, err == nil && first > 0
}

// readSegment reads the header of a segment, and its end.
func readSegment(disk filesys.FS, path string, first uint64) (*segment, error) {
	scan, err := openFile(disk, path, kindSegment)
	if scan != nil {
		defer scan.close()
	}
	if err != nil && !errors.Is(err, errHeader) {
		return nil, err
	}
	s := &segment{path: path, head: scan.head, size: scan.size}
	if err != nil { // nothing in it can be made out; it is dealt with when it is read
		s.head = header{kind: kindSegment, first: first, before: first - 1}
		s.end = first - 1
		return s, nil
	}
	s.end = first - 1
	if s.remainder() {
		s.end, s.total, s.closed = s.head.last, int64(s.head.count), true
		s.early = map[uint64]struct{}{}
		return s, nil
	}
	if after, ok := scan.closing(); ok && after >= first {
		s.end, s.closed = after-1, true
	}
	return s, nil
}

// endLast finds where the last segment ends, cuts a torn tail off, and closes it.
func (l *Log) endLast(acked uint64) error {
	if len(l.segments) == 0 {
		return nil
	}
	s := l.segments[len(l.segments)-1]
	if s.closed {
		return nil
	}
	scan, err := openFile(l.disk, s.path, kindSegment)
	if errors.Is(err, errHeader) {
		scan.close()
		l.segments = l.segments[:len(l.segments)-1]
		return l.putAway(s)
	}
	if err != nil {
		return err
	}
	found := findEnd(scan, acked, l.broken)
	scan.close()
	s.end = found.last
	cut := found.cut < s.size
	if cut {
		if err := l.setAside(s.path, found.cut, s.size, 0); err != nil {
			// It stays where it is, behind the end. Without a closing group.
			l.o.Logger.Warn("an unfinished write at the end of the durable buffer could not be set aside", slog.String("file", s.path), slog.Any("error", err))
			return l.syncFile(s.path, func(filesys.File) error { return nil })
		}
		l.o.Logger.Warn("an unfinished write at the end of the durable buffer was cut and set aside; nobody was told that it is durable",
			slog.String("file", s.path), slog.Int64("from", found.cut), slog.Int64("bytes", s.size-found.cut))
	}
	// What a killed process has written may not be on the disk yet. It has to be
	// before a closing group says so. If a sync had failed when it was killed
	// another one does nothing, unless it is written again.
	if err := l.syncFile(s.path, func(f filesys.File) error {
		if cut {
			if err := f.Truncate(found.cut); err != nil {
				return err
			}
		}
		return writeAgain(f, found.synced, found.cut)
	}); err != nil {
		return err
	}
	s.size = found.cut
	b := make([]byte, groupBytes)
	seal(b, groupHead{first: s.end + 1, synced: found.cut, flags: flagClosing}, s.head.salt, found.cut)
	err = l.syncFile(s.path, func(f filesys.File) error {
		_, err := f.WriteAt(b, found.cut)
		return err
	})
	if isFull(err) { // it is as good without
		return nil
	}
	if err == nil {
		s.closed, s.size = true, found.cut+groupBytes
	}
	return err
}

// writeAgain writes what a file has between two places to where it is. What
// cannot be read is dealt with when it is given out.
func writeAgain(f filesys.File, at, end int64) error {
	b := make([]byte, min(readAhead, max(0, end-at)))
	for at < end {
		part := b[:min(int64(len(b)), end-at)]
		if n, _ := f.ReadAt(part, at); n == len(part) {
			if _, err := f.WriteAt(part, at); err != nil {
				return err
			}
		}
		at += int64(len(part))
	}
	return nil
}

// syncFile changes a file and syncs it.
func (l *Log) syncFile(path string, change func(filesys.File) error) error {
	f, err := l.disk.Open(path, os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err = change(f); err == nil {
		err = f.Sync()
	}
	return firstOf(err, f.Close())
}

// putAway sets a whole file aside of which nothing can be made out, not even how
// many records were in it.
func (l *Log) putAway(s *segment) error {
	name := asideName(s.path, 0, 0)
	if err := l.disk.Rename(s.path, filepath.Join(l.dir, name)); err != nil {
		return err
	}
	l.aside += s.size
	l.o.Logger.Error("the durable buffer is damaged: the header of its last segment cannot be read, nor how many records were in it (see docs/troubleshooting.md#buffer-corrupt)",
		slog.String("file", s.path), slog.String("set_aside", name))
	return l.syncNames()
}

// ending is where a segment ends that was not closed.
type ending struct {
	last   uint64 // Seq
	cut    int64  // what is from here on is torn
	synced int64  // before this all was synced
}

// maxCut bounds how many records of a segment that was cut off are told from its
// acknowledgements.
const maxCut = 1 << 20

// findEnd reads a segment through. A damaged group is a torn tail if nothing
// proves that it had been synced.
func findEnd(s *scanner, acked uint64, broken rule) ending {
	var (
		end     = ending{s.head.first - 1, dataStart, dataStart}
		highest = end.last
		suspect = int64(-1) // where the first group begins that is damaged, without a witness
		damage  int64       // where it is
		group   struct {
			end  int64
			left uint32
			at   int64
		}
	)
	doubt := func(at int64) {
		if suspect >= 0 {
			return
		}
		suspect, damage = end.cut, at
	}
	for {
		e, err := s.next()
		if errors.Is(err, io.EOF) {
			break
		}
		switch {
		case e.group != nil && e.group.first <= s.bound():
			if group.left > 0 {
				doubt(e.offset)
			}
			if suspect >= 0 && e.group.synced > damage && broken != believeWitnesses {
				suspect, end.cut = -1, e.offset
				end.last = max(end.last, e.group.first-1)
			}
			end.synced = max(end.synced, e.group.synced)
			group.at, group.left, group.end = e.offset, e.group.count, e.end+e.group.length
		case e.frame != nil:
			highest = max(highest, e.frame.seq)
			if group.left == 0 || e.end > group.end {
				doubt(e.offset)
				continue
			}
			group.left--
		default:
			doubt(e.offset)
			group.left = 0
		}
		if suspect < 0 && group.left == 0 {
			end.cut, end.last = e.end, max(end.last, highest)
		}
	}
	if group.left > 0 {
		doubt(s.size)
	}
	if suspect < 0 {
		return end
	}
	if acked > end.last && acked < s.bound()+maxCut { // what was acknowledged had been synced
		return ending{max(acked, highest), s.size, end.synced}
	}
	return ending{end.last, suspect, end.synced}
}

// countAside sums up what was set aside, here and in earlier openings.
func (l *Log) countAside(names []string) {
	l.asides = map[string][]string{}
	for _, name := range names {
		if records, ok := asideRecords(name); ok {
			if info, err := l.disk.Stat(filepath.Join(l.dir, name)); err == nil {
				l.lost += records
				l.aside += info.Size()
				place := name[:strings.LastIndexByte(name, '-')+1]
				l.asides[place] = append(l.asides[place], name)
			}
		}
	}
}

// listDead finds the files of dead letters. If what was acknowledged is not
// known for certain their records are taken off the log. It returns the highest
// Seq that it met.
func (l *Log) listDead(names []string, mark bool) (highest uint64, err error) {
	for _, name := range names {
		number, ok := numbered(name, deadPrefix)
		if !ok {
			continue
		}
		d, err := readDeadFile(l.disk, filepath.Join(l.dir, name), number)
		if err != nil {
			return 0, err
		}
		l.dead = append(l.dead, d)
		l.buried = max(l.buried, number)
		if !mark {
			continue
		}
		// A killed process may not have come to that; or a sync had failed, so that
		// another one does nothing unless it is written again. Where there is no room
		// for that the records come out, too.
		undone := l.syncFile(d.path, func(f filesys.File) error { return writeAgain(f, d.tail, d.at) })
		if undone != nil && !isFull(undone) {
			return 0, undone
		}
		if _, err := eachDead(l.disk, d, func(e *event, _ *buffer.Dead) bool {
			highest = max(highest, e.frame.seq)
			if undone == nil {
				l.markDead(e.frame.seq)
			}
			return true
		}); err != nil {
			return 0, err
		}
	}
	return highest, nil
}

// markDead takes a record off the log of which there is a dead letter. Whether a
// remainder holds it is known only when that was read.
func (l *Log) markDead(seq uint64) {
	s := l.segmentOf(seq)
	if s == nil {
		return
	}
	if s.remainder() && s.seqs == nil {
		seqs, holes, err := survey(l.disk, s)
		if err != nil || len(holes) > 0 || int64(len(seqs)) != s.total { // it may come out, too
			return
		}
		s.learn(seqs)
	}
	s.mark(seq)
}

// readDeadFile counts what is in a file of dead letters, by its groups; only the
// last may be torn, and is looked at.
func readDeadFile(disk filesys.FS, path string, number uint64) (*deadFile, error) {
	s, err := openFile(disk, path, kindDead)
	if s != nil {
		defer s.close()
	}
	if err != nil && !errors.Is(err, errHeader) {
		return nil, err
	}
	d := &deadFile{path: path, number: number, from: dataStart, at: s.size, tail: dataStart, damaged: err != nil}
	for !d.damaged {
		e, err := s.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if e.group != nil {
			d.tail = e.offset
		}
		switch {
		case e.group != nil && e.end+e.group.length < s.size:
			d.count += int64(e.group.count)
			s.at = e.end + e.group.length
		case e.frame != nil:
			d.count++
		}
	}
	return d, nil
}
