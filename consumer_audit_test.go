package vegas_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/localkinesis"
	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/memory"
)

// delivery is one call of a handler.
type delivery struct {
	shard string
	at    vegas.Position
	key   string
	n     int // number of the record
}

// deliveries collects what handlers get.
type deliveries struct {
	mu  sync.Mutex
	all []delivery
}

func (d *deliveries) add(r *vegas.Record) {
	n, err := strconv.Atoi(string(r.Data))
	if err != nil {
		n = -1
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, delivery{r.Shard, r.Position, r.PartitionKey, n})
}

func (d *deliveries) len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.all)
}

// audit checks deliveries against what was sent: every acknowledged record came,
// the first deliveries of each key are in the order of sending, nothing came that
// was not sent or is known not to be stored. It returns how many came again.
func (d *deliveries) audit(l *ledger) (repeated int, bad []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	seen := map[int]bool{}
	last := map[string]int{}
	for _, x := range d.all {
		if x.n < 0 || x.n >= len(l.keys) || l.keys[x.n] != x.key {
			bad = append(bad, fmt.Sprintf("nobody sent %+v", x))
			continue
		}
		if seen[x.n] {
			repeated++
			continue
		}
		seen[x.n] = true
		acked := len(l.results[x.n]) == 1 && l.results[x.n][0].err == nil
		if old, ok := last[x.key]; ok && acked && x.n < old {
			bad = append(bad, fmt.Sprintf("out of order: %d of key %s at %s %v after %d", x.n, x.key, x.shard, x.at, old))
		}
		if acked {
			last[x.key] = max(last[x.key], x.n)
		}
	}
	for n, rs := range l.results {
		for _, r := range rs {
			var failed *vegas.SendError
			switch {
			case r.err == nil && !seen[n]:
				bad = append(bad, fmt.Sprintf("lost: %d of key %s, stored at %v", n, l.keys[n], r.receipt))
			case errors.As(r.err, &failed) && failed.Outcome == vegas.NotStored && seen[n]:
				bad = append(bad, fmt.Sprintf("%d came though it was not stored: %v", n, r.err))
			}
		}
	}
	return repeated, bad
}

// mortal is a process's way to a store; once it is dead nothing gets through,
// like after kill -9.
type mortal struct {
	store.Store
	mu   sync.Mutex
	dead bool
}

var errDead = errors.New("this process is dead")

func (m *mortal) die() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
}

func (m *mortal) alive() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return errDead
	}
	return nil
}

func (m *mortal) Swap(ctx context.Context, r store.Row) (store.Row, error) {
	if err := m.alive(); err != nil {
		return store.Row{}, err
	}
	return m.Store.Swap(ctx, r)
}

func (m *mortal) Delete(ctx context.Context, r store.Row) error {
	if err := m.alive(); err != nil {
		return err
	}
	return m.Store.Delete(ctx, r)
}

// world is one random history: a producer, reshards, faults, and a consumer
// that is stopped and killed.
type world struct {
	seed    uint64
	fanOut  bool
	crash   bool
	options func(*vegas.ConsumerOptions)
}

//tidy:bubble its callers run in one
func (w world) run(t *testing.T) (repeated, sent int, bad []string) {
	rnd := rand.New(rand.NewPCG(w.seed, 7))
	srv := localkinesis.Start(t, func(o *localkinesis.Options) {
		o.Streams = map[string]int{"orders": 1 + rnd.IntN(3)}
		o.StateDelay = 0
	})
	p := producer(t, srv, func(o *vegas.ProducerOptions) { o.RequestTimeout = 2 * time.Second })
	for _, f := range []localkinesis.Fault{
		{Do: localkinesis.DropAnswer, Op: "PutRecords", Rate: 0.1},
		{Do: localkinesis.StoreLate, Op: "PutRecords", Rate: 0.05, Requests: 2},
		{Do: localkinesis.Throttle, Op: "PutRecords", Rate: 0.05, EntryRate: 0.5},
		{Do: localkinesis.Throttle, Op: "GetRecords", Rate: 0.1},
		{Do: localkinesis.DropAnswer, Op: "GetRecords", Rate: 0.05},
		{Do: localkinesis.Fail, Op: "GetRecords", Rate: 0.05},
		{Do: localkinesis.ExpireIterators, Op: "GetRecords", Rate: 0.05},
		{Do: localkinesis.StaleShards, Op: "ListShards", Rate: 0.3},
		{Do: localkinesis.CutStream, Op: "SubscribeToShard", Rate: 0.05},
		{Do: localkinesis.RepeatEvent, Op: "SubscribeToShard", Rate: 0.1},
		{Do: localkinesis.EndSubscription, Op: "SubscribeToShard", Rate: 0.05},
	} {
		if rnd.IntN(3) > 0 {
			srv.Inject(f)
		}
	}

	l := newLedger()
	over := make(chan struct{})
	var rest sync.WaitGroup
	rest.Go(func() { // sends
		defer close(over)
		for range 60 + rnd.IntN(60) {
			for range rnd.IntN(30) {
				n, r := l.next(fmt.Sprint("key", rnd.IntN(12)))
				if err := p.SendAsync(t.Context(), r, func(rc vegas.Receipt, err error) { l.ended(n, rc, err) }); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(time.Duration(rnd.IntN(2000)) * time.Millisecond)
			if rnd.IntN(8) == 0 {
				reshard(t, srv, rnd)
			}
		}
		if err := p.Flush(t.Context()); err != nil {
			t.Error(err)
		}
	})

	rows := memory.New()
	var got deliveries
	consumer := func() (stop func(kill bool) error) {
		m := &mortal{Store: rows}
		c, err := vegas.NewConsumer("orders", "billing", func(o *vegas.ConsumerOptions) {
			o.AWS, o.Store, o.Logger, o.FanOut = srv.AWS(), m, slog.New(slog.NewTextHandler(io.Discard, nil)), w.fanOut
			o.CheckpointEvery = 2 * time.Second
			if w.options != nil {
				w.options(o)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- c.Run(ctx, func(_ context.Context, r *vegas.Record) error {
				// Some take a while, so that stops and kills find them at it.
				if n := len(r.Data) + int(r.ArrivalTime.UnixMilli()); n%7 == 0 {
					time.Sleep(time.Duration(n%500) * time.Millisecond)
				}
				if m.alive() != nil {
					return errDead
				}
				got.add(r)
				return nil
			})
		}()
		return func(kill bool) error {
			if kill {
				m.die()
			}
			cancel()
			err := <-done
			if kill {
				return nil
			}
			return err
		}
	}
	hrnd := rand.New(rand.NewPCG(w.seed, 11))
	for running := true; running; {
		stop := consumer()
		select {
		case <-over:
			running = false
			// Everything is sent; read it all, reshards of the end included.
			time.Sleep(3 * time.Minute)
		case <-time.After(time.Duration(2+hrnd.IntN(40)) * time.Second):
		}
		if err := stop(running && w.crash && hrnd.IntN(2) == 0); err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	rest.Wait()
	repeated, bad = got.audit(l)
	return repeated, len(l.keys), bad
}

func reshard(t *testing.T, srv *localkinesis.Server, rnd *rand.Rand) {
	s, err := srv.Stream("orders")
	if err != nil {
		t.Error(err)
		return
	}
	var open []localkinesis.Shard
	for _, x := range s.Shards {
		if x.Open {
			open = append(open, x)
		}
	}
	if len(s.Shards) > 24 {
		return
	}
	x := open[rnd.IntN(len(open))]
	if rnd.IntN(2) == 0 || len(open) == 1 {
		if _, _, err := srv.Split("orders", x.ID, ""); err != nil {
			t.Error(err)
		}
		return
	}
	for _, y := range open {
		// Those that are not neighbours are refused.
		if y.ID != x.ID {
			if _, err := srv.Merge("orders", x.ID, y.ID); err == nil {
				return
			}
		}
	}
}

// histories is how many histories each test tries; VEGAS_SEEDS asks for more, and
// VEGAS_SEED for one.
func histories(t *testing.T, n int) (from, to uint64) {
	t.Helper()
	if s := os.Getenv("VEGAS_SEED"); s != "" {
		x, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return x, x + 1
	}
	if s := os.Getenv("VEGAS_SEEDS"); s != "" {
		x, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		n = x
	}
	return 0, uint64(n)
}

func TestWholeHistoriesAreDeliveredOnceAndInOrder(t *testing.T) {
	for name, w := range map[string]world{
		"polling":  {},
		"fan-out":  {fanOut: true},
		"parallel": {options: func(o *vegas.ConsumerOptions) { o.Parallel = 4 }},
	} {
		from, to := histories(t, 2)
		for seed := from; seed < to; seed++ {
			t.Run(fmt.Sprintf("%s seed %d", name, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w.seed = seed
					repeated, sent, bad := w.run(t)
					for i, b := range bad {
						if i == 5 {
							t.Fatalf("and %d more", len(bad)-i)
						}
						t.Error(b)
					}
					if repeated > 0 {
						t.Errorf("%d of %d records came twice", repeated, sent)
					}
				})
			})
		}
	}
}

func TestKilledConsumersLoseNothing(t *testing.T) {
	from, to := histories(t, 2)
	for seed := from; seed < to; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := world{seed: seed, crash: true, fanOut: seed%2 == 1}
				repeated, sent, bad := w.run(t)
				for i, b := range bad {
					if i == 5 {
						t.Fatalf("and %d more", len(bad)-i)
					}
					t.Error(b)
				}
				t.Logf("%d of %d records came again after a kill", repeated, sent)
			})
		})
	}
}
