package fleettest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/libvegas/vegas"
)

// plan is what a seed draws: how the run goes.
type plan struct {
	seed       uint64
	shards     int
	length     time.Duration // producers send and faults happen for so long
	stateDelay time.Duration // of the stream, after a change
	limits     bool
	auto       bool // the stream's distribution is switched to AUTO and back
	reshards   time.Duration
	faults     time.Duration // mean time between two; 0: none
	slow       bool          // some shard is slow all the time
	foreign    bool          // somebody with another library writes too
	producers  []producerPlan
	groups     []groupPlan
}

// producerPlan is one producer program, which may be started again.
type producerPlan struct {
	aggregate      bool
	http2          bool
	linger         time.Duration
	onFailure      vegas.OnFailure
	deadline       time.Duration
	requestTimeout time.Duration
	buffer         int64
	maxRequests    int

	threads   int // goroutines that send, each its own keys
	keys      int // of each
	gap       time.Duration
	burst     int
	large     float64 // chance of a record too large for an aggregate of many
	huge      float64 // chance of one that cannot be wrapped
	impatient float64 // chance that the caller gives up waiting
	life      time.Duration
	crash     float64 // chance that a life ends by a crash
	hurried   float64 // chance that Close is not given the time it needs
}

// groupPlan is one consumer group and the programs that consume for it.
type groupPlan struct {
	workers   []workerPlan
	release   time.Duration // mean time between two shards that an administrator has given up; 0: none
	file      bool          // store; else memory
	storeSick float64
	lag       time.Duration // how old the answer of a Peek may be
	http2     bool
	mode      mode
	vary      bool // each start draws mode, fan-out and parallelism anew
	fanOut    bool
	parallel  int
	every     time.Duration // between checkpoints
	grace     time.Duration
	prefetch  int64
	errors    float64 // chance that a handler fails
	panics    float64
	slow      float64       // chance that a handler takes long
	deaf      bool          // handlers do not look at their context
	dead      bool          // a dead-letter function takes what fails three times
	latest    bool          // the group starts with what arrives from then on,
	after     time.Duration // or with what arrived so long after the run's begin
	delay     time.Duration // of the first start
	life      time.Duration
	ends      [ends]float64 // how a life ends
}

// workerPlan is one of the programs of a group: one worker after the other.
type workerPlan struct {
	lease     time.Duration
	maxShards int
	named     bool          // all its lives have one name
	delay     time.Duration // of the first start, behind the group's
}

// mode is which of the Consumer's functions a program calls.
type mode int

const (
	records mode = iota
	batches
	shards
	modes
)

func (m mode) String() string { return [...]string{"Run", "RunBatches", "RunShards"}[m] }

// ending is how the life of a consumer ends.
type ending int

const (
	stop      ending = iota // in good order
	crash                   // at once, in the middle of whatever it does
	partition               // it loses the network and the store, and does not know that it is dead
	outage                  // it loses its store for a while, and goes on
	ends
)

func (e ending) String() string { return [...]string{"stop", "crash", "partition", "outage"}[e] }

// source of randomness number n of a seed: actors draw side by side, each from
// its own.
func source(seed, n uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, n)) }

func draw(seed uint64) *plan {
	r := source(seed, 1)
	maybe := func(p, most float64) float64 {
		if r.Float64() < p {
			return r.Float64() * most
		}
		return 0
	}
	between := func(least, most time.Duration) time.Duration {
		return least + time.Duration(r.Int64N(int64(most-least)+1))
	}
	p := &plan{
		seed: seed, shards: 1 + r.IntN(4), length: between(3*time.Second, 25*time.Second),
		stateDelay: time.Duration(r.IntN(2)) * 500 * time.Millisecond, limits: r.IntN(2) == 0, auto: r.IntN(16) == 0,
		slow: r.IntN(5) == 0, foreign: r.IntN(5) == 0,
	}
	// Some runs are long and slow: subscriptions and iterators end by
	// themselves, marks are saved when they are due.
	times := 1
	if r.IntN(12) == 0 {
		times = 12
	}
	slowly := func(d time.Duration) time.Duration { return time.Duration(times) * d }
	p.length = slowly(p.length)
	if r.IntN(8) > 0 {
		p.reshards = slowly(between(500*time.Millisecond, 6*time.Second))
	}
	if r.IntN(8) > 0 {
		p.faults = slowly(between(50*time.Millisecond, 1500*time.Millisecond))
	}
	for range 1 + r.IntN(3) {
		p.producers = append(p.producers, producerPlan{
			aggregate: r.IntN(4) > 0, http2: r.IntN(4) == 0, linger: time.Duration(r.IntN(2)) * 10 * time.Millisecond,
			onFailure:      vegas.OnFailure(r.IntN(3) / 2),
			deadline:       []time.Duration{0, 0, 2 * time.Minute, between(50*time.Millisecond, 8*time.Second)}[r.IntN(4)],
			requestTimeout: between(500*time.Millisecond, 10*time.Second),
			buffer:         []int64{64 << 20, 64 << 20, 20 << 10}[r.IntN(3)],
			maxRequests:    []int{16, 16, 1, 3}[r.IntN(4)],
			threads:        1 + r.IntN(3), keys: 1 + r.IntN(6), gap: slowly(between(5*time.Millisecond, 400*time.Millisecond)), burst: 1 + r.IntN(25),
			large: maybe(.2, .03), huge: maybe(.1, .01), impatient: maybe(.3, .3),
			life: slowly(between(2*time.Second, 30*time.Second)), crash: maybe(.4, 1), hurried: maybe(.3, 1),
		})
	}
	for range 1 + r.IntN(2) {
		g := groupPlan{
			file: r.IntN(5) == 0, storeSick: maybe(.4, .3), http2: r.IntN(3) == 0, mode: mode(r.IntN(int(modes))), vary: r.IntN(3) == 0,
			fanOut: r.IntN(2) == 0, parallel: []int{1, 1, 2, 5}[r.IntN(4)],
			every: between(200*time.Millisecond, 6*time.Second), grace: []time.Duration{20 * time.Second, 20 * time.Second, between(0, 3*time.Second)}[r.IntN(3)],
			prefetch: []int64{64 << 20, 64 << 20, 4 << 10}[r.IntN(3)],
			errors:   maybe(.5, .03), panics: maybe(.2, .01), slow: maybe(.4, .02), deaf: r.IntN(4) == 0, dead: r.IntN(4) == 0,
			life: slowly(between(2*time.Second, 40*time.Second)),
		}
		switch r.IntN(8) {
		case 0:
			g.latest = true
		case 1:
			g.after = between(1, 6*time.Second)
		}
		g.delay = g.after + between(0, 3*time.Second)
		g.lag = []time.Duration{0, 0, time.Second}[r.IntN(3)]
		if r.IntN(3) == 0 {
			g.release = slowly(between(2*time.Second, 10*time.Second))
		}
		for range 1 + r.IntN(5) {
			w := workerPlan{
				lease:     []time.Duration{2 * time.Second, 5 * time.Second, 5 * time.Second, between(time.Second, 15*time.Second)}[r.IntN(4)],
				maxShards: []int{0, 0, 0, 1 + r.IntN(3)}[r.IntN(4)], named: r.IntN(2) == 0,
			}
			if r.IntN(2) == 0 {
				w.delay = slowly(between(0, 8*time.Second))
			}
			g.workers = append(g.workers, w)
		}
		for e := range g.ends {
			g.ends[e] = maybe(.5, 1)
		}
		p.groups = append(p.groups, g)
	}
	return p
}

func (p *plan) String() string {
	s := fmt.Sprintf("%d shards for %v, a change takes %v, limits %v, auto %v, reshards every %v, faults every %v, slow shard %v, foreign writer %v",
		p.shards, p.length, p.stateDelay, p.limits, p.auto, p.reshards, p.faults, p.slow, p.foreign)
	for i, x := range p.producers {
		s += fmt.Sprintf("\n  producer %d: %+v", i, x)
	}
	for i, x := range p.groups {
		s += fmt.Sprintf("\n  group %d: %+v", i, x)
	}
	return s
}
