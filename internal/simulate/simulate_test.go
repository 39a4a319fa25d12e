package simulate

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	seeds = flag.Uint64("seeds", 20_000, "how many seeds TestSeeds runs")
	first = flag.Uint64("from", 0, "its first seed")
)

// TestSeeds runs seeds. One that fails is run again with a trace of its steps,
// written to a file.
func TestSeeds(t *testing.T) {
	n, from := *seeds, *first
	if testing.Short() {
		n = min(n, 2000)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // many small and short lives
	began := time.Now()
	var next, failed atomic.Uint64
	next.Store(from)
	var mu sync.Mutex
	var sum Result
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			var mine Result
			for {
				seed := next.Add(1) - 1
				if seed >= from+n || failed.Load() >= 5 {
					break
				}
				r := Run(seed, Options{})
				mine.add(r)
				if len(r.Problems) > 0 && failed.Add(1) <= 5 {
					report(t, seed, r)
				}
			}
			mu.Lock()
			sum.add(mine)
			mu.Unlock()
		})
	}
	wg.Wait()
	t.Logf("%d seeds in %v: %d records accepted, %d acknowledged, %d not stored (%d withdrawn), %d unknown, %d handled, %d shards, %d steps",
		n, time.Since(began).Round(time.Millisecond), sum.Accepted, sum.Acknowledged, sum.NotStored, sum.Withdrawn, sum.Unknown, sum.Handled, sum.Shards, sum.Steps)
}

func (r *Result) add(o Result) {
	r.Accepted += o.Accepted
	r.Acknowledged += o.Acknowledged
	r.NotStored += o.NotStored
	r.Withdrawn += o.Withdrawn
	r.Unknown += o.Unknown
	r.Handled += o.Handled
	r.Shards += o.Shards
	r.Steps += o.Steps
}

func report(t *testing.T, seed uint64, r Result) {
	t.Errorf("seed %d: %s\nreplay: go test -run TestSeeds ./internal/simulate -args -seeds=1 -from=%d", seed, strings.Join(r.Problems, "\n  "), seed)
	name := fmt.Sprintf("%s/vegas-simulate-%d.trace", os.TempDir(), seed)
	f, err := os.Create(name)
	if err != nil {
		t.Log(err)
		return
	}
	Run(seed, Options{Trace: func(line string) { _, _ = fmt.Fprintln(f, line) }})
	if err := f.Close(); err != nil {
		t.Log(err)
	}
	t.Logf("its steps: %s", name)
}

// TestReplay: the same seed gives the same run, step by step.
func TestReplay(t *testing.T) {
	for seed := range uint64(20) {
		var runs [2][]string
		for i := range runs {
			Run(seed, Options{Trace: func(line string) { runs[i] = append(runs[i], line) }})
		}
		if !slices.Equal(runs[0], runs[1]) {
			t.Errorf("seed %d differs from itself", seed)
		}
	}
}
