package simulate

import (
	"flag"
	"slices"
	"strings"
	"testing"
)

var durables = flag.Uint64("durables", 10_000, "how many seeds TestDurableSeeds runs; -from is its first")

// TestDurableSeeds runs seeds of durable producers.
func TestDurableSeeds(t *testing.T) {
	var sum Sums
	var more DurableSums
	enough := runSeeds(t, *durables, "-durables=1", func(seed uint64, o Options) (string, func()) {
		r := RunDurable(seed, o)
		return strings.Join(r.Problems, "\n  "), func() { sum.Add(r.Sums); more.Add(r.DurableSums) }
	})
	t.Log(sum)
	t.Log(more)
	if enough {
		happened(t, map[string]int{"kills": more.Kills, "closes": more.Closes, "copies": more.Copies, "torn": more.Torn,
			"backlog": more.Backlog, "dead": more.Dead, "possibly stored": more.DeadUnknown, "vanished": more.Vanished,
			"outages": more.Outages, "splits": more.Splits, "merges": more.Merges, "unattended": more.Unattended,
			"expired": more.Expired, "spared": more.Spared, "duplicates": sum.Duplicates, "resent": sum.Resent, "undelivered": sum.Undelivered})
	}
}

// TestDurableReplay: the same seed gives the same run, step by step.
func TestDurableReplay(t *testing.T) {
	for seed := range uint64(10) {
		var runs [2][]string
		for i := range runs {
			RunDurable(seed, Options{Trace: func(line string) { runs[i] = append(runs[i], line) }})
		}
		if !slices.Equal(runs[0], runs[1]) {
			t.Errorf("seed %d differs from itself", seed)
		}
	}
}

// TestDurableMutants plants each bug in turn, and lets the auditor see the books
// only.
func TestDurableMutants(t *testing.T) {
	const within = 3000
	for _, m := range DurableMutants {
		t.Run(string(m), func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(within) {
				if r := RunDurable(seed, Options{Mutant: m, Blind: true}); len(r.Problems) > 0 {
					t.Logf("caught by seed %d: %s", seed, r.Problems[0])
					return
				}
			}
			t.Errorf("not caught in %d seeds", within)
		})
	}
}
