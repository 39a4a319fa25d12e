package filesys

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// ErrLocked: another process, or another part of this one, has the lock.
var ErrLocked = errors.New("locked by another process")

// OS is the machine's file system.
type OS struct{}

var _ FS = OS{}

// Open opens a file.
func (OS) Open(name string, flag int, mode fs.FileMode) (File, error) {
	f, err := openFile(name, flag, mode)
	if err != nil {
		return nil, err
	}
	return file{f}, nil
}

// Rename replaces what has the new name.
func (OS) Rename(from, to string) error { return rename(from, to) }

// Remove removes a file or an empty directory.
func (OS) Remove(name string) error { return remove(name) }

// Mkdir makes a directory.
func (OS) Mkdir(name string, mode fs.FileMode) error { return os.Mkdir(name, mode) }

// Stat describes a file or a directory.
func (OS) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }

// SyncDir makes the names in a directory durable. It does nothing where the
// system has no such call.
func (OS) SyncDir(name string) error { return syncDir(name) }

// List returns the names in a directory, sorted.
func (OS) List(name string) ([]string, error) {
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// Lock takes a file for this process. The system gives it back when the process
// ends, however it does.
func (OS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	held, err := tryLock(f)
	if held {
		return f, nil
	}
	_ = f.Close()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return nil, fmt.Errorf("lock %s: %w", name, ErrLocked)
}

// file is an open file of the system.
type file struct{ *os.File }

func (f file) Sync() error { return syncData(f.File) }

func (f file) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
