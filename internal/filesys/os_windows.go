package filesys

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"
	"unsafe"
)

var (
	kernel32   = syscall.NewLazyDLL("kernel32.dll")
	lockFileEx = kernel32.NewProc("LockFileEx")
)

// Of the Windows SDK (minwinbase.h, winerror.h).
const (
	lockFailImmediately = 1
	lockExclusive       = 2
	errLockViolation    = syscall.Errno(33)
	errSharingViolation = syscall.Errno(32)
)

// tryLock takes the lock if nobody holds it. It belongs to the handle and ends
// with it.
func tryLock(f *os.File) (bool, error) {
	var at syscall.Overlapped
	ok, _, err := lockFileEx.Call(f.Fd(), lockFailImmediately|lockExclusive, 0, 1, 0, uintptr(unsafe.Pointer(&at)))
	switch {
	case ok != 0:
		return true, nil
	case errors.Is(err, errLockViolation), errors.Is(err, syscall.ERROR_IO_PENDING):
		return false, nil
	}
	return false, err
}

// openFile, rename and remove try again for a moment: Windows refuses to touch
// names of files that somebody, say a scanner, has open, and to open one while it
// is being replaced.
func openFile(name string, flag int, mode fs.FileMode) (f *os.File, err error) {
	err = patiently(func() error {
		f, err = os.OpenFile(name, flag, mode)
		return err
	})
	return f, err
}

func rename(from, to string) error {
	return patiently(func() error { return os.Rename(from, to) })
}

func remove(name string) error {
	return patiently(func() error { return os.Remove(name) })
}

func patiently(try func() error) error {
	for wait := time.Millisecond; ; wait *= 2 {
		err := try()
		if !errors.Is(err, errSharingViolation) && !errors.Is(err, syscall.ERROR_ACCESS_DENIED) || wait > 200*time.Millisecond {
			return err
		}
		time.Sleep(wait)
	}
}

// syncDir does nothing: Windows has no such call, NTFS journals its names.
func syncDir(string) error { return nil }
