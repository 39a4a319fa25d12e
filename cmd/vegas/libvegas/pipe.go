package main

import (
	"io"
	"sync"
	"time"
)

// pipeBytes is what a pipe holds.
const pipeBytes = 512 << 10

// pipe is a stream of bytes within the process: like one of the system's, it holds
// some of them, so that its ends need not meet.
type pipe struct {
	mu      sync.Mutex
	changed *sync.Cond
	ring    []byte
	at      int  // of the first byte that was not read
	have    int  // bytes that were not read
	over    bool // nothing more will be written
}

func newPipe() *pipe {
	p := &pipe{ring: make([]byte, pipeBytes)}
	p.changed = sync.NewCond(&p.mu)
	return p
}

// Write waits while the pipe is full.
func (p *pipe) Write(b []byte) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n < len(b) {
		for p.have == len(p.ring) && !p.over {
			p.changed.Wait()
		}
		if p.over {
			return n, io.ErrClosedPipe
		}
		end := (p.at + p.have) % len(p.ring)
		room := p.ring[end:min(len(p.ring), end+len(p.ring)-p.have)]
		put := copy(room, b[n:])
		n += put
		if p.have == 0 {
			p.changed.Broadcast()
		}
		p.have += put
	}
	return n, nil
}

// Read waits while the pipe is empty.
func (p *pipe) Read(b []byte) (int, error) { return p.readWithin(b, -1) }

// readWithin is Read that waits for so long at most, and gives 0 then; below 0 it
// waits for ever.
func (p *pipe) readWithin(b []byte, wait time.Duration) (n int, err error) {
	late := wait == 0
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.have == 0 && wait > 0 && !p.over {
		defer time.AfterFunc(wait, func() {
			p.mu.Lock()
			late = true
			p.mu.Unlock()
			p.changed.Broadcast()
		}).Stop()
	}
	for p.have == 0 && !p.over && !late {
		p.changed.Wait()
	}
	if p.have == 0 && p.over {
		return 0, io.EOF
	}
	full := p.have == len(p.ring)
	for p.have > 0 && n < len(b) { // twice where it lies around the end
		some := p.ring[p.at:min(len(p.ring), p.at+p.have)]
		got := copy(b[n:], some)
		n += got
		p.have -= got
		p.at = (p.at + got) % len(p.ring)
	}
	if full && n > 0 {
		p.changed.Broadcast()
	}
	return n, nil
}

// Close is the end, at either end: nothing more is written, and what was can still be
// read.
func (p *pipe) Close() error {
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	p.changed.Broadcast()
	return nil
}
