//go:build unix

package fleetnumbers

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/localkinesis"
	"github.com/libvegas/vegas/store/memory"
)

// HoursOptions of a fleet whose cost is measured.
type HoursOptions struct {
	Workers, Shards int
	For             time.Duration
	// Producers send records, each of them one a second to every shard. 0:
	// nothing comes.
	Producers int
	// Put has a record a second come to every shard, without the cost of a
	// producer.
	Put bool
	// Idle is how often quiet shards are polled; 0: the default. Reading the
	// stream costs the store nothing.
	Idle time.Duration
	// Settle is how long the fleet runs before; 0: two minutes.
	Settle time.Duration
}

// Cost is what a fleet cost.
type Cost struct {
	HoursOptions
	Writes, Reads map[string]float64 // units of DynamoDB, by kind of row
	CPU           time.Duration      // of this process, the server's part included
	Allocated     uint64             // likewise
}

// a worker, or a shard, for an hour.
func (c *Cost) workerHours() float64 { return float64(c.Workers) * c.For.Hours() }
func (c *Cost) shardHours() float64  { return float64(c.Shards) * c.For.Hours() }

func sum(m map[string]float64) (n float64) {
	for _, v := range m {
		n += v
	}
	return n
}

// Hours measures a fleet that has settled. It is called in a bubble of time.
func Hours(t *testing.T, o HoursOptions) *Cost {
	t.Helper()
	srv := localkinesis.Start(t, func(so *localkinesis.Options) {
		so.Streams, so.StateDelay, so.NoLimits = map[string]int{streamName: o.Shards}, 0, true
	})
	if o.Producers == 0 { // leases have checkpoints: their rows are larger then
		for _, key := range hashKeys(o.Shards) {
			if _, err := srv.Put(streamName, "k", key, []byte("hello")); err != nil {
				t.Fatal(err)
			}
		}
	}
	b := newBill(memory.New())
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for n := range o.Workers {
		c, err := (&job{Name: fmt.Sprint("host-", n, ".example.com-4711-abcdef")}).consumer(b, func(co *vegas.ConsumerOptions) {
			co.AWS = srv.AWS()
			if o.Idle > 0 {
				co.PollIdle = o.Idle
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			if err := c.Run(ctx, func(context.Context, *vegas.Record) error { return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	for range o.Producers {
		running.Go(func() { o.produce(ctx, t, srv) })
	}
	if o.Put {
		running.Go(func() { put(ctx, t, srv, o.Shards) })
	}
	time.Sleep(cmp.Or(o.Settle, 2*time.Minute)) // joined, balanced, and marks saved
	b.take()
	c := &Cost{HoursOptions: o}
	before, cpu := allocated(), spent()
	time.Sleep(o.For)
	c.Writes, c.Reads = b.take()
	c.CPU, c.Allocated = spent()-cpu, allocated()-before
	stop()
	running.Wait()
	return c
}

func (o *HoursOptions) produce(ctx context.Context, t *testing.T, srv *localkinesis.Server) {
	p, err := vegas.NewProducer(streamName, func(po *vegas.ProducerOptions) {
		po.AWS, po.Logger = srv.AWS(), slog.New(slog.DiscardHandler)
	})
	if err != nil {
		t.Error(err)
		return
	}
	// In a bubble everything that starts together stays together. Checkpoints and
	// sweeps do not meet at every turn elsewhere.
	time.Sleep(6300 * time.Millisecond)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	keys := hashKeys(o.Shards)
	for ctx.Err() == nil {
		for _, key := range keys {
			err := p.SendAsync(context.WithoutCancel(ctx), &vegas.Record{PartitionKey: "k", ExplicitHashKey: key, Data: []byte("hello")}, func(_ vegas.Receipt, err error) {
				if err != nil {
					t.Error(err)
				}
			})
			if err != nil {
				t.Error(err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	if err := p.Close(context.WithoutCancel(ctx)); err != nil {
		t.Error(err)
	}
}

func put(ctx context.Context, t *testing.T, srv *localkinesis.Server, shards int) {
	keys := hashKeys(shards)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for ctx.Err() == nil {
		for _, key := range keys {
			if _, err := srv.Put(streamName, "k", key, []byte("hello")); err != nil {
				t.Error(err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// spent is the CPU time of this process.
func spent() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}
