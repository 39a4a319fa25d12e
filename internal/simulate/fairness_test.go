package simulate

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/libvegas/vegas/internal/lane"
)

// TestStuckShardHoldsUpNobody: one of eight shards stops answering. It costs
// those that share its first request one time-out; after that the others are
// as quick as ever, with as few as four requests under way.
func TestStuckShardHoldsUpNobody(t *testing.T) {
	for _, requests := range []int{4, 16} {
		const timeout, length = 10 * time.Second, 40 * time.Second
		w := newWorld(rand.New(rand.NewPCG(1, 1)), 8)
		m := lane.New(lane.Config{Linger: 10 * time.Millisecond, MaxRequests: requests, Rand: rand.New(rand.NewPCG(2, 2))})
		stuck := w.open[3]
		slowest := map[bool]time.Duration{} // by whether it was accepted after the first time-out
		count := 0
		var poll func()
		wake := lane.Never
		poll = func() {
			turn := m.Poll(w.now)
			for _, r := range turn.Requests {
				hangs := false
				res := make([]lane.Result, len(r.Entries))
				for i, e := range r.Entries {
					hangs = hangs || e.Shard == stuck.id
					res[i] = lane.Result{Status: lane.Stored, Shard: e.Shard, Sequence: "1"}
				}
				if hangs {
					w.after(timeout, func() { m.Fail(w.now, r, lane.Unknown, errNet); poll() })
				} else {
					w.after(5*time.Millisecond, func() { m.Answer(w.now, r, res); poll() })
				}
			}
			if turn.Refresh {
				w.after(0, func() { m.Learn(w.now, w.list(false, false, 0)); poll() })
			}
			finished, _ := m.TakeFinished(nil)
			for _, it := range finished {
				if !stuck.rng.Has(it.Hash) {
					late := it.Accepted > timeout+time.Second
					slowest[late] = max(slowest[late], w.now-it.Accepted)
					count++
				}
			}
			if wake = turn.Wake; wake != lane.Never {
				at := wake
				w.after(at-w.now, func() {
					if wake == at {
						poll()
					}
				})
			}
		}
		var feed func()
		feed = func() {
			for slot := range slots {
				m.Accept(w.now, &lane.Item{Key: slotKey(slot), Data: payloads[1], Hash: slotHash(slot), Accepted: w.now})
			}
			poll()
			w.after(20*time.Millisecond, feed)
		}
		w.after(0, feed)
		w.run(length)
		t.Logf("%d requests: %d records, the slowest %v at first, %v later", requests, count, slowest[false], slowest[true])
		if slowest[true] > 50*time.Millisecond || count < 28*int(length/(20*time.Millisecond))*9/10 {
			t.Errorf("%d requests: records of healthy shards took up to %v; %d ended", requests, slowest[true], count)
		}
	}
}
