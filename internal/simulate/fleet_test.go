package simulate

import (
	"flag"
	"fmt"
	"slices"
	"testing"
)

var fleets = flag.Uint64("fleets", 20_000, "how many seeds TestFleetSeeds runs; -from is its first")

// TestFleetSeeds runs seeds of fleets.
func TestFleetSeeds(t *testing.T) {
	var sum FleetSums
	enough := runSeeds(t, *fleets, "-fleets=1", func(seed uint64, o Options) (wrong string, add func()) {
		r := RunFleet(seed, o)
		if len(r.Problems) > 0 {
			wrong = fmt.Sprint(r.Problems)
		}
		return wrong, func() { sum.Add(r.FleetSums) }
	})
	t.Log(sum)
	if !enough {
		return
	}
	counts := map[string]int{"found dead": sum.Dead, "name taken": sum.Taken, "repeated": sum.Repeated, "duplicates": sum.Duplicates,
		"declared": sum.Declared, "handovers": sum.Handovers, "withdrawn": sum.Withdrawn, "reset": sum.Reset}
	for i := range sum.Starts {
		counts[fmt.Sprintf("start %d", i)] = sum.Starts[i]
		counts[fmt.Sprintf("closing %d", i)] = sum.Closed[i]
	}
	happened(t, counts)
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
