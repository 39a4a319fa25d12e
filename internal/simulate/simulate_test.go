package simulate

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestSeeds runs 20,000 seeds, or as many as VEGAS_SIMULATE_SEEDS says from
// VEGAS_SIMULATE_FROM on. A seed that fails is run again with a trace; to
// replay just one: VEGAS_SIMULATE_SEEDS=1 VEGAS_SIMULATE_FROM=seed.
func TestSeeds(t *testing.T) {
	n, from := number(t, "VEGAS_SIMULATE_SEEDS", 20_000), number(t, "VEGAS_SIMULATE_FROM", 0)
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
				r := Run(seed, "", nil)
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
	t.Errorf("seed %d: %s\nreplay: VEGAS_SIMULATE_SEEDS=1 VEGAS_SIMULATE_FROM=%d go test -run TestSeeds ./internal/simulate", seed, strings.Join(r.Problems, "\n  "), seed)
	name := fmt.Sprintf("%s/vegas-simulate-%d.trace", os.TempDir(), seed)
	f, err := os.Create(name)
	if err != nil {
		t.Log(err)
		return
	}
	Run(seed, "", func(line string) { _, _ = fmt.Fprintln(f, line) })
	if err := f.Close(); err != nil {
		t.Log(err)
	}
	t.Logf("its steps: %s", name)
}

func number(t *testing.T, name string, def uint64) uint64 {
	s := os.Getenv(name)
	if s == "" {
		return def
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}
