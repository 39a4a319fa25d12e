package fleettest

import (
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
)

// TestFleets runs seeds, drawn anew each time, for twenty seconds, or for as
// long as VEGAS_FLEET_TIME says ("5m"). VEGAS_FLEET_SEEDS names seeds to run
// instead ("17" or "0-999"), each VEGAS_FLEET_TIMES times.
func TestFleets(t *testing.T) {
	limit := 20 * time.Second
	if testing.Short() {
		limit = 8 * time.Second
	}
	if s := os.Getenv("VEGAS_FLEET_TIME"); s != "" {
		var err error
		if limit, err = time.ParseDuration(s); err != nil {
			t.Fatalf("VEGAS_FLEET_TIME: %v", err)
		}
	}
	next := seeds(t, limit)
	var all total
	began := time.Now()
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
	t.Errorf("seed %d:\n  %s\nagain: VEGAS_FLEET_SEEDS=%d VEGAS_FLEET_TIMES=20 go test -count=1 -run TestFleets ./internal/fleettest", seed, strings.Join(r.Problems, "\n  "), seed)
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
func seeds(t *testing.T, limit time.Duration) func() (uint64, bool) {
	var mu sync.Mutex
	if s := os.Getenv("VEGAS_FLEET_SEEDS"); s != "" {
		first, last, isRange := strings.Cut(s, "-")
		if !isRange {
			last = first
		}
		a, err1 := strconv.ParseUint(first, 10, 64)
		b, err2 := strconv.ParseUint(last, 10, 64)
		times, err3 := 1, error(nil)
		if s := os.Getenv("VEGAS_FLEET_TIMES"); s != "" {
			times, err3 = strconv.Atoi(s)
		}
		if err1 != nil || err2 != nil || err3 != nil {
			t.Fatalf("VEGAS_FLEET_SEEDS, VEGAS_FLEET_TIMES: %v, %v, %v", err1, err2, err3)
		}
		done := 0
		return func() (uint64, bool) {
			mu.Lock()
			defer mu.Unlock()
			if a > b {
				return 0, false
			}
			seed := a
			if done++; done == times {
				a, done = a+1, 0
			}
			return seed, true
		}
	}
	end := time.Now().Add(limit)
	return func() (uint64, bool) {
		mu.Lock()
		defer mu.Unlock()
		return uint64(rand.Uint32()), time.Now().Before(end)
	}
}

// total is what all seeds came to.
type total struct {
	mu                                                                   sync.Mutex
	seeds, failed                                                        int
	sent, acked, notStored, unknown, delivered, repeated, splits, merges int
	faults, ends                                                         map[string]int
	time, longest                                                        time.Duration
	slowest                                                              uint64
}

func (a *total) add(t *testing.T, seed uint64, r *Result) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seeds++; a.faults == nil {
		a.faults, a.ends = map[string]int{}, map[string]int{}
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
	return a.failed >= 5 && os.Getenv("VEGAS_FLEET_SEEDS") == ""
}

func (a *total) String() string {
	var faults, ends []string
	for _, k := range slices.Sorted(maps.Keys(a.faults)) {
		faults = append(faults, fmt.Sprintf("%s %d", k, a.faults[k]))
	}
	for _, k := range slices.Sorted(maps.Keys(a.ends)) {
		ends = append(ends, fmt.Sprintf("%d of %q", a.ends[k], k))
	}
	return fmt.Sprintf("%d seeds, %d failed: %d records sent, %d acknowledged, %d not stored, %d unknown; %d delivered, %d repeated; %d splits, %d merges; %v of life, the longest %v (seed %d)\nfaults: %s\nconsumers that ended by themselves: %s",
		a.seeds, a.failed, a.sent, a.acked, a.notStored, a.unknown, a.delivered, a.repeated, a.splits, a.merges, a.time.Round(time.Second), a.longest.Round(time.Second), a.slowest, strings.Join(faults, ", "), strings.Join(ends, ", "))
}
