//go:build unix

package vegas_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/store/memory"
)

// fill puts n records of a size into the stream, by a producer of its own.
func fill(b *testing.B, cfg aws.Config, n, size int, opts ...func(*vegas.ProducerOptions)) {
	b.Helper()
	p := benchProducer(b, cfg, opts...)
	for at := 0; at < n; at += 10000 {
		if _, err := p.SendAll(b.Context(), benchRecords(min(10000, n-at), size)); err != nil {
			b.Fatal(err)
		}
	}
	if err := p.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// benchConsumer reads n records of the stream with a new group.
func benchConsumer(b *testing.B, cfg aws.Config, group string, n int, batches bool, opts ...func(*vegas.ConsumerOptions)) {
	b.Helper()
	c, err := vegas.NewConsumer("orders", group, append([]func(*vegas.ConsumerOptions){func(o *vegas.ConsumerOptions) {
		o.AWS, o.Store, o.Logger = cfg, memory.New(), slog.New(slog.NewTextHandler(io.Discard, nil))
	}}, opts...)...)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	var got atomic.Int64
	count := func(k int) {
		if got.Add(int64(k)) >= int64(n) {
			cancel()
		}
	}
	if batches {
		err = c.RunBatches(ctx, func(_ context.Context, x *vegas.Batch) error { count(len(x.Records)); return nil })
	} else {
		err = c.Run(ctx, func(context.Context, *vegas.Record) error { count(1); return nil })
	}
	if err != nil {
		b.Fatal(err)
	}
}

// What a record costs the consumer's process, from the answer on the wire to the
// handler. The wall time is that of the pace that a shard allows, 2 MiB a second.
func BenchmarkConsume(b *testing.B) {
	for _, c := range []struct {
		name    string
		size, n int
		raw     bool
		batches bool
		opts    func(*vegas.ConsumerOptions)
	}{
		{name: "aggregated/100B", size: 100, n: 200_000},
		{name: "aggregated/1000B", size: 1000, n: 50_000},
		{name: "plain/1000B", size: 1000, n: 30_000, raw: true},
		{name: "batches/100B", size: 100, n: 200_000, batches: true},
		{name: "parallel/100B", size: 100, n: 200_000, opts: func(o *vegas.ConsumerOptions) { o.Parallel = 8 }},
		{name: "fan-out/100B", size: 100, n: 200_000, opts: func(o *vegas.ConsumerOptions) { o.FanOut = true }},
	} {
		b.Run(c.name, func(b *testing.B) {
			cfg := remote(b, 16)
			fill(b, cfg, c.n, c.size, func(o *vegas.ProducerOptions) { o.Aggregate = !c.raw })
			opts := c.opts
			if opts == nil {
				opts = func(*vegas.ConsumerOptions) {}
			}
			start, rounds := spent(), 0
			for b.Loop() {
				benchConsumer(b, cfg, fmt.Sprint("g", rounds), c.n, c.batches, opts)
				rounds++
			}
			start.report(b, rounds*c.n)
		})
	}
}
