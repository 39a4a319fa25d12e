package simulate

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/libvegas/vegas/internal/fleet"
)

// fleetPlan is what a seed draws for a fleet.
type fleetPlan struct {
	mutant    Mutant
	workers   int
	most      int // workers at a time
	shards    int
	maxShards int // that resharding makes at most
	limit     int
	timing    fleet.Timing
	calm      time.Duration // from then on there are no faults

	net                            weather
	mixed                          float64 // lease times
	askLimit, opLimit              time.Duration
	atomic                         bool // conditional writes instead of swaps
	lags, staleLists               float64
	lag                            time.Duration
	outages, throttles, cuts       time.Duration // mean times between; 0: none
	outage                         time.Duration // how long at most
	crashes, pauses, stops, joins  time.Duration
	storm                          int // joins at once at most
	twins, stalls                  float64
	drift                          float64
	skew                           time.Duration
	reshards, retains, admin       time.Duration
	gap                            time.Duration // between records
	resent, named, deaf, givesBack float64
	readDelay, handling            time.Duration
	latest                         bool
}

// weather is the network's.
type weather struct {
	latency, slowness time.Duration
	lost, mute, slow  float64
}

func drawFleet(r *rand.Rand, mutant Mutant) *fleetPlan {
	maybe := func(p, most float64) float64 {
		if r.Float64() < p {
			return r.Float64() * most
		}
		return 0
	}
	within := func(from, to time.Duration) time.Duration { return from + time.Duration(r.Int64N(int64(to-from)+1)) }
	rarely := func(p float64, from, to time.Duration) time.Duration {
		if r.Float64() < p {
			return within(from, to)
		}
		return 0
	}
	p := &fleetPlan{mutant: mutant}
	switch x := r.Float64(); {
	case x < .9:
		p.workers, p.most, p.shards, p.maxShards = 1+r.IntN(3), 2+r.IntN(4), 1+r.IntN(6), 16
	case x < .996:
		p.workers, p.most, p.shards, p.maxShards = 1+r.IntN(6), 4+r.IntN(5), 1+r.IntN(24), 48
	default:
		p.workers, p.most, p.shards, p.maxShards = 5+r.IntN(16), 20, 50+r.IntN(151), 240
	}
	lease := time.Duration(1+r.IntN(4)) * time.Second
	p.timing = fleet.TimingOf(lease)
	p.timing.Rest = within(500*time.Millisecond, 3*time.Second)
	p.timing.Sweep = []time.Duration{2 * time.Second, 10 * time.Second, time.Minute}[r.IntN(3)]
	p.calm = lease * time.Duration(2+r.IntN(8))
	p.net = weather{latency: within(time.Millisecond, 30*time.Millisecond), slowness: within(lease/10, 2*lease), lost: maybe(.5, .1), mute: maybe(.6, .1), slow: maybe(.5, .1)}
	p.mixed = maybe(.15, 1)
	p.askLimit, p.opLimit = within(lease/4, lease), within(lease/8, lease/2)
	p.atomic = r.IntN(3) == 0
	p.lags, p.lag = maybe(.6, 1), 2*time.Second
	p.staleLists = maybe(.6, 1)
	p.outages, p.outage = rarely(.3, 2*lease, 6*lease), within(lease/10, 3*lease/2)
	p.throttles = rarely(.3, lease, 4*lease)
	p.cuts = rarely(.3, lease, 6*lease)
	p.crashes = rarely(.5, lease, 8*lease)
	p.pauses = rarely(.5, lease/2, 6*lease)
	p.stops = rarely(.5, lease, 6*lease)
	p.joins, p.storm = rarely(.7, lease/2, 4*lease), 1+r.IntN(3)
	p.twins, p.stalls = maybe(.15, .5), maybe(.15, .5)
	p.drift = []float64{0, .001, .03}[r.IntN(3)]
	p.skew = within(0, 500*time.Millisecond)
	p.reshards = rarely(.6, lease/4, 4*lease)
	p.retains = rarely(.2, lease, 4*lease)
	p.admin = rarely(.15, lease, 4*lease)
	p.gap = max(within(20*time.Millisecond, 400*time.Millisecond)/time.Duration(1+p.shards/8), 2*time.Millisecond)
	p.resent = maybe(.5, .5)
	p.named = []float64{0, 1, .5}[r.IntN(3)]
	p.deaf = maybe(.3, .5)
	p.givesBack = maybe(.1, .02)
	p.readDelay, p.handling = within(time.Millisecond, 300*time.Millisecond), within(time.Millisecond, 100*time.Millisecond)
	p.latest = r.IntN(4) == 0
	if r.IntN(12) == 0 {
		p.limit = 1 + r.IntN(4)
	}
	switch mutant { // more of what it takes
	case racing:
		p.drift = .3
	case Mutant(fleet.RuleAgain):
		p.net.mute, p.stalls = .1, .5
	case Mutant(fleet.RuleAnswered):
		p.admin = within(lease/8, lease/2)
	}
	return p
}

// FleetSums count what happened.
type FleetSums struct {
	Workers, Dead, Taken                  int // processes; machines that were declared dead, or found their name taken
	Shards, Leases                        int
	Lags                                  int
	Handled, Repeated, Duplicates         int // records; after a crash once more; that marks removed
	Lost, Unproven                        int // possessions; workers for a while
	Declared, Handovers, Withdrawn, Reset int // writes
	Starts                                [4]int
	Closed                                [4]int
	Steps                                 int
}

// Add adds o.
func (s *FleetSums) Add(o FleetSums) {
	s.Workers += o.Workers
	s.Dead += o.Dead
	s.Taken += o.Taken
	s.Shards += o.Shards
	s.Leases += o.Leases
	s.Handled += o.Handled
	s.Repeated += o.Repeated
	s.Duplicates += o.Duplicates
	s.Lost += o.Lost
	s.Unproven += o.Unproven
	s.Declared += o.Declared
	s.Handovers += o.Handovers
	s.Withdrawn += o.Withdrawn
	s.Reset += o.Reset
	for i := range s.Starts {
		s.Starts[i] += o.Starts[i]
		s.Closed[i] += o.Closed[i]
	}
	s.Steps += o.Steps
}

// String is one line.
func (s FleetSums) String() string {
	return fmt.Sprintf("%d workers, %d shards, %d leases; starts: %d free, %d from dead, %d by handoff, %d again; "+
		"ends: %d drained, %d given back, %d read to end, %d lost; %d possessions lost, %d workers not proven for a while; %d deaths declared, %d gives, %d withdrawals, %d resets; "+
		"%d found themselves dead, %d their name taken; %d records handled, %d repeated, %d duplicates removed; %d steps",
		s.Workers, s.Shards, s.Leases, s.Starts[fleet.Free], s.Starts[fleet.FromDead], s.Starts[fleet.ByHandoff], s.Starts[fleet.Again],
		s.Closed[fleet.Drained], s.Closed[fleet.GivenBack], s.Closed[fleet.ReadToEnd], s.Closed[fleet.Lost], s.Lost, s.Unproven,
		s.Declared, s.Handovers, s.Withdrawn, s.Reset, s.Dead, s.Taken, s.Handled, s.Repeated, s.Duplicates, s.Steps)
}

// FleetResult is what a run came to.
type FleetResult struct {
	Problems []Problem
	FleetSums
}

// fleetRun is one simulated fleet.
type fleetRun struct {
	*stream
	p        *fleetPlan
	store    *rows
	procs    []*proc
	byWorker map[string]*proc // by the ID of each machine
	ids      int
	salt     uint64

	outageUntil, throttleUntil time.Duration
	outageHangs                bool
	twins                      bool          // two processes had one name at a time
	deleted                    time.Duration // when somebody deleted the group; 0: never

	problems []Problem
	sums     FleetSums
	last     map[int]uint64 // slot: highest counter handled first
	owners   map[possession]string
	crowded  []*fleetShard // that have, or had, several functions
}

// RunFleet is one run of a fleet: the same seed and options always give the same
// one.
func RunFleet(seed uint64, o Options) FleetResult {
	r := rand.New(rand.NewPCG(seed, 2))
	return runFleet(r, drawFleet(r, o.Mutant), o)
}

func newFleetRun(r *rand.Rand, p *fleetPlan, o Options) *fleetRun {
	f := &fleetRun{stream: newStream(newWorld(r, 0), p.shards), p: p, salt: r.Uint64(), byWorker: map[string]*proc{},
		last: map[int]uint64{}, owners: map[possession]string{}}
	f.store = newRows(f)
	if o.Trace != nil {
		f.traced = true
		f.trace = func(format string, args ...any) {
			o.Trace(fmt.Sprintf("%10v  %s", f.now, fmt.Sprintf(format, args...)))
		}
		f.trace("plan %+v", *p)
	}
	return f
}

func runFleet(r *rand.Rand, p *fleetPlan, o Options) FleetResult {
	f := newFleetRun(r, p, o)
	if p.latest {
		// What was stored before the group began is not owed.
		f.began = time.Duration(1)
		for range 3 * p.shards {
			f.produce(0)
		}
		f.began = time.Second
		f.run(f.began)
	}
	f.joinSome(p.workers)
	f.disturb()
	steps := 0
	for len(f.problems) == 0 && f.step(p.calm) {
		f.crowd()
		steps++
	}
	f.settleDown(&steps)
	f.sums.Workers, f.sums.Shards, f.sums.Steps = len(f.procs), len(f.all), steps
	w := &f.store.writes
	f.sums.Declared, f.sums.Handovers, f.sums.Withdrawn = w[fleet.Declare], w[fleet.Give], w[fleet.Withdraw]
	return FleetResult{Problems: f.problems, FleetSums: f.sums}
}

// groupStart is where a worker lets the group begin.
func (f *fleetRun) groupStart(w *proc) time.Time {
	switch {
	case !f.p.latest:
		return time.Time{}
	case f.p.mutant == localClock && w != nil:
		return epoch.Add(f.now + w.skew)
	}
	return epoch.Add(f.began)
}

func (f *fleetRun) every(mean time.Duration, do func()) {
	if mean <= 0 {
		return
	}
	var again func()
	again = func() {
		if f.now < f.p.calm {
			do()
			f.after(f.within(2*mean), again)
		}
	}
	f.after(f.within(2*mean), again)
}

// disturb plans production and every fault.
func (f *fleetRun) disturb() {
	p := f.p
	lease := p.timing.Lease
	f.every(p.gap, func() { f.produce(p.resent) })
	f.every(p.reshards, func() {
		for range 1 + f.rnd.IntN(3) {
			f.reshard(p.maxShards)
		}
	})
	f.every(p.retains, f.retain)
	f.every(p.joins, func() { f.joinSome(1 + f.rnd.IntN(p.storm)) })
	f.every(p.crashes, func() {
		if w := f.anyone(); w != nil {
			w.crash()
			if f.chance(.5) {
				name := w.name
				f.after(f.within(lease/2), func() { f.join(name) })
			}
		}
	})
	f.every(p.stops, func() {
		if w := f.anyone(); w != nil && !w.stops {
			w.stop()
			if f.chance(.3) {
				name := w.name
				f.after(f.within(lease/2), func() { f.twins = true; f.join(name) })
			}
		}
	})
	f.every(p.pauses, func() {
		if w := f.anyone(); w != nil {
			w.pause([]time.Duration{time.Millisecond + f.within(50*time.Millisecond), f.within(lease), f.within(3 * lease)}[f.rnd.IntN(3)])
		}
	})
	f.every(p.outages, func() {
		f.outageUntil, f.outageHangs = f.now+f.within(p.outage), f.chance(.5)
	})
	f.every(p.throttles, func() { f.throttleUntil = f.now + f.within(lease/2) })
	f.every(p.cuts, func() {
		if w := f.anyone(); w != nil {
			w.cutUntil = f.now + f.within(2*lease)
		}
	})
	f.every(p.admin, f.administer)
}

func (f *fleetRun) alive() (out []*proc) {
	for _, w := range f.procs {
		if !w.gone {
			out = append(out, w)
		}
	}
	return out
}

func (f *fleetRun) anyone() *proc {
	if all := f.alive(); len(all) > 0 {
		return all[f.rnd.IntN(len(all))]
	}
	return nil
}

func (f *fleetRun) joinSome(n int) {
	for range n {
		all := f.alive()
		if len(all) >= f.p.most {
			return
		}
		name := fmt.Sprintf("w%d", len(f.procs))
		if len(all) > 0 && f.chance(f.p.twins) {
			name, f.twins = all[f.rnd.IntN(len(all))].name, true
		}
		f.join(name)
	}
}

// retain lets the stream forget shards that are done with.
func (f *fleetRun) retain() {
	for _, t := range f.all {
		if l := f.store.lease(t.id); t.closed && t.forgotten == 0 && l.rev > 0 && l.Ended() && f.chance(.5) {
			t.forgotten = f.now
			if f.traced {
				f.trace("stream: forgets %s", t.id)
			}
		}
	}
}

// settleDown waits until the fleet is at rest, and sees that it stays there.
func (f *fleetRun) settleDown(steps *int) {
	p := f.p
	if len(f.problems) > 0 {
		return
	}
	for _, t := range f.open {
		f.resend(t)
	}
	sweep := max(p.timing.Sweep, 12*time.Second*time.Duration(p.most+1))
	deadline := p.calm + 3*sweep + 12*p.timing.Lease + time.Minute
	window := max(5*p.timing.Beat, 3*time.Second)
	until := func(at time.Duration) bool {
		for len(f.problems) == 0 && f.step(at) {
			f.crowd()
			if *steps++; *steps > 5_000_000 {
				f.fail(stuck, "busy without end")
			}
		}
		return len(f.problems) == 0
	}
	for rested := time.Duration(0); ; {
		if !until(f.now + 250*time.Millisecond) {
			return
		}
		if f.nobody() {
			f.join("last")
			rested = 0
			continue
		}
		i, text := f.missing()
		switch {
		case f.now > deadline && text != "":
			f.fail(i, "%s", text)
			return
		case text != "":
			rested = 0
			continue
		case rested == 0:
			rested = f.now
			continue
		case f.now < rested+p.timing.Lease+time.Second+window/2:
			continue // what is under way ends
		}
		before := *f.store
		if !until(f.now + window) {
			return
		}
		after := *f.store
		if f.now < deadline && f.writesBetween(&before, &after) {
			rested = 0
			continue
		}
		f.restful(&before, &after, window)
		if i, text := f.missing(); text != "" {
			f.fail(i, "at rest, and then %s", text)
		}
		return
	}
}

// nobody: no worker lives that was not told to stop.
func (f *fleetRun) nobody() bool {
	for _, w := range f.procs {
		if !w.gone && !w.stops {
			return false
		}
	}
	return true
}

// writesBetween tells whether anything but heartbeats was written, or read but
// looks.
func (f *fleetRun) writesBetween(before, after *rows) bool {
	for v := range fleet.List {
		if v != fleet.Beat && after.writes[v] > before.writes[v] {
			return true
		}
	}
	return after.other > before.other || after.reads[fleet.Read] > before.reads[fleet.Read] || after.reads[fleet.LookSurely] > before.reads[fleet.LookSurely]
}
