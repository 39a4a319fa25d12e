//go:build unix

package vegas_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/store/memory"
)

// A new group's first worker on a thousand shards: how soon it has read all of
// them, and what it then costs to go on while they are quiet.
func BenchmarkAThousandShards(b *testing.B) {
	const shards = 1000
	for _, fanOut := range []bool{false, true} {
		b.Run(fmt.Sprintf("fanout=%v", fanOut), func(b *testing.B) {
			cfg := remote(b, shards)
			p := benchProducer(b, cfg)
			var one []*vegas.Record // of each
			width := new(big.Int).Div(new(big.Int).Lsh(big.NewInt(1), 128), big.NewInt(shards))
			for i := range int64(shards) {
				h := new(big.Int).Mul(width, big.NewInt(i))
				one = append(one, &vegas.Record{PartitionKey: "k", ExplicitHashKey: h.Add(h, big.NewInt(1000)).String(), Data: []byte("hello")})
			}
			if _, err := p.SendAll(b.Context(), one); err != nil {
				b.Fatal(err)
			}
			if err := p.Close(context.Background()); err != nil {
				b.Fatal(err)
			}
			n := 0
			for b.Loop() {
				n++
				c, err := vegas.NewConsumer("orders", fmt.Sprint("g", n), func(o *vegas.ConsumerOptions) {
					o.AWS, o.Store, o.Logger, o.FanOut = cfg, memory.New(), slog.New(slog.NewTextHandler(io.Discard, nil)), fanOut
				})
				if err != nil {
					b.Fatal(err)
				}
				runtime.GC()
				before := runtime.NumGoroutine()
				began := time.Now()
				ctx, cancel := context.WithCancel(b.Context())
				all, ended := make(chan struct{}), make(chan error, 1)
				var mu sync.Mutex
				seen := map[string]bool{}
				go func() {
					ended <- c.Run(ctx, func(_ context.Context, r *vegas.Record) error {
						mu.Lock()
						defer mu.Unlock()
						if seen[r.Shard] = true; len(seen) == shards {
							close(all)
						}
						return nil
					})
				}()
				select {
				case <-all:
				case err := <-ended:
					b.Fatal(err)
				}
				b.ReportMetric(time.Since(began).Seconds(), "s-until-all-are-read")
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				b.ReportMetric(float64(m.Sys)/(1<<20), "MiB-from-the-system")
				runtime.GC()
				runtime.ReadMemStats(&m)
				b.ReportMetric(float64(m.HeapAlloc)/shards/1024, "KiB-heap/shard")
				b.ReportMetric(float64(m.StackInuse)/shards/1024, "KiB-stack/shard")
				b.ReportMetric(float64(runtime.NumGoroutine()-before)/shards, "goroutines/shard")
				cancel()
				if err := <-ended; err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
