package vegas_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/localkinesis"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/memory"
)

// bench is a server with a stream "orders", a store and consumers of it.
type bench struct {
	*testing.T
	srv  *localkinesis.Server
	rows store.Store
	log  lockedBuffer
}

// consumerBench runs f in a bubble of its own.
func consumerBench(t *testing.T, name string, shards int, f func(b *bench)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { f(newBench(t, shards)) })
	})
}

func newBench(t *testing.T, shards int) *bench {
	return &bench{T: t, rows: memory.New(), srv: localkinesis.Start(t, func(o *localkinesis.Options) {
		o.Streams, o.StateDelay = map[string]int{"orders": shards}, 0
	})}
}

func (b *bench) logged() string { return b.log.String() }

func (b *bench) put(n int) {
	b.Helper()
	for i := range n {
		if _, err := b.srv.Put("orders", fmt.Sprint("key", i%5), "", fmt.Append(nil, i)); err != nil {
			b.Fatal(err)
		}
	}
}

func (b *bench) consumer(group string, opts ...func(*vegas.ConsumerOptions)) *vegas.Consumer {
	b.Helper()
	c, err := vegas.NewConsumer("orders", group, append([]func(*vegas.ConsumerOptions){func(o *vegas.ConsumerOptions) {
		o.AWS, o.Store, o.Logger = b.srv.AWS(), b.rows, slog.New(slog.NewTextHandler(&b.log, nil))
	}}, opts...)...)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// consume runs c for so long, and returns how many records came.
func (b *bench) consume(c *vegas.Consumer, d time.Duration) int {
	b.Helper()
	var got deliveries
	stop := startRun(b.T, c, func(_ context.Context, r *vegas.Record) error { got.add(r); return nil })
	time.Sleep(d)
	if err := stop(); err != nil {
		b.Errorf("Run: %v", err)
	}
	return got.len()
}

func TestTwoGroupsOnAStreamBothKeepUp(t *testing.T) {
	consumerBench(t, "", 2, func(b *bench) {
		var wg sync.WaitGroup
		got := make([]deliveries, 2)
		cs := []*vegas.Consumer{b.consumer("g"), b.consumer("h")}
		ctx, cancel := context.WithCancel(b.Context())
		for i, c := range cs {
			wg.Go(func() {
				if err := c.Run(ctx, func(_ context.Context, r *vegas.Record) error { got[i].add(r); return nil }); err != nil {
					b.Error(err)
				}
			})
		}
		const n = 1200
		for i := range n {
			b.put(1)
			time.Sleep(100 * time.Millisecond)
			if i > 100 {
				for j, c := range cs {
					for _, s := range c.Stats().Shards {
						if s.Behind > 5*time.Second {
							b.Fatalf("group %d is %v behind on %s", j, s.Behind, s.Shard)
						}
					}
				}
			}
		}
		time.Sleep(5 * time.Second)
		cancel()
		wg.Wait()
		if got[0].len() != n || got[1].len() != n {
			b.Errorf("%d and %d records", got[0].len(), got[1].len())
		}
		b.Logf("throttled %d and %d times in two minutes", cs[0].Stats().Throttles, cs[1].Stats().Throttles)
	})
}

func TestASlowHandlerBoundsMemory(t *testing.T) {
	for name, parallel := range map[string]int{"one at a time": 1, "side by side": 4} {
		consumerBench(t, name, 1, func(b *bench) { slowHandler(b, parallel) })
	}
}

func slowHandler(b *bench, parallel int) {
	data := make([]byte, 50<<10)
	for range 200 { // 10 MB
		if _, err := b.srv.Put("orders", "k", "", data); err != nil {
			b.Fatal(err)
		}
	}
	const bound = 1 << 20
	c := b.consumer("g", func(o *vegas.ConsumerOptions) { o.PrefetchBytes, o.Parallel = bound, parallel })
	handled := make(chan struct{})
	stop := startRun(b.T, c, func(context.Context, *vegas.Record) error { <-handled; return nil })
	most := int64(0)
	for range 200 {
		time.Sleep(time.Second)
		most = max(most, c.Stats().PrefetchBytes)
		handled <- struct{}{}
	}
	if most > 3*bound || most == 0 {
		b.Errorf("%d bytes were read ahead of a slow handler, the bound is %d", most, bound)
	}
	time.Sleep(time.Second)
	if left := c.Stats().PrefetchBytes; left != 0 {
		b.Errorf("%d bytes are held when all is done", left)
	}
	if err := stop(); err != nil {
		b.Error(err)
	}
}

func TestAMalformedAggregateOrAForgedIdentityStopsNothing(t *testing.T) {
	consumerBench(t, "", 1, func(b *bench) {
		var good aggregate.Builder
		good.Reset(nil)
		if err := good.Add(aggregate.Sub{Key: "k", Data: []byte("1")}, 0); err != nil {
			b.Fatal(err)
		}
		data := good.AppendTo(nil)
		for _, d := range [][]byte{data, data[:len(data)-1], []byte("\xf3\x89\x9a\xc2"), []byte("2"), {}} {
			if _, err := b.srv.Put("orders", "k", "", d); err != nil {
				b.Fatal(err)
			}
		}
		var got consumed
		c := b.consumer("g")
		stop := startRun(b.T, c, got.handle)
		time.Sleep(5 * time.Second)
		if err := stop(); err != nil {
			b.Error(err)
		}
		all := got.all()
		if len(all) != 5 || !all[0].Aggregated || string(all[0].Data) != "1" || !bytes.Equal(all[1].Data, data[:len(data)-1]) || string(all[3].Data) != "2" || len(all[4].Data) != 0 {
			b.Errorf("%d records: %+v", len(all), all)
		}
	})
}

func TestAnHourOfThrottlingIsFewLines(t *testing.T) {
	consumerBench(t, "", 2, func(b *bench) {
		b.srv.Inject(localkinesis.Fault{Do: localkinesis.Throttle, Op: "GetRecords", Rate: 0.9})
		b.put(20)
		if n := b.consume(b.consumer("g"), time.Hour); n != 20 {
			b.Errorf("%d records", n)
		}
		if n := strings.Count(b.logged(), "\n"); n > 120 || n < 10 {
			b.Errorf("%d lines:\n%.2000s", n, b.logged())
		}
		if s := b.logged(); strings.Contains(s, "key1") {
			b.Error("keys are in the log")
		}
	})
}

func TestAStoreThatIsAwayForAMinute(t *testing.T) {
	consumerBench(t, "", 2, func(b *bench) {
		m := &mortal{Store: b.rows}
		c := b.consumer("g", func(o *vegas.ConsumerOptions) { o.Store = m })
		var got deliveries
		stop := startRun(b.T, c, func(_ context.Context, r *vegas.Record) error { got.add(r); return nil })
		for i := range 300 {
			b.put(1)
			time.Sleep(time.Second)
			if i == 60 {
				m.die()
			}
			if i == 120 {
				m.mu.Lock()
				m.dead = false
				m.mu.Unlock()
			}
		}
		if err := stop(); err != nil {
			b.Error(err)
		}
		// It stops when the lease cannot be proven, and resumes by itself; what
		// was not checkpointed comes again.
		if n := got.len(); n < 300 || n > 330 {
			b.Errorf("%d records", n)
		}
		if s := b.logged(); strings.Count(s, "\n") > 40 || !strings.Contains(s, "lease lost") || strings.Count(s, "msg=stopping") != 1 {
			b.Errorf("log:\n%s", s)
		}
	})
}

func TestGraceIsForRunningHandlers(t *testing.T) {
	consumerBench(t, "", 1, func(b *bench) {
		b.put(3)
		started := make(chan struct{}, 9)
		var cause error
		c := b.consumer("g", func(o *vegas.ConsumerOptions) { o.Grace = 10 * time.Second })
		type key struct{}
		ctx, cancel := context.WithCancel(context.WithValue(b.Context(), key{}, "value"))
		done := make(chan error, 1)
		go func() {
			done <- c.Run(ctx, func(ctx context.Context, r *vegas.Record) error {
				if ctx.Value(key{}) != "value" {
					b.Error("values of Run's context are not there")
				}
				if string(r.Data) == "0" {
					return nil
				}
				started <- struct{}{}
				<-ctx.Done()
				cause = context.Cause(ctx)
				return cause
			})
		}()
		<-started
		cancel()
		began := time.Now()
		if err := <-done; err != nil {
			b.Errorf("Run: %v", err)
		}
		if d := time.Since(began); d != 10*time.Second || !errors.Is(cause, vegas.ErrGraceOver) {
			b.Errorf("after %v: %v", d, cause)
		}
		// Its record comes again, those before do not.
		if n := b.consume(b.consumer("g"), 5*time.Second); n != 2 {
			b.Errorf("%d records came", n)
		}
	})
}

// events are what an observer saw.
type events struct {
	observe.Nop
	mu  sync.Mutex
	all []observe.Event
}

func (e *events) Event(x observe.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, x)
}

func (e *events) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []string
	for _, x := range e.all {
		out = append(out, strings.TrimSuffix(string(x.Kind)+" "+strings.TrimPrefix(x.Where.Shard, "shardId-00000000000"), " "))
	}
	return strings.Join(out, ", ")
}

func TestTheLifeOfShardsIsReported(t *testing.T) {
	consumerBench(t, "", 1, func(b *bench) {
		b.put(10)
		var seen events
		c := b.consumer("g", func(o *vegas.ConsumerOptions) { o.Observer = &seen })
		stop := startRun(b.T, c, func(context.Context, *vegas.Record) error { return nil })
		time.Sleep(10 * time.Second)
		s, _ := b.srv.Stream("orders")
		if _, _, err := b.srv.Split("orders", s.Shards[0].ID, ""); err != nil {
			b.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if err := stop(); err != nil {
			b.Error(err)
		}
		if got, want := strings.ReplaceAll(seen.String(), "acquired 2, acquired 1", "acquired 1, acquired 2"), "acquired 0, checkpoint 0, ended 0, acquired 1, acquired 2, stopping, stopped"; got != want {
			b.Errorf("events\n got %s\nwant %s", got, want)
		}
		for _, e := range seen.all {
			if e.Where.Worker == "" || e.Where.Group != "g" || e.Where.Stream != "orders" || e.Time.IsZero() {
				b.Errorf("%+v", e)
			}
		}
		if st := c.Stats(); st.Records != 10 || st.Checkpoints != 1 || len(st.Shards) != 0 {
			b.Errorf("%+v", st)
		}
	})
}

func TestRunShardsIsOrdinaryControlFlow(t *testing.T) {
	consumerBench(t, "", 1, func(b *bench) {
		b.put(20)
		s, _ := b.srv.Stream("orders")
		if _, _, err := b.srv.Split("orders", s.Shards[0].ID, ""); err != nil {
			b.Fatal(err)
		}
		b.put(20)
		var mu sync.Mutex
		var endings []string
		last := uint64(0)
		n := 0
		f := func(ctx context.Context, s *vegas.Shard) error {
			for batch, err := range s.Batches() {
				if err != nil {
					return err
				}
				mu.Lock()
				n += len(batch.Records)
				mu.Unlock()
				if err := s.Checkpoint(ctx, batch.End); err != nil {
					return err
				}
			}
			mu.Lock()
			defer mu.Unlock()
			endings = append(endings, s.Ending().String())
			last = max(last, s.Possession())
			return nil
		}
		for round := range 2 {
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan error)
			go func() { done <- b.consumer("g").RunShards(ctx, f) }()
			time.Sleep(10 * time.Second)
			mu.Lock()
			before := last
			mu.Unlock()
			cancel()
			if err := <-done; err != nil {
				b.Error(err)
			}
			if last <= before {
				b.Errorf("round %d: possession %d after %d", round, last, before)
			}
		}
		if n != 40 || fmt.Sprint(endings) != "[shard end shutdown shutdown shutdown shutdown]" {
			b.Errorf("%d records, endings %v", n, endings)
		}
	})
	consumerBench(t, "giving a lease back", 1, func(b *bench) {
		b.put(5)
		calls := 0
		ctx, cancel := context.WithTimeout(b.Context(), 35*time.Second)
		defer cancel()
		if err := b.consumer("g").RunShards(ctx, func(context.Context, *vegas.Shard) error { calls++; return nil }); err != nil {
			b.Error(err)
		}
		if calls != 4 {
			b.Errorf("called %d times in 35 s", calls)
		}
	})
}

func TestRunBatches(t *testing.T) {
	consumerBench(t, "", 1, func(b *bench) {
		b.put(50)
		n := 0
		ctx, cancel := context.WithTimeout(b.Context(), 5*time.Second)
		defer cancel()
		if err := b.consumer("g").RunBatches(ctx, func(_ context.Context, x *vegas.Batch) error { n += len(x.Records); return nil }); err != nil || n != 50 {
			b.Errorf("%d records, %v", n, err)
		}
	})
}

func TestStopEndsRunWithTheHandlersError(t *testing.T) {
	consumerBench(t, "", 3, func(b *bench) {
		b.put(30)
		boom := errors.New("boom")
		c := b.consumer("g", func(o *vegas.ConsumerOptions) { o.OnError, o.MaxAttempts = vegas.Stop, 2 })
		err := c.Run(b.Context(), func(_ context.Context, r *vegas.Record) error {
			if string(r.Data) == "7" {
				return boom
			}
			return nil
		})
		if !errors.Is(err, boom) || !strings.Contains(err.Error(), "shardId-") {
			b.Error(err)
		}
		// Nobody has to wait for a lease.
		began := time.Now()
		b.consume(b.consumer("g"), time.Second)
		if d := time.Since(began); d > 2*time.Second {
			b.Errorf("the next one waited %v", d)
		}
	})
}
