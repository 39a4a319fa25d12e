//go:build unix

package file

import (
	"errors"
	"os"
	"syscall"
)

// tryLock takes the lock if nobody holds it. flock belongs to the open file:
// it excludes other handles of this process as well, and ends with the process.
func tryLock(f *os.File) (bool, error) {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, syscall.EINTR):
			return false, err
		}
	}
}

func rename(from, to string) error { return os.Rename(from, to) }

func openFile(path string, flag int) (*os.File, error) { return os.OpenFile(path, flag, 0o600) }

// syncDir puts the names in a directory on disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) { // a file system without it
		return err
	}
	return nil
}
