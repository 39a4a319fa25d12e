package disk

import (
	"context"
	"errors"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/internal/crashfs"
	"github.com/libvegas/vegas/record"
)

// A replay that finds no room and is done again later brings none twice: files
// of dead letters are small, and each goes as soon as its records are durable.
func TestInterruptedReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const all, size = 3000, 1000
		disk := crashfs.New(crashDir)
		small := func(o *Options) { o.Bytes, o.SegmentBytes = 2<<20, 64<<10 }
		l := openOn(t, disk, small)
		for range all / 100 {
			appendEach(t, l.Log, 100, size)
			var dead []buffer.Dead
			for _, it := range readAll(t, l.Log, 100) {
				dead = append(dead, buffer.Dead{Item: it, Reason: "because"})
			}
			must(t, l.Bury(t.Context(), dead))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		n, err := l.Replay(ctx)
		if !errors.Is(err, record.ErrBufferFull) || n == 0 {
			t.Errorf("replay of more than there is room for: %d, %v", n, err)
		}
		if s := l.Stats(); s.Dead != int64(all-n) || s.Items != int64(n) {
			t.Errorf("replayed %d of %d: %+v", n, all, s)
		}
		must(t, l.Close())
		l = openOn(t, disk, small)
		if s := l.Stats(); s.Dead != int64(all-n) || s.Items != int64(n) {
			t.Errorf("replayed %d of %d, and opened again: %+v", n, all, s)
		}
		must(t, l.Close())
	})
}

// A replay whose caller gives up while the disk takes its time, or is full, brings
// none twice: neither when it is done again, nor when the buffer is closed first.
func TestReplayNotWaitedFor(t *testing.T) {
	for _, closes := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := openOn(t, crashfs.New(crashDir))
			appendEach(t, l.Log, 10, 1000)
			var dead []buffer.Dead
			for _, it := range readAll(t, l.Log, 10) {
				dead = append(dead, buffer.Dead{Item: it, Reason: "because"})
			}
			must(t, l.Bury(t.Context(), dead[1:])) // the first one pins the segment
			l.fs.Room(used(l.fs), false)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if n, err := l.Replay(ctx); n != 0 || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("replay on a full disk: %d, %v", n, err)
			}
			l.fs.Room(-1, false)
			if closes {
				time.Sleep(time.Minute)
				must(t, l.Close())
				l = openOn(t, l.fs)
			} else if n, err := l.Replay(t.Context()); n != 9 || err != nil {
				t.Errorf("replay when there is room: %d, %v", n, err)
			}
			if s := l.Stats(); s.Dead != 0 || s.Items != 10 {
				t.Errorf("closed in between %v: %+v", closes, s)
			}
			must(t, l.Close())
		})
	}
}

// A burial for which not even a file can be begun says why, and is done when there
// is room.
func TestBuryWithoutRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openOn(t, crashfs.New(crashDir))
		l.put()
		dead := []buffer.Dead{{Item: readAll(t, l.Log, 1)[0], Reason: "because"}}
		must(t, l.fs.Remove(filepath.Join(bufferDir, spareName)))
		l.fs.Room(used(l.fs), false)
		err := l.Bury(t.Context(), dead)
		says(t, err, "bury 1 records", "buffer-disk-full")
		if !errors.Is(err, syscall.ENOSPC) {
			t.Error(err)
		}
		l.fs.Room(-1, false)
		must(t, l.Bury(t.Context(), dead))
		must(t, l.Close())
	})
}
