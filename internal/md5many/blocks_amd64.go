//go:build !purego

package md5many

import "golang.org/x/sys/cpu"

// several tells that blocks works here.
var several = cpu.X86.HasAVX512F && cpu.X86.HasAVX512VL

// blocks takes n blocks, at least one, of each message into the state.
//
//go:noescape
func blocks(state *state, messages *[lanes]*byte, n int)
