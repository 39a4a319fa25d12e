package disk

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/libvegas/vegas/internal/filesys"
)

const (
	acksPrefix = "acks-"
	// acksLeast is how large the file grows at least before it is written anew.
	acksLeast = 1 << 20
	// spansPerFrame bounds a frame of the file.
	spansPerFrame = 1 << 14
)

// acksFile is where acknowledgements are written. It belongs to the holder of
// Log.keep.
type acksFile struct {
	path   string
	number uint64       // in its name
	file   filesys.File // nil: the next write makes one
	salt   uint64
	at     int64
	base   int64  // how long it was when it was made
	frame  uint64 // number of the last frame, in all files
	dirty  bool   // not synced
}

// Ack says which records the stream has; see buffer.Buffer.
func (l *Log) Ack(seqs []uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state != open {
		return
	}
	var s *segment
	marked := false
	for _, seq := range seqs {
		if s == nil || seq < s.head.first || seq > s.end {
			if s = l.segmentOf(seq); s == nil {
				continue
			}
		}
		if s.mark(seq) {
			l.items--
			l.acked = append(l.acked, seq)
			marked = true
		}
	}
	if !marked {
		return
	}
	if len(l.queue) > 0 {
		l.makeRoom()
		l.wakeAppender()
	}
	l.keeper.wake()
}

// writeAcks writes what was acknowledged since the last time, and tells whether
// the file holds everything now.
func (l *Log) writeAcks() error {
	l.mu.Lock()
	acked, stale := l.acked, l.stale
	l.acked = nil
	l.mu.Unlock()
	a := &l.acks
	if stale || a.file != nil && a.at > max(acksLeast, 2*a.base) {
		return l.rewriteAcks()
	}
	if len(acked) == 0 {
		return nil
	}
	if a.file == nil {
		return l.rewriteAcks()
	}
	err := a.append(spansOf(acked))
	if err != nil { // the next file will say it
		l.setStale()
	}
	return err
}

func (l *Log) setStale() {
	l.mu.Lock()
	l.stale = true
	l.mu.Unlock()
}

// append writes one frame.
func (a *acksFile) append(spans []span) error {
	b := ackFrame(nil, a.frame+1, spans, a.salt, a.at)
	if _, err := a.file.WriteAt(b, a.at); err != nil {
		return err
	}
	a.frame++
	a.at += int64(len(b))
	a.dirty = true
	return nil
}

// ackFrame appends a frame for a place of a file.
func ackFrame(b []byte, number uint64, spans []span, salt uint64, at int64) []byte {
	from := len(b)
	b = appendFrame(b, number, 0, func(b []byte) []byte { return appendSpans(b, spans) })
	endian.PutUint32(b[from+28:], checksum(salt, at, b[from:from+28]))
	return b
}

// syncAcks makes durable what was written. After it failed, the next write makes
// a new file.
func (l *Log) syncAcks() error {
	a := &l.acks
	if a.file == nil || !a.dirty {
		return nil
	}
	if err := a.file.Sync(); err != nil {
		l.setStale()
		return fmt.Errorf("sync %s: %w", a.path, err)
	}
	a.dirty = false
	return nil
}

// endAcks writes the closing group, which says that nothing is missing.
func (l *Log) endAcks() error {
	a := &l.acks
	l.mu.Lock()
	stale := l.stale
	l.mu.Unlock()
	if a.file == nil || stale {
		return nil
	}
	b := make([]byte, groupBytes)
	seal(b, groupHead{first: a.frame + 1, synced: a.at, flags: flagClosing}, a.salt, a.at)
	if err := l.syncAcks(); err != nil {
		return err
	}
	if _, err := a.file.WriteAt(b, a.at); err != nil {
		return err
	}
	return a.file.Sync()
}

// rewriteAcks writes a file of what still matters, which takes the place of the
// old one. It is durable when it returns.
func (l *Log) rewriteAcks() error {
	l.setStale() // until it is done
	if err := l.syncNames(); err != nil {
		return err // a segment may come back whose acknowledgements are about to be dropped
	}
	a := &l.acks
	next := acksFile{number: a.number + 1, frame: a.frame + 1, salt: salt()}
	next.path = filepath.Join(l.dir, fmt.Sprintf("%s%016x", acksPrefix, next.number))
	l.mu.Lock()
	l.acked = nil
	segments := slices.Clone(l.segments)
	l.mu.Unlock()
	h := header{kind: kindAcks, salt: next.salt, first: next.number}
	b := h.start()
	for _, s := range segments {
		l.mu.Lock()
		spans := s.spans()
		l.mu.Unlock()
		for part := range slices.Chunk(spans, spansPerFrame) {
			b = ackFrame(b, next.frame, part, next.salt, int64(len(b)))
		}
	}
	f, err := l.newFile(next.path, b)
	if err != nil {
		return fmt.Errorf("write %s: %w", next.path, err)
	}
	next.file, next.at, next.base = f, int64(len(b)), int64(len(b))
	if a.file != nil {
		_ = a.file.Close()
	}
	if a.path != "" {
		_ = l.disk.Remove(a.path) // the higher number counts
	}
	*a = next
	l.mu.Lock()
	l.stale = false
	l.mu.Unlock()
	return nil
}

// spansOf sorts numbers into ranges.
func spansOf(seqs []uint64) []span {
	slices.Sort(seqs)
	var spans []span
	for _, seq := range seqs {
		if n := len(spans); n > 0 && seq <= spans[n-1].last+1 {
			spans[n-1].last = max(spans[n-1].last, seq)
			continue
		}
		spans = append(spans, span{seq, seq})
	}
	return spans
}

// ackLog is what an acks file says.
type ackLog struct {
	frames []ackEntry
	last   uint64 // the highest acknowledged number
	whole  bool   // nothing in it is damaged
	ended  bool   // nor missing: it has its closing group
}

// ackEntry is one frame. Its ranges stay as they are written, a few bytes each.
type ackEntry struct {
	number uint64
	spans  []byte
}

// readAcks reads the newest acks file of a directory.
func readAcks(disk filesys.FS, dir string, names []string) (log ackLog, newest string, err error) {
	var files []string
	for _, name := range names {
		if _, ok := numbered(name, acksPrefix); ok {
			files = append(files, name)
		}
	}
	if len(files) == 0 {
		return ackLog{whole: true, ended: true}, "", nil
	}
	newest = slices.MaxFunc(files, func(a, b string) int { return cmp.Compare(a, b) }) // of equal length
	s, err := openFile(disk, filepath.Join(dir, newest), kindAcks)
	if errors.Is(err, errHeader) {
		s.close()
		return ackLog{}, newest, nil
	}
	if err != nil {
		return ackLog{}, newest, err
	}
	defer s.close()
	return scanAcks(s), newest, nil
}

func scanAcks(s *scanner) ackLog {
	log := ackLog{whole: s.size >= dataStart}
	_, log.ended = s.closing()
	for {
		e, err := s.next()
		if errors.Is(err, io.EOF) {
			return log
		}
		if e.group != nil {
			continue
		}
		if e.frame == nil {
			log.whole = false
			continue
		}
		last := log.last
		if readSpans(e.body, func(s span) { last = max(last, s.last) }) != nil {
			log.whole = false
			continue
		}
		log.last = last
		log.frames = append(log.frames, ackEntry{e.frame.seq, bytes.Clone(e.body)})
	}
}

// numbered is the number in the name of a file of a kind.
func numbered(name, prefix string) (uint64, bool) {
	digits, ok := strings.CutPrefix(name, prefix)
	if !ok || len(digits) != 16 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 64)
	return n, err == nil
}

// apply marks what an acks file says.
func (l *Log) apply(log ackLog) {
	for _, f := range log.frames {
		l.acks.frame = max(l.acks.frame, f.number)
		_ = readSpans(f.spans, func(r span) { // it was read before
			i := sort.Search(len(l.segments), func(i int) bool { return l.segments[i].end >= r.first })
			for ; i < len(l.segments) && l.segments[i].head.first <= r.last; i++ {
				if s := l.segments[i]; !s.remainder() || f.number > s.head.acked {
					l.applySpan(s, r)
				}
			}
		})
	}
}

func (l *Log) applySpan(s *segment, r span) {
	for seq := max(r.first, s.head.first); seq <= min(r.last, s.end); seq++ {
		if !s.remainder() {
			s.mark(seq)
			continue
		}
		if _, known := s.early[seq]; !known {
			s.early[seq] = struct{}{}
			s.number++
		}
	}
}

// removeOld removes acks files that were replaced.
func (l *Log) removeOld(names []string, newest string) {
	for _, name := range names {
		if _, ok := numbered(name, acksPrefix); ok && name != newest {
			if err := l.disk.Remove(filepath.Join(l.dir, name)); err != nil {
				l.o.Logger.Warn("a file of the durable buffer cannot be removed", slog.String("file", name), slog.Any("error", err))
			}
		}
	}
}
