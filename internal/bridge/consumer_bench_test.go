//go:build unix

package bridge

import (
	"context"
	"io"
	"log/slog"
	"syscall"
	"testing"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/localkinesis"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/memory"
)

// BenchmarkDeliver reads records of 100 bytes, aggregated, by a host that does nothing
// with them, and in the library alone. The wall time is that of the pace that a shard
// allows; the CPU time is that of server, library and host.
func BenchmarkDeliver(b *testing.B) {
	const n = 200_000
	srv := localkinesis.Start(b, func(o *localkinesis.Options) { o.Streams, o.NoLimits = map[string]int{"orders": 1}, true })
	cfg := srv.AWS()
	p, err := vegas.NewProducer("orders", func(o *vegas.ProducerOptions) { o.AWS = cfg })
	if err != nil {
		b.Fatal(err)
	}
	r := &vegas.Record{PartitionKey: "customer-1", Data: make([]byte, 100)}
	for range n {
		if err := p.SendAsync(b.Context(), r, nil); err != nil {
			b.Fatal(err)
		}
	}
	if err := p.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	measure := func(b *testing.B, consume func()) {
		before := cpu(b)
		for b.Loop() {
			consume()
		}
		b.ReportMetric(float64(cpu(b)-before)/float64(b.N)/n, "cpu-ns/record")
	}
	b.Run("library", func(b *testing.B) {
		measure(b, func() {
			c, err := vegas.NewConsumer("orders", "g", func(o *vegas.ConsumerOptions) {
				o.AWS, o.Store, o.Logger = cfg, memory.New(), slog.New(slog.DiscardHandler)
			})
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			left := n
			if err := c.Run(ctx, func(context.Context, *record.Record) error {
				if left--; left == 0 {
					cancel()
				}
				return nil
			}); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("bridge", func(b *testing.B) {
		measure(b, func() {
			rows := Extension{Name: "shared", Store: func(string, *slog.Logger) (store.Store, error) { return memory.New(), nil }}
			inR, inW := io.Pipe()
			outR, outW := io.Pipe()
			ended := make(chan error)
			go func() {
				ended <- Serve(context.Background(), inR, outW, Config{aws: &cfg, Extensions: []Extension{rows}})
			}()
			put := func(kind byte, v results) { _, _ = inW.Write(endFrame(appendValue(beginFrame(nil, kind), v), 0)) }
			frames := newFrameReader(outR)
			put(kindHello, results{"protocol": []any{int64(1), int64(1)}})
			for left := n; left > 0; {
				kind, body, err := frames.next()
				if err != nil {
					b.Fatal(err)
				}
				switch kind {
				case kindHello:
					put(kindCall, results{"call": 1, "method": methodOpenConsumer, "consumer": 1, "stream": "orders", "group": "g", "options": map[string]any{"store": "shared:x"}})
				case kindCall:
					m, _ := parseMap(body)
					put(kindAnswer, results{"call": m["call"]})
				case kindDeliver:
					count := int(littleEndian.Uint32(body[17:]))
					d := &delivery{consumer: 1, shard: littleEndian.Uint32(body[4:]), chunk: littleEndian.Uint32(body[8:])}
					left -= count
					_, _ = inW.Write(d.frame(true, ranges(0, count)))
				}
			}
			_ = inW.Close()
			go func() { _, _ = io.Copy(io.Discard, outR) }()
			if err := <-ended; err != nil {
				b.Fatal(err)
			}
		})
	})
}

// cpu is the CPU time that the process has used.
func cpu(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
