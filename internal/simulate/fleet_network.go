package simulate

import (
	"time"

	"github.com/libvegas/vegas/internal/fleet"
)

// call is one Ask under way, as a runner carries it out: reads and
// compare-and-swap until the row has decided or the time is over.
type call struct {
	w     *proc
	a     *fleet.Ask
	began time.Duration
	clock time.Duration // then, the worker's own
	limit time.Duration
	over  bool
	run   int        // of the worker's machines
	rows  []leaseRow // that were read
}

// request is one request over the network. apply happens at the store, at its
// time, though its answer may get lost or come when nobody waits any more; done
// is called once in any case, unless the worker is gone.
func (w *proc) request(timeout time.Duration, apply func(), done func(answered bool)) {
	f, run := w.f, w.runs
	n := &f.p.net
	answer := func(answered bool) {
		w.local(func() {
			if w.runs == run {
				done(answered)
			}
		})
	}
	to, back := f.within(n.latency), f.within(n.latency)
	arrives, answers := true, true
	if f.now < f.p.calm {
		switch x := f.rnd.Float64(); {
		case x < n.lost:
			arrives = false
		case x < n.lost+n.mute:
			answers = false
		case x < n.lost+n.mute+n.slow:
			to += f.within(n.slowness)
		case x < n.lost+n.mute+2*n.slow:
			back += f.within(n.slowness)
		}
		switch {
		case f.now < w.cutUntil && f.chance(.9):
			arrives = false
		case f.now < f.outageUntil && f.outageHangs:
			to += f.outageUntil - f.now // everything is applied when it is over
		case f.now < f.outageUntil:
			arrives = false
		case f.now < f.throttleUntil && f.chance(.6):
			f.after(to+back, func() { answer(false) })
			return
		}
	}
	if arrives && answers && to+back < timeout {
		f.after(to, func() {
			apply()
			f.after(back, func() { answer(true) })
		})
		return
	}
	if arrives {
		f.after(to, apply)
	}
	f.after(timeout, func() { answer(false) })
}

// ask begins to carry out an Ask.
func (w *proc) ask(a *fleet.Ask) {
	f := w.f
	c := &call{w: w, a: a, began: f.now, clock: w.clock(), limit: f.p.askLimit, run: w.runs}
	if a.Verb == fleet.Beat {
		// A quarter of the lease time for each of two calls, as the runner has it.
		c.limit = w.timing.Lease / 2
	}
	f.asked(w, a)
	f.store.reads[a.Verb]++
	if f.traced {
		f.trace("%s asks %d: %s %s%s %q -> %q possession %d %v", w.id, a.N, a.Verb, a.Worker.ID, a.Lease, a.From, a.To, a.Possession, a.Leases)
	}
	if f.p.mutant == undeclared && a.Verb == fleet.Declare {
		dead := a.Worker
		dead.State = fleet.Dead
		f.after(f.p.net.latency, func() { w.local(func() { c.answer(fleet.Answer{Workers: []fleet.Worker{dead}}) }) })
		return
	}
	switch a.Verb {
	case fleet.Join, fleet.Beat, fleet.Declare, fleet.Bury:
		c.workerRow()
	case fleet.Take, fleet.Announce, fleet.Withdraw, fleet.Give, fleet.End:
		c.leaseRow()
	case fleet.Create:
		c.create()
	case fleet.Forget:
		c.forget()
	case fleet.List:
		c.list()
	default:
		c.read()
	}
}

// answer answers the Ask, once.
func (c *call) answer(ans fleet.Answer) {
	w := c.w
	if c.over || c.run != w.runs {
		return
	}
	c.over = true
	w.f.answered(c, &ans)
	if w.f.traced {
		w.f.trace("%s hears %d: %s of %s%s: %s", w.id, c.a.N, [...]string{"done", "refused", "unknown"}[ans.Outcome], c.a.Worker.ID, c.a.Lease, c.a.Verb)
	}
	for _, r := range c.rows {
		if w.f.chance(.7) {
			w.seen[r.ID] = r
		}
	}
	w.m.Answer(w.clock(), c.a, ans)
	w.poll()
}

// again tries once more, unless the time is over. In steps of one store call it
// never hurries.
func (c *call) again(try func()) {
	if c.w.f.now-c.began >= c.limit {
		if f := c.w.f; f.p.mutant == rash && c.a.Verb == fleet.Take {
			l := f.store.lease(c.a.Lease).Lease
			l.Owner, l.Possession = c.w.id, c.a.Possession+1
			c.answer(fleet.Answer{Outcome: fleet.Done, Leases: []fleet.Lease{l}})
			return
		}
		c.answer(fleet.Answer{Outcome: fleet.Unknown})
		return
	}
	c.w.f.after(c.w.f.within(20*time.Millisecond), func() {
		c.w.local(func() {
			if c.run == c.w.runs {
				try()
			}
		})
	})
}

func (c *call) timeout() time.Duration {
	return max(min(c.limit/2, c.began+c.limit-c.w.f.now), time.Millisecond)
}

// atomic carries a write out as one conditional operation, which a store may
// apply as late as it likes: more than a swap can do, whose revision fits once.
func (c *call) atomic(apply func() fleet.Answer) {
	var ans fleet.Answer
	c.w.request(c.limit, func() { ans = apply() }, func(answered bool) {
		if !answered {
			ans = fleet.Answer{Outcome: fleet.Unknown}
		}
		c.answer(ans)
	})
}

// workerRow writes a worker's row: Join, Beat, Declare, Bury.
func (c *call) workerRow() {
	a, s := c.a, c.w.f.store
	id := a.Worker.ID
	// decide is the new row, or an answer that needs none.
	decide := func(r fleet.Worker, there bool) (next fleet.Worker, ans fleet.Answer, write bool) {
		ans = fleet.Answer{Outcome: fleet.Refused}
		if there {
			ans.Workers = []fleet.Worker{r}
		}
		dead := there && r.State == fleet.Dead
		switch a.Verb {
		case fleet.Join:
			write = !there
			if there && r.Beat == a.Worker.Beat && r.State == a.Worker.State {
				ans.Outcome = fleet.Done // an earlier try was applied
			}
		case fleet.Beat:
			switch m := c.w.f.p.mutant; {
			case m == revive && there, m == remake && !there:
				return a.Worker, ans, true
			}
			write = there && !dead && r.Beat < a.Worker.Beat
			if there && r.Beat >= a.Worker.Beat && (!dead || a.Worker.State == fleet.Dead) {
				ans.Outcome = fleet.Done
			}
		case fleet.Declare:
			write = there && !dead && r.Beat == a.Worker.Beat
			if dead && r.Beat == a.Worker.Beat {
				ans.Outcome = fleet.Done
			}
			r.State = fleet.Dead
			return r, ans, write
		case fleet.Bury:
			write = dead
			if !there {
				ans.Outcome = fleet.Done
			}
		}
		return a.Worker, ans, write
	}
	put := func(next fleet.Worker, rev uint64) bool {
		if a.Verb == fleet.Bury {
			return s.deleteWorker(id, rev)
		}
		return s.putWorker(next, rev, a.Verb)
	}
	if c.w.f.p.atomic {
		c.atomic(func() fleet.Answer {
			r := s.worker(id)
			next, ans, write := decide(r.Worker, r.rev > 0)
			if write && put(next, r.rev) {
				return fleet.Answer{Workers: []fleet.Worker{next}}
			}
			return ans
		})
		return
	}
	var get func()
	once := false // a row is never made a second time, whatever became of the first
	swap := func(next fleet.Worker, rev uint64) {
		applied, made := false, uint64(0)
		c.w.request(c.timeout(), func() { applied, made = put(next, rev), s.rev }, func(answered bool) {
			switch {
			case answered && applied:
				if a.Verb == fleet.Beat || a.Verb == fleet.Join {
					c.w.rowRev = made
				}
				c.answer(fleet.Answer{Workers: []fleet.Worker{next}})
			default:
				once = !answered && a.Verb == fleet.Join
				c.again(get)
			}
		})
	}
	get = func() {
		var r workerRow
		c.w.request(c.timeout(), func() { r = *s.worker(id) }, func(answered bool) {
			if !answered {
				c.again(get)
				return
			}
			next, ans, write := decide(r.Worker, r.rev > 0)
			switch {
			case write && once:
				c.answer(fleet.Answer{Outcome: fleet.Unknown})
			case write:
				swap(next, r.rev)
			default:
				c.answer(ans)
			}
		})
	}
	switch {
	case a.Verb == fleet.Join:
		swap(a.Worker, 0)
	case a.Verb == fleet.Beat && c.w.rowRev > 0:
		swap(a.Worker, c.w.rowRev)
	default:
		get()
	}
}

// leaseRow writes a lease's row that is there.
func (c *call) leaseRow() {
	a, s, w := c.a, c.w.f.store, c.w
	decide := func(r leaseRow) (next fleet.Lease, ans fleet.Answer, write bool) {
		if r.rev == 0 {
			return next, fleet.Answer{Outcome: fleet.Refused, Gone: []string{a.Lease}}, false
		}
		if next, write = a.Apply(r.Lease); write {
			return next, ans, true
		}
		ans = fleet.Answer{Outcome: fleet.Refused, Leases: []fleet.Lease{r.Lease}}
		if a.Applied(r.Lease) {
			ans.Outcome = fleet.Done
		}
		return next, ans, false
	}
	if w.f.p.atomic {
		c.atomic(func() fleet.Answer {
			r := s.lease(a.Lease)
			next, ans, write := decide(*r)
			if write && s.putLease(next, r.rev, w.id, a.Verb) {
				return fleet.Answer{Leases: []fleet.Lease{next}}
			}
			return ans
		})
		return
	}
	var get func()
	swap := func(next fleet.Lease, rev uint64) {
		applied := false
		w.request(c.timeout(), func() {
			if applied = s.putLease(next, rev, w.id, a.Verb); applied {
				c.rows = append(c.rows, *s.lease(a.Lease))
			}
		}, func(answered bool) {
			if answered && applied {
				c.answer(fleet.Answer{Leases: []fleet.Lease{next}})
				return
			}
			c.again(get)
		})
	}
	get = func() {
		var r leaseRow
		w.request(c.timeout(), func() { r = *s.lease(a.Lease) }, func(answered bool) {
			if !answered {
				c.again(get)
				return
			}
			next, ans, write := decide(r)
			if write {
				swap(next, r.rev)
				return
			}
			c.answer(ans)
		})
	}
	if seen, ok := w.seen[a.Lease]; ok && seen.rev > 0 {
		if next, write := a.Apply(seen.Lease); write {
			swap(next, seen.rev)
			return
		}
	}
	get()
}

// create makes a lease where there is none.
func (c *call) create() {
	a, w := c.a, c.w
	f := w.f
	s := f.store
	made := fleet.Lease{Shard: a.Shard, Start: f.groupStart(w), Owner: a.To, Possession: max(a.Possession, w.wallMillis())}
	if f.p.mutant == renumber {
		made.Possession = 1
	}
	put := func(rev uint64) fleet.Answer {
		if c.began < f.deleted {
			return fleet.Answer{Outcome: fleet.Unknown} // lost with the group
		}
		r := s.lease(made.ID)
		if r.rev == 0 && rev == 0 || f.p.mutant == remakeLease {
			s.putLease(made, r.rev, w.id, fleet.Create)
			return fleet.Answer{Leases: []fleet.Lease{made}}
		}
		ans := fleet.Answer{Outcome: fleet.Refused, Leases: []fleet.Lease{r.Lease}}
		if r.Owner == made.Owner && r.Possession == made.Possession && a.To != "" {
			ans.Outcome = fleet.Done
		}
		return ans
	}
	if f.p.atomic {
		c.atomic(func() fleet.Answer { return put(0) })
		return
	}
	var try func()
	try = func() {
		var ans fleet.Answer
		w.request(c.timeout(), func() { ans = put(0) }, func(answered bool) {
			if !answered {
				c.again(try)
				return
			}
			c.answer(ans)
		})
	}
	try()
}

// forget deletes the marks and the lease of a shard.
func (c *call) forget() {
	a, w := c.a, c.w
	s := w.f.store
	ans := fleet.Answer{Outcome: fleet.Refused}
	w.request(c.limit, func() {
		r := s.lease(a.Lease)
		if r.rev == 0 {
			ans = fleet.Answer{Gone: []string{a.Lease}}
			return
		}
		if !r.Ended() || r.Possession != a.Possession {
			ans.Leases = []fleet.Lease{r.Lease}
			return
		}
		s.mark(a.Lease).rev = 0
		s.deleteLease(a.Lease, r.rev)
		ans = fleet.Answer{}
	}, func(answered bool) {
		if !answered {
			ans = fleet.Answer{Outcome: fleet.Unknown}
		}
		c.answer(ans)
	})
}

// list lists the stream's shards, as they were some time ago.
func (c *call) list() {
	f := c.w.f
	var ans fleet.Answer
	c.w.request(c.limit, func() {
		at := f.now
		if f.now < f.p.calm && f.chance(f.p.staleLists) {
			at = max(0, at-f.within(2*time.Second))
		}
		ans.Shards = f.list(at)
	}, func(answered bool) {
		if !answered {
			ans = fleet.Answer{Outcome: fleet.Unknown}
		}
		c.answer(ans)
	})
}

// read carries out Look, LookSurely, Sweep and Read.
func (c *call) read() {
	f, w, a := c.w.f, c.w, c.a
	s := f.store
	var ans fleet.Answer
	row := func(id string) {
		if r := s.lease(id); r.rev > 0 {
			ans.Leases = append(ans.Leases, r.Lease)
			c.rows = append(c.rows, *r)
		} else {
			ans.Gone = append(ans.Gone, id)
		}
	}
	first := func() {}
	second := func() {
		switch a.Verb {
		case fleet.Look:
			lags := f.now < f.p.calm && f.chance(f.p.lags)
			ans.Workers = s.look(func() time.Duration {
				if !lags {
					return 0
				}
				return f.within(f.p.lag)
			})
		case fleet.LookSurely:
			ans.Workers = s.look(func() time.Duration { return 0 })
		case fleet.Read:
			for _, id := range a.Leases {
				row(id)
			}
		}
	}
	if a.Verb == fleet.Sweep {
		// Page by page, each row as it is when its page is read.
		half := 0
		first = func() {
			half = f.rnd.IntN(len(s.leases) + 1)
			for _, r := range s.leases[:half] {
				if r.rev > 0 {
					row(r.ID)
				}
			}
		}
		second = func() {
			for _, r := range s.leases[half:] {
				if r.rev > 0 {
					row(r.ID)
				}
			}
		}
	}
	failed := func() { c.answer(fleet.Answer{Outcome: fleet.Unknown}) }
	last := func() {
		w.request(c.timeout(), second, func(answered bool) {
			if !answered {
				failed()
				return
			}
			c.answer(ans)
		})
	}
	if a.Verb != fleet.Sweep {
		last()
		return
	}
	w.request(c.timeout(), first, func(answered bool) {
		if !answered {
			failed()
			return
		}
		last()
	})
}
