package vegas_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas"
)

// A handler that does not look at its context keeps Run no longer than the grace
// time, and what it does later is not checkpointed.
func TestRunDoesNotWaitForADeafHandler(t *testing.T) {
	for name, parallel := range map[string]int{"one at a time": 1, "side by side": 3} {
		consumerBench(t, name, 2, func(b *bench) {
			b.put(20)
			free := make(chan struct{})
			var deaf deliveries
			c := b.consumer("g", func(o *vegas.ConsumerOptions) { o.Grace, o.Parallel = 5*time.Second, parallel })
			stop := startRun(b.T, c, func(_ context.Context, r *vegas.Record) error {
				deaf.add(r)
				if r.Shard == "shardId-000000000000" {
					<-free
				}
				return nil
			})
			time.Sleep(3 * time.Second)
			began := time.Now()
			err := soon(b, stop)
			if d := time.Since(began); d != 6*time.Second {
				b.Errorf("Run returned after %v", d)
			}
			if !errors.Is(err, vegas.ErrGraceOver) || !strings.Contains(err.Error(), "handles shardId-000000000000 (unfinished records: ") || !strings.Contains(err.Error(), "#grace-over") {
				b.Errorf("Run: %v", err)
			}
			rows := b.table()
			close(free)
			time.Sleep(time.Minute)
			synctest.Wait()
			if now := b.table(); now != rows {
				b.Errorf("what was left behind wrote to the store:\n%s\nbefore:\n%s", now, rows)
			}
			// The other shard is done with; of this one all comes again.
			var again deliveries
			stop = startRun(b.T, b.consumer("g"), func(_ context.Context, r *vegas.Record) error { again.add(r); return nil })
			time.Sleep(3 * time.Second)
			if err := stop(); err != nil {
				b.Error(err)
			}
			whole := 0
			for _, d := range deaf.all {
				if d.shard == "shardId-000000000001" {
					whole++
				}
			}
			if again.len() != 20-whole || whole == 0 || again.len() == 0 {
				b.Errorf("%d records came again, %d were done with", again.len(), whole)
			}
			if want := fmt.Sprintf("(unfinished records: %d)", again.len()); err == nil || !strings.Contains(err.Error(), want) {
				b.Errorf("Run: %v: want %s", err, want)
			}
			for _, d := range again.all {
				if d.shard != "shardId-000000000000" {
					b.Errorf("%+v came again", d)
				}
			}
		})
	}
	consumerBench(t, "checkpoints of a function that was left behind", 1, func(b *bench) {
		b.put(3)
		free, late := make(chan struct{}), make(chan error, 1)
		ctx, cancel := context.WithTimeout(b.Context(), 3*time.Second)
		defer cancel()
		c := b.consumer("g", func(o *vegas.ConsumerOptions) { o.Grace = time.Second })
		f := func(_ context.Context, s *vegas.Shard) error {
			for batch, err := range s.Batches() {
				if err != nil {
					return err
				}
				<-free
				late <- s.Checkpoint(context.WithoutCancel(ctx), batch.End)
			}
			return nil
		}
		if err := soon(b, func() error { return c.RunShards(ctx, f) }); !errors.Is(err, vegas.ErrGraceOver) {
			b.Errorf("Run: %v", err)
		}
		rows := b.table()
		close(free)
		if err := <-late; !errors.Is(err, vegas.ErrGraceOver) || b.table() != rows {
			b.Errorf("checkpoint: %v\n%s", err, b.table())
		}
	})
	consumerBench(t, "another shard's error", 2, func(b *bench) {
		b.put(20)
		free := make(chan struct{})
		boom := errors.New("boom")
		c := b.consumer("g", func(o *vegas.ConsumerOptions) {
			o.Grace, o.OnError, o.MaxAttempts = time.Second, vegas.Stop, 1
		})
		h := func(_ context.Context, r *vegas.Record) error {
			if r.Shard == "shardId-000000000000" {
				<-free
				return nil
			}
			time.Sleep(time.Second)
			return boom
		}
		err := soon(b, func() error { return c.Run(b.Context(), h) })
		if !errors.Is(err, boom) || !errors.Is(err, vegas.ErrGraceOver) {
			b.Errorf("Run: %v", err)
		}
		close(free)
	})
}

// While Run goes on it waits for a deaf handler: a second one on the same shard
// would spoil the order.
func TestADeafHandlerIsWaitedForWhileRunGoesOn(t *testing.T) {
	consumerBench(t, "", 1, func(b *bench) {
		b.put(3)
		m := &mortal{Store: b.rows}
		c := b.consumer("g", func(o *vegas.ConsumerOptions) { o.Store, o.Grace = m, time.Second })
		var got deliveries
		running := 0
		stop := startRun(b.T, c, func(_ context.Context, r *vegas.Record) error {
			if running++; running > 1 {
				b.Error("two handlers at once")
			}
			if got.add(r); got.len() == 1 {
				time.Sleep(5 * time.Minute)
			}
			running--
			return nil
		})
		time.Sleep(time.Second)
		m.die()
		time.Sleep(time.Minute)
		m.mu.Lock()
		m.dead = false
		m.mu.Unlock()
		time.Sleep(10 * time.Minute)
		if err := stop(); err != nil {
			b.Error(err)
		}
		if got.len() != 4 { // the one that was handled while the lease was lost comes again
			b.Errorf("%d records", got.len())
		}
	})
}

// As t.Fatal does in the handler of a test.
func TestAHandlerThatEndsItsGoroutineEndsRun(t *testing.T) {
	for name, parallel := range map[string]int{"one at a time": 1, "side by side": 3} {
		consumerBench(t, name, 2, func(b *bench) {
			b.put(200)
			c := b.consumer("g", func(o *vegas.ConsumerOptions) { o.Parallel = parallel })
			err := soon(b, func() error {
				return c.Run(b.Context(), func(_ context.Context, r *vegas.Record) error {
					if string(r.Data) == "7" {
						runtime.Goexit()
					}
					return nil
				})
			})
			if err == nil || !strings.Contains(err.Error(), "t.Fatal") || !strings.Contains(err.Error(), "shardId-") {
				b.Errorf("Run: %v", err)
			}
			if n := b.consume(b.consumer("g"), 5*time.Second); n == 0 {
				b.Error("what it exited from does not come again")
			}
		})
	}
}

// soon is what f returns, if it does within an hour.
func soon(b *bench, f func() error) error {
	b.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(time.Hour):
		b.Error("it does not return")
		return nil
	}
}

// table is what the store holds of group g, heartbeats aside.
func (b *bench) table() string {
	b.Helper()
	rows, err := b.rows.List(b.Context(), "g", "")
	if err != nil {
		b.Fatal(err)
	}
	var out strings.Builder
	for _, r := range rows {
		if !strings.HasPrefix(r.ID, "consumer#") {
			out.WriteString(r.ID)
			for _, f := range []string{"sequence", "sub_sequence", "possession"} {
				out.WriteString(" " + r.Fields[f])
			}
			out.WriteString("\n")
		}
	}
	return out.String()
}
