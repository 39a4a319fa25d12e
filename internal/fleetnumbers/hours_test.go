//go:build unix

package fleetnumbers

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// hours measures a fleet in a bubble: of its time, of whole hours if -whole says so.
func hours(t *testing.T, o HoursOptions) (c *Cost) {
	t.Helper()
	switch {
	case *whole:
		o.For = time.Hour
	case testing.Short():
		o.For = 3 * time.Minute
	}
	synctest.Test(t, func(t *testing.T) { c = Hours(t, o) })
	t.Logf("%d workers, %d shards, %v: writes %v, reads %v, CPU %v", c.Workers, c.Shards, c.For, c.Writes, c.Reads, c.CPU)
	return c
}

func TestIdleHours(t *testing.T) {
	const goal, reads = 5000, 20
	workers, shards := 10, 1000
	if testing.Short() {
		shards = 100
	}
	for rank, o := range []HoursOptions{{Workers: 1, Shards: 10}, {Workers: workers, Shards: shards}} {
		o.Idle, o.For = time.Hour, 10*time.Minute
		c := hours(t, o)
		perHour := sum(c.Writes) / c.workerHours()
		numbers.Add(Number{
			Rank: 40 + rank, What: fmt.Sprintf("store writes, idle, %d workers and %d shards", o.Workers, o.Shards), Goal: fmt.Sprintf("< %d units a worker-hour", goal),
			Measured: fmt.Sprintf("%.0f", perHour), Met: perHour < goal,
		})
		if perHour >= goal {
			t.Errorf("%.0f write units a worker-hour, want less than %d", perHour, goal)
		}
		if o.Workers == 1 {
			continue
		}
		perSecond := sum(c.Reads) / c.For.Seconds()
		numbers.Add(Number{
			Rank: 50, What: fmt.Sprintf("store reads, %d workers and %d shards", o.Workers, o.Shards), Goal: fmt.Sprintf("< %d units a second", reads),
			Measured: fmt.Sprintf("%.1f (looks %.1f, sweeps %.1f)", perSecond, c.Reads["worker"]/c.For.Seconds(), c.Reads["lease"]/c.For.Seconds()),
			Met:      perSecond < reads,
		})
		if perSecond >= reads {
			t.Errorf("%.1f read units a second, want less than %d", perSecond, reads)
		}
	}
}

func TestBusyHours(t *testing.T) {
	const checkpoints, marks = 720, 120
	c := hours(t, HoursOptions{Workers: 1, Shards: 2, Producers: 10, For: 10 * time.Minute})
	lease, mark := c.Writes["lease"]/c.shardHours(), c.Writes["mark"]/c.shardHours()
	numbers.Add(Number{
		Rank: 45, What: fmt.Sprintf("store writes, busy, %d producers", c.Producers), Goal: fmt.Sprintf("checkpoints <= %d, marks <= %d units a lease-hour", checkpoints, marks),
		Measured: fmt.Sprintf("%.0f and %.0f", lease, mark), Met: lease <= checkpoints && mark <= marks,
	})
	// A part of an hour may begin and end with one, and a write that meets a sweep is
	// made again.
	if slack := 3 / c.For.Hours(); lease > checkpoints+slack || mark > marks+slack {
		t.Errorf("%.0f and %.0f write units a lease-hour, want %d and %d", lease, mark, checkpoints, marks)
	}
}

func TestCostPerShard(t *testing.T) {
	const few, more, grows = 100, 1000, 1.1
	o := HoursOptions{Workers: 10, Put: true, Settle: 5 * time.Second}
	long, tries := 3*time.Second, 1 // with that many
	switch {
	case *whole:
		o.Settle, long, tries = 10*time.Second, 20*time.Second, 3
	case testing.Short():
		long = time.Second
	}
	cost := func(shards int) (c *Cost) {
		// As much work in all: the garbage of few shards is collected seldom.
		o.Shards, o.For = shards, long*more/time.Duration(shards)
		var cpu time.Duration
		for range tries {
			synctest.Test(t, func(t *testing.T) { c = Hours(t, o) })
			if cpu == 0 || c.CPU < cpu { // what else goes on only adds to it
				cpu = c.CPU
			}
		}
		c.CPU = cpu
		return c
	}
	many := more
	if testing.Short() {
		many = 2 * few
	}
	a, b := cost(few), cost(many)
	each := func(c *Cost, n float64) float64 { return n / float64(c.Shards) / c.For.Seconds() }
	growth := func(of func(*Cost) float64) (before, after, by float64) {
		before, after = each(a, of(a)), each(b, of(b))
		return before, after, after / before
	}
	cpuA, cpuB, cpu := growth(func(c *Cost) float64 { return float64(c.CPU.Microseconds()) })
	bytesA, bytesB, bytes := growth(func(c *Cost) float64 { return float64(c.Allocated) / 1024 })
	unitsA, unitsB, units := growth(func(c *Cost) float64 { return 3600 * (sum(c.Writes) + sum(c.Reads)) })
	t.Logf("a shard and second: CPU %.0f and %.0f us, allocated %.1f and %.1f KiB, store units an hour %.0f and %.0f", cpuA, cpuB, bytesA, bytesB, unitsA, unitsB)
	numbers.Add(Number{
		Rank: 60, What: fmt.Sprintf("fleet of 10, %d -> %d shards, a record a second each", few, many), Goal: "cost per shard does not grow",
		Measured: fmt.Sprintf("CPU %.0f -> %.0f us/s, allocated %.1f -> %.1f KiB/s, store %.0f -> %.0f units/h, server included", cpuA, cpuB, bytesA, bytesB, unitsA, unitsB),
		Met:      cpu <= grows && bytes <= grows && units <= grows,
	})
	// CPU time depends on who else uses the caches; what is counted does not.
	if cpu > 2*grows || bytes > grows || units > grows {
		t.Errorf("a shard's cost grows: CPU by %.2f, allocated bytes by %.2f, store units by %.2f", cpu, bytes, units)
	}
}
