//go:build !cgo

// Command libvegas is a library for C programs, which takes cgo to build.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "libvegas is a library: build it with cgo and -buildmode=c-archive or c-shared")
	os.Exit(2)
}
