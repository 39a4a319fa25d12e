//go:build unix

package send

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/record"
)

// BenchmarkEngine is what the engine does for a record before the wire: four
// shards, 10,000 keys.
func BenchmarkEngine(b *testing.B) {
	for _, size := range []int{100, 1024} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			e := New(Config{
				API: split(keyspace.Split(4)), Stream: "orders", Linger: 10 * time.Millisecond, Deadline: time.Minute,
				BufferBytes: 64 << 20, MaxRequests: 16, RequestTimeout: time.Second, Logger: slog.New(slog.DiscardHandler),
			})
			keys := make([]string, 10000)
			for i := range keys {
				keys[i] = fmt.Sprintf("customer-%06d", i)
			}
			r := &record.Record{Data: make([]byte, size)}
			done := func(_ record.Receipt, err error) {
				if err != nil {
					b.Error(err)
				}
			}
			n := 0
			send := func() {
				r.PartitionKey = keys[n*7919%len(keys)]
				if err := e.SendAsync(context.Background(), r, done); err != nil {
					b.Fatal(err)
				}
				n++
			}
			for range 200_000 { // until the buffer has been full
				send()
			}
			flush := func() {
				if err := e.Flush(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			flush()
			n = 0
			cpu, allocated := spent()
			for b.Loop() {
				send()
			}
			flush()
			cpuNow, allocatedNow := spent()
			b.ReportMetric(float64(cpuNow-cpu)/float64(n), "cpu-ns/op")
			b.ReportMetric(float64(allocatedNow-allocated)/float64(n), "alloc-B/op")
			if err := e.Close(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func spent() (cpu time.Duration, allocated uint64) {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), m.TotalAlloc
}
