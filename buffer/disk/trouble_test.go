package disk

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/internal/crashfs"
	"github.com/libvegas/vegas/internal/filesys"
	"github.com/libvegas/vegas/record"
)

// gated is a disk whose writes to segments wait for whoever asks them to.
type gated struct {
	filesys.FS
	mu    sync.Mutex
	write func() error // nil: they do not wait
}

type gatedFile struct {
	filesys.File
	h *gated
}

func (h *gated) Open(name string, flag int, mode fs.FileMode) (filesys.File, error) {
	f, err := h.FS.Open(name, flag, mode)
	if err != nil || !strings.HasSuffix(name, ".log") || flag&os.O_RDWR == 0 {
		return f, err
	}
	return gatedFile{f, h}, nil
}

func (h *gated) hold(write func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.write = write
}

func (f gatedFile) WriteAt(b []byte, at int64) (int, error) {
	f.h.mu.Lock()
	write := f.h.write
	f.h.mu.Unlock()
	if write != nil {
		if err := write(); err != nil {
			return 0, err
		}
	}
	return f.File.WriteAt(b, at)
}

// A disk that is full at first and then fails otherwise ends the group that
// waits, and nobody waits for room from then on: the next record tries the disk
// anew.
func TestFullDiskFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openOn(t, crashfs.New(crashDir))
		want := []uint64{l.put()}
		l.fs.On(failing(crashfs.Write, syscall.ENOSPC, 1, ".log"))
		seq, err := l.append(t.Context())
		must(t, err)
		synctest.Wait()
		if l.Stats().Stalled == nil {
			t.Error("nothing says that the disk is full")
		}
		l.fs.On(failing(crashfs.Write, syscall.EIO, 1000, ".log"))
		if err := l.Sync(t.Context(), seq); !errors.Is(err, syscall.EIO) {
			t.Errorf("a record that the disk has not taken: %v", err)
		}
		l.fs.On(nil)
		want = append(want, l.put())
		if err := l.Stats().Stalled; err != nil {
			t.Errorf("the disk takes records again, and it says: %v", err)
		}
		if got := seqs(t, l); !slices.Equal(got, want) {
			t.Errorf("%v came out, want %v", got, want)
		}
		must(t, l.Close())
	})
}

// A full disk is closed, and has room again just then: what did not get into the
// log leaves no gap before what did.
func TestCloseLeavesNoGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := crashfs.New(crashDir)
		h := &gated{FS: disk}
		l := openOn(t, disk, func(o *Options) { o.FS = h })
		want := []uint64{l.put()}
		writing, goOn := make(chan struct{}), make(chan struct{})
		h.hold(func() error {
			h.hold(nil)
			close(writing)
			<-goOn
			return syscall.ENOSPC
		})
		tiny := make([]*record.Record, 1000)
		for i := range tiny {
			tiny[i] = &record.Record{PartitionKey: "k"}
		}
		refused, err := l.Append(t.Context(), tiny, nil)
		must(t, err)
		<-writing
		accepted, err := l.append(t.Context())
		must(t, err)
		want = append(want, accepted)
		// The disk is full until the log ends.
		h.hold(func() error {
			if l.usable() == nil {
				return syscall.ENOSPC
			}
			return nil
		})
		close(goOn)
		synctest.Wait()
		_ = l.Close()
		if err := l.Sync(t.Context(), refused); !errors.Is(err, buffer.ErrNotBuffered) {
			t.Errorf("what found no room: %v", err)
		}
		if err := l.Sync(t.Context(), accepted); err != nil {
			t.Errorf("what found room: %v", err)
		}
		again := openOn(t, disk)
		if got, s := seqs(t, again), again.Stats(); !slices.Equal(got, want) || s.Lost != 0 || s.Items != int64(len(want)) {
			t.Errorf("%v came out, want %v: %+v", got, want, s)
		}
		must(t, again.Close())
	})
}

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
