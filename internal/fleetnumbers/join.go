//go:build unix

package fleetnumbers

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/store/file"
)

// JoinOptions of a worker that joins others.
type JoinOptions struct{ Workers, Shards int }

// Joined is what came of it.
type Joined struct {
	Balanced time.Duration // from Run until every worker has read its share
	Before   Times         // the longest silence of each shard, in as much time before
	During   Times         // and until the fleet was balanced
	Repeated int
	Missing  int
	Lost     int
}

// Join lets one worker join others that have shared a stream for a while, all in
// one process.
func Join(t testing.TB, o JoinOptions) (j Joined) {
	t.Helper()
	s, l, rows := serve(t, o.Shards), newLedger(), file.New(t.TempDir())
	var running sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	defer running.Wait()
	defer stop()
	start := func(n int) {
		name := fmt.Sprint("worker-", n)
		c, err := (&job{Endpoint: s.endpoint, Name: name}).consumer(rows, func(o *vegas.ConsumerOptions) { o.Observer = losses{lost: l.lose} })
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			err := c.RunBatches(ctx, func(_ context.Context, b *vegas.Batch) error {
				now := time.Now()
				l.enter(handled(name, b, now, now))
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	balanced := func(workers int) bool {
		return l.until(patience, func() bool {
			owned := l.owned()
			total := 0
			for _, n := range owned {
				if total += n; n < o.Shards/workers || n > (o.Shards+workers-1)/workers {
					return false
				}
			}
			return len(owned) == workers && total == o.Shards
		})
	}
	for n := range o.Workers {
		start(n)
	}
	still := s.trickle(t, 2*trickleEvery)
	defer func() {
		if still != nil {
			still()
		}
	}()
	if !balanced(o.Workers) {
		t.Fatalf("not balanced after %v: %v", patience, l.owned())
	}
	const calm = 3 * time.Second
	pause(calm)
	began := time.Now()
	start(o.Workers)
	if !balanced(o.Workers + 1) {
		t.Fatalf("not balanced after %v: %v", patience, l.owned())
	}
	j.Balanced = time.Since(began)
	pause(time.Second)
	j.Before = l.silences(began.Add(-calm), began)
	j.During = l.silences(began, began.Add(j.Balanced+time.Second/2))
	still()
	still = nil
	l.until(patience, func() bool { return l.missing(s.sent) == 0 })
	stop()
	running.Wait()
	j.Repeated = l.repeated()
	l.mu.Lock()
	defer l.mu.Unlock()
	j.Missing, j.Lost = l.missing(s.sent), l.lost
	return j
}
