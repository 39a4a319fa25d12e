package vegas_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/store"
)

// leases are the group's lease rows.
func (b *bench) leases(group string) []store.Row {
	b.Helper()
	rows, err := b.rows.List(b.Context(), group, "lease#")
	if err != nil {
		b.Fatal(err)
	}
	return rows
}

// blame writes into the lease of the only shard that workers died at its
// checkpoint, handling the next record alone.
func (b *bench) blame(group string, workers int) {
	b.Helper()
	row := b.leases(group)[0].Clone()
	row.Fields["takeovers"], row.Fields["suspect"], row.Fields["tried"] = fmt.Sprint(workers), "1", fmt.Sprint(workers)
	if _, err := b.rows.Swap(b.Context(), row); err != nil {
		b.Fatal(err)
	}
}

// suspected puts five records into the stream behind three that are handled, the
// first of which has killed three workers.
func suspected(b *bench) {
	b.Helper()
	b.put(3)
	if n := b.consume(b.consumer("g"), 5*time.Second); n != 3 {
		b.Fatalf("%d records", n)
	}
	b.put(5)
	b.blame("g", 3)
}

func TestARecordThatKilledWorkersIsNotHandled(t *testing.T) {
	unsuspected := func(b *bench) {
		b.Helper()
		if f := b.leases("g")[0].Fields; f["takeovers"] != "" || f["tried"] != "" || f["suspect"] == "" {
			b.Errorf("the lease has %v", f)
		}
	}
	consumerBench(t, "skip", 1, func(b *bench) {
		suspected(b)
		if n := b.consume(b.consumer("g", func(o *vegas.ConsumerOptions) { o.OnError = vegas.Skip }), 5*time.Second); n != 4 {
			b.Errorf("%d records, want all but one", n)
		}
		unsuspected(b)
	})
	consumerBench(t, "dead letter", 1, func(b *bench) {
		suspected(b)
		var dead []string
		c := b.consumer("g", func(o *vegas.ConsumerOptions) {
			o.DeadLetter = func(_ context.Context, r *vegas.Record, err error) error {
				if !errors.Is(err, vegas.ErrKillsProcess) {
					b.Error(err)
				}
				dead = append(dead, string(r.Data))
				return nil
			}
		})
		if n := b.consume(c, 5*time.Second); n != 4 || fmt.Sprint(dead) != "[0]" {
			b.Errorf("%d records, dead letters %v", n, dead)
		}
		unsuspected(b)
	})
	consumerBench(t, "hold, and handle it after all", 1, func(b *bench) {
		suspected(b)
		if n := b.consume(b.consumer("g"), 5*time.Minute); n != 0 {
			b.Errorf("%d records", n)
		}
		if !strings.Contains(b.logged(), "#kills-process") {
			b.Errorf("nothing was said:\n%s", b.logged())
		}
		if n := b.consume(b.consumer("g", func(o *vegas.ConsumerOptions) { o.MaxCrashes = 9 }), 5*time.Minute); n != 5 {
			b.Errorf("%d records", n)
		}
		unsuspected(b)
	})
	consumerBench(t, "stop", 1, func(b *bench) {
		suspected(b)
		err := b.consumer("g", func(o *vegas.ConsumerOptions) { o.OnError = vegas.Stop }).Run(b.Context(), func(context.Context, *vegas.Record) error { return nil })
		if !errors.Is(err, vegas.ErrKillsProcess) || !strings.Contains(err.Error(), "#kills-process") {
			b.Error(err)
		}
	})
	consumerBench(t, "a shard's function decides by itself", 1, func(b *bench) {
		suspected(b)
		ctx, cancel := context.WithTimeout(b.Context(), 5*time.Second)
		defer cancel()
		got := 0
		err := b.consumer("g").RunShards(ctx, func(_ context.Context, s *vegas.Shard) error {
			if s.Takeovers() != 3 {
				b.Errorf("%d takeovers", s.Takeovers())
			}
			for batch, err := range s.Batches() {
				if err != nil {
					return err
				}
				got += len(batch.Records)
			}
			return nil
		})
		if err != nil || got != 5 {
			b.Errorf("%d records, %v", got, err)
		}
	})
}
