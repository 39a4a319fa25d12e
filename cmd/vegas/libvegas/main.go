//go:build cgo

// Command libvegas is vegas in a C program's own process: built as an archive or a
// shared library (-buildmode=c-archive, c-shared) it exports the bridge protocol as
// four functions, over which bindings/c is written. Nothing else of this repository
// uses cgo.
//
// Bytes are copied both ways: no memory of the program's is kept, and none of Go's is
// given away.
package main

// #include <stddef.h>
// #include <stdint.h>
import "C"

import (
	"context"
	"sync"
	"time"
	"unsafe"

	"github.com/libvegas/vegas/cmd/vegas/internal/stores"
	"github.com/libvegas/vegas/engine"
)

func main() {} // a library's is never called

// conversation is one session with the engine. A program has one at a time.
type conversation struct {
	in, out *pipe
	ended   chan struct{} // closed when the engine has ended
}

var (
	mu            sync.Mutex
	conversations = map[C.int32_t]*conversation{}
	last          C.int32_t
)

func find(number C.int32_t) *conversation {
	mu.Lock()
	defer mu.Unlock()
	return conversations[number]
}

// vegas_engine_open starts an engine, and gives the number to speak to it by.
//
//export vegas_engine_open
func vegas_engine_open() C.int32_t {
	c := &conversation{in: newPipe(), out: newPipe(), ended: make(chan struct{})}
	mu.Lock()
	defer mu.Unlock()
	last++
	conversations[last] = c
	go func() {
		defer close(c.ended)
		defer func() { _ = c.out.Close() }()
		_ = engine.Serve(context.Background(), c.in, c.out, stores.Extensions()...) // it has told the host why
	}()
	return last
}

// vegas_engine_write gives bytes to the engine, and waits while it has enough to read.
// It is -1 where the engine has ended, else 0.
//
//export vegas_engine_write
func vegas_engine_write(number C.int32_t, from unsafe.Pointer, size C.size_t) C.int32_t {
	c := find(number)
	if c == nil {
		return -1
	}
	if _, err := c.in.Write(unsafe.Slice((*byte)(from), int(size))); err != nil {
		return -1
	}
	return 0
}

// vegas_engine_read takes bytes from the engine: how many, 0 where there are none for
// so many milliseconds (below 0: waits for ever), or -1 where there will be none any
// more. One thread reads.
//
//export vegas_engine_read
func vegas_engine_read(number C.int32_t, into unsafe.Pointer, room C.size_t, millis C.int32_t) C.int64_t {
	c := find(number)
	if c == nil {
		return -1
	}
	n, err := c.out.readWithin(unsafe.Slice((*byte)(into), int(room)), time.Duration(millis)*time.Millisecond)
	if err != nil {
		mu.Lock()
		delete(conversations, number)
		mu.Unlock()
		return -1
	}
	return C.int64_t(n)
}

// vegas_engine_close ends what the engine reads, and waits for its end so many
// milliseconds. It is -1 where that has not come by then, else 0. What it has written
// can still be read.
//
//export vegas_engine_close
func vegas_engine_close(number C.int32_t, millis C.int32_t) C.int32_t {
	c := find(number)
	if c == nil {
		return 0
	}
	_ = c.in.Close()
	select {
	case <-c.ended:
		return 0
	case <-time.After(time.Duration(millis) * time.Millisecond):
		return -1
	}
}
