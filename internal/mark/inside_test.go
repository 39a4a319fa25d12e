package mark

import (
	"fmt"
	"testing"
)

func TestInsideHasOnlyWhatWasAdded(t *testing.T) {
	for _, n := range []int{1, 100, 2500, 100_000} {
		var s inside
		kept := 0
		for round := range 3 {
			kept = 0
			for i := range n {
				x, ok := s.has(fmt.Sprint("key ", i))
				if ok && round == 0 {
					t.Fatalf("%d keys: has key %d before it was added", n, i)
				}
				if ok {
					kept++
				} else {
					s.add(x)
				}
			}
		}
		if n <= 2500 && kept < n*3/4 {
			t.Errorf("%d keys: only %d are remembered", n, kept)
		}
		if len(s.slots) > insideMost {
			t.Errorf("%d keys: %d slots", n, len(s.slots))
		}
		if _, ok := s.has("another"); ok {
			t.Errorf("%d keys: has one that was never added", n)
		}
	}
}
