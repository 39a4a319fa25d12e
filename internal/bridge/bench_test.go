package bridge

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/libvegas/vegas/record"
)

// wire is a host that only counts: sending costs it a copy of a frame.
type wire struct {
	t       testing.TB
	in      io.Writer
	frames  *frameReader
	reports chan int // records of each report frame
}

func (w *wire) read() {
	defer close(w.reports)
	for {
		kind, body, err := w.frames.next()
		if err != nil {
			return
		}
		if kind != kindReport {
			continue
		}
		n := 0
		groups := littleEndian.Uint32(body[4:])
		for body = body[8:]; groups > 0; groups-- {
			count := int(littleEndian.Uint32(body[4:]))
			n += count
			body = body[8+int(littleEndian.Uint16(body[2:]))+count*reportRow:]
		}
		w.reports <- n
	}
}

// engineProcess starts an engine that was built, and says hello.
func engineProcess(b *testing.B) (*host, *exec.Cmd) {
	b.Helper()
	path := os.Getenv("VEGAS_ENGINE")
	c := exec.Command(path) //nolint:noctx // it ends with its standard input
	in, err := c.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	h := &host{t: b, in: in, frames: newFrameReader(bufio.NewReaderSize(out, 1)), ended: make(chan error, 1), answers: map[int64]arguments{}, results: map[uint64]result{}}
	go func() { h.ended <- c.Wait() }()
	h.put(kindHello, results{"protocol": []any{int64(1), int64(1)}})
	h.next()
	return h, c
}

// benchmarkSend sends b.N records of 100 bytes in frames of some size, as fast as
// they are reported.
func benchmarkSend(b *testing.B, h *host, size int) {
	l := h.call(methodStartLocal, results{"local": 0, "streams": map[string]any{"orders": 4}, "no_limits": true})
	h.call(methodOpenProducer, results{"producer": 0, "stream": "orders", "options": map[string]any{"endpoint": l["endpoint"], "deadline": 0}})
	w := &wire{t: b, in: h.in, frames: h.frames, reports: make(chan int, 1000)}
	go w.read()
	rs := make([]record.Record, size)
	for i := range rs {
		rs[i] = record.Record{PartitionKey: fmt.Sprint("key-", i%100), Data: make([]byte, 100)}
	}
	frame := appendSend(nil, 0, 0, rs)
	b.ResetTimer()
	const window = 100_000
	open, sent := 0, 0
	for sent < b.N || open > 0 {
		if sent < b.N && open < window {
			littleEndian.PutUint64(frame[frameHead+4:], uint64(sent))
			if _, err := h.in.Write(frame); err != nil {
				b.Fatal(err)
			}
			sent += size
			open += size
			select {
			case n := <-w.reports:
				open -= n
			default:
			}
			continue
		}
		open -= <-w.reports
	}
	b.StopTimer()
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkSend(b *testing.B) {
	for _, size := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint("frame=", size), func(b *testing.B) {
			b.ReportAllocs()
			benchmarkSend(b, start(b, Config{}), size)
		})
	}
}
