package disk

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/internal/crashfs"
	"github.com/libvegas/vegas/internal/filesys"
	"github.com/libvegas/vegas/record"
)

// gated is a disk that asks before it writes to segments and reads from them.
type gated struct {
	filesys.FS
	mu    sync.Mutex
	write func() error
	read  func(name string, at, end int64) error
}

func (g *gated) use(o *Options) { o.FS = g }

type gatedFile struct {
	filesys.File
	name string
	g    *gated
}

func (g *gated) Open(name string, flag int, mode fs.FileMode) (filesys.File, error) {
	f, err := g.FS.Open(name, flag, mode)
	if err != nil || !strings.HasSuffix(name, ".log") {
		return f, err
	}
	return gatedFile{f, filepath.Base(name), g}, nil
}

func (g *gated) onWrite(write func() error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.write = write
}

func (g *gated) onRead(read func(name string, at, end int64) error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.read = read
}

func (f gatedFile) WriteAt(b []byte, at int64) (int, error) {
	f.g.mu.Lock()
	write := f.g.write
	f.g.mu.Unlock()
	if write != nil {
		if err := write(); err != nil {
			return 0, err
		}
	}
	return f.File.WriteAt(b, at)
}

func (f gatedFile) ReadAt(b []byte, at int64) (int, error) {
	f.g.mu.Lock()
	read := f.g.read
	f.g.mu.Unlock()
	if read != nil {
		if err := read(f.name, at, at+int64(len(b))); err != nil {
			return 0, err
		}
	}
	return f.File.ReadAt(b, at)
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
		l := openOn(t, disk, h.use)
		want := []uint64{l.put()}
		writing, goOn := make(chan struct{}), make(chan struct{})
		h.onWrite(func() error {
			h.onWrite(nil)
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
		h.onWrite(func() error {
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

// What cannot be read is given up for this opening, however often the list of
// acknowledgements is written meanwhile: the next one tries again.
func TestUnreadableIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := crashfs.New(crashDir)
		l := openOn(t, disk)
		var want []uint64
		for range 30 {
			want = append(want, l.put())
		}
		must(t, l.Close())

		g := &gated{FS: disk}
		l = openOn(t, disk, g.use)
		g.onRead(func(_ string, at, end int64) error {
			if at < 20000 && end > 10000 {
				return syscall.EIO
			}
			return nil
		})
		got := seqs(t, l)
		s := l.Stats()
		if s.Lost == 0 || s.Items != int64(len(got)) || s.Lost+s.Items != 30 {
			t.Errorf("%d came out of 30: %+v", len(got), s)
		}
		l.Ack(got[:1])
		l.setStale()
		l.keeper.wake()
		must(t, l.Close())

		l = openOn(t, disk)
		if got, s := seqs(t, l), l.Stats(); !slices.Equal(got, want[1:]) || s.Lost != 0 {
			t.Errorf("%v came out when all could be read again, want %v: %+v", got, want[1:], s)
		}
		must(t, l.Close())
	})
}

// Where nothing behind can be read of the segment that is being written, Next
// goes on with what is still in memory.
func TestUnreadableEnd(t *testing.T) {
	disk := crashfs.New(crashDir)
	g := &gated{FS: disk}
	l := openOn(t, disk, g.use, func(o *Options) { o.SegmentBytes = 13 << 20 })
	all := appendEach(t, l.Log, 12, 1<<20)
	g.onRead(func(_ string, _, end int64) error {
		if end > 3<<20 {
			return syscall.EIO
		}
		return nil
	})
	var got []uint64
	for len(got) == 0 || got[len(got)-1] < all[11] {
		items, err := l.Next(t.Context(), 1)
		must(t, err)
		got = append(got, numbers(items)...)
	}
	s := l.Stats()
	if got[0] != all[0] || !slices.Contains(got, all[8]) || s.Lost != int64(12-len(got)) || s.Items != int64(len(got)) {
		t.Errorf("%v came out of %v: %+v", got, all, s)
	}
	g.onRead(nil)
	more := appendEach(t, l.Log, 2, 1<<20)
	if got := numbers(readAll(t, l.Log, 2)); !slices.Equal(got, more) {
		t.Errorf("%v came out, want %v", got, more)
	}
	if l.read.seg != nil {
		t.Error("a segment is kept open that is read no more")
	}
	must(t, l.Close())
}

// Close waits until Next does not read any more.
func TestCloseWhileNextReads(t *testing.T) {
	disk := crashfs.New(crashDir)
	large := func(o *Options) { o.SegmentBytes = 1 << 20 }
	l := openOn(t, disk, large)
	appendEach(t, l.Log, 400, 1000)
	must(t, l.Close())
	for range 20 {
		g := &gated{FS: disk}
		l = openOn(t, disk, large, g.use)
		ended := make(chan error)
		g.onRead(func(_ string, at, _ int64) error {
			if at == 0 {
				return nil
			}
			g.onRead(nil)
			go func() { ended <- l.Close() }()
			<-l.done
			for range 1000 {
				runtime.Gosched()
			}
			return nil
		})
		if items, err := l.Next(t.Context(), 1<<20); err != nil || len(items) == 0 {
			t.Errorf("%d items, %v", len(items), err)
		}
		must(t, <-ended)
		if s := l.Stats(); s.Lost != 0 || s.Items != 400 {
			t.Fatalf("Next was reading when the log was closed: %+v", s)
		}
	}
}

// What a write left that failed, and was done again elsewhere, is no damage.
func TestSupersededIsNoDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openOn(t, crashfs.New(crashDir))
		want := []uint64{l.put()}
		l.fs.On(failing(crashfs.Sync, syscall.EIO, 1, ".log"))
		want = append(want, l.put(), l.put())
		must(t, l.Close())
		f, err := l.fs.Open(filepath.Join(bufferDir, segmentName(1)), os.O_RDWR, 0)
		must(t, err)
		size, err := f.Size()
		must(t, err)
		_, err = f.WriteAt([]byte("torn"), size-100)
		must(t, err)
		again := openOn(t, l.fs)
		if got, s := seqs(t, again), again.Stats(); !slices.Equal(got, want) || s.Lost != 0 || s.Quarantined != 0 {
			t.Errorf("%v came out, want %v: %+v", got, want, s)
		}
		must(t, again.Close())
	})
}

// counted counts what is read of a file, which may be shorter than it was.
type counted struct {
	filesys.File
	bytes int
	short int64
}

func (c *counted) ReadAt(b []byte, at int64) (int, error) {
	b = b[:max(0, min(int64(len(b)), c.short-at))]
	n := len(b)
	for i := range b {
		b[i] = frameMagic[(at+int64(i))%4]
	}
	c.bytes += n
	return n, io.EOF
}

// However much of what is damaged looks like frames, it is read once; and a file
// that is cut off while it is read ends there.
func TestScanIsBounded(t *testing.T) {
	const size = 4 << 20
	for _, short := range []int64{size, size / 3, 0} {
		c := &counted{short: short}
		s := &scanner{file: c, size: size, at: dataStart}
		for range 100 {
			if _, err := s.next(); errors.Is(err, io.EOF) {
				break
			}
		}
		if s.at != size || c.bytes > 2*size {
			t.Errorf("of %d bytes %d were read, up to %d", short, c.bytes, s.at)
		}
	}
}

// That something large was refused says nothing of what comes later.
func TestStalledIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openOn(t, crashfs.New(crashDir), func(o *Options) { o.Bytes = 20 << 10 })
		appendEach(t, l.Log, 10, 1000)
		over, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := l.Append(over, []*record.Record{{PartitionKey: "k", Data: make([]byte, 15<<10)}}, nil)
		if !errors.Is(err, record.ErrBufferFull) || l.Stats().Stalled == nil {
			t.Errorf("appended more than there is room for: %v, %v", err, l.Stats().Stalled)
		}
		l.put()
		if err := l.Stats().Stalled; err != nil {
			t.Errorf("another record was taken, and it says: %v", err)
		}
		must(t, l.Close())
	})
}

// One segment that cannot be read again does not keep the others from being made
// smaller.
func TestUnmovable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := crashfs.New(crashDir)
		g := &gated{FS: disk}
		l := openOn(t, disk, g.use, func(o *Options) { o.SegmentBytes = 10 << 10 })
		appendEach(t, l.Log, 40, 1000)
		l.put()
		got := seqs(t, l)
		bad := segmentName(1)
		g.onRead(func(name string, _, _ int64) error {
			if name == bad {
				return syscall.EIO
			}
			return nil
		})
		for _, seq := range got {
			if seq%8 != 1 {
				l.Ack([]uint64{seq})
			}
		}
		synctest.Wait()
		moved := 0
		for _, s := range l.segments {
			if s.remainder() {
				moved++
			}
		}
		if moved < 3 || l.segments[0].remainder() {
			t.Errorf("%d of %d segments were made smaller", moved, len(l.segments))
		}
		l.Ack(got)
		must(t, l.Close())
		if l.Stats().Items != 0 {
			t.Errorf("all is acknowledged: %+v", l.Stats())
		}
	})
}

// A segment without an end, and the next one, which says where it ends, go one
// after the other: no crash brings back one without the other.
func TestUnclosedGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openOn(t, crashfs.New(crashDir), func(o *Options) { o.SegmentBytes = 2000 })
		l.put()
		l.fs.On(failing(crashfs.Sync, syscall.EIO, 1, segmentName(1)))
		for range 6 {
			l.put()
		}
		all := seqs(t, l)
		l.Ack(all[2:3]) // makes the list durable, and the others are not in it
		synctest.Wait()
		l.Ack(all)
		synctest.Wait()
		l.fs.Stop()
		_ = l.Close()
		for seed := range uint64(200) {
			again := openOn(t, l.fs.Crash(seeded(seed)))
			if got, s := seqs(t, again), again.Stats(); s.Lost != 0 {
				t.Errorf("after crash %d %v came out: %+v", seed, got, s)
			}
			must(t, again.Close())
		}
	})
}

// A list of acknowledgements that lacks some is not closed as if it were whole:
// a dead letter would come out as a record.
func TestStaleAcksAreNotClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openOn(t, crashfs.New(crashDir))
		l.put()
		l.put()
		items, err := l.Next(t.Context(), 1<<20)
		must(t, err)
		l.Ack([]uint64{2})
		synctest.Wait()
		l.fs.On(func(op crashfs.Op) error {
			if strings.Contains(op.Name, acksPrefix) && (op.Kind == crashfs.Create || op.Kind == crashfs.Write && l.usable() == nil) {
				return syscall.EIO
			}
			return nil
		})
		if err := l.Bury(t.Context(), []buffer.Dead{{Item: items[0], Reason: "because"}}); !errors.Is(err, syscall.EIO) {
			t.Errorf("buried, and not acknowledged: %v", err)
		}
		_ = l.Close()
		l.fs.On(nil)
		again := openOn(t, l.fs)
		if got, s := seqs(t, again), again.Stats(); len(got) != 0 || s.Dead != 1 {
			t.Errorf("%v came out: %+v", got, s)
		}
		must(t, again.Close())
	})
}

// Whatever fails when a log is opened, it can be opened again and counts the same.
func TestOpenedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := crashfs.New(crashDir)
		l := openOn(t, disk)
		appendEach(t, l.Log, 200, 1000)
		items := readAll(t, l.Log, 200)
		must(t, l.Bury(t.Context(), []buffer.Dead{{Item: items[7], Reason: "because"}}))
		synctest.Wait()
		disk.Stop()
		_ = l.Close()
		disk = disk.Crash(seeded(1))
		l = openOn(t, disk.Kill())
		want := l.Stats()
		must(t, l.Close())
		for n := int64(1); ; n++ {
			found := disk.Kill()
			var calls atomic.Int64
			found.On(func(crashfs.Op) error {
				if calls.Add(1) == n {
					return syscall.EIO
				}
				return nil
			})
			l := New(bufferDir, silent, func(o *Options) { o.FS, o.SegmentBytes = found, 64<<10 })
			failed := l.Open(t.Context())
			done := calls.Load() < n
			if failed != nil {
				must(t, l.Open(t.Context()))
			}
			if got := l.Stats(); got.Items != want.Items || got.Dead != want.Dead || got.Lost != want.Lost || got.First != want.First || got.Bytes > want.Bytes {
				t.Errorf("call %d failed, and it was opened again: %+v, want %+v", n, got, want)
			}
			must(t, l.Close())
			if done {
				return
			}
		}
	})
}

// A sync fails, and the process is killed before it has written the group
// elsewhere. The next one can read it, though it is not on the disk: it does not
// come out before it is.
func TestKilledAfterFailedSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openOn(t, crashfs.New(crashDir))
		l.put()
		failed := false
		l.fs.On(func(op crashfs.Op) error {
			failed = failed || op.Kind == crashfs.Sync && strings.HasSuffix(op.Name, ".log")
			if failed {
				return syscall.EIO
			}
			return nil
		})
		_, err := l.append(t.Context())
		must(t, err)
		synctest.Wait()
		left := l.fs.Kill()
		left.On(nil)
		_ = l.Close()
		again := openOn(t, left)
		want := seqs(t, again)
		left.Stop()
		_ = again.Close()
		for seed := range uint64(50) {
			again := openOn(t, left.Crash(seeded(seed)))
			if got, s := seqs(t, again), again.Stats(); !slices.Equal(got, want) || s.Lost != 0 {
				t.Errorf("after crash %d %v came out, and before %v: %+v", seed, got, want, s)
			}
			must(t, again.Close())
		}
	})
}

// What was acknowledged at the end of the last segment cannot be read: that does
// not keep the log from being opened.
func TestUnreadableTailOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openOn(t, crashfs.New(crashDir))
		for range 12 {
			l.put()
		}
		l.Ack([]uint64{11, 12})
		synctest.Wait()
		g := &gated{FS: l.fs.Kill()}
		l.fs.Stop()
		_ = l.Close()
		g.onRead(func(_ string, _, end int64) error {
			if end > 8<<10 {
				return syscall.EIO
			}
			return nil
		})
		again := openOn(t, l.fs, g.use)
		got := seqs(t, again)
		if s := again.Stats(); len(got) == 0 || s.Lost != int64(10-len(got)) || s.Lost == 0 {
			t.Errorf("%v came out: %+v", got, s)
		}
		_ = again.Close()
	})
}
