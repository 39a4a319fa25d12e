package contest

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
)

// End is what a process tells when its work is done; the rest is read from the
// system.
type End struct {
	// Allocated bytes between begin and end, without payloads made by
	// [Meter.Payloads]; -1 where the language does not tell.
	Allocated int64 `json:"allocated"`
	// Handled is how many different records a consumer was given, Twice how many
	// it was given again. A producer's records are counted in the stream.
	Handled int `json:"handled"`
	Twice   int `json:"twice"`
}

// Meter is a contender's side of the measurement.
type Meter struct {
	out   io.Writer
	once  sync.Once
	begun runtime.MemStats

	work      *Work
	warm, all int
	payloads  atomic.Int64    // bytes allocated for them since the beginning
	own       int64           // of these before begin
	seen      []atomic.Uint64 // a bit for each record
	distinct  atomic.Int64
	twice     atomic.Int64
	done      chan struct{}
}

// NewMeter makes the meter of w, whose process writes to out.
func NewMeter(w *Work, out io.Writer) *Meter {
	return &Meter{out: out, work: w, warm: w.Warm, all: w.Records, seen: make([]atomic.Uint64, (w.Records+63)/64), done: make(chan struct{})}
}

// Begin tells that the process is warm. Later calls do nothing.
func (m *Meter) Begin() {
	m.once.Do(func() {
		m.own = m.payloads.Load()
		runtime.ReadMemStats(&m.begun)
		fmt.Fprintln(m.out, "begin")
	})
}

// Handle counts the payload of a record that a consumer was given, begins after
// Work.Warm of them, and closes Done after all. Safe for concurrent use.
func (m *Meter) Handle(payload []byte) error {
	i, err := Number(payload)
	if err != nil {
		return err
	}
	if i < 0 || i >= m.all {
		return fmt.Errorf("record %d of %d was never sent", i, m.all)
	}
	bit := uint64(1) << (i % 64)
	if m.seen[i/64].Or(bit)&bit != 0 {
		m.twice.Add(1)
		return nil
	}
	switch n := int(m.distinct.Add(1)); n {
	case m.warm:
		m.Begin()
	case m.all:
		close(m.done)
	}
	return nil
}

// Done is closed when every record was handled.
func (m *Meter) Done() <-chan struct{} { return m.done }

// End tells that the work is done.
func (m *Meter) End() error {
	m.Begin()
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	b, err := json.Marshal(End{int64(now.TotalAlloc-m.begun.TotalAlloc) - (m.payloads.Load() - m.own), int(m.distinct.Load()), int(m.twice.Load())})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(m.out, "end %s\n", b)
	return err
}

// Payloads makes the payloads that a producer sends, each in memory that nobody
// else writes to. A program has its data without its client's help, so what is
// allocated here does not count. Each goroutine needs one of its own.
type Payloads struct {
	meter *Meter
	slab  []byte
}

// slabBytes is how much payload is allocated at once.
const slabBytes = 64 << 10

// Payloads are for one goroutine.
func (m *Meter) Payloads() *Payloads { return &Payloads{meter: m} }

// Of record i.
func (p *Payloads) Of(i int) []byte {
	size := p.meter.work.Size
	if cap(p.slab)-len(p.slab) < size {
		p.slab = make([]byte, 0, max(size, slabBytes))
		p.meter.payloads.Add(int64(cap(p.slab)))
	}
	start := len(p.slab)
	p.slab = p.meter.work.AppendPayload(p.slab, i)
	return p.slab[start:len(p.slab):len(p.slab)]
}
