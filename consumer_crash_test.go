package vegas_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/localkinesis"
	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/memory"
)

// doomed is a store whose process dies at its n-th write: that one is applied or
// not, and nobody hears of it; later ones never get through.
type doomed struct {
	mortal
	left    int
	applied bool
	dying   func()
}

func (d *doomed) Swap(ctx context.Context, r store.Row) (store.Row, error) {
	d.mu.Lock()
	d.left--
	last := d.left == 0
	d.mu.Unlock()
	if !last {
		return d.mortal.Swap(ctx, r)
	}
	if d.applied {
		_, _ = d.mortal.Swap(ctx, r) // a refusal is an answer too, and is lost
	}
	d.die()
	d.dying()
	return store.Row{}, errDead
}

// A consumer dies at each of the writes that a split of a split and a merge cost
// it; the next one finds nothing missing.
func TestACrashAtAnyWriteLosesNothingAndKeepsOrder(t *testing.T) {
	deaths := 0
	for n := 1; ; n++ {
		alive := false
		for _, applied := range []bool{false, true} {
			t.Run(fmt.Sprintf("write %d, applied %v", n, applied), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { alive = crashAt(t, n, applied) })
			})
			if !alive {
				deaths++
			}
		}
		if alive {
			break
		}
	}
	if deaths < 30 {
		t.Errorf("only %d deaths", deaths)
	}
}

func crashAt(t *testing.T, n int, applied bool) (alive bool) {
	srv := localkinesis.Start(t, func(o *localkinesis.Options) { o.Streams, o.StateDelay = map[string]int{"orders": 1}, 0 })
	l := newLedger()
	put := func(k int) {
		for range k {
			n, r := l.next(fmt.Sprint("key", len(l.keys)%9))
			rec, err := srv.Put("orders", r.PartitionKey, "", r.Data)
			if err != nil {
				t.Fatal(err)
			}
			l.ended(n, vegas.Receipt{Shard: rec.Shard, Position: vegas.Position{Sequence: rec.Sequence}}, nil)
		}
	}
	put(10)
	first, second, err := srv.Split("orders", "shardId-000000000000", "")
	if err != nil {
		t.Fatal(err)
	}
	put(10)
	_, upper, err := srv.Split("orders", first, "")
	if err != nil {
		t.Fatal(err)
	}
	put(10)
	if _, err := srv.Merge("orders", upper, second); err != nil {
		t.Fatal(err)
	}
	put(10)

	rows := memory.New()
	var got deliveries
	run := func(s store.Store, ctx context.Context) error {
		c, err := vegas.NewConsumer("orders", "g", func(o *vegas.ConsumerOptions) {
			o.AWS, o.Store, o.Logger = srv.AWS(), s, slog.New(slog.DiscardHandler)
			o.CheckpointEvery = time.Second
		})
		if err != nil {
			t.Fatal(err)
		}
		return c.Run(ctx, func(_ context.Context, r *vegas.Record) error {
			if d, ok := s.(*doomed); ok && d.alive() != nil {
				return errDead
			}
			got.add(r)
			time.Sleep(100 * time.Millisecond)
			return nil
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	d := &doomed{mortal: mortal{Store: rows}, left: n, applied: applied, dying: cancel}
	_ = run(d, ctx) // dead, or done
	cancel()
	ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := run(rows, ctx); err != nil {
		t.Errorf("the next one: %v", err)
	}
	repeated, bad := got.audit(l)
	for _, b := range bad {
		t.Error(b)
	}
	// What was handled since the last checkpoint, of the shards that were read.
	if repeated > 3*10 {
		t.Errorf("%d records came again", repeated)
	}
	return d.alive() == nil
}
