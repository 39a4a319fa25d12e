package contest

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Done is what a process tells when its work is done; the rest is read from the
// system.
type Done struct {
	// Allocated bytes between begin and end, without payloads made by
	// [Meter.Payloads]; -1 where the language does not tell.
	Allocated int64 `json:"allocated"`
	// Handled is how many different records a consumer was given, Twice how many
	// it was given again. A producer's records are counted in the stream.
	Handled int `json:"handled"`
	Twice   int `json:"twice"`
}

// Reading is what two processes have cost so far. A contender that can look itself
// prints it behind "begin" and "end"; otherwise whoever reads these looks then,
// which is late where the machine is busy.
type Reading struct {
	At     time.Time     `json:"at"`
	Client time.Duration `json:"client"` // CPU time
	Server time.Duration `json:"server"`
}

// Meter is a contender's side of the measurement.
type Meter struct {
	// Look, if set, gives the reading of this moment.
	Look func() (Reading, error)

	out         io.Writer
	work        *Work
	once, after sync.Once    // begin, end
	begun       int64        // allocated until then
	allocated   int64        // between begin and end
	payloads    atomic.Int64 // bytes that Payloads has allocated

	seen     []atomic.Uint64 // a bit for each record
	distinct atomic.Int64
	twice    atomic.Int64
	done     chan struct{}
}

// NewMeter makes the meter of w, whose process writes to out.
func NewMeter(w *Work, out io.Writer) *Meter {
	return &Meter{out: out, work: w, seen: make([]atomic.Uint64, (w.Records+63)/64), done: make(chan struct{})}
}

// Begin tells that the process is warm. Later calls do nothing.
func (m *Meter) Begin() {
	m.once.Do(func() {
		m.begun = m.clientAllocated()
		m.say("begin")
	})
}

// end tells that what is measured is done.
func (m *Meter) end() {
	m.after.Do(func() {
		m.say("end")
		m.allocated = m.clientAllocated() - m.begun
	})
}

func (m *Meter) say(word string) {
	line := word
	if m.Look != nil {
		if r, err := m.Look(); err == nil {
			b, _ := json.Marshal(r) // of numbers
			line += " " + string(b)
		}
	}
	fmt.Fprintln(m.out, line)
}

// clientAllocated is what this process has allocated but for payloads.
func (m *Meter) clientAllocated() int64 {
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	return int64(now.TotalAlloc) - m.payloads.Load()
}

// Handle counts the payload of a record that a consumer was given, begins after
// Work.Warm of them, ends before Work.Last and closes Done after all. Safe for
// concurrent use.
func (m *Meter) Handle(payload []byte) error {
	i, err := Number(payload)
	if err != nil {
		return err
	}
	if i < 0 || i >= m.work.Records {
		return fmt.Errorf("record %d of %d was never sent", i, m.work.Records)
	}
	bit := uint64(1) << (i % 64)
	if m.seen[i/64].Or(bit)&bit != 0 {
		m.twice.Add(1)
		return nil
	}
	n := int(m.distinct.Add(1))
	if n == m.work.Warm {
		m.Begin()
	}
	if n == m.work.Records-m.work.Last {
		m.end()
	}
	if n == m.work.Records {
		close(m.done)
	}
	return nil
}

// Done is closed when every record was handled.
func (m *Meter) Done() <-chan struct{} { return m.done }

// End tells that the work is done.
func (m *Meter) End() error {
	m.Begin()
	m.end()
	b, err := json.Marshal(Done{m.allocated, int(m.distinct.Load()), int(m.twice.Load())})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(m.out, "done %s\n", b)
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
