package simulate

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var fleets = flag.Uint64("fleets", 20_000, "how many seeds TestFleetSeeds runs; -from is its first")

// TestFleetSeeds runs seeds of fleets. One that fails is run again with a trace
// of its steps, written to a file.
func TestFleetSeeds(t *testing.T) {
	n, from := *fleets, *first
	if testing.Short() || raced {
		n = min(n, 300)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // many small and short lives
	began := time.Now()
	var next, failed atomic.Uint64
	next.Store(from)
	var mu sync.Mutex
	var sum FleetSums
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			var mine FleetSums
			for {
				seed := next.Add(1) - 1
				if seed >= from+n || failed.Load() >= 5 {
					break
				}
				r := RunFleet(seed, Options{})
				mine.Add(r.FleetSums)
				if len(r.Problems) > 0 && failed.Add(1) <= 5 {
					reportFleet(t, seed, r)
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
	counts := map[string]int{"found dead": sum.Dead, "name taken": sum.Taken, "repeated": sum.Repeated, "duplicates": sum.Duplicates,
		"declared": sum.Declared, "handovers": sum.Handovers, "withdrawn": sum.Withdrawn, "reset": sum.Reset}
	for i := range sum.Starts {
		counts[fmt.Sprintf("start %d", i)] = sum.Starts[i]
		counts[fmt.Sprintf("closing %d", i)] = sum.Closed[i]
	}
	for what, n := range counts {
		if n == 0 {
			t.Errorf("%s: none in all the seeds", what)
		}
	}
}

func reportFleet(t *testing.T, seed uint64, r FleetResult) {
	t.Errorf("seed %d: %v\nreplay: go test -run TestFleetSeeds ./internal/simulate -args -fleets=1 -from=%d", seed, r.Problems, seed)
	name := fmt.Sprintf("%s/vegas-fleet-%d.trace", os.TempDir(), seed)
	f, err := os.Create(name)
	if err != nil {
		t.Log(err)
		return
	}
	RunFleet(seed, Options{Trace: func(line string) { _, _ = fmt.Fprintln(f, line) }})
	if err := f.Close(); err != nil {
		t.Log(err)
	}
	t.Logf("its steps: %s", name)
}

// TestFleetReplay: the same seed gives the same run, step by step.
func TestFleetReplay(t *testing.T) {
	for seed := range uint64(20) {
		var runs [2][]string
		for i := range runs {
			RunFleet(seed, Options{Trace: func(line string) { runs[i] = append(runs[i], line) }})
		}
		for i := range min(len(runs[0]), len(runs[1])) {
			if runs[0][i] != runs[1][i] {
				t.Errorf("seed %d differs from itself in step %d:\n%s\n%s", seed, i, runs[0][i], runs[1][i])
				break
			}
		}
		if len(runs[0]) != len(runs[1]) {
			t.Errorf("seed %d has %d and %d steps", seed, len(runs[0]), len(runs[1]))
		}
	}
}

// TestFleetMutants plants each bug in turn: one of the invariants that it is
// against has to catch it within a few seeds.
func TestFleetMutants(t *testing.T) {
	within := uint64(3000)
	if raced {
		within = 20 // races are looked for, not seeds
	}
	for m, wanted := range FleetMutants {
		t.Run(string(m), func(t *testing.T) {
			t.Parallel()
			others := map[Invariant]int{}
			for seed := range within {
				r := RunFleet(seed, Options{Mutant: m})
				if len(r.Problems) == 0 {
					continue
				}
				p := r.Problems[0]
				if slices.Contains(wanted, p.Invariant) {
					t.Logf("caught by seed %d (after others: %v): %v", seed, others, p)
					return
				}
				others[p.Invariant]++
			}
			if raced {
				return
			}
			t.Errorf("not caught by %v in %d seeds, but by %v", wanted, within, others)
		})
	}
}
