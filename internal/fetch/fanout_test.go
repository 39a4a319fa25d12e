package fetch

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/localkinesis"
	"github.com/libvegas/vegas/observe"
)

// flow notes what a reading delivers, and how long each record was under way.
type flow struct {
	observe.Nop
	mu    sync.Mutex
	got   []string
	at    string // sequence number of the last record
	slow  time.Duration
	count map[observe.Counter]int64
}

func (f *flow) take(_ context.Context, a Answer) error {
	defer a.Release()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range a.Records {
		f.got = append(f.got, string(r.Data))
		f.at = r.Sequence
		f.slow = max(f.slow, time.Since(r.Arrival))
	}
	return nil
}

func (f *flow) Count(c observe.Counter, _ observe.Where, n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count == nil {
		f.count = map[observe.Counter]int64{}
	}
	f.count[c] += n
}

func (f *flow) subscribed() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count[observe.Subscriptions]
}

// sameConsumer makes two readers of one fan-out consumer, as two workers have.
func sameConsumer(t *testing.T, srv *localkinesis.Server) (giver, heir *Reader) {
	t.Helper()
	giver, heir = reader(t, srv.AWS()), reader(t, srv.AWS())
	s, err := srv.Stream("orders")
	if err != nil {
		t.Fatal(err)
	}
	if giver.ConsumerARN, err = Register(t.Context(), giver.Client, s.ARN, "g"); err != nil {
		t.Fatal(err)
	}
	heir.ConsumerARN = giver.ConsumerARN
	return giver, heir
}

// A shard goes from one worker to another and back, at any age of the former
// one's subscription: every record comes once, in order, and within half a second.
func TestAHandoverByFanOutIsNotSilent(t *testing.T) {
	for _, after := range []time.Duration{100 * time.Millisecond, time.Second, 4900 * time.Millisecond, 20 * time.Second, 299 * time.Second, 302 * time.Second} {
		t.Run(after.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := server(t)
				one, other := sameConsumer(t, srv)
				var f flow
				one.Observer, other.Observer = &f, &f
				n, stopped := 0, make(chan struct{})
				every := 50 * time.Millisecond
				if after > 10*time.Second {
					every = 500 * time.Millisecond
				}
				go func() {
					defer close(stopped)
					for end := time.Now().Add(4*after + 20*time.Second); time.Now().Before(end); n++ {
						if _, err := srv.Put("orders", "k", "", fmt.Append(nil, n)); err != nil {
							t.Error(err)
						}
						time.Sleep(every)
					}
				}()
				for i := range 5 {
					from := From{}
					if i > 0 {
						from.Sequence = f.at // the last one handled: the marks and checkpoints see to it
					}
					ctx, cancel := context.WithTimeout(t.Context(), after)
					if i == 4 {
						ctx, cancel = context.WithTimeout(t.Context(), 30*time.Second)
					}
					seen := len(f.got)
					_ = one.Read(ctx, first, from, f.take)
					cancel()
					if i > 0 && len(f.got) > seen {
						f.got = append(f.got[:seen], f.got[seen+1:]...) // it is given once more
					}
					one, other = other, one
				}
				<-stopped
				if fmt.Sprint(f.got) != numbers(0, n) {
					t.Errorf("%d of %d records, or not in order", len(f.got), n)
				}
				if f.slow > 500*time.Millisecond {
					t.Errorf("a record was under way for %v", f.slow)
				}
				if f.subscribed() < 2 {
					t.Errorf("counted %v", f.count)
				}
			})
		})
	}
}

// A subscription that breaks is bridged as well.
func TestABrokenSubscriptionIsNotSilent(t *testing.T) {
	for _, fault := range []localkinesis.Fault{
		{Do: localkinesis.CutStream, Op: "SubscribeToShard", Rate: 0.02},
		{Do: localkinesis.EndSubscription, Op: "SubscribeToShard", Rate: 0.02},
		{Do: localkinesis.Throttle, Op: "SubscribeToShard", Count: 10},
		{Do: localkinesis.Fail, Op: "SubscribeToShard", Count: 10},
	} {
		t.Run(fmt.Sprint(fault.Do), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := server(t)
				r, _ := sameConsumer(t, srv)
				var f flow
				r.Observer = &f
				in := srv.Inject(fault)
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- r.Read(ctx, first, From{}, f.take) }()
				for i := range 1200 {
					if _, err := srv.Put("orders", "k", "", fmt.Append(nil, i)); err != nil {
						t.Error(err)
					}
					time.Sleep(50 * time.Millisecond)
				}
				time.Sleep(time.Second)
				cancel()
				<-done
				if fmt.Sprint(f.got) != numbers(0, 1200) || f.slow > 500*time.Millisecond || in.Fired() == 0 {
					t.Errorf("%d records, the slowest was under way for %v, %d faults", len(f.got), f.slow, in.Fired())
				}
			})
		})
	}
}

// Whoever may only subscribe waits for the five seconds.
func TestABridgeThatIsNotAllowedWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := server(t)
		one, other := sameConsumer(t, srv)
		for _, op := range []string{"GetShardIterator", "GetRecords"} {
			srv.Inject(localkinesis.Fault{Do: localkinesis.Fail, Op: op, Code: "AccessDeniedException"})
		}
		var f flow
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_ = one.Read(ctx, first, From{}, f.take)
		cancel()
		put(t, srv, 3)
		ctx, cancel = context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_ = other.Read(ctx, first, From{}, f.take)
		if fmt.Sprint(f.got) != numbers(0, 3) || f.slow > 7*time.Second {
			t.Errorf("%v, the slowest after %v", f.got, f.slow)
		}
	})
}

// The giver lets its subscription go at once, also while the one it delivers to
// takes nothing.
func TestASubscriptionEndsWithItsContext(t *testing.T) {
	for _, stuck := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			srv := server(t)
			one, _ := sameConsumer(t, srv)
			put(t, srv, 3)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() {
				done <- one.Read(ctx, first, From{}, func(ctx context.Context, _ Answer) error {
					if stuck {
						<-ctx.Done()
						return ctx.Err()
					}
					return nil
				})
			}()
			time.Sleep(10 * time.Second)
			began := time.Now()
			cancel()
			<-done
			if d := time.Since(began); d > 0 {
				t.Errorf("stuck %v: it took %v", stuck, d)
			}
		})
	}
}

// A worker whose subscription is taken over has lost its lease without knowing:
// it does not fight for it.
func TestWhoeverIsPushedOutDoesNotPushBackAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := server(t)
		stale, owner := sameConsumer(t, srv)
		var f, g flow
		stale.Observer, owner.Observer = &f, &g
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		done := make(chan error)
		go func() { done <- stale.Read(ctx, first, From{}, f.take) }()
		time.Sleep(10 * time.Second)
		ownCtx, end := context.WithTimeout(t.Context(), 4*time.Second)
		defer end()
		put(t, srv, 3)
		err := owner.Read(ownCtx, first, From{}, g.take)
		if n, m := g.subscribed(), f.subscribed(); err == nil || fmt.Sprint(g.got) != numbers(0, 3) || n != 1 || m != 1 {
			t.Errorf("%v, %v, subscribed %d and %d times", err, g.got, n, m)
		}
		if err := <-done; kinesisapi.Classify(err) == kinesisapi.Fatal || err == nil || strings.Contains(err.Error(), "InUse") {
			t.Error(err)
		}
	})
}
