package disk

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"math/bits"
	"os"
	"path/filepath"
	"sync"
)

const (
	spareName = "spare"
	// spareLeast is how large the spare is at least, or one segment if that is
	// smaller.
	spareLeast = 64 << 10
)

// spare is a file that keeps room on the disk, for what must go on when it is
// full: the segment that lets the last one be removed, and dead letters. Its
// bytes mean nothing.
type spare struct {
	mu   sync.Mutex // held while the file is changed
	size int64
}

// findSpare looks how large the spare is that earlier openings left.
func (l *Log) findSpare() {
	l.spare.size = 0
	if info, err := l.disk.Stat(filepath.Join(l.dir, spareName)); err == nil {
		l.spare.size = info.Size()
	}
}

// keepSpare makes the spare as large as it has to be once a group is in the log:
// any of its records may have to become a dead letter. Only lack of room is an
// error, for then the group must not take what there is. It is the writer's.
func (l *Log) keepSpare(g *group) error {
	want := l.spareBytes()
	if int64(len(g.buf)) > want/4 {
		if n := g.largest(); int64(n) > want/4 {
			want += 1 << bits.Len(uint(n)) // in few steps, however sizes rise
		}
	}
	l.spare.mu.Lock()
	defer l.spare.mu.Unlock()
	if l.spare.size >= want {
		return nil
	}
	b := make([]byte, want)
	_, _ = rand.Read(b) // a file system that compresses would keep no room for zeros
	path := filepath.Join(l.dir, spareName)
	temp := path + tempSuffix
	err := l.writeFile(temp, b)
	if err == nil {
		err = l.disk.Rename(temp, path)
	}
	if err == nil {
		l.spare.size = want
		err = l.syncNames()
	}
	if err == nil {
		return nil
	}
	_ = l.disk.Remove(temp)
	if isFull(err) {
		return fmt.Errorf("find room for %d bytes for the file %s, in which a record that is refused has room on a full disk, beside the %d of what is written now: %w", want, spareName, len(g.buf), err)
	}
	l.warn.Warn("the durable buffer cannot keep room on the disk for when it is full", slog.String("dir", l.dir), slog.Any("error", err))
	return nil
}

func (l *Log) spareBytes() int64 { return min(spareLeast, l.o.SegmentBytes) }

// drawSpare gives the spare's room back, but for what it leaves, and tells whether
// that made room.
func (l *Log) drawSpare(leave int64) bool {
	l.spare.mu.Lock()
	defer l.spare.mu.Unlock()
	if l.spare.size <= leave {
		return false
	}
	f, err := l.disk.Open(filepath.Join(l.dir, spareName), os.O_RDWR, 0o600)
	if err != nil {
		l.spare.size = 0 // somebody removed it
		return false
	}
	if firstOf(f.Truncate(leave), f.Close()) != nil {
		return false
	}
	l.spare.size = leave
	return true
}
