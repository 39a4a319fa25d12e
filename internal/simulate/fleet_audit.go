package simulate

import (
	"fmt"
	"time"

	"github.com/libvegas/vegas/internal/fleet"
	"github.com/libvegas/vegas/record"
)

// Invariant is something that holds for fleets whatever happens.
type Invariant string

// Invariants.
const (
	// Two workers must never deliver one shard at once: neither frozen, both
	// valid by their own clocks.
	oneOwner Invariant = "one-owner"
	// What is started is proven at that moment.
	unproven Invariant = "unproven"
	// Possession numbers rise, never repeat, and only the latest writes.
	fence Invariant = "fence"
	// A checkpoint never goes back.
	checkpointBack Invariant = "checkpoint-back"
	// A checkpoint covers only what handlers have finished.
	checkpointAhead Invariant = "checkpoint-ahead"
	// Marks never lead the checkpoint.
	marksLead Invariant = "marks-lead"
	// After quiet every record was handled.
	skipped Invariant = "lost"
	// Records of a key are first handled in their order.
	order Invariant = "order"
	// A shard begins when all that is owed of its parents is handled.
	parentsFirst Invariant = "parents-first"
	// A shard gets one lease, unless its lease was forgotten with the shard.
	twiceCreated Invariant = "twice-created"
	// A shard ends when its children have leases.
	childless Invariant = "childless"
	// A worker asks one thing about a lease at a time, has one heartbeat and at
	// most 64 writes under way.
	oneAsk Invariant = "one-ask"
	// Dead is declared only who was seen silent by a look that began a lease
	// time after its last heartbeat was seen.
	blindly Invariant = "blindly"
	// Nothing is handed to a worker that is known to stop.
	astray Invariant = "astray"
	// What a function gave back is left to others for the rest time.
	rested Invariant = "rested"
	// An orderly end of a possession lets nothing be handled twice.
	silentHandoff Invariant = "silent-handoff"
	// What was stored twice is handled once, but for what a crash repeats.
	duplicate Invariant = "duplicate"
	// A dead worker's row stays dead, and one that is gone stays away.
	resurrected Invariant = "resurrected"
	// Only dead rows are deleted.
	buried Invariant = "buried"
	// Only a worker whose name another one has gives up for it, and no two
	// that run have one name.
	nameTaken Invariant = "name"
	// After quiet workers own the same number of leases, but for one.
	balanced Invariant = "balanced"
	// After quiet nothing is written but heartbeats, and read at the
	// documented rate.
	idling Invariant = "idle"
	// After quiet every shard is read, and what was to end has ended.
	stuck Invariant = "stuck"
)

// Problem is an invariant that did not hold.
type Problem struct {
	Invariant Invariant
	Text      string
}

// String is one line.
func (p Problem) String() string { return fmt.Sprintf("%s: %s", p.Invariant, p.Text) }

func (f *fleetRun) fail(i Invariant, format string, args ...any) {
	p := Problem{i, fmt.Sprintf("at %v: ", f.now) + fmt.Sprintf(format, args...)}
	if f.traced {
		f.trace("PROBLEM %v", p)
	}
	if len(f.problems) < 10 {
		f.problems = append(f.problems, p)
	}
}

// started checks a function that begins.
func (f *fleetRun) started(r *life, a *fleet.Act) {
	t := r.t
	if owner := f.owners[possession{t.id, r.possession}]; owner != r.w.id {
		f.fail(fence, "%s starts %s under possession %d, which is of %q", r.w.id, t.id, r.possession, owner)
	}
	if by := r.w.knows.taken[t.id]; by != r.possession {
		f.fail(unproven, "%s starts %s under possession %d, and no answer to a take told it so: %d", r.w.id, t.id, r.possession, by)
	}
	delete(r.w.knows.taken, t.id)
	if seen := r.w.knows.highest[t.id]; seen > r.possession {
		f.fail(fence, "%s starts %s under possession %d, and has heard of %d", r.w.id, t.id, r.possession, seen)
	}
	if len(t.readers) > 1 && !t.crowded {
		t.crowded = true
		f.crowded = append(f.crowded, t)
	}
	if !t.clear && f.deleted == 0 {
		if p := f.unfinished(t); p != nil {
			f.fail(parentsFirst, "%s starts %s, and %s is not done with", r.w.id, t.id, p.id)
		}
		t.clear = true
	}
	// What another has had is news, also if it had to hand it on unread.
	if at, ok := r.w.gaveBack[t.id]; ok && a.How != fleet.ByHandoff && r.w.clock()-at < r.w.timing.Rest {
		f.fail(rested, "%s starts %s %v after its function gave it back", r.w.id, t.id, r.w.clock()-at)
	}
	if a.Lease.Ended() {
		f.fail(parentsFirst, "%s starts %s, which has ended", r.w.id, t.id)
	}
}

// unfinished finds an ancestor of which something is owed.
func (f *fleetRun) unfinished(t *fleetShard) *fleetShard {
	for _, p := range t.parents {
		if p.forgotten > 0 {
			continue
		}
		for _, c := range p.log {
			if c.m.owed {
				return p
			}
		}
		if !p.clear {
			if p := f.unfinished(p); p != nil {
				return p
			}
		}
	}
	return nil
}

// crowd checks the shards that have several functions.
func (f *fleetRun) crowd() {
	kept := f.crowded[:0]
	for _, t := range f.crowded {
		if t.crowded = len(t.readers) > 1; !t.crowded {
			continue
		}
		kept = append(kept, t)
		var first *life
		for _, r := range t.readers {
			if !r.delivers() {
				continue
			}
			if first != nil {
				f.fail(oneOwner, "%s is delivered by %s (possession %d) and by %s (possession %d)", t.id, first.w.id, first.possession, r.w.id, r.possession)
				break
			}
			first = r
		}
	}
	f.crowded = kept
}

// handled takes a record that a handler finished.
func (f *fleetRun) handled(r *life, c *written) {
	m := c.m
	if f.traced {
		f.trace("%s handles record %d of slot %d at %s %s", r.w.id, m.counter, m.slot, r.t.id, c.name)
	}
	f.sums.Handled++
	for _, o := range r.t.readers {
		if o != r && r.phase < cutOff && r.w.began >= f.deleted && o.delivers() {
			f.fail(oneOwner, "%s %s is handled by %s (possession %d), and %s delivers it (possession %d)", r.t.id, c.name, r.w.id, r.possession, o.w.id, o.possession)
		}
	}
	if c.by != nil && !m.loose {
		f.sums.Repeated++
		if c.by.orderly && c.by.possession < r.possession {
			f.fail(silentHandoff, "%s %s is handled again by %s: possession %d of %s ended in good order", r.t.id, c.name, r.w.id, c.by.possession, c.by.w.id)
		}
	}
	c.by = r
	if !m.first {
		m.first = true
		if last := f.last[m.slot]; last > m.counter {
			f.fail(order, "record %d of slot %d is handled after %d", m.counter, m.slot, last)
		} else {
			f.last[m.slot] = m.counter
		}
	}
	m.owed = false
}

// leaseWritten checks a write to a lease's row.
func (f *fleetRun) leaseWritten(r *leaseRow, next *fleet.Lease, by string, verb fleet.Verb) {
	t := f.byID[next.ID]
	if r.rev == 0 {
		if t.created > 0 && t.forgotten == 0 && f.deleted == 0 {
			f.fail(twiceCreated, "the lease of %s is made again by %s", t.id, by)
		}
		t.created++
		f.sums.Leases++
		if next.Possession <= t.highest {
			f.fail(fence, "the lease of %s is made anew with possession %d, it has been at %d", t.id, next.Possession, t.highest)
		}
	} else {
		if verb == fleet.Create {
			f.fail(twiceCreated, "the lease of %s is made over one that is there by %s", t.id, by)
		}
		if changes := r.Owner != next.Owner; next.Possession < r.Possession || changes && next.Possession <= t.highest && verb != fleet.End {
			f.fail(fence, "%s of %s by %s: possession %d after %d", verb, t.id, by, next.Possession, r.Possession)
		}
		if next.At.Compare(r.At) < 0 && verb != reset {
			f.fail(checkpointBack, "%s by %s moves %s from %v to %v", verb, by, t.id, r.At, next.At)
		}
	}
	if verb == fleet.End {
		f.coveredTo(t, next.At)
		for _, c := range t.children {
			if c.created == 0 {
				f.fail(childless, "%s writes that %s has ended, and its child %s has no lease", by, t.id, c.id)
			}
		}
	}
	if next.Owner != "" && next.Owner != r.Owner {
		for _, w := range f.procs {
			if w.id != next.Owner {
				delete(w.gaveBack, t.id) // somebody has had it meanwhile
			}
		}
	}
	if next.Possession > r.Possession || r.rev == 0 {
		f.owners[possession{t.id, next.Possession}] = next.Owner
	}
	t.highest = max(t.highest, next.Possession)
}

// checkpointed checks a checkpoint that is written.
func (f *fleetRun) checkpointed(l *leaseRow, r *life, p record.Position) {
	if l.Possession != r.possession {
		f.fail(fence, "%s writes a checkpoint of %s for possession %d, it is at %d", r.w.id, r.t.id, r.possession, l.Possession)
	}
	if p.Compare(l.At) < 0 {
		f.fail(checkpointBack, "%s moves %s from %v to %v", r.w.id, r.t.id, l.At, p)
	}
	f.coveredTo(r.t, p)
	kept := r.fresh[:0]
	for _, c := range r.fresh {
		switch {
		case p.Compare(record.Position{Sequence: c.name}) < 0:
			kept = append(kept, c)
		case !c.covered:
			c.covered = true
			if c.m.covered++; c.m.covered > 1 && !c.m.unmarked {
				f.fail(duplicate, "record %d of slot %d is handled a second time at %s %s", c.m.counter, c.m.slot, r.t.id, c.name)
			}
		}
	}
	r.fresh = kept
}

// coveredTo checks that a position covers only what was finished.
func (f *fleetRun) coveredTo(t *fleetShard, p record.Position) {
	for t.low < len(t.log) && p.Compare(record.Position{Sequence: t.log[t.low].name}) >= 0 {
		if c := t.log[t.low]; c.m.owed {
			if t.forgotten == 0 {
				f.fail(checkpointAhead, "%s is at %v, record %d at %s was not handled", t.id, p, c.m.counter, c.name)
			}
			return
		}
		t.low++
	}
}

// possession is a lease's under a number.
type possession struct {
	lease string
	n     uint64
}

// missing says what keeps the fleet from being at rest, or "".
func (f *fleetRun) missing() (Invariant, string) {
	running := map[string]int{}
	names := map[string]bool{}
	for _, w := range f.procs {
		switch {
		case w.gone:
		case w.stops:
			return stuck, w.id + " has not stopped"
		case names[w.name]:
			return nameTaken, "two workers named " + w.name
		default:
			names[w.name] = true
			running[w.id] = 0
			if r := f.store.byID[w.id]; r == nil || r.rev == 0 || r.State != fleet.Running {
				return stuck, w.id + " does not run"
			}
		}
	}
	waiting := 0
	for _, t := range f.all {
		if f.waits(t, running) {
			waiting++
			continue
		}
		if i, text := f.restless(t, running); text != "" {
			return i, text
		}
		for _, c := range t.log {
			if c.m.owed {
				return skipped, fmt.Sprintf("record %d of slot %d was never handled", c.m.counter, c.m.slot)
			}
		}
	}
	least, most, full := len(f.all), 0, 0
	for _, n := range running {
		if f.p.limit > 0 && n == f.p.limit {
			full++
			continue
		}
		least, most = min(least, n), max(most, n)
	}
	switch {
	case full == len(running):
		return "", ""
	case waiting > 0:
		return stuck, fmt.Sprintf("%d leases have no owner", waiting)
	case most-least > 1:
		return balanced, fmt.Sprintf("leases by worker: %v", running)
	}
	return "", ""
}

// waits tells that nobody reads a shard, which is in order where no worker has
// room for more: also one that was forgotten after it had got a lease.
func (f *fleetRun) waits(t *fleetShard, running map[string]int) bool {
	l := f.store.lease(t.id)
	_, runs := running[l.Owner]
	if l.rev == 0 {
		return f.p.limit > 0 && t.forgotten == 0
	}
	return f.p.limit > 0 && !l.Ended() && !runs
}

// restless says what is to be done yet about a shard.
func (f *fleetRun) restless(t *fleetShard, running map[string]int) (Invariant, string) {
	l := f.store.lease(t.id)
	_, runs := running[l.Owner]
	switch {
	case l.rev == 0 && (t.forgotten > 0 || t.closed && t.created > 0):
		return "", ""
	case l.rev == 0:
		return stuck, t.id + " has no lease"
	case l.Ended():
		return "", ""
	case t.closed:
		return stuck, t.id + " has not ended"
	case l.Heir != "":
		return stuck, t.id + " has an heir"
	case !runs:
		return stuck, fmt.Sprintf("%s is of %q, which does not run", t.id, l.Owner)
	}
	running[l.Owner]++
	for _, r := range t.readers {
		if r.w.id == l.Owner && r.phase == reading && r.possession == l.Possession {
			if len(t.log) > 0 && l.At.Compare(record.Position{Sequence: t.log[len(t.log)-1].name}) < 0 && t.log[len(t.log)-1].at >= f.began {
				return stuck, fmt.Sprintf("%s is checkpointed at %v only", t.id, l.At)
			}
			return "", ""
		}
	}
	return stuck, fmt.Sprintf("%s is not read by %s", t.id, l.Owner)
}

// restful checks what an idle fleet asked of the store in a while.
func (f *fleetRun) restful(before, after *rows, took time.Duration) {
	running, shortest := 0, never
	for _, w := range f.procs {
		if !w.gone {
			running++
			shortest = min(shortest, w.timing.Lease)
		}
	}
	for v := range fleet.List {
		if n := after.writes[v] - before.writes[v]; n > 0 && v != fleet.Beat {
			f.fail(idling, "%d writes (%s) in %v", n, v, took)
		}
	}
	if n := after.other - before.other; n > 0 {
		f.fail(idling, "%d checkpoints and marks in %v", n, took)
	}
	// Whoever cleans lists now and then, and that may have become another one.
	most := map[fleet.Verb]int{fleet.List: 2}
	for _, w := range f.procs {
		if w.gone {
			continue
		}
		t := &w.timing
		for v, every := range map[fleet.Verb]time.Duration{
			fleet.Beat: t.Beat,
			// Also when somebody may have been silent for long enough.
			fleet.Look:  min(max(t.Look, 40*time.Millisecond*time.Duration(running)), time.Second, shortest),
			fleet.Sweep: max(t.Sweep, 12*time.Second*time.Duration(running)),
		} {
			most[v] += 2 + int(w.rate*float64(took)/float64(every))
		}
	}
	for _, v := range []fleet.Verb{fleet.Beat, fleet.Look, fleet.Sweep, fleet.Read, fleet.LookSurely, fleet.List} {
		if n := after.reads[v] - before.reads[v]; n > most[v] {
			f.fail(idling, "%d times %s in %v by %d workers, at most %d expected", n, v, took, running, most[v])
		}
	}
}
