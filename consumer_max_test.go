package vegas_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/libvegas/vegas"
)

func TestShardsAboveAllLimitsAreToldOf(t *testing.T) {
	consumerBench(t, "", 3, func(b *bench) {
		handle := func(context.Context, *vegas.Record) error { return nil }
		limited := func(o *vegas.ConsumerOptions) { o.MaxShards = 2 }
		one := b.consumer("g", limited)
		stop := startRun(b.T, one, handle)
		time.Sleep(2 * time.Minute)
		if s := one.Stats(); len(s.Shards) != 2 || s.Waiting != 1 {
			b.Errorf("%d shards, %d wait", len(s.Shards), s.Waiting)
		}
		if !strings.Contains(b.logged(), "#max-shards") || !strings.Contains(b.logged(), "unread=1") {
			b.Errorf("nothing was said:\n%s", b.logged())
		}
		// A second worker takes what is left.
		two := b.consumer("g", limited)
		stopTwo := startRun(b.T, two, handle)
		time.Sleep(5 * time.Second)
		if s := two.Stats(); len(s.Shards) != 1 || s.Waiting != 0 {
			b.Errorf("%d shards, %d wait", len(s.Shards), s.Waiting)
		}
		for _, s := range []func() error{stop, stopTwo} {
			if err := s(); err != nil {
				b.Error(err)
			}
		}
	})
}
