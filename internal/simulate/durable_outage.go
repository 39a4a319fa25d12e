package simulate

import "time"

// outage is a time in which the service does the same with every request.
type outage struct {
	until time.Duration
	fate  fate
}

// strike begins an outage: nothing gets through, or nothing comes back, for a while
// in which shards split and merge all the same. What piles up in the logs was taken
// in for shards that are gone when it leaves.
func (w *world) strike(p *plan) {
	kinds := []fate{dropped, dropped, lost, late, limited, broken, denied}
	w.outage = outage{w.now + w.within(p.outage), kinds[w.rnd.IntN(len(kinds))]}
	if w.traced {
		w.trace("an outage of kind %d until %v", w.outage.fate, w.outage.until)
	}
	if p.reshards > 0 {
		w.storm(w.outage.until - w.now)
	}
}

// storm splits and merges several times within d.
func (w *world) storm(d time.Duration) {
	for range 1 + w.rnd.IntN(4) {
		w.after(w.within(d), w.reshard)
	}
}

// resharded counts the splits and merges of a run.
func (w *world) resharded() (splits, merges int) {
	for _, s := range w.shards {
		if s.from > 0 && len(s.parents) == 1 && s.parents[0].from < s.from { // the upper half
			splits++
		}
		if len(s.parents) == 2 {
			merges++
		}
	}
	return splits, merges
}
