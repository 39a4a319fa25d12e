package crashfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/libvegas/vegas/internal/filesys"
)

const root = "disk"

func path(name string) string { return filepath.Join(root, name) }

// disk is a file system whose calls must succeed.
type disk struct {
	*FS
	t *testing.T
}

func (d disk) open(name string) filesys.File {
	d.t.Helper()
	f, err := d.Open(path(name), os.O_CREATE|os.O_RDWR, 0o600)
	d.must(err)
	return f
}

func (d disk) write(f filesys.File, at int64, text string) {
	d.t.Helper()
	_, err := f.WriteAt([]byte(text), at)
	d.must(err)
}

func (d disk) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// outcomes are what 2,000 crashes make of the directory: contents by name.
func (d disk) outcomes() map[string]int {
	found := map[string]int{}
	for seed := range uint64(2000) {
		found[fmt.Sprintf("%q", d.Crash(rand.New(rand.NewPCG(seed, 0))).Image(root))]++
	}
	return found
}

func newDisk(t *testing.T) disk { return disk{New(root), t} }

func TestSyncedSurvives(t *testing.T) {
	d := newDisk(t)
	f := d.open("a")
	d.write(f, 0, "hello")
	d.must(f.Sync())
	d.must(d.SyncDir(root))
	if got := d.outcomes(); len(got) != 1 || got[`map["a":"hello"]`] == 0 {
		t.Errorf("synced and found: %v", got)
	}
	d.write(f, 5, ", world")
	for outcome := range d.outcomes() {
		if !strings.HasPrefix(outcome, `map["a":"hello`) {
			t.Errorf("a write beside what is durable changed it: %s", outcome)
		}
	}
}

// Whatever was not synced is kept or lost on its own: contents, sizes, names.
func TestUnsyncedIsForgotten(t *testing.T) {
	d := newDisk(t)
	f := d.open("a")
	d.must(d.SyncDir(root))
	d.write(f, 0, "one")
	d.write(f, 3, "two")
	got := d.outcomes()
	for _, want := range []string{
		`map["a":""]`,
		`map["a":"one"]`,
		`map["a":"onetwo"]`,
		`map["a":"\x00\x00\x00two"]`, // the later without the earlier
		`map["a":"on"]`,              // torn
		`map["a":"one\x00\x00\x00"]`, // longer, and nothing in it
		`map["a":"\x00\x00\x00t"]`,   // both
		fmt.Sprintf("%q", map[string][]byte{"a": {0, 0, 0, 0, 0, 0}}),
	} {
		if got[want] == 0 {
			t.Errorf("no crash leaves %s", want)
		}
	}
	if len(got) < 30 { // somebody's old bytes
		t.Errorf("%d outcomes only", len(got))
	}
}

func TestNamesAreForgotten(t *testing.T) {
	d := newDisk(t)
	old := d.open("old")
	d.write(old, 0, "1")
	d.must(old.Sync())
	d.must(d.SyncDir(root))

	temp := d.open("temp")
	d.write(temp, 0, "2")
	d.must(temp.Sync())
	d.must(d.Rename(path("temp"), path("new")))
	d.must(d.Remove(path("old")))
	got := d.outcomes()
	for _, want := range []string{
		`map["old":"1"]`,
		`map["new":"2" "old":"1"]`,
		`map["old":"1" "temp":"2"]`,
		`map["new":"2"]`,
		`map["temp":"2"]`, // removed, and the new one has not got its name
		`map[]`,
	} {
		if got[want] == 0 {
			t.Errorf("no crash leaves %s", want)
		}
		delete(got, want)
	}
	if len(got) != 0 {
		t.Errorf("crashes leave %v", got)
	}
	d.must(d.SyncDir(root))
	if got := d.outcomes(); len(got) != 1 || got[`map["new":"2"]`] == 0 {
		t.Errorf("synced and found: %v", got)
	}
}

// A renaming replaces a file as a whole or not at all.
func TestRenameIsAtomic(t *testing.T) {
	d := newDisk(t)
	for _, name := range []string{"a", "b"} {
		f := d.open(name)
		d.write(f, 0, name)
		d.must(f.Sync())
	}
	d.must(d.SyncDir(root))
	d.must(d.Rename(path("b"), path("a")))
	if got := d.outcomes(); len(got) != 2 || got[`map["a":"a" "b":"b"]`] == 0 || got[`map["a":"b"]`] == 0 {
		t.Errorf("found %v", got)
	}
}

func TestSectorsAreTorn(t *testing.T) {
	d := newDisk(t)
	f := d.open("a")
	d.must(d.SyncDir(root))
	d.write(f, 0, strings.Repeat("x", 4*sector))
	holes := 0
	for seed := range uint64(500) {
		data := d.Crash(rand.New(rand.NewPCG(seed, 0))).Image(root)["a"]
		if len(data) == 4*sector && bytes.Equal(data[sector:2*sector], make([]byte, sector)) && data[0] == 'x' && data[3*sector] == 'x' {
			holes++
		}
	}
	if holes == 0 {
		t.Error("no sector was missing from the middle")
	}
}

// The end of a process loses nothing, but does not make it durable either.
func TestKill(t *testing.T) {
	d := newDisk(t)
	f := d.open("a")
	d.write(f, 0, "hello")
	lock, err := d.Lock(path("lock"))
	d.must(err)
	if _, err := d.Lock(path("lock")); !errors.Is(err, filesys.ErrLocked) {
		t.Errorf("a second lock: %v", err)
	}
	killed := disk{d.Kill(), t}
	if got := killed.Image(root)["a"]; string(got) != "hello" {
		t.Errorf("read %q after the process ended", got)
	}
	if _, err := killed.Lock(path("lock")); err != nil {
		t.Errorf("the lock of a dead process: %v", err)
	}
	if got := killed.outcomes(); got["map[]"] == 0 {
		t.Errorf("a kill made things durable: %v", got)
	}
	d.must(lock.Close())
	_, err = d.Lock(path("lock"))
	d.must(err)
}

func TestStop(t *testing.T) {
	for _, how := range []How{Before, Half, After} {
		d := newDisk(t)
		f := d.open("a")
		d.StopAt(d.Steps()+1, how)
		if n, err := f.WriteAt([]byte("abcd"), 0); n != 0 || !errors.Is(err, ErrStopped) {
			t.Errorf("%v: wrote %d, %v", how, n, err)
		}
		if op, stopped := d.Stopped(); !stopped || op.String() != "write a" {
			t.Errorf("%v: stopped %v at %v", how, stopped, op)
		}
		for name, err := range map[string]error{
			"sync": f.Sync(), "sync of the directory": d.SyncDir(root), "rename": d.Rename(path("a"), path("b")), "remove": d.Remove(path("a")),
		} {
			if !errors.Is(err, ErrStopped) {
				t.Errorf("%v: %s after the end: %v", how, name, err)
			}
		}
		if got, want := string(d.Kill().Image(root)["a"]), [...]string{"", "ab", "abcd"}[how]; got != want {
			t.Errorf("%v: left %q, want %q", how, got, want)
		}
	}
}

// A failed sync loses what it has not written, and the next one does not say so.
func TestFailedSyncLoses(t *testing.T) {
	lost := 0
	for range 50 {
		d := newDisk(t)
		f := d.open("a")
		d.must(d.SyncDir(root))
		for range lost % 7 { // other random draws
			d.random.Uint64()
		}
		d.write(f, 0, "hello")
		d.On(func(op Op) error {
			if op.Kind == Sync {
				return syscall.EIO
			}
			return nil
		})
		if err := f.Sync(); !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		d.On(nil)
		d.must(f.Sync())
		if got := d.Image(root)["a"]; string(got) != "hello" {
			t.Errorf("read %q", got)
		}
		if d.outcomes()[`map["a":"hello"]`] == 0 {
			lost++
		}
	}
	if lost == 0 {
		t.Error("never lost anything")
	}
}

func TestRoom(t *testing.T) {
	d := newDisk(t)
	f := d.open("a")
	d.Room(6, false)
	d.write(f, 0, "1234")
	if n, err := f.WriteAt([]byte("5678"), 4); n != 2 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("wrote %d, %v", n, err)
	}
	d.write(f, 0, "4321") // no more room than before
	d.Room(8, true)
	d.write(f, 6, "7890")
	if err := f.Sync(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a sync without room: %v", err)
	}
	d.Room(-1, false)
	d.must(f.Sync())
}

func TestDirectories(t *testing.T) {
	d := newDisk(t)
	d.must(d.Mkdir(path("sub"), 0o700))
	f, err := d.Open(path("sub/a"), os.O_CREATE|os.O_RDWR, 0o600)
	d.must(err)
	d.write(f, 0, "x")
	d.must(f.Sync())
	d.must(d.SyncDir(path("sub")))
	kept := map[bool]int{}
	for seed := range uint64(100) {
		found := d.Crash(rand.New(rand.NewPCG(seed, 0)))
		_, err := found.Stat(path("sub/a"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		kept[err == nil]++
	}
	if len(kept) != 2 {
		t.Errorf("a directory whose name is not durable: kept %v", kept)
	}
	if names, err := d.List(root); err != nil || len(names) != 1 || names[0] != "sub" {
		t.Errorf("names %v, %v", names, err)
	}
}

func TestReadAndReopen(t *testing.T) {
	d := disk{Of(root, map[string][]byte{"a": []byte("hello")}), t}
	if got := d.outcomes(); len(got) != 1 {
		t.Errorf("an image is not durable: %v", got)
	}
	f, err := d.Open(path("a"), os.O_RDONLY, 0)
	d.must(err)
	buf := make([]byte, 10)
	if n, err := f.ReadAt(buf, 1); n != 4 || !errors.Is(err, io.EOF) || string(buf[:n]) != "ello" {
		t.Errorf("read %q, %v", buf[:n], err)
	}
	if _, err := f.WriteAt([]byte("x"), 0); !errors.Is(err, syscall.EBADF) {
		t.Errorf("wrote to a file opened for reading: %v", err)
	}
	d.must(f.Close())
	if _, err := f.ReadAt(buf, 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("read a closed file: %v", err)
	}
	if _, err := d.Open(path("b"), os.O_RDWR, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opened a missing file: %v", err)
	}
	if _, err := d.Open(path("a"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made a file twice: %v", err)
	}
	g, err := d.Open(path("a"), os.O_RDWR|os.O_TRUNC, 0)
	d.must(err)
	if size, err := g.Size(); size != 0 || err != nil {
		t.Errorf("size %d, %v", size, err)
	}
	d.must(g.Truncate(3))
	if got := d.Image(root)["a"]; string(got) != "\x00\x00\x00" {
		t.Errorf("extended to %q", got)
	}
}
