package filesys

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	var system OS
	if err := system.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "b")
	f, err := system.Open(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		writeAt(f, "hello, world", 3),
		f.Truncate(8),
		f.Sync(),
		system.SyncDir(dir),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if size, err := f.Size(); size != 8 || err != nil {
		t.Errorf("size %d, %v, want 8", size, err)
	}
	got := make([]byte, 10)
	if n, err := f.ReadAt(got, 0); n != 8 || !errors.Is(err, io.EOF) || !bytes.Equal(got[:n], []byte("\x00\x00\x00hello")) {
		t.Errorf("read %q, %v", got[:n], err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := system.Rename(name, filepath.Join(dir, "c")); err != nil {
		t.Error(err)
	}
	if f, err = system.Open(filepath.Join(dir, "a"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if names, err := system.List(dir); err != nil || !slices.Equal(names, []string{"a", "c"}) {
		t.Errorf("names %v, %v", names, err)
	}
	if err := system.Remove(filepath.Join(dir, "c")); err != nil {
		t.Error(err)
	}
	if _, err := system.Stat(filepath.Join(dir, "c")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a removed file has state %v", err)
	}
}

func writeAt(f File, text string, at int64) error {
	_, err := f.WriteAt([]byte(text), at)
	return err
}

func TestLock(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	first, err := OS{}.Lock(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (OS{}).Lock(name); !errors.Is(err, ErrLocked) {
		t.Errorf("a second lock: %v, want ErrLocked", err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	again, err := OS{}.Lock(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
