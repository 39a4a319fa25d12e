package simulate

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/libvegas/vegas/internal/fleet"
	"github.com/libvegas/vegas/internal/mark"
	"github.com/libvegas/vegas/internal/progress"
	"github.com/libvegas/vegas/record"
)

// life is a shard's function under one possession, with what the consumer
// does around it: internal/shard in small.
type life struct {
	w          *proc
	f          *fleetRun
	t          *fleetShard
	row        leaseRow // as it was seen last
	possession uint64
	begin      time.Duration // where to start while there is no checkpoint
	phase      phase
	why        fleet.Why

	marks    *mark.Tracker
	marksRow marksRow
	window   progress.Window
	next     int // in the log
	tasks    []toDo
	verdicts []mark.Verdict
	fresh    []*written      // handled since the last checkpoint
	at       record.Position // last checkpoint
	from     record.Position // checkpoint at the start
	savedAt  record.Position // that the saved marks belong to
	known    bool            // marks were saved
	lags     bool            // they are still being made up for

	planned bool // a step is
	writing bool
	orderly bool // it ended with everything checkpointed
}

type phase uint8

const (
	loading phase = iota
	reading
	draining // handles what it has
	settling // writes its last checkpoint
	cutOff   // the lease is lost; the function has not returned yet
	returned
)

type toDo struct {
	c      *written
	ticket progress.Ticket
}

func sortedLives(held map[string]*life) []*life {
	var out []*life
	for _, r := range held {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b *life) int { return strings.Compare(a.t.id, b.t.id) })
	return out
}

// epoch is what simulated times count from where they are dates.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// start begins a shard's function.
func (f *fleetRun) start(w *proc, a *fleet.Act) *life {
	t := f.byID[a.Lease.ID]
	r := &life{w: w, f: f, t: t, row: leaseRow{Lease: a.Lease}, possession: a.Lease.Possession, at: a.Lease.At, from: a.Lease.At}
	if !a.Begin.IsZero() {
		r.begin = a.Begin.Sub(epoch)
	}
	t.readers = append(t.readers, r)
	f.started(r, a)
	r.load()
	return r
}

// delivers: it hands records to its function, or may. What workers do whose rows
// somebody deleted does not count.
func (r *life) delivers() bool {
	return r.phase < cutOff && r.w.began >= r.f.deleted && !r.w.gone && !r.w.frozen() && r.w.valid()
}

// load reads the marks, and where there are none that can be used those of the
// parents.
func (r *life) load() {
	var own marksRow
	var parents [][]byte
	r.get(func() {
		own = *r.f.store.mark(r.t.id)
		parents = parents[:0]
		for _, p := range r.t.parents {
			if m := r.f.store.mark(p.id); m.rev > 0 && r.f.store.lease(p.id).rev > 0 {
				parents = append(parents, m.body)
			}
		}
	}, func() {
		r.prepare(own, parents)
		r.kick()
	})
}

// get reads from the store until it answers, or nobody waits any more.
func (r *life) get(read, then func()) {
	r.w.request(r.f.p.opLimit, read, func(answered bool) {
		switch {
		case r.phase >= cutOff:
		case answered:
			then()
		default:
			r.f.after(r.f.within(50*time.Millisecond), func() { r.w.local(func() { r.get(read, then) }) })
		}
	})
}

func (r *life) prepare(own marksRow, parents [][]byte) {
	f := r.f
	r.marksRow = own
	r.marks = mark.New(r.t.rng, 0)
	restored := false
	var saved *mark.Saved
	if own.rev > 0 {
		var err error
		if saved, err = mark.Decode(own.body); err != nil {
			f.fail(marksLead, "marks of %s: %v", r.t.id, err)
			return
		}
		if f.p.mutant == survive {
			saved.At = record.Position{}
		}
		restored = r.marks.Restore(saved, r.at)
	}
	from := r.at
	if restored && saved.At.Compare(r.at) < 0 {
		f.sums.Lags++
	}
	if restored {
		r.savedAt, r.known = saved.At, true
		if saved.At.Compare(r.at) < 0 && f.p.mutant != lagging && f.p.mutant != survive {
			from, r.lags = saved.At, true
		}
	} else if f.p.mutant != disinherit {
		for _, body := range parents {
			if p, err := mark.Decode(body); err == nil {
				r.marks.Inherit(p)
			}
		}
	}
	r.window.Reset(r.at)
	r.next = 0
	if !from.IsStart() {
		seq, _ := strconv.ParseUint(from.Sequence, 10, 64)
		r.next = r.t.find(seq)
	} else {
		for r.next < len(r.t.log) && r.t.log[r.next].at < r.begin {
			r.next++
		}
	}
	if r.phase == loading {
		r.phase = reading
	}
}

// kick lets the reader go on.
func (r *life) kick() { r.in(r.f.p.readDelay) }

func (r *life) in(most time.Duration) {
	if r.planned || r.phase == returned || r.phase == loading || r.phase == cutOff {
		return
	}
	r.planned = true
	r.f.after(r.f.within(most), func() {
		r.w.local(func() {
			r.planned = false
			r.step()
		})
	})
}

func (r *life) step() {
	f := r.f
	if r.phase >= cutOff {
		return
	}
	if !r.w.valid() && f.p.mutant != unchecked {
		r.lose("not proven any more")
		return
	}
	switch r.phase {
	case reading:
		r.read()
	case draining:
		if f.p.mutant == careless {
			r.tasks = nil
			r.phase = settling
			r.returns(fleet.Drained, nil)
			return
		}
		if len(r.tasks) > 0 {
			r.finish()
			r.in(f.p.handling)
			return
		}
		r.phase = settling
		r.settle(r.window.Low(), func() { r.returns(fleet.Drained, nil) })
	}
}

// read is a step of an ordinary life.
func (r *life) read() {
	f, t := r.f, r.t
	ended := t.closed || t.forgotten > 0
	more := r.next < len(t.log) && t.forgotten == 0
	low := r.window.Low()
	behind := low.Compare(r.at) > 0 || f.p.mutant == hastily && len(r.tasks) > 0
	switch x := f.rnd.Float64(); {
	case behind && !r.writing && (x < .1 || !more && len(r.tasks) == 0):
		if f.p.mutant == hastily && len(r.tasks) > 0 {
			low = record.Position{Sequence: r.tasks[len(r.tasks)-1].c.name}
		}
		r.write(low, false, func(bool) { r.kick() })
		r.in(f.p.handling)
	case more && len(r.tasks) < 8 && (x < .6 || len(r.tasks) == 0):
		for range 1 + f.rnd.IntN(3) {
			if r.next < len(t.log) {
				r.take(t.log[r.next])
				r.next++
			}
		}
		r.in(f.p.handling)
	case len(r.tasks) > 0:
		r.finish()
		r.in(f.p.handling)
	case ended && !more:
		r.phase = settling
		r.settle(low, func() {
			var children []fleet.Shard
			if f.chance(f.p.named) && t.forgotten == 0 {
				children = t.describeChildren()
			}
			r.returns(fleet.ReadToEnd, children)
		})
	case f.now < f.p.calm && f.chance(f.p.givesBack):
		r.phase = settling
		r.settle(low, func() { r.returns(fleet.GivenBack, nil) })
	}
}

// take decides about one record that was read.
func (r *life) take(c *written) {
	p := record.Position{Sequence: c.name}
	r.verdicts = r.marks.Decide(r.verdicts[:0], c.name, &c.id, c)
	if p.Compare(r.from) >= 0 {
		r.lags = false
	}
	if p.Compare(r.from) <= 0 && !r.from.IsStart() {
		return
	}
	if r.verdicts[0] != mark.Deliver {
		if r.f.traced {
			r.f.trace("%s drops record %d at %s %s: %v", r.w.id, c.m.counter, r.t.id, c.name, r.verdicts[0])
		}
		r.f.sums.Duplicates++
		r.window.Pass(p)
		return
	}
	r.tasks = append(r.tasks, toDo{c, r.window.Add(p)})
}

// finish ends some handler; records of one hash are handled in order.
func (r *life) finish() {
	i := r.f.rnd.IntN(len(r.tasks))
	for j := range i {
		if r.tasks[j].c.m.slot == r.tasks[i].c.m.slot {
			i = j
			break
		}
	}
	x := r.tasks[i]
	r.tasks = append(r.tasks[:i], r.tasks[i+1:]...)
	r.f.handled(r, x.c)
	r.fresh = append(r.fresh, x.c)
	r.window.Done(x.ticket)
}

// drain ends the reading: what was handed out is finished, then the function
// returns; a deaf one much later.
func (r *life) drain(why fleet.Why) {
	f := r.f
	if r.phase >= draining {
		return
	}
	if r.phase == loading {
		r.phase = cutOff // it has done nothing yet
		r.orderly = true
		f.after(f.within(f.p.handling), func() { r.w.local(func() { r.returnNow(fleet.Drained, nil) }) })
		return
	}
	r.phase, r.why = draining, why
	if f.now < f.p.calm && f.chance(f.p.deaf) {
		r.planned = true
		f.after(f.within(3*f.p.timing.Lease), func() {
			r.w.local(func() {
				r.planned = false
				r.step()
			})
		})
		return
	}
	r.kick()
}

// lose ends the function at once; a deaf one returns much later. A handler that
// was running may have had its effect all the same.
func (r *life) lose(why string) {
	f := r.f
	if r.phase >= cutOff {
		return
	}
	if f.traced {
		f.trace("%s loses %s, possession %d: %s", r.w.id, r.t.id, r.possession, why)
	}
	f.sums.Lost++
	r.phase = cutOff
	if len(r.tasks) > 0 && f.chance(.5) {
		r.finish()
	}
	d := f.within(f.p.handling)
	if f.now < f.p.calm && f.chance(f.p.deaf) {
		d = f.within(3 * f.p.timing.Lease)
	}
	f.after(d, func() { r.w.local(func() { r.returnNow(fleet.Lost, nil) }) })
}

// returns ends the function in good order.
func (r *life) returns(how fleet.Closing, children []fleet.Shard) {
	if r.phase != settling {
		return
	}
	r.orderly = true
	r.returnNow(how, children)
}

func (r *life) returnNow(how fleet.Closing, children []fleet.Shard) {
	if r.phase == returned {
		return
	}
	if r.f.traced {
		r.f.trace("%s: the function of %s, possession %d, has returned (%d)", r.w.id, r.t.id, r.possession, how)
	}
	r.phase = returned
	r.t.leave(r)
	r.f.sums.Closed[how]++
	r.w.closed(r, how, children)
}
