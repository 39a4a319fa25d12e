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
	if testing.Short() || raced {
		n = min(n, 300)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // many small and short lives
	began := time.Now()
	var next, failed atomic.Uint64
	next.Store(from)
	var mu sync.Mutex
	var sum Sums
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			var mine Sums
			for {
				seed := next.Add(1) - 1
				if seed >= from+n || failed.Load() >= 5 {
					break
				}
				r := Run(seed, Options{})
				mine.Add(r.Sums)
				if len(r.Problems) > 0 && failed.Add(1) <= 5 {
					report(t, seed, r)
				}
			}
			mu.Lock()
			sum.Add(mine)
			mu.Unlock()
		})
	}
	wg.Wait()
	t.Logf("%d seeds in %v: %v", n, time.Since(began).Round(time.Millisecond), sum)
	if n < 1000 {
		return
	}
	// What never happens is not tested.
	for what, n := range map[string]int{"unknown": sum.Unknown, "withdrawn": sum.Withdrawn, "resent": sum.Resent, "undelivered": sum.Undelivered,
		"duplicates": sum.Duplicates, "misplaced": sum.Misplaced, "foreign": sum.Foreign, "restarts": sum.Restarts} {
		if n == 0 {
			t.Errorf("%s: none in all the seeds", what)
		}
	}
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
	for seed := range uint64(5) {
		var runs [2][]string
		for i := range runs {
			Run(seed, Options{Trace: func(line string) { runs[i] = append(runs[i], line) }})
		}
		if !slices.Equal(runs[0], runs[1]) {
			t.Errorf("seed %d differs from itself", seed)
		}
	}
}
