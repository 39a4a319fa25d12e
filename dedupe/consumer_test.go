package dedupe_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/dedupe"
	"github.com/libvegas/vegas/localkinesis"
	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/memory"
)

// shop is a stream in a bubble of time, and what its consumers handled.
type shop struct {
	*testing.T
	srv  *localkinesis.Server
	rows store.Store

	mu  sync.Mutex
	got map[string]int // times that a payload was handled
	by  map[string]int // records that a worker handled
}

func inShop(t *testing.T, name string, shards int, f func(s *shop)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f(&shop{
				T: t, rows: memory.New(), got: map[string]int{}, by: map[string]int{},
				srv: localkinesis.Start(t, func(o *localkinesis.Options) { o.Streams, o.StateDelay = map[string]int{"orders": shards}, 0 }),
			})
		})
	})
}

// put stores n payloads, each under a partition key of its own.
func (s *shop) put(n int) {
	s.Helper()
	for i := range n {
		if _, err := s.srv.Put("orders", fmt.Sprint("key", i), "", []byte(fmt.Sprint("order ", i))); err != nil {
			s.Fatal(err)
		}
	}
}

// mortal is the store of a process that can die: then nothing of it gets through.
type mortal struct {
	store.Store
	mu   sync.Mutex
	dead bool
}

var errDead = errors.New("this process is dead")

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

// start runs a consumer. stop ends it in order, crash as kill -9 does.
func (s *shop) start(worker string, more ...func(*vegas.ConsumerOptions)) (stop, crash func()) {
	s.Helper()
	rows := &mortal{Store: s.rows}
	opts := append([]func(*vegas.ConsumerOptions){func(o *vegas.ConsumerOptions) {
		o.AWS, o.Store, o.Worker, o.Logger = s.srv.AWS(), rows, worker, slog.New(slog.DiscardHandler)
		o.Use(dedupe.By(dedupe.Data(), 10*time.Minute))
	}}, more...)
	c, err := vegas.NewConsumer("orders", "g", opts...)
	if err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- c.Run(ctx, func(_ context.Context, r *vegas.Record) error {
			if err := rows.alive(); err != nil {
				return err
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.got[string(r.Data)]++
			s.by[worker]++
			return nil
		})
	}()
	stop = func() {
		cancel()
		if err := <-ended; err != nil {
			s.Errorf("%s: %v", worker, err)
		}
	}
	crash = func() {
		rows.mu.Lock()
		rows.dead = true
		rows.mu.Unlock()
		cancel()
		<-ended
	}
	return stop, crash
}

// each checks that n payloads were handled, and how often; and begins anew.
func (s *shop) each(n, times int) {
	s.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	want := map[string]int{}
	for i := range n {
		if times > 0 {
			want[fmt.Sprint("order ", i)] = times
		}
	}
	if !maps.Equal(s.got, want) {
		s.Errorf("handled %v, want %d payloads %d times", s.got, n, times)
	}
	clear(s.got)
	clear(s.by)
}

// kept are the layer's rows.
func (s *shop) kept() int {
	s.Helper()
	rows, err := s.rows.List(context.Background(), "g", "layer#")
	if err != nil {
		s.Fatal(err)
	}
	return len(rows)
}

func TestDuplicatesAreRemoved(t *testing.T) {
	for _, parallel := range []int{1, 8} {
		inShop(t, fmt.Sprint(parallel), 2, func(s *shop) {
			s.put(20)
			s.put(20)
			stop, _ := s.start("a", func(o *vegas.ConsumerOptions) { o.Parallel = parallel })
			time.Sleep(5 * time.Second)
			s.put(20)
			time.Sleep(5 * time.Second)
			s.each(20, 1)
			time.Sleep(10 * time.Minute)
			s.put(20)
			time.Sleep(5 * time.Second)
			s.each(20, 1) // the window is over
			stop()
		})
	}
}

func TestAnOrderlyStopForgetsNothing(t *testing.T) {
	inShop(t, "", 2, func(s *shop) {
		s.put(20)
		for range 3 {
			stop, _ := s.start("a")
			time.Sleep(3 * time.Second)
			stop()
			s.put(20)
		}
		s.each(20, 1)
		if s.kept() == 0 {
			s.Error("no rows")
		}
	})
}

func TestAHandoffForgetsNothing(t *testing.T) {
	inShop(t, "", 4, func(s *shop) {
		s.put(40)
		stopA, _ := s.start("a")
		time.Sleep(3 * time.Second)
		s.each(40, 1)
		stopB, _ := s.start("b") // takes half of the shards
		time.Sleep(10 * time.Second)
		s.put(40)
		time.Sleep(3 * time.Second)
		s.each(40, 0)
		for i := range 40 {
			if _, err := s.srv.Put("orders", fmt.Sprint("key", i), "", []byte("new")); err != nil {
				s.Fatal(err)
			}
		}
		time.Sleep(3 * time.Second)
		stopA()
		stopB()
		if s.by["a"] == 0 || s.by["b"] == 0 {
			s.Errorf("%v", s.by)
		}
	})
}

func TestSplitsAndMergesForgetNothing(t *testing.T) {
	inShop(t, "", 2, func(s *shop) {
		stop, _ := s.start("a")
		s.put(20)
		time.Sleep(3 * time.Second)
		lower, upper, err := s.srv.Split("orders", "shardId-000000000000", "")
		if err != nil {
			s.Fatal(err)
		}
		s.put(20)
		time.Sleep(3 * time.Second)
		child, err := s.srv.Merge("orders", lower, upper)
		if err != nil {
			s.Fatal(err)
		}
		// Another one, without a record between.
		if _, err := s.srv.Merge("orders", child, "shardId-000000000001"); err != nil {
			s.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		s.put(20)
		time.Sleep(5 * time.Second)
		s.each(20, 1)
		stop()
	})
}

// A crash forgets what was handled since the last writing, if that was checkpointed: so
// a duplicate passes, and nothing is lost.
func TestACrashLetsDuplicatesPass(t *testing.T) {
	for name, c := range map[string]struct {
		after time.Duration
		times int
	}{
		"before a checkpoint": {3 * time.Second, 1}, "behind a checkpoint": {8 * time.Second, 1}, "behind a writing": {15 * time.Second, 0},
	} {
		inShop(t, name, 2, func(s *shop) {
			s.put(20)
			_, crash := s.start("a")
			time.Sleep(c.after)
			s.each(20, 1)
			crash()
			s.put(20)
			stop, _ := s.start("b")
			time.Sleep(15 * time.Second)
			s.each(20, c.times)
			stop()
		})
	}
}

func TestWhatAGroupForgetsTheLayerForgets(t *testing.T) {
	inShop(t, "", 2, func(s *shop) {
		s.put(20)
		stop, _ := s.start("a")
		time.Sleep(3 * time.Second)
		stop()
		s.each(20, 1)
		c, err := vegas.NewConsumer("orders", "g", func(o *vegas.ConsumerOptions) { o.AWS, o.Store = s.srv.AWS(), s.rows })
		if err != nil {
			s.Fatal(err)
		}
		if err := c.Admin().Reset(s.Context(), vegas.TrimHorizon(), false); err != nil {
			s.Error(err)
		}
		if s.kept() > 0 {
			s.Error("rows are left")
		}
		stop, _ = s.start("a")
		time.Sleep(3 * time.Second)
		s.each(20, 1)
		stop()
	})
}

// Records that come again since somebody moved the position back are no duplicates of
// themselves.
func TestAReplayIsHandled(t *testing.T) {
	inShop(t, "", 1, func(s *shop) {
		s.put(10)
		s.put(10)
		for range 2 {
			stop, _ := s.start("a", func(o *vegas.ConsumerOptions) {
				o.Resume = func(context.Context, *vegas.Shard) (vegas.Position, error) { return vegas.Position{}, nil }
			})
			time.Sleep(3 * time.Second)
			stop()
			s.each(10, 1)
		}
	})
}
