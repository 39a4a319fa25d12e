package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/internal/crashfs"
	"github.com/libvegas/vegas/internal/filesys"
	"github.com/libvegas/vegas/record"
)

// troubled is a log on a disk that fails, and what was given to it.
type troubled struct {
	*Log
	t  *testing.T
	fs *crashfs.FS
	n  int
}

func openOn(t *testing.T, disk *crashfs.FS, opts ...func(*Options)) *troubled {
	t.Helper()
	l := New(bufferDir, append([]func(*Options){func(o *Options) {
		o.Label, o.SegmentBytes, o.FS, o.Logger = "orders", 64<<10, disk, slog.New(slog.DiscardHandler)
	}}, opts...)...)
	must(t, l.Open(t.Context()))
	return &troubled{Log: l, t: t, fs: disk}
}

// append appends one record.
func (l *troubled) append(ctx context.Context) (seq uint64, err error) {
	l.n++
	return l.Append(ctx, []*record.Record{{PartitionKey: "key", Data: fmt.Appendf(nil, "%d %s", l.n, strings.Repeat("x", 1000))}}, nil)
}

// put appends one record that must become durable.
func (l *troubled) put() uint64 {
	l.t.Helper()
	seq, err := l.append(l.t.Context())
	must(l.t, err)
	must(l.t, l.Sync(l.t.Context(), seq))
	return seq
}

// seqs is what Next gives, until it has no more.
func seqs(t *testing.T, l buffer.Buffer) (all []uint64) {
	t.Helper()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		items, err := l.Next(ctx, 1<<20)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			return all
		}
		must(t, err)
		for _, it := range items {
			all = append(all, it.Seq)
		}
	}
}

// failing fails calls of a kind with an error, as often as it says.
func failing(kind crashfs.Kind, err error, times int64, name string) func(crashfs.Op) error {
	var left atomic.Int64
	left.Store(times)
	return func(op crashfs.Op) error {
		if op.Kind == kind && strings.Contains(op.Name, name) && left.Add(-1) >= 0 {
			return err
		}
		return nil
	}
}

// A sync that fails is not tried again on its file: its group is written to
// another, under the same numbers, and nobody notices.
func TestFailedSyncMovesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openOn(t, crashfs.New(crashDir))
		first := l.put()
		var synced []string
		l.fs.On(func(op crashfs.Op) error {
			if op.Kind == crashfs.Sync && strings.HasSuffix(op.Name, ".log") {
				synced = append(synced, op.Name)
				if len(synced) == 1 {
					return syscall.EIO
				}
			}
			return nil
		})
		second := l.put()
		if len(synced) != 2 || synced[0] == synced[1] || second != first+1 {
			t.Errorf("synced %v; numbers %d and %d", synced, first, second)
		}
		third := l.put()
		want := []uint64{first, second, third}
		if got := seqs(t, l); !slices.Equal(got, want) {
			t.Errorf("%v came out, want %v", got, want)
		}
		// It is the same after the power failed: what the first sync may have
		// written is superseded.
		l.fs.Stop()
		_ = l.Close()
		for seed := range uint64(50) {
			found := l.fs.Crash(seeded(seed))
			again := openOn(t, found)
			if got := seqs(t, again); !slices.Equal(got, want) || again.Stats().Lost != 0 {
				t.Errorf("after a crash %v came out, want %v; %d count as lost", got, want, again.Stats().Lost)
			}
			must(t, again.Close())
		}
	})
}

// While every sync fails records are refused, not lost quietly: who waits gets
// to know that nothing is certain. It goes on when the disk does.
func TestEverySyncFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openOn(t, crashfs.New(crashDir))
		want := []uint64{l.put()}
		l.fs.On(failing(crashfs.Sync, syscall.EIO, 1000, ""))
		seq, err := l.append(t.Context())
		must(t, err)
		err = l.Sync(t.Context(), seq)
		if !errors.Is(err, buffer.ErrUnknown) && !errors.Is(err, buffer.ErrNotBuffered) {
			t.Errorf("a record that may not be durable: %v", err)
		}
		if !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "(see docs/troubleshooting.md#buffer-fsync)") {
			t.Errorf("the error does not say why: %v", err)
		}
		l.fs.On(nil)
		want = append(want, l.put())
		if got := seqs(t, l); !slices.Equal(got, want) {
			t.Errorf("%v came out, want %v", got, want)
		}
		must(t, l.Close())
		again := openOn(t, l.fs)
		if got := seqs(t, again); !slices.Equal(got, want) || again.Stats().Lost != 0 {
			t.Errorf("at the next opening %v came out, want %v; %d count as lost", got, want, again.Stats().Lost)
		}
		must(t, again.Close())
	})
}

// Dead letters are not buried by halves: while the disk fails the record stays.
func TestBuryFails(t *testing.T) {
	for _, kind := range []crashfs.Kind{crashfs.Create, crashfs.Write, crashfs.Sync, crashfs.Rename, crashfs.SyncDir} {
		synctest.Test(t, func(t *testing.T) {
			l := openOn(t, crashfs.New(crashDir))
			l.put()
			items, err := l.Next(t.Context(), 1<<20)
			must(t, err)
			synctest.Wait()
			dead := []buffer.Dead{{Item: items[0], Reason: "too large", At: time.Now()}}
			l.fs.On(failing(kind, syscall.EIO, 1, ""))
			err = l.Bury(t.Context(), dead)
			if says(t, err, "buffer-fsync"); !errors.Is(err, syscall.EIO) {
				t.Errorf("%s fails: %v", kind, err)
			}
			l.fs.On(nil)
			must(t, l.Bury(t.Context(), dead))
			if s := l.Stats(); s.Dead != 1 || s.Items != 0 {
				t.Errorf("%s failed once: %d dead letters and %d records", kind, s.Dead, s.Items)
			}
			l.fs.Stop()
			_ = l.Close()
			for seed := range uint64(20) {
				again := openOn(t, l.fs.Crash(seeded(seed)))
				if got := seqs(t, again); len(got) != 0 || again.Stats().Dead != 1 {
					t.Errorf("%s failed once: %v came out, and there are %d dead letters", kind, got, again.Stats().Dead)
				}
				must(t, again.Close())
			}
		})
	}
}

// A disk that fills holds up who appends, says why, gives on what it has, and
// goes on by itself when there is room.
func TestDiskFills(t *testing.T) {
	for _, lazily := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := openOn(t, crashfs.New(crashDir))
			want := []uint64{l.put(), l.put()}
			l.fs.Room(6<<10, lazily)
			var last uint64
			for {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				seq, err := l.append(ctx)
				cancel()
				if err != nil {
					if !errors.Is(err, record.ErrBufferFull) || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "(see docs/troubleshooting.md#buffer-disk-full)") {
						t.Errorf("a full disk: %v", err)
					}
					break
				}
				want, last = append(want, seq), seq
				synctest.Wait()
			}
			if err := l.Stats().Stalled; !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("stalled for %v", err)
			}
			out := seqs(t, l)
			if len(out) < 2 || !slices.Equal(out, want[:len(out)]) {
				t.Errorf("%v came out of a full disk, of %v", out, want)
			}
			l.fs.Room(-1, false)
			must(t, l.Sync(t.Context(), last))
			want = append(want, l.put())
			if err := l.Stats().Stalled; err != nil {
				t.Errorf("there is room, and it is stalled for %v", err)
			}
			if out = append(out, seqs(t, l)...); !slices.Equal(out, want) {
				t.Errorf("%v came out, want %v", out, want)
			}
			must(t, l.Close())
			again := openOn(t, l.fs)
			if got := seqs(t, again); !slices.Equal(got, want) {
				t.Errorf("at the next opening %v came out, want %v", got, want)
			}
			must(t, again.Close())
		})
	}
}

// A full disk is made room on by acknowledgements alone.
func TestFullDiskDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openOn(t, crashfs.New(crashDir), func(o *Options) { o.SegmentBytes = 4 << 10 })
		for range 12 {
			l.put()
		}
		l.fs.Room(0, false)
		seq, err := l.append(t.Context())
		must(t, err)
		synctest.Wait()
		l.Ack(seqs(t, l))
		time.Sleep(5 * time.Second)
		left := used(l.fs)
		if left > 6<<10 {
			t.Errorf("%d bytes are left on the disk of what was acknowledged", left)
		}
		l.fs.Room(left+8<<10, false)
		must(t, l.Sync(t.Context(), seq))
		must(t, l.Close())
	})
}

// used is what a disk holds.
func used(disk *crashfs.FS) (bytes int64) {
	for _, data := range disk.Image(bufferDir) {
		bytes += int64(len(data))
	}
	return bytes
}

// A disk whose room only the last segment takes goes on when that is acknowledged,
// although nothing more is acknowledged then, and the next segment has no room
// but the spare's. So it does as often as it is filled.
func TestFullDiskGoesOn(t *testing.T) {
	for _, free := range []int64{0, 3 << 10} {
		for _, lazily := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				l := openOn(t, crashfs.New(crashDir))
				for range 12 {
					l.put()
				}
				l.fs.Room(used(l.fs)+free, lazily)
				for range 5 {
					records := make([]*record.Record, 6) // more than there is room for beside the others, in one group
					for i := range records {
						records[i] = &record.Record{PartitionKey: "key", Data: make([]byte, 1000)}
					}
					first, err := l.Append(t.Context(), records, nil)
					must(t, err)
					synctest.Wait()
					l.Ack(seqs(t, l))
					ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
					defer cancel()
					if err := l.Sync(ctx, first); err != nil {
						t.Fatalf("%d bytes free, lazily %v: %v", free, lazily, err)
					}
				}
				must(t, l.Close())
			})
		}
	}
}

// An opening of a full disk goes on by the spare that an earlier one left.
func TestFullDiskIsOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openOn(t, crashfs.New(crashDir))
		for range 12 {
			l.put()
		}
		l.fs.Stop()
		_ = l.Close()
		disk := l.fs.Crash(seeded(1))
		disk.Room(used(disk), false)
		l = openOn(t, disk)
		seq, err := l.append(t.Context())
		must(t, err)
		synctest.Wait()
		l.Ack(seqs(t, l))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		must(t, l.Sync(ctx, seq))
		must(t, l.Close())
	})
}

// A record that has to become a dead letter does so on a full disk, however large
// it is: what is behind it waits for that.
func TestFullDiskBuries(t *testing.T) {
	for _, size := range []int{10, 3 << 20} {
		for _, lazily := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				l := openOn(t, crashfs.New(crashDir))
				_, err := l.Append(t.Context(), []*record.Record{{PartitionKey: "key", Data: make([]byte, size)}}, nil)
				must(t, err)
				for range 60 {
					l.put()
				}
				items, err := l.Next(t.Context(), 1<<30)
				must(t, err)
				l.fs.Room(used(l.fs), lazily)
				waits, err := l.append(t.Context())
				must(t, err)
				synctest.Wait()
				if err := l.Bury(t.Context(), []buffer.Dead{{Item: items[0], Reason: "too large", At: time.Now()}}); err != nil {
					t.Fatalf("%d bytes, lazily %v: %v", size, lazily, err)
				}
				for _, it := range items[1:] {
					l.Ack([]uint64{it.Seq})
				}
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				if err := l.Sync(ctx, waits); err != nil {
					t.Errorf("%d bytes, lazily %v: %v", size, lazily, err)
				}
				l.fs.Stop()
				_ = l.Close()
				again := openOn(t, l.fs.Crash(seeded(1)))
				if s := again.Stats(); s.Dead != 1 {
					t.Errorf("%d dead letters after a crash", s.Dead)
				}
				must(t, again.Close())
			})
		}
	}
}

// A disk too small for a large record and its spare says what it lacks.
func TestDiskTooSmallForSpare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openOn(t, crashfs.New(crashDir))
		l.put()
		l.fs.Room(used(l.fs)+6<<20, false)
		seq, err := l.Append(t.Context(), []*record.Record{{PartitionKey: "key", Data: make([]byte, 5<<20)}}, nil)
		must(t, err)
		synctest.Wait()
		err = l.Stats().Stalled
		says(t, err, "find room for 8454144 bytes for the file spare", "beside the 5242958 of what is written now", "make some", "buffer-disk-full")
		if !errors.Is(err, syscall.ENOSPC) {
			t.Error(err)
		}
		l.fs.Room(-1, false)
		must(t, l.Sync(t.Context(), seq))
		must(t, l.Close())
	})
}

// The limit in bytes does the same.
func TestLimitIsReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openOn(t, crashfs.New(crashDir), func(o *Options) { o.Bytes, o.SegmentBytes = 16<<10, 4<<10 })
		for {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			seq, err := l.append(ctx)
			cancel()
			if err != nil {
				if !errors.Is(err, record.ErrBufferFull) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "(see docs/troubleshooting.md#buffer-disk-full)") {
					t.Errorf("at the limit: %v", err)
				}
				break
			}
			must(t, l.Sync(t.Context(), seq))
		}
		if s := l.Stats(); s.Bytes > s.Limit || s.Bytes < s.Limit/2 {
			t.Errorf("%d bytes are taken of %d", s.Bytes, s.Limit)
		}
		done := make(chan error, 1)
		go func() {
			_, err := l.append(t.Context())
			done <- err
		}()
		synctest.Wait()
		select {
		case err := <-done:
			t.Errorf("it did not wait for room: %v", err)
		default:
		}
		if err := l.Stats().Stalled; err == nil || !strings.Contains(err.Error(), "the limit of 16384 bytes is reached") {
			t.Errorf("stalled for %v", err)
		}
		time.Sleep(time.Minute)
		room := time.Now()
		l.Ack(seqs(t, l))
		must(t, <-done)
		items, err := l.Next(t.Context(), 1)
		must(t, err)
		if at := items[0].Accepted; at.Before(room) {
			t.Errorf("what waited for room was accepted at %v, there was none before %v", at, room)
		}
		must(t, l.Close())
	})
}

// refusal is what Open says.
func refusal(t *testing.T, dir string, opts ...func(*Options)) error {
	t.Helper()
	l := New(dir, append([]func(*Options){func(o *Options) { o.Label = "orders" }}, opts...)...)
	err := l.Open(t.Context())
	if err == nil {
		_ = l.Close()
	}
	return err
}

// made is a directory of the machine that holds records.
func made(t *testing.T, records int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "buffer")
	l := New(dir, func(o *Options) { o.Label = "orders" })
	must(t, l.Open(t.Context()))
	for i := range records {
		seq, err := l.Append(t.Context(), []*record.Record{{PartitionKey: "key", Data: fmt.Append(nil, i)}}, nil)
		must(t, err)
		must(t, l.Sync(t.Context(), seq))
	}
	must(t, l.Close())
	return dir
}

// What Open refuses, and with which words.
func TestRefusals(t *testing.T) {
	dir := made(t, 1)
	newer := strings.Replace(string(read(t, filepath.Join(dir, marker))), `"version":1`, `"version":2`, 1)
	t.Run("second opening", func(t *testing.T) {
		dir := made(t, 1)
		l := New(dir)
		must(t, l.Open(t.Context()))
		err := refusal(t, dir)
		if !errors.Is(err, filesys.ErrLocked) {
			t.Errorf("it is not a lock: %v", err)
		}
		says(t, err, dir, "another process has it", "buffer-locked")
		must(t, l.Close())
		must(t, refusal(t, dir))
	})
	t.Run("newer version", func(t *testing.T) {
		dir := made(t, 1)
		must(t, os.WriteFile(filepath.Join(dir, marker), []byte(newer), 0o600))
		says(t, refusal(t, dir), dir, "newer vegas", "version 2", "up to 1", "buffer-version")
	})
	t.Run("other label", func(t *testing.T) {
		dir := made(t, 1)
		says(t, refusal(t, dir, func(o *Options) { o.Label = "payments" }), dir, `"orders"`, `"payments"`, "buffer-label")
		must(t, refusal(t, dir, func(o *Options) { o.Label = "" }))
	})
	t.Run("foreign files", func(t *testing.T) {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, "letter.doc"), nil, 0o600))
		says(t, refusal(t, dir), dir, "letter.doc", "buffer-foreign")
	})
	t.Run("foreign marker", func(t *testing.T) {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, marker), []byte(`{"format":"letters","version":1}`), 0o600))
		says(t, refusal(t, dir), dir, "letters", "buffer-foreign")
	})
	t.Run("damaged marker", func(t *testing.T) {
		dir := made(t, 1)
		must(t, os.WriteFile(filepath.Join(dir, marker), []byte("{"), 0o600))
		says(t, refusal(t, dir), dir, "buffer-corrupt")
	})
	t.Run("a file", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "file")
		must(t, os.WriteFile(name, nil, 0o600))
		says(t, refusal(t, name), name, "not a directory", "buffer-directory")
	})
	t.Run("read-only", func(t *testing.T) {
		for _, kind := range []crashfs.Kind{crashfs.Create, crashfs.Write, crashfs.Truncate, crashfs.Sync, crashfs.Rename, crashfs.Remove, crashfs.SyncDir, crashfs.Mkdir} {
			disk := crashfs.New(crashDir)
			disk.On(failing(kind, syscall.EROFS, 1<<30, ""))
			l := New(bufferDir, func(o *Options) { o.FS, o.Logger = disk, slog.New(slog.DiscardHandler) })
			err := l.Open(t.Context())
			if err == nil { // it may have nothing to write yet
				_ = l.Close()
				continue
			}
			if !errors.Is(err, syscall.EROFS) {
				t.Errorf("%s: %v", kind, err)
			}
			says(t, err, bufferDir, "name one that this program may write to|name a directory that this program may write to", "buffer-directory")
		}
	})
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	must(t, err)
	return data
}

// says checks what an error says; the last word is its entry.
func says(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Error("it was not refused")
		return
	}
	for i, word := range words {
		if i == len(words)-1 {
			word = "(see docs/troubleshooting.md#" + word + ")"
		}
		if !slices.ContainsFunc(strings.Split(word, "|"), func(w string) bool { return strings.Contains(err.Error(), w) }) {
			t.Errorf("it does not say %q: %v", word, err)
		}
	}
}

// A directory that the user may not write to is refused, by the system itself.
func TestDirectoryOfAnother(t *testing.T) {
	dir := made(t, 1)
	must(t, os.Chmod(dir, 0o500))
	t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
	if err := refusal(t, dir); err != nil { // who is root may
		if !errors.Is(err, fs.ErrPermission) {
			t.Errorf("refused for something else: %v", err)
		}
		says(t, err, dir, "buffer-directory")
	}
}

// A directory is copied, as by a backup or an image, and both go on: they give
// the same backlog under the same identities, so that it is recognised, and new
// records never share one.
func TestCopiedDirectory(t *testing.T) {
	dir := made(t, 5)
	other := filepath.Join(t.TempDir(), "copy")
	must(t, os.CopyFS(other, os.DirFS(dir)))
	backlog := map[identity]string{}
	fresh := map[identity]bool{}
	for _, dir := range []string{dir, other} {
		l := New(dir)
		must(t, l.Open(t.Context()))
		first, err := l.Append(t.Context(), []*record.Record{{PartitionKey: "key", Data: []byte(dir)}, {PartitionKey: "key", Data: []byte(dir)}}, nil)
		must(t, err)
		must(t, l.Sync(t.Context(), first+1))
		for got := 0; got < 7; {
			items, err := l.Next(t.Context(), 1<<20)
			must(t, err)
			for _, it := range items {
				got++
				id := identityOf(&it)
				switch was, known := backlog[id]; {
				case it.Seq >= first && fresh[id]:
					t.Errorf("two new records are %s", id)
				case it.Seq >= first:
					fresh[id] = true
				case known && was != string(it.Data):
					t.Errorf("%s is %q and %q", id, was, it.Data)
				}
				backlog[id] = string(it.Data)
			}
		}
		must(t, l.Close())
	}
	if len(backlog) != 5+4 {
		t.Errorf("%d identities, want 9", len(backlog))
	}
}
