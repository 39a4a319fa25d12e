package shard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/internal/fetch"
	"github.com/libvegas/vegas/record"
)

func TestAShutdownLetsTheRunningHandlerFinish(t *testing.T) {
	for _, parallel := range []int{1, 8} {
		bubble(t, fmt.Sprint("parallel ", parallel), func(t *testing.T) {
			b := setUp(func(p *Policy) { p.Parallel = parallel })
			const all = 40
			var in []fetch.Record
			for i := 1; i < all; i++ {
				in = append(in, plain(i, fmt.Sprint("key", i)))
			}
			in = append(in, plain(all, "key1"))       // the last one does not run beside the first
			b.answers = []fetch.Answer{{Records: in}} // and the end of the shard
			started := make(chan struct{}, all)
			var l list
			done := make(chan Result)
			go func() {
				r, err := b.Run(t.Context(), b.stop, Records(func(ctx context.Context, r *record.Record) error {
					started <- struct{}{}
					time.Sleep(3 * time.Second)
					if ctx.Err() != nil {
						t.Error("the context of a running handler is over")
					}
					return l.handle(ctx, r)
				}))
				if err != nil {
					t.Error(err)
				}
				done <- r
			}()
			synctest.Wait()
			running := len(started) // keys may share a lane
			b.stop.Stop(Shutdown)
			if r := <-done; r.Ended || r.GivenBack {
				t.Errorf("%+v: not all records were handled", r)
			}
			// Those that were running, and what lay between them: with a gap
			// some of them would come again.
			if len(l.got) < running || running == 0 || running > parallel || len(l.got) == all {
				t.Errorf("%d were running, handled %s", running, &l)
			}
			for i := range l.got {
				if !slices.Contains(l.got, fmt.Sprintf("%d/0", i+1)) {
					t.Errorf("a gap in what was handled: %s", &l)
				}
			}
			if got := b.checkpoints(); !strings.HasSuffix(" "+got, fmt.Sprintf(" %d/0", len(l.got))) {
				t.Errorf("checkpoints %s, handled %s", got, &l)
			}
		})
	}
}

func TestParallelKeepsTheOrderOfAKeyAndChecksPointsAtTheLowest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setUp(func(p *Policy) { p.Parallel = 8 })
		var in []fetch.Record
		for i := 1; i <= 200; i++ {
			in = append(in, plain(i, fmt.Sprint("key", i%20)))
		}
		b.answers = []fetch.Answer{{Records: in[:100]}, {Records: in[100:]}}
		var mu sync.Mutex
		last := map[string]string{}
		most, now := 0, 0
		done := make(chan error)
		go func() {
			r, err := b.Run(t.Context(), b.stop, Records(func(_ context.Context, r *record.Record) error {
				mu.Lock()
				now++
				most = max(most, now)
				mu.Unlock()
				if r.PartitionKey == "key7" {
					time.Sleep(7 * time.Second)
				}
				time.Sleep(time.Duration(len(r.Data)) * 10 * time.Millisecond)
				mu.Lock()
				defer mu.Unlock()
				now--
				if old := last[r.PartitionKey]; old != "" && record.CompareSequence(r.Position.Sequence, old) < 0 {
					t.Errorf("%s: %s after %s", r.PartitionKey, r.Position.Sequence, old)
				}
				last[r.PartitionKey] = r.Position.Sequence
				return nil
			}))
			if !r.Ended {
				t.Error("not ended")
			}
			done <- err
		}()
		time.Sleep(6 * time.Second)
		if got := b.checkpoints(); got != "6/0" { // record 7 takes seven seconds
			t.Errorf("checkpoints %s", got)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if most < 5 {
			t.Errorf("at most %d handlers at once", most)
		}
		if n := len(b.at); b.at[n-1].Sequence != "200" {
			t.Errorf("checkpoints %s", b.checkpoints())
		}
	})
}

func TestParallelStopsAllWithTheFirstFinalError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setUp(func(p *Policy) { p.Parallel, p.OnError, p.MaxAttempts = 4, Stop, 1 })
		b.answers = []fetch.Answer{{Records: numbers(1, 100)}}
		boom := errors.New("boom")
		_, err := b.Run(t.Context(), b.stop, Records(func(_ context.Context, r *record.Record) error {
			if r.Position.Sequence == "10" {
				return boom
			}
			return nil
		}))
		if !errors.Is(err, boom) {
			t.Error(err)
		}
		for _, p := range b.at {
			if p.Compare(record.Position{Sequence: "10"}) >= 0 {
				t.Errorf("checkpoint %v covers the record that failed", p)
			}
		}
	})
}
