package lane

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/libvegas/vegas/internal/keyspace"
)

// TestTails: the last of each chain is found, whatever came, went and grew before.
func TestTails(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	var have tails
	want := make(map[keyspace.Hash]*Item)
	for range 20_000 {
		h := keyspace.Hash{Hi: uint64(r.IntN(3000)) << 48} // round, as explicit hash keys are
		switch it := want[h]; {
		case it == nil || r.IntN(2) == 0:
			n := &Item{Hash: h}
			if was := have.put(n); was != it {
				t.Fatalf("put: before it was %p: want %p", was, it)
			}
			want[h] = n
		case r.IntN(2) == 0:
			have.replace(it, nil)
			delete(want, h)
		default:
			want[h] = &Item{Hash: h}
			have.replace(it, want[h])
		}
		if have.n != len(want) {
			t.Fatalf("%d chains: want %d", have.n, len(want))
		}
	}
	longest := 0
	for _, it := range have.slots {
		n := 0
		for ; it != nil; it = it.other {
			if want[it.Hash] != it {
				t.Fatal("an item is a last one that is none")
			}
			n++
		}
		longest = max(longest, n)
	}
	if longest > 8 {
		t.Fatalf("%d hashes share a slot", longest)
	}
}

// TestSpentLaneGathers: a lane that used its allowance up sends a few milliseconds
// worth of records at once, however often it is looked at, and loses nothing by it.
func TestSpentLaneGathers(t *testing.T) {
	var now time.Duration
	p := newPace(now)
	sent, times := 0, 0
	for ; now < 10*time.Second; now += 100 * time.Microsecond {
		if p.ready(now) > now {
			continue
		}
		times++
		for p.ready(now) <= now {
			p.take(now, 100)
			sent++
		}
	}
	if least, most := 10_000, 10_260; sent < least || sent > most {
		t.Errorf("%d records left in 10 s: want %d to %d", sent, least, most)
	}
	if times > 2000 {
		t.Errorf("they left %d times: want 5 ms in between", times)
	}
}
