package fleettest

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	lk "github.com/libvegas/vegas/localkinesis"
)

var (
	period = flag.Duration("for", 20*time.Second, "how long TestFleets runs seeds, drawn anew each time")
	named  = flag.String("seeds", "", "seeds that TestFleets runs instead: 17, or 0-999")
	times  = flag.Int("times", 1, "how often it runs each of these")
)

// TestFleets runs seeds side by side and adds up what happened to them. One that
// fails leaves its trace in a file.
func TestFleets(t *testing.T) {
	next := seeds(t)
	var all total
	began := time.Now()
	goroutines, heap := leftovers()
	t.Run("all", func(t *testing.T) {
		for i := range runtime.GOMAXPROCS(0) {
			t.Run(fmt.Sprint("worker=", i), func(t *testing.T) {
				t.Parallel()
				for {
					seed, ok := next()
					if !ok || all.hopeless() {
						return
					}
					all.add(t, seed, one(t, seed))
				}
			})
		}
	})
	t.Logf("in %v: %v", time.Since(began).Round(time.Millisecond), &all)
	if g, h := leftovers(); g > goroutines || h > heap+heapMost {
		t.Errorf("%d goroutines and %d MiB are left, at first there were %d and %d MiB", g, h>>20, goroutines, heap>>20)
	}
	if all.seeds < 300 || *named != "" {
		return
	}
	for _, kind := range kinds {
		if all.faults[string(kind)] == 0 {
			t.Errorf("no fault %q happened in %d seeds", kind, all.seeds)
		}
	}
	for _, what := range []string{"stop", "crash", "partition", "outage", "release", "shard free", "shard dead", "shard handoff", "shard again"} {
		if all.fleets[what] == 0 {
			t.Errorf("no %s happened in %d seeds", what, all.seeds)
		}
	}
}

// heapMost is what may be left of the heap: pools, and what tests remember.
const heapMost = 32 << 20

// leftovers is what is left of everything that ran.
func leftovers() (goroutines int, heap uint64) {
	runtime.GC()
	runtime.GC() // what pools hold is gone with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return runtime.NumGoroutine(), m.HeapAlloc
}

// kinds of faults that have to happen now and then.
var kinds = []lk.Kind{
	lk.Throttle, lk.FailEntries, lk.Fail, lk.DropAnswer, lk.StoreLate, lk.StoreSome, lk.Delay, lk.StaleShards, lk.ExpireIterators,
	lk.CutStream, lk.RepeatEvent, lk.EndSubscription, lk.Split, lk.Merge, lk.SwitchToAuto, lk.SwitchToKeys,
}

// one runs a seed in a bubble: whatever still runs at its end fails it.
func one(t *testing.T, seed uint64) (r *Result) {
	dir := t.TempDir()
	// A bubble whose goroutines hang is ended by a panic, which prints the
	// name of the test.
	t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { r = Run(t, seed, dir) })
		if r != nil && len(r.Problems) > 0 {
			report(t, seed, r)
		}
	})
	return r
}

func report(t *testing.T, seed uint64, r *Result) {
	t.Errorf("seed %d:\n  %s\nagain: go test -count=1 -run=TestFleets ./internal/fleettest -args -seeds=%d -times=20", seed, strings.Join(r.Problems, "\n  "), seed)
	name := filepath.Join(os.TempDir(), fmt.Sprintf("vegas-fleet-%d.trace", seed))
	f, err := os.Create(name)
	if err != nil {
		t.Log(err)
		return
	}
	if err := r.Trace(f); err != nil {
		t.Log(err)
	}
	if err := f.Close(); err != nil {
		t.Log(err)
	}
	t.Logf("what happened: %s", name)
}

// seeds gives one after the other, to many workers.
func seeds(t *testing.T) func() (uint64, bool) {
	var mu sync.Mutex
	if *named == "" {
		limit := *period
		if testing.Short() {
			limit = min(limit, 8*time.Second)
		}
		end := time.Now().Add(limit)
		return func() (uint64, bool) {
			mu.Lock()
			defer mu.Unlock()
			return uint64(rand.Uint32()), time.Now().Before(end)
		}
	}
	first, last, isRange := strings.Cut(*named, "-")
	if !isRange {
		last = first
	}
	seed, err1 := strconv.ParseUint(first, 10, 64)
	end, err2 := strconv.ParseUint(last, 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatalf("-seeds=%s: %v", *named, err)
	}
	left := *times
	return func() (uint64, bool) {
		mu.Lock()
		defer mu.Unlock()
		if left == 0 {
			seed, left = seed+1, *times
		}
		left--
		return seed, seed <= end
	}
}

// total is what all seeds came to.
type total struct {
	mu                                                                   sync.Mutex
	seeds, failed                                                        int
	sent, acked, notStored, unknown, delivered, repeated, splits, merges int
	faults, fleets, ends                                                 map[string]int
	time, longest                                                        time.Duration
	slowest                                                              uint64
}

func (a *total) add(t *testing.T, seed uint64, r *Result) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seeds++; a.faults == nil {
		a.faults, a.fleets, a.ends = map[string]int{}, map[string]int{}, map[string]int{}
	}
	if r == nil {
		a.failed++
		return
	}
	if len(r.Problems) > 0 {
		a.failed++
	}
	a.sent += r.Sent
	a.acked += r.Acknowledged
	a.notStored += r.NotStored
	a.unknown += r.Unknown
	a.delivered += r.Delivered
	a.repeated += r.Repeated
	a.splits += r.Splits
	a.merges += r.Merges
	for k, n := range r.Faults {
		a.faults[k] += n
	}
	for k, n := range r.Fleets {
		a.fleets[k] += n
	}
	for k, n := range r.Ends {
		a.ends[k] += n
	}
	if a.time += r.Time; r.Time > a.longest {
		a.longest, a.slowest = r.Time, seed
	}
}

// hopeless: more of the same would not say more.
func (a *total) hopeless() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failed >= 5 && *named == ""
}

func (a *total) String() string {
	var faults, fleets, ends []string
	for _, k := range slices.Sorted(maps.Keys(a.faults)) {
		faults = append(faults, fmt.Sprintf("%s %d", k, a.faults[k]))
	}
	for _, k := range slices.Sorted(maps.Keys(a.fleets)) {
		fleets = append(fleets, fmt.Sprintf("%s %d", k, a.fleets[k]))
	}
	for _, k := range slices.Sorted(maps.Keys(a.ends)) {
		ends = append(ends, fmt.Sprintf("%d of %q", a.ends[k], k))
	}
	return fmt.Sprintf("%d seeds, %d failed: %d records sent, %d acknowledged, %d not stored, %d unknown; %d delivered, %d repeated; %d splits, %d merges; %v of life, the longest %v (seed %d)\nfaults: %s\nfleets: %s\nconsumers that ended by themselves: %s",
		a.seeds, a.failed, a.sent, a.acked, a.notStored, a.unknown, a.delivered, a.repeated, a.splits, a.merges, a.time.Round(time.Second), a.longest.Round(time.Second), a.slowest, strings.Join(faults, ", "), strings.Join(fleets, ", "), strings.Join(ends, ", "))
}
