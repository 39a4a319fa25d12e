package vegas_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/localkinesis"
)

// Known failings of other producers, each a test for this one. KPL: the Amazon
// Kinesis Producer Library (github.com/awslabs/amazon-kinesis-producer); a8m:
// github.com/a8m/kinesis-producer; fluent-bit:
// github.com/aws/amazon-kinesis-streams-for-fluent-bit.

// KPL: a retried record is overtaken by later ones of its key.
func TestARetryIsNotOvertaken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1, func(o *vegas.ProducerOptions) { o.Linger = 0 })
		srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.Throttle, Rate: 0.5})
		srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.FailEntries, Rate: 0.3})
		l := newLedger()
		for range 200 {
			n, r := l.next("k")
			p.SendAsync(t.Context(), r, func(r vegas.Receipt, err error) { l.ended(n, r, err) })
			<-time.After(3 * time.Millisecond)
		}
		p.Flush(t.Context())
		if acked := l.audit(t, srv, "orders"); acked != 200 {
			t.Errorf("%d acknowledged", acked)
		}
	})
}

// KPL: AccessDenied and the like are tried again without backoff until the
// record's time is over. Here: once, see also
// TestWhatCannotSucceedFailsAtOnceWithTheRemedy; and what is tried again backs
// off.
func TestAttemptsBackOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1, func(o *vegas.ProducerOptions) { o.Deadline = time.Minute })
		f := srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.Fail})
		p.Send(t.Context(), "k", nil)
		if n := f.Fired(); n < 5 || n > 100 {
			t.Errorf("%d attempts in a minute", n)
		}
	})
}

// KPL: without aggregation the rate is not limited, so that a shard at its
// limit refuses most of what is sent.
func TestTheRateIsLimitedWithoutAggregationToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, p := start(t, 1, func(o *vegas.ProducerOptions) { o.Aggregate, o.Deadline = false, 0 })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		for i := 0; p.SendAsync(ctx, &vegas.Record{PartitionKey: fmt.Sprint(i % 5000), Data: []byte("small")}, nil) == nil; i++ {
		}
		s := p.Stats()
		if s.Sent < 0.9*1000*10 || float64(s.Throttles) > 0.1*float64(s.Entries) {
			t.Errorf("%d sent in 10 s of 1000 a second, %d of %d entries throttled", s.Sent, s.Throttles, s.Entries)
		}
		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		p.Close(ctx)
	})
}

// KPL: queues have no bound. Here the memory that a producer holds while the
// stream is away stays at its bound.
func TestQueuesAreBoundedWhileTheStreamIsAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1, func(o *vegas.ProducerOptions) { o.BufferBytes, o.Deadline = 1<<20, 0 })
		srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.Fail})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		n := 0
		for p.SendAsync(ctx, &vegas.Record{PartitionKey: "k", Data: make([]byte, 100)}, nil) == nil {
			n++
		}
		if s := p.Stats(); s.BufferBytes > 1<<20 || n < 1000 || n > 5000 {
			t.Errorf("%d records accepted, %d bytes held", n, s.BufferBytes)
		}
		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		p.Close(ctx)
	})
}

// KPL: a map of shards from before a split puts an aggregate over two children
// on one of them; the KCL drops it, though it was acknowledged. Here it counts
// as not delivered and is sent again under the same identities.
func TestAStaleMapLosesNoAcknowledgedRecord(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1)
		if err := p.Send(t.Context(), "warm", []byte("0")); err != nil {
			t.Fatal(err)
		}
		split := srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.Split, Count: 2, After: 1})
		stale := srv.Inject(localkinesis.Fault{Op: "ListShards", Do: localkinesis.StaleShards, Count: 2})
		<-time.After(time.Second)
		l := newLedger()
		for i := range 500 {
			n, r := l.next(fmt.Sprint(i % 50))
			p.SendAsync(t.Context(), r, func(r vegas.Receipt, err error) { l.ended(n, r, err) })
			if i%100 == 0 {
				<-time.After(100 * time.Millisecond)
			}
		}
		p.Flush(t.Context())
		s := p.Stats()
		if split.Fired() == 0 || stale.Fired() == 0 || s.Misplaced == 0 {
			t.Fatalf("the story did not happen: %d splits, %d stale listings, %d misplaced", split.Fired(), stale.Fired(), s.Misplaced)
		}
		// The audit reads like the strictest reader: records outside their shard
		// do not exist. (It knows not of "warm".)
		all := contents(t, srv, "orders")
		seen := map[string]bool{}
		for _, x := range all {
			seen[x.key+"/"+string(x.data)] = true
		}
		for n, key := range l.keys {
			if r := l.results[n]; len(r) != 1 || r[0].err != nil {
				t.Errorf("record %d: %v", n, r)
			} else if !seen[fmt.Sprintf("%s/%d", key, n)] {
				t.Errorf("record %d was acknowledged and is lost", n)
			}
		}
	})
}

// KPL: one native child process per producer, one thread for callbacks. Here a
// producer that is not used has no goroutine, and a closed one leaves none.
func TestAProducerLeavesNothingBehind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := localkinesis.Start(t, func(o *localkinesis.Options) { o.Streams = map[string]int{"orders": 1} })
		server := runtime.NumGoroutine()
		p := producer(t, srv)
		if n := runtime.NumGoroutine(); n != server {
			t.Errorf("%d goroutines before the first record", n-server)
		}
		if err := p.Send(t.Context(), "k", nil); err != nil {
			t.Fatal(err)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		// A bubble ends only when all its goroutines have: what is left would
		// fail the test.
		if err := p.Send(t.Context(), "k", nil); !errors.Is(err, vegas.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// a8m: every record of an aggregate gets the partition key of the first.
// fluent-bit, Node: the table of keys is scrambled.
func TestEveryRecordKeepsItsKeyHashKeyAndHeaders(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 2)
		want := map[string]*vegas.Record{}
		var rs []*vegas.Record
		for i := range 300 {
			r := &vegas.Record{PartitionKey: fmt.Sprint("key-", i%70), Data: fmt.Append(nil, i)}
			if i%3 == 0 {
				r.ExplicitHashKey = fmt.Sprint(i+1, "00000000000000000000000000000000000")
			}
			if i%5 == 0 {
				r.Headers = []vegas.Header{{Key: "n", Value: fmt.Sprint(i)}, {Key: "n", Value: "again"}}
			}
			want[string(r.Data)] = r
			rs = append(rs, r)
		}
		if _, err := p.SendAll(t.Context(), rs); err != nil {
			t.Fatal(err)
		}
		s, _ := srv.Stream("orders")
		n := 0
		for _, sh := range s.Shards {
			records, _ := srv.Records("orders", sh.ID)
			for _, r := range records {
				a, err := aggregate.DecodeBytes(r.Data)
				if err != nil {
					t.Fatal(err)
				}
				for _, sub := range a.Subs {
					n++
					w := want[string(sub.Data)]
					if w.PartitionKey != sub.Key || w.ExplicitHashKey != sub.ExplicitHashKey || !slices.Equal(w.Headers, sub.Headers) {
						t.Errorf("sent %+v, stored %+v", w, sub)
					}
				}
			}
		}
		if n != len(rs) {
			t.Errorf("%d records stored", n)
		}
	})
}

// a8m: the size of an aggregate is only looked at before it is added to.
func TestAggregatesStayBelowTheirBound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1)
		slowly(srv, "PutRecords", 100*time.Millisecond, 0)
		var rs []*vegas.Record
		for i := range 60 {
			rs = append(rs, &vegas.Record{PartitionKey: fmt.Sprint(i), Data: make([]byte, 50_000+1000*i)})
		}
		if _, err := p.SendAll(t.Context(), rs); err != nil {
			t.Fatal(err)
		}
		records, _ := srv.Records("orders", "shardId-000000000000")
		for _, r := range records {
			if len(r.Data) > 256<<10 {
				t.Errorf("an aggregate of %d bytes", len(r.Data))
			}
		}
		if n := len(records); n > 45 {
			t.Errorf("%d aggregates for 60 records", n)
		}
	})
}

// a8m: an error of the whole request drops its records in silence when nobody
// reads the failures; a throttled record is tried for ever.
func TestFailuresAreToldToWhomTheyConcern(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1, func(o *vegas.ProducerOptions) { o.Deadline = 10 * time.Second })
		srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.DropAnswer, Count: 3})
		if err := p.Send(t.Context(), "k", []byte("after lost answers")); err != nil {
			t.Error(err)
		}
		srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.Throttle})
		began := time.Now()
		err := p.Send(t.Context(), "k", []byte("throttled for ever"))
		if d := time.Since(began); !errors.Is(err, vegas.ErrDeadline) || d > 11*time.Second {
			t.Errorf("after %v: %v", d, err)
		}
	})
}

// a8m: Put panics when it races Stop. See also
// TestASendThatRacesCloseGetsAResultOrErrClosed; this one is outside of a
// bubble, where goroutines really run side by side.
func TestNothingPanicsAroundClose(t *testing.T) {
	srv := localkinesis.Start(t, func(o *localkinesis.Options) { o.Streams = map[string]int{"orders": 2} })
	for range 5 {
		p := producer(t, srv, func(o *vegas.ProducerOptions) { o.Linger = 0 })
		var wg sync.WaitGroup
		var mu sync.Mutex
		accepted, ended := 0, 0
		for g := range 4 {
			wg.Go(func() {
				for {
					err := p.SendAsync(context.Background(), &vegas.Record{PartitionKey: fmt.Sprint(g)}, func(vegas.Receipt, error) {
						mu.Lock()
						ended++
						mu.Unlock()
					})
					if err != nil {
						if !errors.Is(err, vegas.ErrClosed) {
							t.Error(err)
						}
						return
					}
					mu.Lock()
					accepted++
					enough := accepted > 500
					mu.Unlock()
					if enough {
						go p.Close(context.Background())
					}
				}
			})
		}
		wg.Wait()
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
		mu.Lock()
		if accepted != ended {
			t.Errorf("%d accepted, %d ended", accepted, ended)
		}
		mu.Unlock()
	}
}
