package disk

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/internal/filesys"
)

// tail is the end of the last segment. It is the writer's.
type tail struct {
	file filesys.File
	seg  *segment
	at   int64 // all before it is synced
}

// write is the writer: it takes what has gathered, writes and syncs it, and
// tells who waits.
func (l *Log) write() error {
	var t *tail
	for stopping := false; !stopping; {
		select {
		case <-l.writer.woken:
		case <-l.writer.ending:
			stopping = true
		}
		for l.ripen(); ; l.ripen() {
			g := l.take(&t)
			if g == nil {
				break
			}
			t = l.commit(t, g)
		}
	}
	l.endSegment(t)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stalled
}

// ripen lets whoever can run add to the group: those who waited for the last one
// share the next, instead of every second.
func (l *Log) ripen() {
	for had := -1; ; {
		l.mu.Lock()
		has := 0
		if l.gathering != nil {
			has = len(l.gathering.entries)
		}
		l.mu.Unlock()
		if has == had {
			return
		}
		had = has
		runtime.Gosched()
	}
}

// take is the next group. Before, it ends the last segment if that was asked for.
func (l *Log) take(t **tail) *group {
	l.mu.Lock()
	roll := l.roll
	l.roll = false
	l.mu.Unlock()
	if roll {
		l.endSegment(*t)
		if next, err := l.beginSegment(nil); err == nil {
			*t = next
		} else {
			*t = nil
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.gathering
	l.gathering, l.writing = nil, g
	if g != nil {
		l.usual.bytes, l.usual.records = len(g.buf), len(g.entries)
		l.wakeAppender()
	}
	return g
}

// commit makes a group durable, however long there is no room for it, or tells
// its waiters that it is not.
func (l *Log) commit(t *tail, g *group) *tail {
	for failed := 0; ; {
		var err error
		if t, err = l.put(t, g); err == nil {
			l.publish(t, g)
			return t
		}
		if !isFull(err) {
			if failed++; failed == 2 {
				l.fail(g, err)
				return t
			}
			l.warn.Warn("a write to the durable buffer failed; a new segment is begun", slog.String("dir", l.dir), slog.Any("error", err))
			continue
		}
		l.stall(err)
		timer := time.NewTimer(retryEvery)
		select {
		case <-timer.C:
		case <-l.unstalled:
		case <-l.writer.ending:
			timer.Stop()
			l.fail(g, fmt.Errorf("%w: %w", err, l.errClosed()))
			l.endSegment(t) // what comes now would stand behind a gap
			return nil
		}
		timer.Stop()
		if t != nil && l.lastIsSpent() {
			l.endSegment(t)
			t = nil
		}
	}
}

// lastIsSpent tells that a new segment would let the last one be removed.
func (l *Log) lastIsSpent() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.segments) == 0 {
		return false
	}
	s := l.segments[len(l.segments)-1]
	return s.size > dataStart && s.live() == 0
}

// put writes a group and syncs it. When a sync fails, or a write for another
// reason than room, the segment is left alone from then on.
func (l *Log) put(t *tail, g *group) (*tail, error) {
	if t != nil && t.at > dataStart && t.at+int64(len(g.buf)) > l.o.SegmentBytes {
		l.endSegment(t)
		t = nil
	}
	if t == nil {
		var err error
		if t, err = l.beginSegment(g); err != nil {
			return nil, err
		}
	}
	if err := l.keepSpare(g); err != nil {
		return t, err
	}
	seal(g.buf, groupHead{count: uint32(len(g.entries)), first: g.first, synced: t.at}, t.seg.head.salt, t.at)
	g.touched = true
	if l.broken == giveSynced {
		early := g
		g = &group{buf: slices.Clone(g.buf)} // whoever got it gives its memory back
		l.publish(t, early)
		l.ripen() // somebody has to take it
	}
	if _, err := t.file.WriteAt(g.buf, t.at); err != nil {
		if isFull(err) && t.file.Truncate(t.at) == nil { // the part that was written takes the last room
			g.touched = false
			return t, fmt.Errorf("write %s: %w", t.seg.path, err)
		}
		l.abandon(t)
		return nil, fmt.Errorf("write %s: %w", t.seg.path, err)
	}
	if l.broken != syncData {
		if err := t.file.Sync(); err != nil {
			l.abandon(t)
			return nil, fmt.Errorf("sync %s: %w", t.seg.path, err)
		}
	}
	t.at += int64(len(g.buf))
	return t, nil
}

// publish tells that a group is durable.
func (l *Log) publish(t *tail, g *group) {
	if l.enter(t, g) {
		close(g.done) // with nothing locked: all who waited go on at once
	}
}

// enter puts a durable group where Next finds it.
func (l *Log) enter(t *tail, g *group) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writing != g { // published too early, by a broken rule
		return false
	}
	s := t.seg
	s.size += int64(len(g.buf))
	s.end = g.last()
	for i := range g.entries {
		s.accept(g.first+uint64(i), int64(endian.Uint64(g.buf[g.entries[i].frame+16:])))
	}
	l.bytes += int64(len(g.buf))
	l.durable, l.writing = g.last(), nil
	l.syncs++
	l.appended += int64(len(g.entries))
	g.seg, g.end = s, t.at
	l.cache = append(l.cache, g)
	l.held += int64(len(g.buf))
	for l.held > cacheBytes && len(l.cache) > 1 {
		l.uncache()
	}
	l.resume()
	poke(l.more)
	return true
}

// fail tells that a group is not durable.
func (l *Log) fail(g *group, cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writing != g { // published too early, by a broken rule
		return
	}
	why := buffer.ErrNotBuffered
	if g.touched {
		why = buffer.ErrUnknown
	}
	err := fmt.Errorf("durable buffer %s: %w: %w %s", l.dir, why, cause, help(cause))
	l.failed.add(span{g.first, g.last()}, err)
	l.items -= int64(len(g.entries))
	l.writing = nil
	if !isFull(cause) { // whether there is room now only the next group finds out
		l.stalled = nil
	}
	g.err = err
	close(g.done)
	l.wakeAppender()
}

// stall notes that there is no room.
func (l *Log) stall(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stalled == nil {
		l.keeper.wake() // what it left alone may be room
		l.o.Logger.Warn("the durable buffer has no room on the disk: it waits, and goes on when there is", slog.String("dir", l.dir), slog.Any("error", err))
	}
	l.tight = true
	l.stalled = fmt.Errorf("durable buffer %s: no room on the disk: make some, it goes on by itself (see docs/troubleshooting.md#buffer-disk-full): %w", l.dir, err)
}

// resume notes that there is room.
func (l *Log) resume() {
	if l.stalled != nil {
		l.o.Logger.Info("the durable buffer has room on the disk again", slog.String("dir", l.dir))
	}
	l.stalled = nil
	l.wakeAppender()
}

// beginSegment makes a segment for what comes next: g, or what comes after all
// that is durable.
func (l *Log) beginSegment(g *group) (*tail, error) {
	l.mu.Lock()
	h := header{kind: kindSegment, salt: salt(), producer: l.producer, first: l.next, before: l.durable}
	if l.gathering != nil {
		h.first, h.created = l.gathering.first, l.gathering.accepted
	}
	if g != nil {
		h.first, h.created = g.first, g.accepted
	}
	l.mu.Unlock()
	if h.created == 0 {
		h.created = time.Now().UnixNano()
	}
	path := filepath.Join(l.dir, segmentName(h.first))
	f, err := l.newFile(path, h.start())
	if isFull(err) && l.lastIsSpent() && l.drawSpare(0) {
		f, err = l.newFile(path, h.start())
	}
	if err != nil {
		return nil, err
	}
	s := &segment{path: path, head: h, size: dataStart, end: h.first - 1}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.segments); n > 0 && l.segments[n-1].head.first == h.first { // an abandoned one, replaced
		l.bytes -= l.segments[n-1].size
		l.segments = l.segments[:n-1]
	}
	l.segments = append(l.segments, s)
	l.bytes += s.size
	l.last = s
	l.keeper.wake() // the one before may go now
	return &tail{f, s, dataStart}, nil
}

// endSegment writes the closing group of a segment that is full, or the last of
// this process. Without one it is as good, but has to be read when the buffer is
// opened.
func (l *Log) endSegment(t *tail) {
	if t == nil {
		return
	}
	b := make([]byte, groupBytes)
	seal(b, groupHead{first: t.seg.end + 1, synced: t.at, flags: flagClosing}, t.seg.head.salt, t.at)
	_, err := t.file.WriteAt(b, t.at)
	if err == nil {
		err = t.file.Sync()
	}
	l.mu.Lock()
	if err == nil {
		t.seg.closed = true
		t.seg.size += groupBytes
		l.bytes += groupBytes
	}
	l.mu.Unlock()
	l.abandon(t)
}

// abandon never writes to a segment again.
func (l *Log) abandon(t *tail) {
	_ = t.file.Close()
	l.mu.Lock()
	l.last = nil
	l.mu.Unlock()
}

// newFile makes a file with its first bytes, durable under its name before it
// returns, in the place of one of that name.
func (l *Log) newFile(path string, start []byte) (f filesys.File, err error) {
	temp := path + ".tmp"
	if err := l.writeFile(temp, start); err != nil {
		_ = l.disk.Remove(temp) // it takes room, perhaps the last
		return nil, err
	}
	if err := l.disk.Rename(temp, path); err != nil {
		_ = l.disk.Remove(temp)
		return nil, err
	}
	if err = l.syncNames(); err == nil {
		f, err = l.disk.Open(path, os.O_RDWR, 0o600)
	}
	if err != nil {
		_ = l.disk.Remove(path)
		return nil, err
	}
	return f, nil
}

// writeFile makes a file whose bytes, but not its name, are durable.
func (l *Log) writeFile(path string, text []byte) error {
	f, err := l.disk.Open(path, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(text, 0)
	if err == nil && l.broken != syncData {
		err = f.Sync()
	}
	return firstOf(err, f.Close())
}

func (l *Log) syncNames() error {
	if l.broken == syncNames {
		return nil
	}
	return l.disk.SyncDir(l.dir)
}

func salt() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return endian.Uint64(b[:])
}

// help is where a person reads on about what the disk refused.
func help(err error) string {
	if isFull(err) {
		return "(see docs/troubleshooting.md#buffer-disk-full)"
	}
	return "(see docs/troubleshooting.md#buffer-fsync)"
}

// isFull tells that there is no room on the disk, or no more for this user.
func isFull(err error) bool {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return true
	}
	const errHandleDiskFull, errDiskFull = syscall.Errno(39), syscall.Errno(112)
	return runtime.GOOS == "windows" && (errors.Is(err, errHandleDiskFull) || errors.Is(err, errDiskFull))
}
