//go:build !unix

package engine

import (
	"os"
	"os/signal"
)

// alone lets this process live and die by its standard input.
func alone() { signal.Ignore(os.Interrupt) }
