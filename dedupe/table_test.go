package dedupe

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// A table against a map of all that was put, which never forgets.
func TestATableAgainstAMap(t *testing.T) {
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		const window, slack = 1000, 20
		table := table{window: window, slack: slack, limit: 1 << 30}
		if seed%3 == 0 {
			table.limit = 1 + rnd.IntN(50)
		}
		all := map[hash]entry{}
		now, put, forgotten := int64(0), 0, 0
		for step := range 5000 {
			now += int64(rnd.IntN(3))
			if rnd.IntN(500) == 0 {
				now += window / 2
			}
			e := entry{key: hash{byte(rnd.IntN(250))}, origin: uint64(step) + 1, at: now - int64(rnd.IntN(20))}
			if old, ok := all[e.key]; ok && rnd.IntN(4) == 0 {
				e.origin = old.origin // comes again
			}
			old, ok := all[e.key]
			want := ok && old.origin != e.origin && e.at-old.at < window && old.at-e.at <= slack
			switch got := table.passes(e); {
			case got && !want:
				t.Fatalf("seed %d, step %d: passes over what is to be handled", seed, step)
			case !got && want && forgotten == 0 && table.newest-old.at < window:
				t.Fatalf("seed %d, step %d: handles what is to be passed over", seed, step)
			case got:
				continue
			}
			if rnd.IntN(20) == 0 {
				table.remove(e.key)
				delete(all, e.key)
				continue
			}
			put++
			forgotten += table.put(e)
			all[e.key] = e
			if n := table.next - table.first; n > uint64(table.limit) || len(table.index) > int(n) {
				t.Fatalf("seed %d, step %d: %d entries, %d keys", seed, step, n, len(table.index))
			}
			for n := table.first; n < min(table.next, table.first+1); n++ {
				if old := table.at(n); table.newest-old.at >= window {
					t.Fatalf("seed %d, step %d: %+v is over at %d", seed, step, old, table.newest)
				}
			}
		}
		if chunks := (table.next-table.first)/chunkEntries + 2; uint64(len(table.chunks)) > chunks {
			t.Errorf("seed %d: %d chunks", seed, len(table.chunks))
		}
		if put == 0 || seed%3 != 0 && forgotten > 0 {
			t.Errorf("seed %d: %d put, %d forgotten", seed, put, forgotten)
		}
	}
}

// Numbers of entries outgrow 32 bits.
func TestATableGoesOnForever(t *testing.T) {
	table := table{window: 100, limit: 1000, first: 1<<33 - 700, next: 1<<33 - 700}
	for i := range int64(5000) {
		e := entry{key: hash([]byte(fmt.Sprintf("%016d", i))), origin: 1, at: i}
		table.put(e)
		for back := range int64(100) {
			if old := table.find(hash([]byte(fmt.Sprintf("%016d", i-back)))); i >= back && (old == nil || old.at != i-back) {
				t.Fatalf("after %d: %d is %+v", i, i-back, old)
			}
		}
	}
	if len(table.index) != 100 || len(table.chunks) > 2 {
		t.Errorf("%d keys in %d chunks", len(table.index), len(table.chunks))
	}
}

func TestAWindowOfNothingHoldsNothing(t *testing.T) {
	table := table{limit: 10}
	for i := range 2000 {
		e := entry{key: hash{1}, origin: uint64(i + 1), at: 7}
		if table.passes(e) {
			t.Fatal("passed over")
		}
		table.put(e)
	}
	if len(table.index) != 0 || len(table.chunks) > 1 {
		t.Errorf("%d keys, %d chunks", len(table.index), len(table.chunks))
	}
}
