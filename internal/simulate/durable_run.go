package simulate

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/libvegas/vegas/internal/lane"
)

// Mutants of durable producers.
const (
	early    Mutant = "early"    // a record is sent before it is synced
	overtake Mutant = "overtake" // what is behind a dead record leaves before that one is a dead letter
	reuse    Mutant = "reuse"    // an opening goes on under the identity of the one before
	fresh    Mutant = "fresh"    // it does, and counts from 1 again
	innocent Mutant = "innocent" // what an earlier opening may have sent is buried as not stored
	hurry    Mutant = "hurry"    // what is late ends although it could not be buried
	tardy    Mutant = "tardy"    // what is late is let go now and then
	again    Mutant = "again"    // what was buried as late is buried once more when it has ended
	undead   Mutant = "undead"   // dead letters come out of the log once more after a crash
)

// DurableMutants are all of them, each of which the auditor has to catch.
var DurableMutants = []Mutant{early, overtake, reuse, fresh, innocent, hurry, tardy, again, undead,
	Mutant(lane.Blend), Mutant(lane.Patience), Mutant(lane.Apart),
	Mutant(lane.Barrier), Mutant(lane.Retire), Mutant(lane.Merge), Mutant(lane.Misplaced), Mutant(lane.Sticky)}

// drawDurable draws what only durable producers meet.
func drawDurable(r *rand.Rand, p *plan) {
	p.lane.Patient = true
	if r.IntN(5) > 0 {
		p.kills = time.Duration(200+r.IntN(3000)) * time.Millisecond
	}
	p.down = time.Duration(r.IntN(500)) * time.Millisecond
	if r.IntN(5) == 0 {
		p.down = time.Duration(r.IntN(4000)) * time.Millisecond
	}
	if r.IntN(2) == 0 {
		p.outages = time.Duration(500+r.IntN(3000)) * time.Millisecond
		p.outage = time.Duration(100+r.IntN(4000)) * time.Millisecond
	}
	p.fsync = time.Duration(r.IntN(50)) * time.Millisecond
	if r.IntN(5) < 2 {
		p.full = r.Float64() * .8
	}
	if r.IntN(4) == 0 {
		p.poison = r.Float64() * .05
	}
	p.lookahead = 1 + r.IntN(30)
	if r.IntN(2) == 0 {
		p.copies = 1 + r.IntN(2)
	}
	if r.IntN(5) < 3 {
		p.age = time.Duration(1+r.IntN(4000)) * time.Millisecond
	}
	if r.IntN(3) == 0 {
		p.fates = append(p.fates, odds{denied, r.Float64() * .3})
	}
}

// DurableResult is what a run of durable producers came to.
type DurableResult struct {
	Problems []string
	Sums
	DurableSums
}

// DurableSums count what happened to them.
type DurableSums struct {
	Kills, Closes, Copies       int
	Splits, Merges, Outages     int
	Unattended                  int // splits and merges between two openings
	Torn                        int // records that a crash took back, and nobody was promised
	Backlog                     int // records that were there at an opening
	Dead, DeadUnknown, Vanished int // the last: dead in one log, and taken by marks from its copy
	Expired                     int // records that were too old, of the dead
	Spared                      int // records that could not be buried as late
}

// Add adds o.
func (s *DurableSums) Add(o DurableSums) {
	s.Kills += o.Kills
	s.Closes += o.Closes
	s.Copies += o.Copies
	s.Splits += o.Splits
	s.Merges += o.Merges
	s.Outages += o.Outages
	s.Unattended += o.Unattended
	s.Expired += o.Expired
	s.Spared += o.Spared
	s.Torn += o.Torn
	s.Backlog += o.Backlog
	s.Dead += o.Dead
	s.DeadUnknown += o.DeadUnknown
	s.Vanished += o.Vanished
}

// String is one line.
func (s DurableSums) String() string {
	return fmt.Sprintf("%d kills, %d closes, %d copies, %d outages, %d splits, %d merges (%d of both between two openings); "+
		"%d records torn off, %d sent by a later opening, %d dead letters (%d too old, %d possibly stored), %d of these taken by marks from a copy; %d times one that was late could not be buried",
		s.Kills, s.Closes, s.Copies, s.Outages, s.Splits, s.Merges, s.Unattended,
		s.Torn, s.Backlog, s.Dead, s.Expired, s.DeadUnknown, s.Vanished, s.Spared)
}

// RunDurable is one run of durable producers: they are killed at any moment and
// start again on the same log, which is also copied and started twice.
func RunDurable(seed uint64, o Options) DurableResult {
	r := rand.New(rand.NewPCG(seed, 3))
	p := draw(r, o.Mutant)
	drawDurable(r, p)
	p.blind, p.checks = o.Blind, seed%8 == 0
	w := newWorld(r, p.shards)
	w.limits = p.limits
	w.tell(o.Trace, p)
	a := &audit{last: make(map[chain]uint64)}
	var sums DurableSums
	var logs []*diskLog
	var all []*sent

	var lives []*durable
	open := func(l *diskLog) {
		lives = append(lives, newDurable(l, a.fail))
		for _, r := range l.items {
			if !l.over(r) {
				sums.Backlog++
			}
		}
	}
	add := func(l *diskLog, after time.Duration) {
		logs = append(logs, l)
		w.after(after, func() { open(l) })
	}
	some := func() *durable { // that lives
		if d := logs[w.rnd.IntN(len(logs))].owner; d != nil && !d.dead {
			return d
		}
		return nil
	}
	add(newLog(w, p, "log0"), 0)
	w.every(p.gap, p.length, func() {
		if d := some(); d != nil {
			for range 1 + w.rnd.IntN(3) {
				d.accept(&all)
			}
		}
	})
	w.every(p.reshards, p.length, w.reshard)
	w.every(p.flips, p.length, w.flip)
	w.every(p.outages, p.length, func() {
		sums.Outages++
		w.strike(p)
	})
	w.every(p.kills, p.length, func() {
		d := some()
		if d == nil {
			return
		}
		if w.chance(.2) {
			sums.Closes++
			d.close()
		} else {
			sums.Kills++
			sums.Torn += d.kill()
		}
		down, before := w.within(p.down), w.moves
		if p.reshards > 0 && w.chance(.2) {
			w.storm(down)
		}
		w.after(down, func() {
			sums.Unattended += w.moves - before
			open(d.log)
		})
	})
	for i := range p.copies {
		w.after(w.within(p.length), func() {
			l := logs[w.rnd.IntN(len(logs))]
			sums.Copies++
			if w.traced {
				w.trace("%s is copied as log%d", l.name, i+1)
			}
			add(l.copy(fmt.Sprint("log", i+1)), w.within(p.length))
		})
	}
	steps := 0
	for w.step(p.calm+stuckAfter) && len(a.problems) == 0 {
		if steps++; steps > 200_000 {
			a.fail("stuck: busy without end")
			break
		}
		if w.now > p.calm && len(w.events) == 0 && atRest(logs) {
			break
		}
	}
	newGroup(w, p, a).run()
	for _, d := range lives {
		c := d.m.Counts()
		a.sums.Resent += int(c.Resent)
		a.sums.Undelivered += int(c.Misplaced)
		sums.Spared += d.refused
	}
	sums.Splits, sums.Merges = w.resharded()
	a.closeLogs(w, logs, all, p, &sums)
	a.sums.Shards, a.sums.Steps = len(w.shards), steps
	return DurableResult{Problems: a.problems, Sums: a.sums, DurableSums: sums}
}

func atRest(logs []*diskLog) bool {
	for _, l := range logs {
		if l.owner == nil || !l.owner.idle() {
			return false
		}
	}
	return true
}

// kill ends the process; what it has sent may still arrive.
func (d *durable) kill() (torn int) {
	d.crash()
	return d.log.crash()
}

// close ends it in order, with records left in the log.
func (d *durable) close() {
	d.crash()
	d.m.Abort(errGone)
	finished, _ := d.m.TakeFinished(nil)
	for _, it := range finished {
		if r := it.Tag.(*sent).of(); it.Err == nil {
			r.acked = true
			r.item.Shard, r.item.Sequence, r.item.Index = it.Shard, it.Sequence, it.Index
			d.log.acked[r] = true
		}
	}
	if n := d.m.Open(); n != 0 {
		d.fail("%s: %d records are open after Abort", d.name, n)
	}
	d.log.sync(len(d.log.items))
	for r := range d.log.acked {
		d.log.told[r] = true
	}
}
