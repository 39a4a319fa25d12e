// Package simulate is the inner ring of proof: the decisions of producers and
// consumers (internal/lane, shardmap, mark and progress) in one thread against
// model shards, with every fault that the network and the service have, drawn
// from a seed and exactly replayable. An auditor checks after each run that
// nothing acknowledged is lost, that records of a key are first delivered in
// the order of their sending, that none is delivered twice where marks apply,
// and that what was reported as not stored is not stored.
//
// Files durable_*.go do it with producers that are fed from a model of a durable
// buffer: they are killed at any moment and start again on what the disk kept.
//
// Files fleet_*.go do the same with the workers of a group: internal/fleet
// decides, against a model store and a stream that is resharded, with functions
// that use marks and progress as the consumer does. docs/simulation.md lists the
// faults, the invariants, and the planted bugs that they catch.
package simulate

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/libvegas/vegas/internal/lane"
)

// Mutant is a planted bug.
type Mutant string

// Mutants of the consuming side; those of the sending side are the rules of
// package lane.
const (
	wide     Mutant = "range"    // marks hold for the shard's range, not the lane's
	cut      Mutant = "cut"      // marks are not cut to the shard
	lead     Mutant = "lead"     // marks are saved as of what was read, not checkpointed
	hasty    Mutant = "hasty"    // checkpoints cover records that are being handled
	orphans  Mutant = "orphans"  // children are read before their parents have ended
	scramble Mutant = "scramble" // records of one key are handled side by side
)

// Plants: what an auditor must not overlook, done to it directly.
const (
	loseOne  Mutant = "lose"     // a record is not handed to its handler, now and then
	twice    Mutant = "twice"    // one is handed over twice
	swapTwo  Mutant = "swap"     // two neighbours are
	wrongKey Mutant = "wrongkey" // all records of an aggregate take the first one's key
	liar     Mutant = "liar"     // the service says that it did not store what it did
	braggart Mutant = "braggart" // it says that it stored what it did not
)

// Mutants are all planted bugs, each of which the auditor has to catch.
var Mutants = []Mutant{wide, cut, lead, hasty, orphans, scramble,
	loseOne, twice, swapTwo, wrongKey, liar, braggart,
	Mutant(lane.Barrier), Mutant(lane.Retire), Mutant(lane.Merge), Mutant(lane.Lock), Mutant(lane.Misplaced),
	Mutant(lane.Sticky), Mutant(lane.OneFlight), Mutant(lane.OneKey), Mutant(lane.Front), Mutant(lane.Order)}

// plan is what a seed draws: how the run goes.
type plan struct {
	mutant  Mutant
	blind   bool
	checks  bool // of the machine's invariants at every step
	lane    lane.Config
	shards  int
	senders int
	length  time.Duration
	calm    time.Duration // from then on there are no faults
	gap     time.Duration // between records

	latency, lateness, deadline time.Duration
	hot, poison, large          float64
	hotSlot                     int
	deadlines, slow             float64
	partly, twice               float64
	listFails, stale, forget    float64
	onlyOpen                    bool
	fates                       []odds
	reshards, flips             time.Duration // mean time between; 0: none
	foreign, withdraws          float64
	crashSender                 bool
	giveUp                      bool
	limits                      bool
	crashes                     bool // of readers
	lazy                        bool // marks are saved now and then, not with each checkpoint

	// Of durable producers.
	kills, down, fsync, age time.Duration // mean time between kills; until the restart; of a sync; 0: no age limit
	outages, outage         time.Duration // mean time between; of one, at most; 0: none
	full                    float64       // dead letters cannot be written
	lookahead, copies       int
}

type odds struct {
	f fate
	p float64
}

func draw(r *rand.Rand, mutant Mutant) *plan {
	maybe := func(p, most float64) float64 {
		if r.Float64() < p {
			return r.Float64() * most
		}
		return 0
	}
	p := &plan{mutant: mutant, shards: []int{1, 2, 4}[r.IntN(3)], senders: 1 + r.IntN(2), hotSlot: r.IntN(slots)}
	p.length = time.Duration(1+r.IntN(6)) * time.Second
	p.calm = p.length + time.Duration(r.IntN(3))*time.Second
	p.gap = time.Duration(10+r.IntN(70)) * time.Millisecond
	p.latency = time.Duration(1+r.IntN(60)) * time.Millisecond
	p.lateness = time.Duration(r.IntN(8000)) * time.Millisecond
	p.hot = maybe(.5, .8)
	p.poison = maybe(.1, .05)
	p.large = maybe(.3, .2)
	p.deadlines, p.deadline = maybe(.4, 1), time.Duration(1+r.IntN(6000))*time.Millisecond
	p.slow = maybe(.3, .2)
	p.partly, p.twice = maybe(.5, .5), maybe(.1, .2)
	p.listFails, p.stale, p.forget = maybe(.3, .7), maybe(.6, .9), maybe(.2, .3)
	p.onlyOpen = r.IntN(8) == 0
	if total := maybe(.9, .8); total > 0 {
		kinds := []fate{lost, late, dropped, limited, broken, mixed, late, lost}
		for range 1 + r.IntN(3) {
			p.fates = append(p.fates, odds{kinds[r.IntN(len(kinds))], total / 3})
		}
		if r.IntN(20) == 0 {
			p.fates = append(p.fates, odds{denied, .02})
		}
	}
	if r.IntN(10) > 0 {
		p.reshards = time.Duration(100+r.IntN(2000)) * time.Millisecond
	}
	if r.IntN(10) == 0 {
		p.flips = time.Duration(500+r.IntN(3000)) * time.Millisecond
	}
	p.foreign = maybe(.2, .1)
	p.withdraws = maybe(.2, .2)
	p.crashSender = r.IntN(6) == 0
	p.giveUp = r.IntN(12) == 0
	p.limits = r.IntN(8) == 0
	p.crashes = r.IntN(2) == 0
	p.lazy = r.IntN(4) == 0

	c := &p.lane
	c.Linger = []time.Duration{0, 5 * time.Millisecond, 30 * time.Millisecond}[r.IntN(3)]
	c.Raw = r.IntN(6) == 0
	c.AggregateBytes = 200 + r.IntN(600)
	c.RecordBytes = 800 + r.IntN(800)
	c.MaxRequests = []int{1, 2, 4, 16}[r.IntN(4)]
	c.RequestBytes = 1000 + r.IntN(5000)
	c.FailKey = r.IntN(5) == 0
	c.Broken = lane.Rule(mutant)
	return p
}

// Result is what a run came to.
type Result struct {
	Problems []string
	Sums
}

// Sums count what happened.
type Sums struct {
	Accepted, Acknowledged, NotStored, Unknown, Withdrawn int // records of vegas' producers
	Handled, Duplicates, Misplaced, Foreign               int // seen by the group
	Shards, Restarts, Steps                               int
	Resent, Undelivered                                   int // records, entries
}

// Add adds o.
func (s *Sums) Add(o Sums) {
	s.Accepted += o.Accepted
	s.Acknowledged += o.Acknowledged
	s.NotStored += o.NotStored
	s.Unknown += o.Unknown
	s.Withdrawn += o.Withdrawn
	s.Handled += o.Handled
	s.Duplicates += o.Duplicates
	s.Misplaced += o.Misplaced
	s.Foreign += o.Foreign
	s.Shards += o.Shards
	s.Restarts += o.Restarts
	s.Steps += o.Steps
	s.Resent += o.Resent
	s.Undelivered += o.Undelivered
}

// String is one line.
func (s Sums) String() string {
	return fmt.Sprintf("%d records accepted (%d acknowledged, %d not stored, %d unknown, %d withdrawn), %d resent, %d entries not delivered; "+
		"%d records handled, %d duplicates, %d misplaced and %d of others misplaced, %d restarts; %d shards, %d steps",
		s.Accepted, s.Acknowledged, s.NotStored, s.Unknown, s.Withdrawn, s.Resent, s.Undelivered,
		s.Handled, s.Duplicates, s.Misplaced, s.Foreign, s.Restarts, s.Shards, s.Steps)
}

// stuckAfter is how long after the faults everything must have ended.
const stuckAfter = 5 * time.Minute

// Options are how to run a seed.
type Options struct {
	// Mutant plants a bug; empty for none.
	Mutant Mutant
	// Blind leaves the verdict to the books alone: what the senders are seen to
	// do against the rules is not held against them while they do it.
	Blind bool
	// Trace is given each step; may be nil.
	Trace func(string)
}

// Run is one run: the same seed and options always give the same one.
func Run(seed uint64, o Options) Result {
	r := rand.New(rand.NewPCG(seed, 1))
	p := draw(r, o.Mutant)
	p.blind, p.checks = o.Blind, seed%8 == 0
	w := newWorld(r, p.shards)
	w.limits = p.limits
	w.tell(o.Trace, p)
	a := &audit{last: make(map[chain]uint64)}
	var senders []*sender
	add := func() {
		senders = append(senders, newSender(w, p, fmt.Sprintf("producer%d", len(senders)), a.fail))
	}
	for range p.senders {
		add()
	}
	var foreign []*sent

	w.every(p.gap, p.length, func() {
		s := senders[w.rnd.IntN(len(senders))]
		for range 1 + w.rnd.IntN(3) {
			s.accept()
		}
		if w.chance(p.withdraws) {
			s.withdraw()
		}
		if w.chance(p.foreign) {
			w.foreign(&foreign)
		}
		if w.chance(.01) && !s.dead {
			s.m.Flush()
			s.poll()
		}
	})
	w.every(p.reshards, p.length, w.reshard)
	w.every(p.flips, p.length, w.flip)
	if p.crashSender {
		w.after(w.within(p.length), func() {
			senders[0].crash()
			add()
		})
	}
	if p.giveUp {
		w.after(w.within(p.calm), func() { senders[len(senders)-1].abort() })
	}
	steps := 0
	for w.step(p.calm + stuckAfter) {
		if steps++; steps > 200_000 {
			a.fail("stuck: busy without end")
			break
		}
		if len(a.problems) > 0 {
			break
		}
		if w.now > p.calm && idle(senders) && len(w.events) == 0 {
			break
		}
	}
	newGroup(w, p, a).run()
	a.close(w, senders, foreign, p)
	a.sums.Shards, a.sums.Steps = len(w.shards), steps
	return Result{Problems: a.problems, Sums: a.sums}
}

func idle(senders []*sender) bool {
	for _, s := range senders {
		if !s.dead && s.m.Open() > 0 {
			return false
		}
	}
	return true
}
