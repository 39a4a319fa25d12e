package vegas_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libvegas/vegas"
)

// The stream keeps records for a day.
func TestACheckpointThatRetentionHasPassed(t *testing.T) {
	stop := func(o *vegas.ConsumerOptions) { o.OnTrimmed = vegas.Stop }
	run := func(b *bench, opts ...func(*vegas.ConsumerOptions)) (got []string, err error) {
		b.Helper()
		ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
		defer cancel()
		var mu sync.Mutex // shards run side by side
		err = b.consumer("g", opts...).Run(ctx, func(_ context.Context, r *vegas.Record) error {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, string(r.Data))
			return nil
		})
		return got, err
	}
	for _, fanOut := range []bool{false, true} {
		how := func(o *vegas.ConsumerOptions) { o.FanOut = fanOut }
		consumerBench(t, fmt.Sprintf("away for too long, fan-out %v", fanOut), 1, func(b *bench) {
			b.put(3)
			if got, err := run(b, how, stop); err != nil || len(got) != 3 {
				b.Fatal(got, err)
			}
			time.Sleep(2 * time.Hour)
			b.put(2) // nobody will ever see these
			time.Sleep(30 * time.Hour)
			b.put(4)
			if got, err := run(b, how, stop); !errors.Is(err, vegas.ErrTrimmed) || !strings.Contains(err.Error(), "#trimmed") || len(got) > 0 {
				b.Errorf("%v, %v", got, err)
			}
			if got, err := run(b, how); err != nil || fmt.Sprint(got) != "[0 1 2 3]" || !strings.Contains(b.logged(), "#trimmed") {
				b.Errorf("%v, %v", got, err)
			}
			if got, err := run(b, how, stop); err != nil || len(got) > 0 {
				b.Errorf("once more: %v, %v", got, err)
			}
		})
		consumerBench(t, fmt.Sprintf("away for less, fan-out %v", fanOut), 1, func(b *bench) {
			b.put(3)
			if got, err := run(b, how, stop); err != nil || len(got) != 3 {
				b.Fatal(got, err)
			}
			time.Sleep(23 * time.Hour)
			b.put(4)
			if got, err := run(b, how, stop); err != nil || len(got) != 4 {
				b.Errorf("%v, %v", got, err)
			}
		})
		consumerBench(t, fmt.Sprintf("the shard is gone, fan-out %v", fanOut), 1, func(b *bench) {
			b.put(3)
			if got, err := run(b, how, stop); err != nil || len(got) != 3 {
				b.Fatal(got, err)
			}
			b.put(1)
			if _, _, err := b.srv.Split("orders", "shardId-000000000000", ""); err != nil {
				b.Fatal(err)
			}
			time.Sleep(30 * time.Hour)
			b.put(4)
			if got, err := run(b, how, stop); !errors.Is(err, vegas.ErrTrimmed) || len(got) > 0 {
				b.Errorf("%v, %v", got, err)
			}
			if got, err := run(b, how); err != nil || len(got) != 4 || !strings.Contains(b.logged(), "#trimmed") {
				b.Errorf("%v, %v", got, err)
			}
		})
	}
}
