package simulate

import (
	"errors"
	"fmt"
	"time"

	"github.com/libvegas/vegas/internal/fleet"
)

// proc is a process that runs one worker after the other: the machine, and
// around it what a runner does.
type proc struct {
	f    *fleetRun
	name string
	id   string
	m    *fleet.Machine

	began  time.Duration // the machine
	born   time.Duration // when its clock was zero
	rate   float64       // of its clock
	skew   time.Duration // of its wall clock
	runs   int           // machines so far
	limit  int
	proven bool // when it was seen last
	timing fleet.Timing
	gone   bool // crashed, or its part is over
	stops  bool // it was told to
	wake   time.Duration
	seen   map[string]leaseRow // rows as they were read last, with revisions
	rowRev uint64              // of its own row

	paused   time.Duration // until
	inbox    []func()      // what came meanwhile
	cutUntil time.Duration // from the store

	held map[string]*life // functions that have not returned

	// The auditor's, of one machine.
	knows    knowledge
	gaveBack map[string]time.Duration
}

// never is a wake-up that is not planned.
const never = time.Duration(1<<63 - 1)

// join starts a worker in a process of its own.
func (f *fleetRun) join(name string) *proc {
	w := &proc{f: f, name: name, rate: 1 + f.p.drift*(2*f.rnd.Float64()-1), held: map[string]*life{}, limit: f.p.limit}
	w.skew = f.within(2*f.p.skew) - f.p.skew
	w.timing = f.p.timing
	if f.chance(f.p.mixed) {
		rest, sweep := w.timing.Rest, w.timing.Sweep
		w.timing = fleet.TimingOf(w.timing.Lease * time.Duration(1+f.rnd.IntN(3)) / 2)
		w.timing.Rest, w.timing.Sweep = rest, sweep
	}
	f.procs = append(f.procs, w)
	w.begin()
	return w
}

// begin runs a new machine.
func (w *proc) begin() {
	f := w.f
	f.ids++
	w.runs++
	w.id = fmt.Sprintf("%s.%04x", w.name, (uint64(f.ids)*0x9e37+f.salt)&0xffff)
	if f.store.byID[w.id] != nil {
		w.id += fmt.Sprintf("-%d", f.ids)
	}
	w.began = f.now
	w.born, w.wake, w.rowRev, w.seen = f.now-f.within(time.Hour), never, 0, map[string]leaseRow{}
	w.knows, w.gaveBack = newKnowledge(), map[string]time.Duration{}
	w.m = fleet.New(fleet.Config{ID: w.id, Name: w.name, Timing: w.timing, MaxLeases: w.limit, Rand: f.rnd.Float64, Broken: fleet.Rule(f.p.mutant)})
	f.byWorker[w.id] = w
	if f.traced {
		f.trace("%s starts, clock rate %.4f", w.id, w.rate)
	}
	w.poll()
	if f.now < f.p.calm && f.chance(f.p.stalls) {
		f.after(f.within(w.timing.Lease/4), func() { w.pause(f.within(4 * w.timing.Lease)) })
	}
}

// clock is the worker's own monotonic clock.
func (w *proc) clock() time.Duration {
	return time.Duration(float64(w.f.now-w.born) * w.rate)
}

// wallMillis is what the worker thinks the time is.
func (w *proc) wallMillis() uint64 { return w.f.millis(w.skew) }

func (f *fleetRun) millis(skew time.Duration) uint64 {
	return uint64((time.Hour + f.now + skew) / time.Millisecond)
}

// frozen: nothing runs in the process.
func (w *proc) frozen() bool { return w.paused > w.f.now }

// local runs something in the process, once it can.
func (w *proc) local(do func()) {
	switch {
	case w.gone:
	case w.frozen():
		w.inbox = append(w.inbox, do)
	default:
		do()
	}
}

// pause freezes the process: what comes to it is seen all at once later, in
// about any order.
func (w *proc) pause(d time.Duration) {
	f := w.f
	if w.gone {
		return
	}
	w.paused = max(w.paused, f.now+d)
	if f.traced {
		f.trace("%s is frozen for %v", w.id, d)
	}
	f.after(w.paused-f.now, func() {
		if w.gone || w.frozen() {
			return
		}
		if f.traced {
			f.trace("%s thaws", w.id)
		}
		box := w.inbox
		w.inbox = nil
		if f.chance(.5) {
			f.rnd.Shuffle(len(box), func(i, j int) { box[i], box[j] = box[j], box[i] })
		}
		for _, do := range box {
			w.local(do)
		}
		w.tick()
	})
}

// tick is the runner's timer.
func (w *proc) tick() {
	if w.gone || w.frozen() || w.wake > w.f.now {
		return
	}
	w.wake = never
	w.poll()
}

// poll carries out what the machine decides.
func (w *proc) poll() {
	f := w.f
	if w.gone {
		return
	}
	asks, acts, next := w.m.Poll(w.clock())
	for i := range acts {
		w.act(&acts[i])
	}
	for _, a := range asks {
		w.ask(a)
	}
	valid := w.valid()
	if w.proven && !valid {
		f.sums.Unproven++
	}
	w.proven = valid
	if over, err := w.m.Over(); over {
		w.over(err)
		return
	}
	// The runner's own timer takes the shards away when the proof is over.
	at := w.born + time.Duration(float64(next)/w.rate) + 1
	if next > never/2 {
		at = never
	}
	if at <= f.now {
		at = f.now + 1
	}
	if at < w.wake {
		w.wake = at
		f.after(at-f.now, w.tick)
	}
}

// valid: the worker's leases are provably its own, by its own clock.
func (w *proc) valid() bool { return w.clock() < w.m.Until() }

func (w *proc) act(a *fleet.Act) {
	f := w.f
	id := a.Lease.ID
	r := w.held[id]
	switch a.Kind {
	case fleet.Start:
		if f.traced {
			f.trace("%s starts %s, possession %d at %v, %v from %q", w.id, id, a.Lease.Possession, a.Lease.At, a.How, a.From)
		}
		if r != nil {
			f.fail(oneOwner, "%s starts %s again before its function of possession %d has returned", w.id, id, r.possession)
			return
		}
		if !w.valid() {
			f.fail(unproven, "%s starts %s %v after its leases were last proven", w.id, id, w.clock()-w.m.Until())
		}
		f.sums.Starts[a.How]++
		w.held[id] = f.start(w, a)
	case fleet.Drain:
		if r != nil && r.possession == a.Lease.Possession {
			r.drain(a.Why)
		}
	case fleet.Lose:
		if r != nil && r.possession == a.Lease.Possession {
			r.lose("told to")
		}
	}
}

// closed tells the machine that a function has returned.
func (w *proc) closed(r *life, how fleet.Closing, children []fleet.Shard) {
	if w.held[r.t.id] == r {
		delete(w.held, r.t.id)
	}
	if how == fleet.GivenBack && w.f.store.lease(r.t.id).Possession == r.possession {
		w.gaveBack[r.t.id] = w.clock()
	}
	w.m.Closed(w.clock(), r.t.id, r.possession, how, children)
	w.poll()
}

// over ends a machine's part.
func (w *proc) over(err error) {
	f := w.f
	if f.traced {
		f.trace("%s is over: %v", w.id, err)
	}
	if len(w.held) > 0 {
		f.fail(oneOwner, "%s is over (%v) and %d functions of it have not returned", w.id, err, len(w.held))
	}
	switch {
	case errors.Is(err, fleet.ErrDead) && !w.stops:
		f.sums.Dead++
		w.begin()
		return
	case errors.Is(err, fleet.ErrNameTaken):
		f.sums.Taken++
		// An atomic store may apply several late heartbeats of one that crashed.
		if !f.twins && !f.p.atomic {
			f.fail(nameTaken, "%s is over, and nobody has its name: %v", w.id, err)
		}
	case err == nil && !w.stops:
		f.fail(stuck, "%s is over without having been told to stop", w.id)
	}
	w.gone = true
}

// stop begins the orderly end.
func (w *proc) stop() {
	w.stops = true
	w.local(func() {
		if w.f.traced {
			w.f.trace("%s is told to stop", w.id)
		}
		w.knows.told = true
		w.m.Stop(w.clock())
		w.poll()
	})
}

// crash is kill -9.
func (w *proc) crash() {
	if w.gone {
		return
	}
	if w.f.traced {
		w.f.trace("%s crashes", w.id)
	}
	w.gone = true
	for _, r := range sortedLives(w.held) {
		r.t.leave(r)
	}
}
