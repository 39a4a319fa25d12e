package send

import (
	"bytes"
	"log/slog"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
)

// dispatcher runs callbacks, one after the other in the order in which records
// ended, off the sending path.
type dispatcher struct {
	engine *Engine
	id     atomic.Uint64 // the running goroutine's number; 0: none
	over   chan struct{} // closed when all callbacks have returned after close

	mu      sync.Mutex
	queue   []*parcel
	running bool
	closed  bool
	ended   bool // over is closed
}

func newDispatcher(e *Engine) *dispatcher {
	return &dispatcher{engine: e, over: make(chan struct{})}
}

// add queues ended parcels. What is queued holds its bytes of the memory bound
// until its callback returns, which bounds the queue.
func (d *dispatcher) add(ps []*parcel) {
	if len(ps) == 0 {
		return
	}
	d.mu.Lock()
	d.queue = append(d.queue, ps...)
	start := !d.running
	d.running = true
	d.mu.Unlock()
	if start {
		go d.run(nil)
	}
}

// close says that no more records will be added.
func (d *dispatcher) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if !d.running {
		d.end()
	}
}

// end says that all callbacks have returned; the lock is held.
func (d *dispatcher) end() {
	if !d.ended {
		d.ended = true
		close(d.over)
	}
}

// tellEvery is after how many callbacks the room they held is given back, where
// nobody waits for it.
const tellEvery = 32

// run calls until the queue is empty.
func (d *dispatcher) run(todo []*parcel) {
	d.id.Store(goroutine())
	returned := false
	at, told := 0, 0 // the callback that runs; those before told have given back what they held
	// A callback may panic, which concerns nobody else, or end this goroutine with
	// runtime.Goexit (a test's FailNow does); the others still have to run.
	defer func() {
		if returned {
			return
		}
		if v := recover(); v != nil {
			d.engine.log.Error("callback of SendAsync panicked",
				slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
		}
		d.engine.called(todo[told : at+1])
		go d.run(todo[at+1:])
	}()
	for {
		told = 0
		for at = range todo {
			p := todo[at]
			p.done(d.engine.result(p))
			if at+1-told == tellEvery || d.engine.lining.Load() > 0 {
				d.engine.called(todo[told : at+1])
				told = at + 1
			}
		}
		d.engine.called(todo[told:])
		clear(todo)
		d.mu.Lock()
		if len(d.queue) == 0 {
			d.running = false
			d.id.Store(0)
			if d.closed {
				d.end()
			}
			returned = true
			d.mu.Unlock()
			return
		}
		todo, d.queue = d.queue, todo[:0]
		d.mu.Unlock()
	}
}

// isCaller tells whether the calling goroutine is the one that runs callbacks.
func (d *dispatcher) isCaller() bool {
	id := d.id.Load()
	return id != 0 && id == goroutine()
}

// goroutine is the number of the calling goroutine. The runtime tells it only
// in the first line of a stack trace, "goroutine 7 [running]:"; asking takes
// about a microsecond.
func goroutine() uint64 {
	var buf [64]byte
	b := bytes.TrimPrefix(buf[:runtime.Stack(buf[:], false)], []byte("goroutine "))
	if i := bytes.IndexByte(b, ' '); i > 0 {
		b = b[:i]
	}
	n, _ := strconv.ParseUint(string(b), 10, 64)
	return n
}
