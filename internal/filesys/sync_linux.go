package filesys

import (
	"errors"
	"os"
	"syscall"
)

// syncData writes data and, if it changed, the size, but not the times, which
// would cost a journal commit more. It is not tried again when it fails: the
// system may have dropped what it could not write.
func syncData(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		for {
			failed = syscall.Fdatasync(int(fd))
			if !errors.Is(failed, syscall.EINTR) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	if failed != nil {
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: failed}
	}
	return nil
}
