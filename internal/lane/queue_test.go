package lane

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestQueueAgainstList compares queues with plain slices through random pushes,
// removals and merges.
func TestQueueAgainstList(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for range 300 {
		var qs [2]queue
		var want [2][]*Item
		counter := uint64(0)
		for range 60 {
			i := r.IntN(2)
			switch r.IntN(6) {
			case 0, 1, 2:
				counter++
				it := &Item{Counter: counter, Bound: int32(r.IntN(100))}
				if r.IntN(2) == 0 {
					it.Deadline = time.Duration(1 + r.IntN(1000))
				}
				qs[i].push(it)
				want[i] = append(want[i], it)
			case 3:
				if n := len(want[i]); n > 0 {
					at := r.IntN(n)
					qs[i].remove(want[i][at])
					want[i] = slices.Delete(want[i], at, at+1)
				}
			case 4:
				got := make([]*Item, r.IntN(len(want[i])+1))
				qs[i].take(got)
				if !slices.Equal(got, want[i][:len(got)]) {
					t.Error("take takes others than the first")
				}
				want[i] = slices.Clone(want[i][len(got):])
			case 5:
				qs[i].merge(&qs[1-i])
				want[i] = append(want[i], want[1-i]...)
				want[1-i] = nil
				sortItems(want[i])
			}
			for k := range qs {
				checkQueue(t, &qs[k], want[k])
			}
			if t.Failed() {
				return
			}
		}
	}
}

func checkQueue(t *testing.T, q *queue, want []*Item) {
	t.Helper()
	var got []*Item
	bytes, first, rising := 0, Never, true
	var prev *Item
	for it := q.head; it != nil; prev, it = it, it.next {
		if it.prev != prev {
			t.Error("the links back are broken")
		}
		got = append(got, it)
		bytes += int(it.Bound)
		first = min(first, deadline(it))
		rising = rising && (prev == nil || deadline(prev) <= deadline(it))
	}
	if q.tail != prev || !slices.Equal(got, want) || q.n != len(want) || q.bytes != bytes {
		t.Errorf("the queue holds %d items, wants %d", len(got), len(want))
	}
	if q.due() > first {
		t.Errorf("due says %v, the first deadline is %v", q.due(), first)
	}
	if !rising && !q.mixed {
		t.Error("deadlines do not rise and the queue does not know")
	}
}
