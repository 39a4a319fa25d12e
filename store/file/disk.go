package file

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/libvegas/vegas/internal/filesys"
)

// disk is what logs ask of a file system. Tests have one whose power fails.
type disk interface {
	open(path string, flag int) (opened, error)
	rename(from, to string) error
	remove(path string) error
	// syncDir puts the names in a directory on disk.
	syncDir(dir string) error
	// lock makes the directory of a group if it is missing, and excludes all
	// other writers of it until unlock.
	lock(ctx context.Context, dir string) (unlock func(), err error)
}

// opened is an open file.
type opened interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	Sync() error
}

// replace makes path hold text, or what it held before, whenever the machine
// stops: the new file is on disk before it takes the old one's name, and the
// name is on disk when replace returns.
func replace(disk disk, path, temp string, text []byte) error {
	dir := filepath.Dir(path)
	temp = filepath.Join(dir, temp)
	f, err := disk.open(temp, os.O_CREATE|os.O_RDWR|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(text, 0)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = disk.rename(temp, path)
	}
	if err != nil {
		_ = disk.remove(temp) // it takes room, perhaps the last
		return err
	}
	return disk.syncDir(dir)
}

// machine is the file system of the machine.
type machine struct{ filesys.OS }

func (m machine) open(path string, flag int) (opened, error) { return m.Open(path, flag, 0o600) }
func (m machine) rename(from, to string) error               { return m.Rename(from, to) }
func (m machine) remove(path string) error                   { return m.Remove(path) }
func (m machine) syncDir(dir string) error                   { return m.SyncDir(dir) }

// lock goes through a door, in which whoever is next waits: a process that gives
// the lock back and wants it again at once finds the door held, so that it
// cannot keep others out.
func (machine) lock(ctx context.Context, dir string) (unlock func(), err error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	leave, err := acquire(ctx, filepath.Join(dir, "door"))
	if err != nil {
		return nil, err
	}
	defer leave()
	return acquire(ctx, filepath.Join(dir, "lock"))
}

// acquire waits for a lock. The system gives it back when the process dies.
func acquire(ctx context.Context, path string) (release func(), err error) {
	for wait := 100 * time.Microsecond; ; wait = min(2*wait, 5*time.Millisecond) {
		lock, err := filesys.OS{}.Lock(path)
		if err == nil {
			return func() { _ = lock.Close() }, nil
		}
		if !errors.Is(err, filesys.ErrLocked) {
			return nil, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
	}
}
