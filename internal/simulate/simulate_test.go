package simulate

import (
	"flag"
	"slices"
	"strings"
	"testing"
)

var (
	seeds = flag.Uint64("seeds", 20_000, "how many seeds TestSeeds runs")
	first = flag.Uint64("from", 0, "its first seed")
)

// TestSeeds runs seeds.
func TestSeeds(t *testing.T) {
	var sum Sums
	enough := runSeeds(t, *seeds, "-seeds=1", func(seed uint64, o Options) (string, func()) {
		r := Run(seed, o)
		return strings.Join(r.Problems, "\n  "), func() { sum.Add(r.Sums) }
	})
	t.Log(sum)
	if enough {
		happened(t, map[string]int{"unknown": sum.Unknown, "withdrawn": sum.Withdrawn, "resent": sum.Resent, "undelivered": sum.Undelivered,
			"duplicates": sum.Duplicates, "misplaced": sum.Misplaced, "foreign": sum.Foreign, "restarts": sum.Restarts})
	}
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
