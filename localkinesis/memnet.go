package localkinesis

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// memoryNet is a network of one host inside the process. Its connections have
// buffers without bound, so Write never blocks: a blocked Write would hold
// net/http's HTTP/2 write lock, and goroutines waiting for a mutex keep a
// synctest bubble from going on.
type memoryNet struct {
	accept chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newMemoryNet() *memoryNet {
	return &memoryNet{accept: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial connects to the listener.
func (n *memoryNet) Dial(ctx context.Context) (net.Conn, error) {
	a, b := newHalf(), newHalf()
	client, server := &memoryConn{in: a, out: b, local: "client"}, &memoryConn{in: b, out: a, local: memoryHost}
	select {
	case n.accept <- server:
		return client, nil
	case <-n.closed:
		return nil, &net.OpError{Op: "dial", Net: "memory", Err: errors.New("connection refused: the embedded server is closed")}
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: "memory", Err: ctx.Err()}
	}
}

// Accept implements net.Listener.
func (n *memoryNet) Accept() (net.Conn, error) {
	select {
	case c := <-n.accept:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (n *memoryNet) Close() error {
	n.once.Do(func() { close(n.closed) })
	return nil
}

// Addr implements net.Listener.
func (n *memoryNet) Addr() net.Addr { return memoryAddr(memoryHost) }

// memoryHost is the only host of the network.
const memoryHost = "kinesis.memory"

type memoryAddr string

func (memoryAddr) Network() string  { return "memory" }
func (a memoryAddr) String() string { return string(a) + ":80" }

type memoryConn struct {
	in, out *half
	local   string
}

func (c *memoryConn) Read(b []byte) (int, error)  { return c.in.read(b) }
func (c *memoryConn) Write(b []byte) (int, error) { return c.out.write(b) }

func (c *memoryConn) Close() error {
	c.in.abandon()
	c.out.finish()
	return nil
}

func (c *memoryConn) LocalAddr() net.Addr { return memoryAddr(c.local) }
func (c *memoryConn) RemoteAddr() net.Addr {
	if c.local == memoryHost {
		return memoryAddr("client")
	}
	return memoryAddr(memoryHost)
}

func (c *memoryConn) SetDeadline(t time.Time) error {
	c.in.setReadDeadline(t)
	c.out.setWriteDeadline(t)
	return nil
}
func (c *memoryConn) SetReadDeadline(t time.Time) error  { c.in.setReadDeadline(t); return nil }
func (c *memoryConn) SetWriteDeadline(t time.Time) error { c.out.setWriteDeadline(t); return nil }

// half is one direction of a connection.
type half struct {
	mu            sync.Mutex
	ready         sync.Cond
	data          []byte // unread bytes are data[off:]
	off           int
	finished      bool // the writer closed: what is left can be read, then EOF
	abandoned     bool // the reader closed: writes fail
	readExpired   bool
	readTimer     *time.Timer
	writeDeadline time.Time
}

func newHalf() *half {
	h := &half{}
	h.ready.L = &h.mu
	return h
}

func (h *half) read(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.abandoned:
			return 0, net.ErrClosed
		case h.readExpired:
			return 0, os.ErrDeadlineExceeded
		case len(b) == 0:
			return 0, nil
		case h.off < len(h.data):
			n := copy(b, h.data[h.off:])
			h.off += n
			if h.off == len(h.data) {
				h.off = 0
				if h.data = h.data[:0]; cap(h.data) > 1<<20 {
					h.data = nil
				}
			}
			return n, nil
		case h.finished:
			return 0, io.EOF
		}
		h.ready.Wait()
	}
}

func (h *half) write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.finished:
		return 0, net.ErrClosed
	case h.abandoned:
		return 0, io.ErrClosedPipe
	case !h.writeDeadline.IsZero() && !time.Now().Before(h.writeDeadline):
		return 0, os.ErrDeadlineExceeded
	}
	if h.off > len(h.data)/2 && len(h.data)+len(b) > cap(h.data) {
		h.data = h.data[:copy(h.data, h.data[h.off:])]
		h.off = 0
	}
	h.data = append(h.data, b...)
	h.ready.Broadcast()
	return len(b), nil
}

func (h *half) abandon() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.abandoned = true
	h.data, h.off = nil, 0
	h.stopTimer()
	h.ready.Broadcast()
}

func (h *half) finish() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.finished = true
	h.ready.Broadcast()
}

func (h *half) stopTimer() {
	if h.readTimer != nil {
		h.readTimer.Stop()
		h.readTimer = nil
	}
}

func (h *half) setReadDeadline(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopTimer()
	h.readExpired = false
	if t.IsZero() || h.abandoned {
		return
	}
	d := time.Until(t)
	if d <= 0 {
		h.readExpired = true
		h.ready.Broadcast()
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(d, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.readTimer == timer {
			h.readExpired = true
			h.ready.Broadcast()
		}
	})
	h.readTimer = timer
}

func (h *half) setWriteDeadline(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.writeDeadline = t
}
