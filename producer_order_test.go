package vegas_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/localkinesis"
)

var seeds = flag.Int("producer.seeds", 12, "how many random histories the producer's order test runs")

// Order per key, one result per record and truth of every result, through
// splits, merges, throttling, failed entries, dropped and late answers, slow
// calls and stale listings, with and without aggregation.
func TestOrderPerKeyHoldsThroughAnything(t *testing.T) {
	for seed := range *seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { history(t, uint64(seed)) })
		})
	}
}

var canceled = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

func history(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 7))
	srv := localkinesis.Start(t, func(o *localkinesis.Options) {
		o.Streams = map[string]int{"orders": 1 + rnd.IntN(4)}
		o.Seed, o.NoLimits, o.StateDelay = seed, rnd.IntN(2) == 0, 0
	})
	deadline := time.Duration(0)
	if rnd.IntN(3) == 0 {
		deadline = 20 * time.Second
	}
	p := producer(t, srv, func(o *vegas.ProducerOptions) {
		o.Aggregate = rnd.IntN(4) > 0
		o.Linger = time.Duration(rnd.IntN(2)*10) * time.Millisecond
		o.Deadline = deadline
		o.RequestTimeout = 2 * time.Second
		if rnd.IntN(3) == 0 {
			o.OnFailure = vegas.FailKey
		}
	})
	l := newLedger()
	for range 60 {
		switch f := (localkinesis.Fault{Op: "PutRecords", Stream: "orders", Count: 1 + rnd.IntN(3), After: rnd.IntN(4)}); rnd.IntN(14) {
		case 0:
			f.Do = localkinesis.Throttle
			srv.Inject(f)
		case 1:
			f.Do, f.EntryRate = localkinesis.FailEntries, 0.5
			srv.Inject(f)
		case 2:
			f.Do = localkinesis.DropAnswer
			srv.Inject(f)
		case 3:
			f.Do, f.Requests = localkinesis.StoreLate, 1+rnd.IntN(4)
			srv.Inject(f)
		case 4:
			f.Do, f.EntryRate = localkinesis.StoreSome, 0.5
			srv.Inject(f)
		case 5:
			f.Do, f.Delay = localkinesis.Delay, time.Duration(rnd.IntN(4000))*time.Millisecond
			srv.Inject(f)
		case 6:
			f.Op, f.Do = "ListShards", localkinesis.StaleShards
			srv.Inject(f)
		case 7, 8:
			f.Do, f.Count = localkinesis.Split, 1
			srv.Inject(f)
		case 9:
			f.Do, f.Count = localkinesis.Merge, 1
			srv.Inject(f)
		case 10:
			f.Do = localkinesis.Fail
			srv.Inject(f)
		case 11:
			f.Do, f.EntryRate = localkinesis.Throttle, 0.5
			srv.Inject(f)
		}
		for range rnd.IntN(12) {
			n, r := l.next(fmt.Sprint("key-", rnd.IntN(15)))
			if err := p.SendAsync(t.Context(), r, func(r vegas.Receipt, err error) { l.ended(n, r, err) }); err != nil {
				l.ended(n, vegas.Receipt{}, err)
			}
		}
		<-time.After(time.Duration(rnd.IntN(300)) * time.Millisecond)
	}
	ctx := context.Background()
	if rnd.IntN(4) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(rnd.IntN(3000))*time.Millisecond)
		defer cancel()
	}
	hung := time.AfterFunc(time.Hour, func() { t.Errorf("nothing moves: %+v", p.Stats()); p.Close(canceled) })
	err := p.Close(ctx)
	hung.Stop()
	if err != nil && ctx.Err() == nil {
		t.Error(err)
	}
	<-time.After(time.Minute) // what is applied late is applied now
	acked := l.audit(t, srv, "orders")
	for key, order := range l.order {
		if !slices.IsSorted(order) {
			t.Errorf("callbacks of %s: %v", key, order)
			for i := range order[1:] {
				if order[i] > order[i+1] {
					t.Errorf("  %d: %v", order[i], l.results[order[i]][0].err)
					t.Errorf("  %d: %v", order[i+1], l.results[order[i+1]][0].err)
				}
			}
		}
	}
	if err == nil && deadline == 0 && acked != len(l.keys) {
		t.Errorf("%d of %d acknowledged, without a deadline and after an orderly Close", acked, len(l.keys))
	}
	if testing.Verbose() {
		s := p.Stats()
		t.Logf("%d of %d acknowledged in %d requests, %d resent, %d misplaced", acked, len(l.keys), s.Requests, s.Resent, s.Misplaced)
	}
}

// Callers of all kinds side by side, some of whom lose patience.
func TestCallersOfAllKindsSideBySide(t *testing.T) {
	for seed := range max(2, *seeds/4) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { crowd(t, uint64(seed)) })
		})
	}
}

func crowd(t *testing.T, seed uint64) {
	srv := localkinesis.Start(t, func(o *localkinesis.Options) {
		o.Streams, o.Seed, o.StateDelay = map[string]int{"orders": 3}, seed, 0
	})
	for _, f := range []localkinesis.Fault{
		{Do: localkinesis.Throttle, EntryRate: 0.1}, {Do: localkinesis.DropAnswer, Rate: 0.05}, {Do: localkinesis.FailEntries, EntryRate: 0.05},
		{Do: localkinesis.Delay, Delay: 3 * time.Second, Rate: 0.05}, {Do: localkinesis.Split, After: 10, Count: 2}, {Do: localkinesis.Merge, After: 30, Count: 1},
	} {
		f.Op = "PutRecords"
		srv.Inject(f)
	}
	p := producer(t, srv, func(o *vegas.ProducerOptions) { o.BufferBytes, o.RequestTimeout = 20<<10, 2*time.Second })
	l := newLedger()
	var wg sync.WaitGroup
	for g := range 20 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(g)))
			key := fmt.Sprint("caller-", g)
			for range 15 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+rnd.IntN(10000))*time.Millisecond)
				switch rnd.IntN(4) {
				case 0:
					n, r := l.next(key)
					receipt, err := p.SendRecord(ctx, r)
					l.ended(n, receipt, err)
				case 1:
					var rs []*vegas.Record
					for range 1 + rnd.IntN(30) {
						_, r := l.next(key)
						rs = append(rs, r)
					}
					receipts, err := p.SendAll(ctx, rs)
					var each vegas.SendErrors
					errors.As(err, &each)
					for i, r := range rs {
						var n int
						fmt.Sscan(string(r.Data), &n)
						var e error
						if each != nil {
							e = each[i]
						}
						l.ended(n, receipts[i], e)
					}
				case 2:
					n, r := l.next(key)
					if err := p.SendAsync(ctx, r, func(r vegas.Receipt, err error) { l.ended(n, r, err) }); err != nil {
						l.ended(n, vegas.Receipt{}, err)
					}
				default:
					p.Flush(ctx)
					p.Stats()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if err := p.Close(context.Background()); err != nil {
		t.Error(err)
	}
	<-time.After(time.Minute)
	acked := l.audit(t, srv, "orders")
	if s := p.Stats(); s.Open != 0 || s.BufferBytes != 0 || acked == 0 {
		t.Errorf("%d acknowledged, %+v", acked, s)
	}
}
