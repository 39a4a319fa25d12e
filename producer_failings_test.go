package vegas_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/localkinesis"
	"github.com/libvegas/vegas/observe"
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

// The rest is about what one sees from inside.

// gathered is an observer that remembers.
type gathered struct {
	mu     sync.Mutex
	counts map[observe.Counter]int64
	gauges map[observe.Gauge]int64
	values map[observe.Histogram]int
	events []observe.Event
}

func (g *gathered) Count(c observe.Counter, _ observe.Where, n int64) {
	g.mu.Lock()
	g.counts[c] += n
	g.mu.Unlock()
}

func (g *gathered) Gauge(c observe.Gauge, _ observe.Where, v int64) {
	g.mu.Lock()
	g.gauges[c] = v
	g.mu.Unlock()
}

func (g *gathered) Observe(h observe.Histogram, _ observe.Where, _ int64) {
	g.mu.Lock()
	g.values[h]++
	g.mu.Unlock()
}

func (g *gathered) Event(e observe.Event) {
	g.mu.Lock()
	g.events = append(g.events, e)
	g.mu.Unlock()
}

func TestAnObserverSeesWhatHappens(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := &gathered{counts: map[observe.Counter]int64{}, gauges: map[observe.Gauge]int64{}, values: map[observe.Histogram]int{}}
		srv, p := start(t, 1, func(o *vegas.ProducerOptions) { o.Observer, o.Deadline = g, 20*time.Second })
		send := func(n int) {
			for i := range n {
				p.Send(t.Context(), fmt.Sprint(i), []byte("data"))
			}
		}
		send(10)
		srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.Split, Count: 1})
		srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.Throttle, Count: 3, After: 1})
		srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.DropAnswer, Count: 1, After: 4})
		send(100)
		p.Flush(t.Context())
		<-time.After(5 * time.Second)
		send(1)
		p.Flush(t.Context())
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.counts[observe.RecordsSent] != 111 || g.counts[observe.BytesSent] != 444 {
			t.Errorf("%v", g.counts)
		}
		for _, c := range []observe.Counter{observe.Requests, observe.EntriesSent, observe.Throttles, observe.RequestErrors, observe.RecordsResent, observe.MapRefreshes} {
			if g.counts[c] == 0 {
				t.Errorf("no %s", c)
			}
		}
		if g.values[observe.SendLatency] != 111 || g.values[observe.RequestLatency] == 0 || g.values[observe.RequestBytes] == 0 {
			t.Errorf("%v", g.values)
		}
		if g.gauges[observe.PaceBytes] == 0 {
			t.Errorf("%v", g.gauges)
		}
		var life []string
		for _, e := range g.events {
			life = append(life, fmt.Sprint(e.Kind, " ", strings.TrimPrefix(e.Where.Shard, "shardId-00000000000"), len(e.Parents)))
		}
		if got := fmt.Sprint(life); got != "[opened 00 closed 00 opened 11 opened 21]" {
			t.Errorf("the life of shards: %s", got)
		}
	})
}

func TestARaisedMaxRecordSizeIsNoticed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1)
		big := make([]byte, 3<<20)
		if err := p.Send(t.Context(), "k", big); !errors.Is(err, vegas.ErrTooLarge) {
			t.Errorf("%v", err)
		}
		s, _ := srv.Stream("orders")
		if _, err := kinesis.NewFromConfig(srv.AWS()).UpdateMaxRecordSize(t.Context(), &kinesis.UpdateMaxRecordSizeInput{
			StreamARN: aws.String(s.ARN), MaxRecordSizeInKiB: aws.Int32(4 << 10),
		}); err != nil {
			t.Fatal(err)
		}
		<-time.After(2 * time.Minute)
		p.Send(t.Context(), "k", big) // asks
		<-time.After(time.Second)
		if err := p.Send(t.Context(), "k", big); err != nil {
			t.Errorf("%v", err)
		}
	})
}

// KPL: a stream that is deleted and made again gets records by the old map of
// its shards, whose names are the same and whose ranges are not.
func TestAStreamMadeAnewGetsNothingByTheOldMap(t *testing.T) {
	for _, pause := range []time.Duration{100 * time.Millisecond, 5 * time.Minute} { // seen to be gone; not
		bubble(t, func(t *testing.T) {
			srv, p := start(t, 1, func(o *vegas.ProducerOptions) { o.Deadline = 30 * time.Second })
			client := kinesis.NewFromConfig(srv.AWS())
			send := func(n int) error {
				var rs []*vegas.Record
				for i := range n {
					rs = append(rs, &vegas.Record{PartitionKey: fmt.Sprint(i), Data: fmt.Append(nil, i)})
				}
				rs[0].ExplicitHashKey = "0" // routes the aggregate to the first shard of either stream
				_, err := p.SendAll(t.Context(), rs)
				return err
			}
			if err := send(10); err != nil {
				t.Fatal(err)
			}
			if _, err := client.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String("orders")}); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Second)
			if pause < time.Minute {
				began := time.Now()
				for range 3 {
					if err := send(10); err == nil || !strings.Contains(err.Error(), "#stream-not-found") {
						t.Errorf("while it is gone: %v", err)
					}
				}
				if d := time.Since(began); d > 10*time.Second {
					t.Errorf("said after %v", d)
				}
			}
			if _, err := client.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("orders"), ShardCount: aws.Int32(3)}); err != nil {
				t.Fatal(err)
			}
			<-time.After(pause)
			slowly(srv, "DescribeStreamSummary", time.Second, 1) // records do not leave meanwhile
			acked := 0
			for range 20 {
				if err := send(10); err == nil {
					acked++
				}
				<-time.After(time.Second)
			}
			if acked < 10 {
				t.Errorf("%d of 20 batches went through", acked)
			}
			// Read like the strictest reader.
			got := map[string]int{}
			for _, s := range firsts(contents(t, srv, "orders")) {
				got[s.key]++
			}
			for i := range 10 {
				if n := got[fmt.Sprint(i)]; n < acked {
					t.Errorf("key %d: %d acknowledged, %d there", i, acked, n)
				}
			}
		})
	}
}

func TestAMissingStreamIsNotAskedForWhileThereIsNothingToSend(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := localkinesis.Start(t)
		p := producer(t, srv)
		if err := p.Send(t.Context(), "k", nil); err == nil {
			t.Fatal("sent to nowhere")
		}
		<-time.After(time.Hour)
		if n := p.Stats().MapRefreshes; n > 2 {
			t.Errorf("%d looks in an idle hour", n)
		}
		began := time.Now()
		if err := p.Send(t.Context(), "k", nil); err == nil || time.Since(began) > time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// What was under way while the distribution changed comes back misplaced: it is
// not sent again without order.
func TestRequireOrderHoldsForWhatWasUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 8, func(o *vegas.ProducerOptions) { o.RequireOrder, o.Linger = true, 0 })
		send := func(i int, done func(vegas.Receipt, error)) {
			r := &vegas.Record{PartitionKey: "k", ExplicitHashKey: keyspace.Split(8)[i].First.String()}
			if err := p.SendAsync(t.Context(), r, done); err != nil && !strings.Contains(err.Error(), "#order") {
				t.Error(err)
			}
		}
		send(0, nil)
		p.Flush(t.Context())
		<-time.After(10 * time.Second) // so that the stream is described again
		srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.SwitchToAuto, Count: 1})
		slowly(srv, "PutRecords", 5*time.Second, 1)
		refused := 0
		for i := range 8 {
			send(7-i, func(_ vegas.Receipt, err error) { // the server goes round its shards the other way
				if err != nil && strings.Contains(err.Error(), "#order") {
					refused++
				}
			})
			synctest.Wait()
		}
		p.Flush(t.Context())
		if refused == 0 {
			t.Error("nobody was told")
		}
		s, _ := srv.Stream("orders")
		for _, sh := range s.Shards {
			records, _ := srv.Records("orders", sh.ID)
			for _, r := range records {
				if a, err := aggregate.DecodeBytes(r.Data); err != nil || !a.Identity.Laned {
					t.Errorf("sent without order: %+v, %v", a.Identity, err)
				}
			}
		}
	})
}

// Whose patience ends is told what it was tried on.
func TestAnEndedContextTellsWhatHeldTheRecordUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1)
		send := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			return p.Send(ctx, "k", nil)
		}
		fault := srv.Inject(localkinesis.Fault{Op: "ListShards", Do: localkinesis.Fail})
		if err := send(); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "list shards") {
			t.Errorf("before the first map: %v", err)
		}
		fault.Remove()
		if err := p.Send(t.Context(), "k", nil); err != nil {
			t.Fatal(err)
		}
		fault = srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.Throttle})
		if err := send(); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, vegas.ErrThrottled) {
			t.Errorf("throttled: %v", err)
		}
		fault.Remove()
	})
}

// Of a SendAll whose patience ends every record has its own result: stored,
// under way, never left, no room.
func TestAnEndedContextTellsOfEachRecordOfSendAll(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1, func(o *vegas.ProducerOptions) { o.Linger, o.BufferBytes = 0, 12<<10 })
		p.Send(t.Context(), "warm", nil)
		srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.Delay, Delay: 5 * time.Second, After: 2, Count: 1})
		var rs []*vegas.Record
		for i := range 40 {
			rs = append(rs, &vegas.Record{PartitionKey: fmt.Sprint(i), Data: make([]byte, 1000)})
		}
		rs[3], rs[5] = nil, &vegas.Record{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		receipts, err := p.SendAll(ctx, rs)
		errs, _ := err.(vegas.SendErrors)
		count := map[string]int{}
		for i := range rs {
			if errs[i] == nil {
				if receipts[i].Shard == "" {
					t.Errorf("record %d has neither receipt nor error", i)
				}
				count["stored"]++
				continue
			}
			e := outcome(t, errs[i])
			count[e.Outcome.String()]++
			if i != 3 && i != 5 && !errors.Is(errs[i], context.DeadlineExceeded) {
				t.Errorf("record %d: %v", i, errs[i])
			}
		}
		if outcome(t, errs[3]).Outcome != vegas.NotStored || outcome(t, errs[5]).Outcome != vegas.NotStored {
			t.Errorf("%v, %v", errs[3], errs[5])
		}
		if count["stored"] == 0 || count["unknown"] == 0 || count["not stored"] < 3 {
			t.Errorf("%v", count)
		}
		p.Flush(t.Context())
		if s := p.Stats(); s.Open != 0 || s.BufferBytes != 0 || s.Sent != int64(1+count["stored"]+count["unknown"]) {
			t.Errorf("%v, %+v", count, s)
		}
	})
}

// A service that is slow to tell about the stream holds up no record for long.
func TestTheLookAfterIdleTimeHoldsUpNobodyForLong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1)
		if err := p.Send(t.Context(), "k", nil); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Hour)
		slow := srv.Inject(localkinesis.Fault{Op: "DescribeStreamSummary", Do: localkinesis.Delay, Delay: time.Minute})
		began := time.Now()
		if err := p.Send(t.Context(), "k", nil); err != nil || time.Since(began) > 3*time.Second || slow.Fired() == 0 {
			t.Errorf("after %v and %d calls: %v", time.Since(began), slow.Fired(), err)
		}
		slow.Remove()
	})
}

func TestWithoutAggregationExplicitHashKeysRoute(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, p := start(t, 4, func(o *vegas.ProducerOptions) { o.Aggregate = false })
		for i, r := range keyspace.Split(4) {
			got, err := p.SendRecord(t.Context(), &vegas.Record{PartitionKey: "k", ExplicitHashKey: r.Last.String()})
			if want := fmt.Sprint("shardId-00000000000", i); err != nil || got.Shard != want {
				t.Errorf("stored in %s, want %s: %v", got.Shard, want, err)
			}
		}
	})
}

// Who waits for room gets what a slow callback gives back at once, not when a
// whole run of callbacks is through.
func TestASlowCallbackGivesItsRoomBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, p := start(t, 1, func(o *vegas.ProducerOptions) { o.BufferBytes = 12 << 10 })
		r := &vegas.Record{PartitionKey: "k", Data: make([]byte, 600)}
		slow := func(vegas.Receipt, error) { <-time.After(time.Second) }
		for range 10 {
			if err := p.SendAsync(t.Context(), r, slow); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(100 * time.Millisecond) // all are stored, the first callback runs
		began := time.Now()
		for range 5 {
			if err := p.SendAsync(t.Context(), r, slow); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("waited %v", d)
		}
	})
}
