package vegas_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/localkinesis"
	"github.com/libvegas/vegas/store/memory"
)

// consumed runs a consumer in a bubble and remembers what it delivers.
type consumed struct {
	mu      sync.Mutex
	records []*vegas.Record
}

func (c *consumed) handle(_ context.Context, r *vegas.Record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.records = append(c.records, r)
	return nil
}

func (c *consumed) all() []*vegas.Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*vegas.Record(nil), c.records...)
}

// produceOrders sends n records over a few keys, in order.
func produceOrders(t *testing.T, srv *localkinesis.Server, from, n int) {
	t.Helper()
	p, err := vegas.NewProducer("orders", func(o *vegas.ProducerOptions) { o.AWS = srv.AWS() })
	if err != nil {
		t.Fatal(err)
	}
	var rs []*vegas.Record
	for i := from; i < from+n; i++ {
		rs = append(rs, &vegas.Record{PartitionKey: fmt.Sprint("customer-", i%7), Data: fmt.Appendf(nil, "%d", i)})
	}
	if _, err := p.SendAll(t.Context(), rs); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// startRun runs a consumer until the returned function is called, which returns
// Run's error.
func startRun(t *testing.T, c *vegas.Consumer, h vegas.Handler) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx, h) }()
	return func() error {
		cancel()
		return <-done
	}
}

func TestConsumerDeliversInOrderAndGoesOnFromItsCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := localkinesis.Start(t, func(o *localkinesis.Options) { o.Streams = map[string]int{"orders": 3} })
		rows := memory.New()
		produceOrders(t, srv, 0, 500)
		var got consumed
		for round := range 2 {
			c, err := vegas.NewConsumer("orders", "billing", func(o *vegas.ConsumerOptions) {
				o.AWS, o.Store = srv.AWS(), rows
			})
			if err != nil {
				t.Fatal(err)
			}
			stop := startRun(t, c, got.handle)
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if s := c.Stats(); len(s.Shards) != 3 || s.Shards[0].Behind != 0 || !s.Shards[0].Read {
				t.Errorf("%+v", s)
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if round == 0 {
				produceOrders(t, srv, 500, 500)
			}
		}
		last := map[string]int{}
		for _, r := range got.all() {
			var n int
			fmt.Sscan(string(r.Data), &n)
			if old, ok := last[r.PartitionKey]; ok && n <= old {
				t.Errorf("%s: %d after %d", r.PartitionKey, n, old)
			}
			last[r.PartitionKey] = n
		}
		if n := len(got.all()); n != 1000 {
			t.Errorf("%d records", n)
		}
	})
}

func TestStatsTellHowManyRecordsHandlersAreBehind(t *testing.T) {
	for name, parallel := range map[string]int{"one after the other": 1, "side by side": 4} {
		consumerBench(t, name, 1, func(b *bench) {
			b.put(10)
			c := b.consumer("g", func(o *vegas.ConsumerOptions) { o.Parallel = parallel })
			ctx, cancel := context.WithTimeout(b.Context(), 30*time.Second)
			defer cancel()
			var mu sync.Mutex
			var most, least int64 = 0, 100
			err := c.Run(ctx, func(context.Context, *vegas.Record) error {
				mu.Lock()
				defer mu.Unlock()
				n := c.Stats().Shards[0].Unhandled
				most, least = max(most, n), min(least, n)
				return nil
			})
			if err != nil || most != 10 || least < 1 || least > int64(parallel) {
				b.Errorf("%v: %d to %d records unhandled, want 10 at first and those in work at last", err, least, most)
			}
		})
	}
	consumerBench(t, "a shard's function", 1, func(b *bench) {
		b.put(10)
		c := b.consumer("g")
		ctx, cancel := context.WithTimeout(b.Context(), 30*time.Second)
		defer cancel()
		err := c.RunShards(ctx, func(_ context.Context, s *vegas.Shard) error {
			for batch, err := range s.Batches() {
				if n := c.Stats().Shards[0].Unhandled; err == nil && n != int64(len(batch.Records)) {
					b.Errorf("%d records unhandled, the batch has %d", n, len(batch.Records))
				}
			}
			return nil
		})
		if err != nil {
			b.Error(err)
		}
	})
}
