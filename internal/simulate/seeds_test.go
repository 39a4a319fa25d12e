package simulate

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// runSeeds runs n seeds from -from on, on all processors, and none more once five
// have failed. run runs one: it tells what was wrong, if anything, and add takes
// its sums in. One that fails is run again with a trace of its steps, written to a
// file. replay are the flags that run one seed. It tells whether there were enough
// seeds for everything that happens at all to have happened.
func runSeeds(t *testing.T, n uint64, replay string, run func(seed uint64, o Options) (wrong string, add func())) (enough bool) {
	t.Helper()
	from := *first
	if testing.Short() || raced {
		n = min(n, 300)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // many small and short lives
	began := time.Now()
	var next, failed atomic.Uint64
	next.Store(from)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				seed := next.Add(1) - 1
				if seed >= from+n || failed.Load() >= 5 {
					return
				}
				wrong, add := run(seed, Options{})
				mu.Lock()
				add()
				mu.Unlock()
				if wrong != "" && failed.Add(1) <= 5 {
					t.Errorf("seed %d: %s\nreplay: go test -run %s ./internal/simulate -args %s -from=%d", seed, wrong, t.Name(), replay, seed)
					traceSeed(t, seed, run)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d seeds in %v", n, time.Since(began).Round(time.Millisecond))
	return n >= 1000
}

// traceSeed writes the steps of a seed to a file.
func traceSeed(t *testing.T, seed uint64, run func(uint64, Options) (string, func())) {
	f, err := os.Create(fmt.Sprintf("%s/vegas-%s-%d.trace", os.TempDir(), t.Name(), seed))
	if err != nil {
		t.Log(err)
		return
	}
	run(seed, Options{Trace: func(line string) { _, _ = fmt.Fprintln(f, line) }})
	if err := f.Close(); err != nil {
		t.Log(err)
	}
	t.Logf("its steps: %s", f.Name())
}

// happened fails for what never did: it was not tested.
func happened(t *testing.T, counts map[string]int) {
	t.Helper()
	for what, n := range counts {
		if n == 0 {
			t.Errorf("%s: none in all the seeds", what)
		}
	}
}
