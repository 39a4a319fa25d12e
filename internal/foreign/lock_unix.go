//go:build unix

package foreign

import (
	"os"
	"syscall"
)

// lock waits until this process has the file, and has it until it is closed.
func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX) }
