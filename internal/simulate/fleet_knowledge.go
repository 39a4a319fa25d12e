package simulate

import (
	"time"

	"github.com/libvegas/vegas/internal/fleet"
)

// knowledge is what a worker was told, as the auditor keeps it: what the worker
// may do depends on it.
type knowledge struct {
	asking  map[string]bool   // leases of which a write is under way
	beats   int               // under way
	taken   map[string]uint64 // possessions that an answer to a take told, not started yet
	highest map[string]uint64 // possession of a lease that it has heard of
	peers   map[string]sighting
	looked  time.Duration // when its last look that has an answer was asked

	told bool   // to stop
	flag uint64 // the first heartbeat that was asked for after it
}

// sighting is the highest heartbeat of another worker that was seen.
type sighting struct {
	beat  uint64
	since time.Duration // the worker's own time
}

func newKnowledge() knowledge {
	return knowledge{asking: map[string]bool{}, taken: map[string]uint64{}, highest: map[string]uint64{}, peers: map[string]sighting{}}
}

// asked checks what a worker asks.
func (f *fleetRun) asked(w *proc, a *fleet.Ask) {
	k := &w.knows
	switch a.Verb {
	case fleet.Beat:
		if k.beats++; k.beats > 1 {
			f.fail(oneAsk, "%s has %d heartbeats under way", w.id, k.beats)
		}
		if k.told && k.flag == 0 {
			k.flag = a.Worker.Beat
		}
	case fleet.Declare:
		seen := k.peers[a.Worker.ID]
		if silent := k.looked - seen.since; silent < a.Worker.Lease || seen.beat != a.Worker.Beat {
			f.fail(blindly, "%s declares %s dead at beat %d by a look that began %v after it saw beat %d", w.id, a.Worker.ID, a.Worker.Beat, silent, seen.beat)
		}
	case fleet.Announce, fleet.Give:
		// Every heartbeat since then has told it.
		if to := f.byWorker[a.To]; to != nil && to.id == a.To && to.knows.flag > 0 && k.peers[a.To].beat >= to.knows.flag {
			f.fail(astray, "%s asks to %s %s to %s, which is known to stop", w.id, a.Verb, a.Lease, a.To)
		}
	}
	if leaseWrite(a.Verb) {
		if k.asking[a.Lease] {
			f.fail(oneAsk, "%s asks to %s %s, and has an answer about it to come", w.id, a.Verb, a.Lease)
		}
		k.asking[a.Lease] = true
		if len(k.asking) > 64 {
			f.fail(oneAsk, "%s has %d writes to leases under way", w.id, len(k.asking))
		}
	}
}

func leaseWrite(v fleet.Verb) bool { return v >= fleet.Take && v <= fleet.Forget }

// answered takes in what an answer tells a worker, before the worker does.
func (f *fleetRun) answered(c *call, ans *fleet.Answer) {
	w, a := c.w, c.a
	k := &w.knows
	for _, l := range ans.Leases {
		k.highest[l.ID] = max(k.highest[l.ID], l.Possession)
	}
	now := w.clock()
	for _, o := range ans.Workers {
		// A refused declaration tells the row as it is, whatever was seen.
		if seen, ok := k.peers[o.ID]; !ok || o.Beat > seen.beat || o.Beat != seen.beat && ans.Outcome == fleet.Refused {
			k.peers[o.ID] = sighting{o.Beat, now}
		}
	}
	switch {
	case a.Verb == fleet.Beat:
		k.beats--
	case (a.Verb == fleet.Look || a.Verb == fleet.LookSurely) && ans.Outcome == fleet.Done:
		k.looked = c.clock
	case leaseWrite(a.Verb):
		delete(k.asking, a.Lease)
		if (a.Verb == fleet.Take || a.Verb == fleet.Create) && a.To == w.id && ans.Outcome == fleet.Done {
			for _, l := range ans.Leases {
				k.taken[l.ID] = l.Possession
			}
		}
	}
}
