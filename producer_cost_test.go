package vegas_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/internal/limits"
	"github.com/libvegas/vegas/localkinesis"
)

// TestCostOfLinger prints the table of docs/cost.md: what a linger saves in
// payload units and requests, and what it costs in latency. Time is the
// bubble's and no machine's speed is in it; a request takes 20 ms.
//
//	go test -run TestCostOfLinger -v .
func TestCostOfLinger(t *testing.T) {
	const shards, size, keys = 4, 100, 1000
	seconds := 10
	if testing.Short() {
		seconds = 2
	}
	lingers := []time.Duration{0, 10 * time.Millisecond, 100 * time.Millisecond}
	for _, rate := range []int{100, 1000, 5000} {
		var before costs
		for _, linger := range lingers {
			var c costs
			synctest.Test(t, func(t *testing.T) { c = measureCosts(t, shards, rate, seconds, size, keys, linger, true) })
			t.Logf("%5d records/s  linger %5v: %s", rate, linger, c)
			if linger > 0 && c.units > before.units {
				t.Errorf("at %d records/s a linger of %v takes more payload units than a shorter one: %v, %v", rate, linger, c.units, before.units)
			}
			before = c
		}
	}
	var c costs
	synctest.Test(t, func(t *testing.T) { c = measureCosts(t, shards, 1000, seconds, size, keys, 0, false) })
	t.Logf("%5d records/s  not aggregated: %s", 1000, c)
	if c.units < 1 {
		t.Errorf("a record that is not aggregated takes %v payload units, it cannot be less than one", c.units)
	}
}

// costs are per user record, but for the latencies.
type costs struct {
	units, unitsOnDemand, entries, requests float64
	p50, p99                                time.Duration
}

func (c costs) String() string {
	return fmt.Sprintf("%.4f payload units (%.3f on-demand), %.4f entries, %.4f requests a record; p50 %v, p99 %v",
		c.units, c.unitsOnDemand, c.entries, c.requests, c.p50.Round(time.Millisecond/10), c.p99.Round(time.Millisecond/10))
}

func measureCosts(t *testing.T, shards, rate, seconds, size, keys int, linger time.Duration, aggregate bool) costs {
	srv := localkinesis.Start(t, func(o *localkinesis.Options) { o.Streams = map[string]int{"orders": shards} })
	srv.Inject(localkinesis.Fault{Do: localkinesis.Delay, Op: "PutRecords", Delay: 20 * time.Millisecond})
	p, err := vegas.NewProducer("orders", func(o *vegas.ProducerOptions) {
		o.AWS, o.Linger, o.Aggregate = srv.AWS(), linger, aggregate
		o.Logger = slog.New(slog.DiscardHandler)
	})
	if err != nil {
		t.Fatal(err)
	}
	// The first record waits for the map of shards, which is not the linger's doing.
	if err := p.Send(t.Context(), "first", nil); err != nil {
		t.Fatal(err)
	}
	start := p.Stats()

	n := rate * seconds
	var mu sync.Mutex
	took := make([]time.Duration, 0, n)
	data := make([]byte, size)
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for i := range n {
		<-tick.C
		sent := time.Now()
		err := p.SendAsync(t.Context(), &vegas.Record{PartitionKey: fmt.Sprint("customer-", i%keys), Data: data},
			func(_ vegas.Receipt, err error) {
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				took = append(took, time.Since(sent))
			})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if len(took) != n {
		t.Fatalf("%d results of %d records", len(took), n)
	}
	end := p.Stats()

	var units, onDemand int
	stream, err := srv.Stream("orders")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stream.Shards {
		stored, err := srv.Records("orders", s.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range stored {
			b := len(r.Data) + len(r.PartitionKey)
			units += (b + limits.PayloadUnit - 1) / limits.PayloadUnit
			onDemand += (b + limits.PayloadUnitOnDemand - 1) / limits.PayloadUnitOnDemand
		}
	}
	slices.Sort(took)
	per := func(v int) float64 { return float64(v) / float64(n) }
	return costs{
		units: per(units - 1), unitsOnDemand: per(onDemand - 1), // less the first record
		entries: per(int(end.Entries - start.Entries)), requests: per(int(end.Requests - start.Requests)),
		p50: took[n/2], p99: took[n*99/100],
	}
}
