package vegas_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/localkinesis"
)

func TestWhereANewGroupStarts(t *testing.T) {
	consumerBench(t, "trim horizon", 2, func(b *bench) {
		b.put(10)
		if n := b.consume(b.consumer("g"), time.Minute); n != 10 {
			b.Errorf("%d records", n)
		}
	})
	consumerBench(t, "latest, pinned once", 2, func(b *bench) {
		b.put(10)
		time.Sleep(2 * time.Second)
		latest := func(o *vegas.ConsumerOptions) { o.Start = vegas.Latest() }
		if n := b.consume(b.consumer("g", latest), 10*time.Millisecond); n != 0 {
			b.Errorf("%d records of before", n)
		}
		// The first start was interrupted before it read anything: what came
		// since then is not skipped.
		b.put(7)
		time.Sleep(time.Minute)
		if n := b.consume(b.consumer("g", latest), time.Minute); n != 7 {
			b.Errorf("%d records after the pinned moment, want 7", n)
		}
	})
	consumerBench(t, "latest, pinned before there are leases", 1, func(b *bench) {
		latest := func(o *vegas.ConsumerOptions) { o.Start = vegas.Latest() }
		ctx, cancel := context.WithCancel(b.Context())
		d := &doomed{mortal: mortal{Store: b.rows}, left: 3, dying: cancel} // behind heartbeat and pin
		c := b.consumer("g", latest, func(o *vegas.ConsumerOptions) { o.Store = d })
		_ = c.Run(ctx, func(context.Context, *vegas.Record) error { return nil })
		if d.alive() == nil {
			b.Fatal("it did not die")
		}
		time.Sleep(2 * time.Second)
		b.put(7)
		time.Sleep(time.Minute)
		if n := b.consume(b.consumer("g", latest), time.Minute); n != 7 {
			b.Errorf("%d records after the pinned moment, want 7", n)
		}
	})
	consumerBench(t, "latest by the service's clock", 1, func(b *bench) {
		b.srv.Advance(time.Hour) // ahead of ours
		b.put(10)
		time.Sleep(2 * time.Second)
		if n := b.consume(b.consumer("g", func(o *vegas.ConsumerOptions) { o.Start = vegas.Latest() }), time.Minute); n != 0 {
			b.Errorf("%d records of before", n)
		}
	})
	consumerBench(t, "a time, across splits and merges of before and after", 2, func(b *bench) {
		b.put(10)
		time.Sleep(time.Minute)
		s, _ := b.srv.Stream("orders")
		low, up, err := b.srv.Split("orders", s.Shards[0].ID, "")
		if err != nil {
			b.Fatal(err)
		}
		b.put(10)
		time.Sleep(time.Minute)
		at := time.Now()
		b.put(10)
		if _, err := b.srv.Merge("orders", low, up); err != nil {
			b.Fatal(err)
		}
		b.put(10)
		if n := b.consume(b.consumer("g", func(o *vegas.ConsumerOptions) { o.Start = vegas.AtTime(at) }), time.Minute); n != 20 {
			b.Errorf("%d records, want 20", n)
		}
	})
	consumerBench(t, "a time to come", 1, func(b *bench) {
		b.put(3)
		time.Sleep(time.Minute)
		ahead := vegas.AtTime(time.Now().Add(time.Hour))
		if n := b.consume(b.consumer("g", func(o *vegas.ConsumerOptions) { o.Start = ahead }), time.Minute); n != 0 {
			b.Errorf("%d records, want none", n)
		}
		b.put(4)
		if n := b.consume(b.consumer("g", func(o *vegas.ConsumerOptions) { o.Start = ahead }), time.Minute); n != 4 {
			b.Errorf("%d records, want 4", n)
		}
	})
	consumerBench(t, "the start has no effect on a group that exists", 1, func(b *bench) {
		b.put(3)
		b.consume(b.consumer("g"), time.Minute)
		b.put(4)
		time.Sleep(time.Minute)
		if n := b.consume(b.consumer("g", func(o *vegas.ConsumerOptions) { o.Start = vegas.Latest() }), time.Minute); n != 4 {
			b.Errorf("%d records, want 4", n)
		}
	})
}

func TestASecondWorkerUnderATakenNameIsRefused(t *testing.T) {
	consumerBench(t, "", 1, func(b *bench) {
		b.put(1)
		named := func(o *vegas.ConsumerOptions) { o.Worker = "one" }
		one := b.consumer("g", named)
		stop := startRun(b.T, one, func(context.Context, *vegas.Record) error { return nil })
		time.Sleep(time.Second)
		if err := one.Run(b.Context(), func(context.Context, *vegas.Record) error { return nil }); err == nil || !strings.Contains(err.Error(), "runs already") {
			b.Errorf("twice at once: %v", err)
		}
		err := b.consumer("g", named).Run(b.Context(), func(context.Context, *vegas.Record) error { return nil })
		if err == nil || !strings.Contains(err.Error(), `worker named "one"`) || !strings.Contains(err.Error(), "#worker-name-taken") {
			b.Errorf("got %v", err)
		}
		// In another group it is welcome.
		if n := b.consume(b.consumer("h", named), 10*time.Second); n != 1 {
			b.Errorf("%d records", n)
		}
		if err := stop(); err != nil {
			b.Error(err)
		}
		// And after an orderly stop the same one may run again at once.
		began := time.Now()
		b.put(1)
		if n := b.consume(one, 3*time.Second); n != 1 || time.Since(began) > 4*time.Second {
			b.Errorf("%d records in %v", n, time.Since(began))
		}
	})
}

func TestAStreamMadeAnewStartsFresh(t *testing.T) {
	consumerBench(t, "between runs", 1, func(b *bench) {
		b.put(5)
		b.consume(b.consumer("g"), 10*time.Second)
		if err := b.srv.DeleteStream("orders"); err != nil {
			b.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := b.srv.CreateStream("orders", 2); err != nil {
			b.Fatal(err)
		}
		b.put(6)
		if n := b.consume(b.consumer("g"), 10*time.Second); n != 6 {
			b.Errorf("%d records of the new stream, want 6", n)
		}
	})
	consumerBench(t, "whose first shard had ended in the old one", 1, func(b *bench) {
		b.put(5)
		if _, _, err := b.srv.Split("orders", "shardId-000000000000", ""); err != nil {
			b.Fatal(err)
		}
		b.consume(b.consumer("g"), 10*time.Second)
		if err := b.srv.DeleteStream("orders"); err != nil {
			b.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := b.srv.CreateStream("orders", 1); err != nil {
			b.Fatal(err)
		}
		b.put(6)
		if n := b.consume(b.consumer("g"), 10*time.Second); n != 6 {
			b.Errorf("%d records of the new stream, want 6", n)
		}
	})
	consumerBench(t, "while it is read", 1, func(b *bench) {
		b.put(5)
		c := b.consumer("g")
		var got deliveries
		stop := startRun(b.T, c, func(_ context.Context, r *vegas.Record) error { got.add(r); return nil })
		time.Sleep(10 * time.Second)
		if err := b.srv.DeleteStream("orders"); err != nil {
			b.Fatal(err)
		}
		if err := b.srv.CreateStream("orders", 2); err != nil {
			b.Fatal(err)
		}
		b.put(6)
		time.Sleep(time.Minute)
		if err := stop(); err != nil {
			b.Error(err)
		}
		if got.len() != 11 {
			b.Errorf("%d records\n%s", got.len(), b.logged())
		}
	})
	consumerBench(t, "a deleted stream is an error", 1, func(b *bench) {
		c := b.consumer("g")
		done := make(chan error)
		go func() { done <- c.Run(b.Context(), func(context.Context, *vegas.Record) error { return nil }) }()
		time.Sleep(5 * time.Second)
		if err := b.srv.DeleteStream("orders"); err != nil {
			b.Fatal(err)
		}
		if err := <-done; err == nil || !strings.Contains(err.Error(), "#stream-not-found") {
			b.Error(err)
		}
	})
}

func TestRetentionThatPassedTheCheckpointLosesNothingMore(t *testing.T) {
	consumerBench(t, "", 1, func(b *bench) {
		b.put(5)
		b.consume(b.consumer("g"), 10*time.Second)
		s, _ := b.srv.Stream("orders")
		if _, _, err := b.srv.Split("orders", s.Shards[0].ID, ""); err != nil {
			b.Fatal(err)
		}
		b.put(5)
		b.srv.Advance(30 * time.Hour) // all of it is gone, the parent too
		b.put(6)
		if n := b.consume(b.consumer("g"), time.Minute); n != 6 {
			b.Errorf("%d records, want 6\n%s", n, b.logged())
		}
	})
}

func TestAServiceThatDoesNotAnswerIsAnErrorOfTheStart(t *testing.T) {
	for _, op := range []string{"DescribeStreamSummary", "ListShards"} {
		consumerBench(t, op, 1, func(b *bench) {
			b.srv.Inject(localkinesis.Fault{Do: localkinesis.Delay, Op: op, Delay: 3 * time.Hour})
			began := time.Now()
			err := soon(b, func() error {
				return b.consumer("g").Run(b.Context(), func(context.Context, *vegas.Record) error { return nil })
			})
			if err == nil || !strings.Contains(err.Error(), "#unreachable") || time.Since(began) > time.Minute {
				b.Errorf("after %v: %v", time.Since(began), err)
			}
		})
	}
}

func TestALeaseThatSomebodyDeletesIsMadeAnew(t *testing.T) {
	consumerBench(t, "", 2, func(b *bench) {
		b.put(20)
		c := b.consumer("g")
		var got deliveries
		stop := startRun(b.T, c, func(_ context.Context, r *vegas.Record) error { got.add(r); return nil })
		time.Sleep(10 * time.Second)
		rows, err := b.rows.List(b.Context(), "g", "lease#")
		if err != nil || len(rows) != 2 {
			b.Fatal(rows, err)
		}
		if err := b.rows.Delete(b.Context(), rows[0]); err != nil {
			b.Fatal(err)
		}
		b.put(20) // so that a checkpoint finds it out
		time.Sleep(time.Minute)
		before := got.len()
		b.put(20)
		time.Sleep(10 * time.Second)
		if n := got.len() - before; n != 20 || before <= 40 {
			b.Errorf("%d records came before, %d of 20 after:\n%s", before, n, b.logged())
		}
		if len(c.Stats().Shards) != 2 {
			b.Errorf("%+v", c.Stats())
		}
		if err := stop(); err != nil {
			b.Error(err)
		}
	})
}
