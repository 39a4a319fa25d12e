package simulate

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libvegas/vegas/internal/fleet"
)

var workerHours = flag.Int("hours", 20, "worker-hours that TestFalseDeaths simulates for each lease time")

// hardships are what lives through a false death: about once a minute the store
// stands still for a second, about once a minute each process does, and one
// answer in a hundred is late by up to a second.
func hardships(lease, length time.Duration) *fleetPlan {
	p := &fleetPlan{
		most: 10, shards: 20, maxShards: 20, timing: fleet.TimingOf(lease), calm: length,
		net:      weather{latency: 10 * time.Millisecond, slow: .005, slowness: time.Second},
		askLimit: lease, opLimit: lease / 2, lags: 1, lag: time.Second, drift: .001, skew: 100 * time.Millisecond,
		readDelay: time.Second, handling: time.Millisecond,
	}
	return p
}

// falseDeaths runs ten workers that all live, and counts how often one was
// declared dead, and how often one could not prove its leases.
func falseDeaths(seed uint64, lease, length time.Duration) (deaths, unproven int, problems []Problem) {
	r := rand.New(rand.NewPCG(seed, 3))
	f := newFleetRun(r, hardships(lease, length), Options{})
	f.joinSome(f.p.most)
	f.every(time.Minute, func() { f.outageUntil, f.outageHangs = f.now+time.Second, true })
	for _, w := range f.procs {
		f.every(time.Minute, func() { w.pause(time.Second) })
	}
	for len(f.problems) == 0 && f.step(f.p.calm) {
		f.crowd()
	}
	return f.store.writes[fleet.Declare], f.sums.Unproven, f.problems
}

// TestFalseDeaths tells for several lease times how many workers that lived were
// taken for dead. With -hours=1000 it is what the default lease time is chosen
// by.
func TestFalseDeaths(t *testing.T) {
	hours := *workerHours
	if testing.Short() || raced {
		hours = 1
	}
	const workers = 10
	var table strings.Builder
	fmt.Fprintf(&table, "%d worker-hours each\nlease time  declared dead  leases not proven for a while\n", hours)
	last := -1
	for _, seconds := range []int{2, 3, 4, 5, 6, 8, 10} {
		lease := time.Duration(seconds) * time.Second
		length := time.Hour * time.Duration(min(hours, workers)) / workers
		var next, deaths, unproven atomic.Int64
		var wg sync.WaitGroup
		for range runtime.GOMAXPROCS(0) {
			wg.Go(func() {
				for {
					seed := next.Add(1) - 1
					if seed*workers >= int64(hours) {
						return
					}
					d, u, problems := falseDeaths(uint64(seed), lease, length)
					deaths.Add(int64(d))
					unproven.Add(int64(u))
					if len(problems) > 0 {
						t.Errorf("lease time %v, seed %d: %v", lease, seed, problems)
					}
				}
			})
		}
		wg.Wait()
		fmt.Fprintf(&table, "%10v  %13d  %10d\n", lease, deaths.Load(), unproven.Load())
		last = int(deaths.Load())
	}
	t.Log(table.String())
	if last > 0 {
		t.Errorf("even with the longest lease time %d workers that lived were declared dead", last)
	}
}
