//go:build unix

package engine

import (
	"os/signal"
	"syscall"
)

// alone lets this process live and die by its standard input.
func alone() {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	_ = syscall.Setpgid(0, 0) // a leader of a session has one already
}
