package bridge

import (
	"errors"
	"io"
	"sync"
)

// output writes frames. Whoever has one puts it into memory and goes on; one
// goroutine writes what has gathered, so that the busier the host is, the more
// crosses with one system call.
type output struct {
	to   io.Writer
	work chan struct{} // capacity 1: there is something to write, or to end
	done chan struct{} // closed when nothing will be written any more

	mu      sync.Mutex
	frames  []byte
	control int        // bytes of calls, answers and events among them
	reports []reporter // who has reports
	logs    logLines
	sealed  bool // the last frame is there
	err     error
}

// reporter has reports, which it makes into frames when the writer has time for
// them, so that those of one Kinesis record come together.
type reporter interface {
	// take appends frames to b.
	take(b []byte) []byte
}

const (
	// keptBytes is the most memory that the writer keeps between two writes.
	keptBytes = 1 << 20
	// controlBytes is what may gather for a host that reads nothing, besides what
	// windows bound.
	controlBytes = 64 << 20
)

func newOutput(w io.Writer) *output {
	return &output{to: w, work: make(chan struct{}, 1), done: make(chan struct{})}
}

var errNotReading = errors.New("the host does not read, and goes on calling")

// write appends a frame with the body that fill appends. It does not wait.
func (o *output) write(kind byte, fill func(b []byte) []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sealed || o.err != nil {
		return
	}
	start := len(o.frames)
	o.frames = endFrame(fill(beginFrame(o.frames, kind)), start)
	if kind <= kindFail {
		if o.control += len(o.frames) - start; o.control > controlBytes {
			o.err = errNotReading
		}
	}
	o.sealed = kind == kindFail
	o.wake()
}

// report says that r has reports. They are written before any frame that is given
// to write later.
func (o *output) report(r reporter) {
	o.mu.Lock()
	o.reports = append(o.reports, r)
	o.mu.Unlock()
	o.wake()
}

// busy tells that much waits for the host already.
func (o *output) busy() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.control > controlBytes/64
}

func (o *output) wake() {
	select {
	case o.work <- struct{}{}:
	default:
	}
}

// close lets the writer end when all has been written.
func (o *output) close() {
	o.mu.Lock()
	o.sealed = true
	o.mu.Unlock()
	o.wake()
}

// run writes until close, or until writing fails.
func (o *output) run() {
	defer close(o.done)
	var frames, reports []byte
	var who []reporter
	for {
		<-o.work
		for {
			o.mu.Lock()
			frames, o.frames, o.control = o.frames, frames[:0], 0
			who, o.reports = o.reports, who[:0]
			frames = o.logs.take(frames)
			sealed, err := o.sealed, o.err
			o.mu.Unlock()
			if err != nil {
				return
			}
			reports = reports[:0]
			for i, r := range who {
				reports = r.take(reports)
				who[i] = nil
			}
			if len(reports) == 0 && len(frames) == 0 {
				if sealed {
					return
				}
				break
			}
			if err := errors.Join(o.put(reports), o.put(frames)); err != nil {
				o.mu.Lock()
				o.err = err
				o.mu.Unlock()
				return
			}
			if cap(reports) > keptBytes {
				reports = nil
			}
			if cap(frames) > keptBytes {
				frames = nil
			}
		}
	}
}

func (o *output) put(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	_, err := o.to.Write(b)
	return err
}

// failed is why nothing more is written, nil if all was.
func (o *output) failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}
