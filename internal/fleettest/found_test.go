package fleettest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/localkinesis"
	"github.com/libvegas/vegas/store/memory"
)

// What fleets have found and no single package can show.

// A prefetch bound below one answer slows reading down and never stops it.
func TestATinyPrefetchDoesNotStall(t *testing.T) {
	for _, m := range []mode{records, batches, shards} {
		for _, fanOut := range []bool{false, true} {
			t.Run(fmt.Sprint(m, " fan-out ", fanOut), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { tinyPrefetch(t, m, fanOut) })
			})
		}
	}
}

func tinyPrefetch(t *testing.T, m mode, fanOut bool) {
	srv := localkinesis.Start(t, func(o *localkinesis.Options) { o.Streams = map[string]int{streamName: 2} })
	var got atomic.Int64
	c, err := vegas.NewConsumer(streamName, "readers", func(o *vegas.ConsumerOptions) {
		o.AWS, o.Store, o.PrefetchBytes, o.FanOut = srv.AWS(), memory.New(), 1, fanOut
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		switch m {
		case records:
			done <- c.Run(ctx, func(context.Context, *vegas.Record) error { got.Add(1); return nil })
		case batches:
			done <- c.RunBatches(ctx, func(_ context.Context, b *vegas.Batch) error { got.Add(int64(len(b.Records))); return nil })
		default:
			done <- c.RunShards(ctx, func(_ context.Context, s *vegas.Shard) error {
				for b, err := range s.Batches() {
					if err != nil {
						return err
					}
					got.Add(int64(len(b.Records)))
				}
				return nil
			})
		}
	}()
	p, err := vegas.NewProducer(streamName, func(o *vegas.ProducerOptions) { o.AWS = srv.AWS() })
	if err != nil {
		t.Fatal(err)
	}
	const n = 40
	for i := range n {
		if err := p.Send(t.Context(), fmt.Sprint("key", i), []byte("data")); err != nil {
			t.Fatal(err)
		}
		wait(t.Context(), 100*time.Millisecond)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	wait(t.Context(), time.Minute)
	if got.Load() != n {
		t.Errorf("%d of %d records arrived in a minute", got.Load(), n)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
