package simulate

import "testing"

// TestMutants plants each bug in turn: the auditor has to catch every one of
// them within a few seeds, or it would not catch a real one. It gets to see the
// books only, not the senders while they break a rule.
func TestMutants(t *testing.T) {
	const within = 3000
	for _, m := range Mutants {
		t.Run(string(m), func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(within) {
				if r := Run(seed, Options{Mutant: m, Blind: true}); len(r.Problems) > 0 {
					t.Logf("caught by seed %d: %s", seed, r.Problems[0])
					return
				}
			}
			t.Errorf("not caught in %d seeds", within)
		})
	}
}
