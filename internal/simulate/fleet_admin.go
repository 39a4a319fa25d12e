package simulate

import (
	"github.com/libvegas/vegas/internal/fleet"
	"github.com/libvegas/vegas/record"
)

// reset is the verb of a write that no worker makes.
const reset = fleet.List

// administer is somebody who writes by hand while workers live: wants a lease to
// be given up, moves its position back, or deletes the group.
func (f *fleetRun) administer() {
	t := f.all[f.rnd.IntN(len(f.all))]
	l := f.store.lease(t.id)
	if l.rev == 0 || l.Ended() || t.forgotten > 0 {
		return
	}
	switch x := f.rnd.Float64(); {
	case x < .45:
		if l.Owner != "" && l.Heir == "" {
			next := l.Lease
			next.Heir = fleet.Anyone
			f.store.putLease(next, l.rev, "admin", reset)
		}
	case x < .9:
		f.moveBack(t, l)
	default:
		f.deleteGroup()
	}
}

// moveBack moves a lease's position to its start or to some record before.
func (f *fleetRun) moveBack(t *fleetShard, l *leaseRow) {
	f.sums.Reset++
	next := l.Lease
	next.Heir = ""
	next.Possession++ // so that the owner begins anew
	next.At, next.Start = record.Position{}, f.groupStart(nil)
	if n := t.find(1 + uint64(f.rnd.Int64N(int64(f.seq)+1))); n > 0 && t.log[n-1].at >= f.began && !l.At.IsStart() && f.chance(.7) {
		if back := (record.Position{Sequence: t.log[n-1].name}); back.Compare(l.At) < 0 {
			next.At = back
		}
	}
	f.owe(t, next.At)
	for _, w := range f.procs {
		delete(w.gaveBack, t.id)
	}
	f.store.putLease(next, l.rev, "admin", reset)
}

// owe wants the records behind a position to be handled once more, but for those
// that are stored before it as well, here or in a parent: these are done with, and
// who begins there may know it, as the record at the position is read again for
// its mark.
func (f *fleetRun) owe(t *fleetShard, after record.Position) {
	done := map[*message]bool{}
	t.handledBefore(done)
	for i, c := range t.log {
		c.m.unmarked = true // the marks lead now, and are thrown away
		if after.Compare(record.Position{Sequence: c.name}) >= 0 {
			done[c.m] = true
			continue
		}
		t.low = min(t.low, i)
		if c.by == nil && !c.m.owed {
			continue
		}
		c.m.loose, c.covered = true, false
		c.m.owed = c.m.owed || !done[c.m]
	}
}

// handledBefore adds what was handled of a shard's ancestors.
func (t *fleetShard) handledBefore(done map[*message]bool) {
	for _, p := range t.parents {
		for _, c := range p.log {
			if c.by != nil {
				done[c.m] = true
			}
		}
		p.handledBefore(done)
	}
}

// deleteGroup deletes all rows, of a group old enough that clocks have passed
// its possession numbers.
func (f *fleetRun) deleteGroup() {
	for _, t := range f.all {
		if t.highest >= f.millis(-f.p.skew) {
			return
		}
	}
	if f.traced {
		f.trace("store: somebody deletes the group")
	}
	f.deleted = f.now
	f.sums.Reset++
	for _, w := range f.store.workers {
		if w.rev > 0 {
			w.rev = 0
			w.past = append(w.past, pastWorker{since: f.now})
		}
	}
	for _, w := range f.procs {
		clear(w.gaveBack)
	}
	for _, t := range f.all {
		// What was done with is read again, or is not: its children may go on.
		l := f.store.lease(t.id)
		if t.forgotten == 0 && (l.rev == 0 || !l.Ended()) {
			f.owe(t, record.Position{})
		} else {
			for _, c := range t.log {
				c.m.loose, c.m.unmarked = true, true
			}
		}
		l.rev, f.store.mark(t.id).rev = 0, 0
	}
}
