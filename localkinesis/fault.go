package localkinesis

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libvegas/vegas/internal/keyspace"
)

// Kind is what a fault does.
type Kind string

// The kinds of faults. Those on requests happen to requests of Fault.Op, those
// on events to events of subscriptions.
const (
	// Throttle refuses the request with ProvisionedThroughputExceededException
	// (LimitExceededException on the control plane). With Shard, Entries or
	// EntryRate set it refuses only those entries of a PutRecords request.
	Throttle Kind = "throttle"
	// FailEntries fails the chosen entries of a PutRecords request with Code
	// (default InternalFailure) and stores the rest.
	FailEntries Kind = "fail-entries"
	// Fail refuses the request with Code: InternalFailure with status 500 by
	// default, anything else with status 400. Nothing is stored.
	Fail Kind = "fail"
	// DropAnswer handles the request and closes the connection instead of
	// answering.
	DropAnswer Kind = "drop-answer"
	// StoreLate closes the connection without an answer and handles the
	// request only after Requests further writes to its stream, those that are
	// stored late themselves included.
	StoreLate Kind = "store-late"
	// StoreSome stores only the chosen entries of a PutRecords request and
	// closes the connection instead of answering.
	StoreSome Kind = "store-some"
	// Delay handles the request after Fault.Delay.
	Delay Kind = "delay"
	// StaleShards answers ListShards as it would have been answered
	// Fault.Delay ago (default: before the last split or merge).
	StaleShards Kind = "stale-shards"
	// ExpireIterators makes all shard iterators given so far expire, then
	// handles the request.
	ExpireIterators Kind = "expire-iterators"
	// CutStream ends the connection of a subscription in the middle of an
	// event's frame.
	CutStream Kind = "cut-stream"
	// RepeatEvent sends an event of a subscription twice.
	RepeatEvent Kind = "repeat-event"
	// EndSubscription ends a subscription in good order instead of sending the
	// event, which a later subscription then gets.
	EndSubscription Kind = "end-subscription"
	// Split splits Target (default: the widest open shard) in the middle, then
	// handles the request.
	Split Kind = "split"
	// Merge merges Target with the shard above it (default: the first pair of
	// open shards), then handles the request.
	Merge Kind = "merge"
	// SwitchToAuto and SwitchToKeys change the stream's record distribution
	// strategy (and make it on-demand), then handle the request.
	SwitchToAuto Kind = "switch-to-auto"
	SwitchToKeys Kind = "switch-to-keys"
)

// Fault is one way to misbehave and when.
//
// Op, Stream and Shard choose requests; an empty one matches all. A request
// names a shard if it reads it, or if any entry it puts goes there. Of the
// matching ones the first After are spared, then each happens with the chance
// Rate (0 is always) until Count have (0 is no end).
type Fault struct {
	Do     Kind
	Op     string // as the API names it, "PutRecords"
	Stream string
	Shard  string
	After  int
	Count  int
	Rate   float64

	Entries   []int         // indices within a PutRecords request; nil is all
	EntryRate float64       // the chance of each of them; 0 is always
	Code      string        // of Fail, FailEntries
	Delay     time.Duration // of Delay, StaleShards
	Requests  int           // of StoreLate
	Target    string        // of Split, Merge: the shard
}

// Injected is a fault at work.
type Injected struct {
	id      int
	fault   Fault
	owner   *faults
	seen    atomic.Int64
	fired   atomic.Int64
	random  *rand.Rand // owner.mu guards it
	removed bool
}

// Fired is how many times the fault has happened.
func (i *Injected) Fired() int { return int(i.fired.Load()) }

// Seen is how many requests or events it was matched with.
func (i *Injected) Seen() int { return int(i.seen.Load()) }

// Remove ends the fault; its counts stay.
func (i *Injected) Remove() {
	i.owner.mu.Lock()
	defer i.owner.mu.Unlock()
	i.removed = true
	i.owner.update()
}

// missed takes back one time that the fault was to happen and could not, so
// that a later request meets it.
func (i *Injected) missed() {
	i.owner.mu.Lock()
	defer i.owner.mu.Unlock()
	i.fired.Add(-1)
	i.owner.update()
}

// FaultStatus is one fault and what came of it.
type FaultStatus struct {
	ID          int
	Fault       Fault
	Seen, Fired int
	Active      bool
}

// faults owns what was injected. Requests are matched in the order in which
// they arrive here, so that a run with the same order has the same faults.
type faults struct {
	server *Server
	mu     sync.Mutex
	all    []*Injected
	active atomic.Bool // any fault at work or request postponed: else nothing is locked
	held   []*postponed
	shards atomic.Bool // some fault at work chooses by shard
}

type postponed struct {
	stream string
	left   int
	apply  func()
}

// Inject sets a fault to work. A fault that cannot be meant (no such Kind,
// operation) fails the test of [Start], or is logged, and never happens.
func (s *Server) Inject(f Fault) *Injected {
	i, err := s.faults.inject(f)
	if err != nil {
		s.report("%v", err)
		return &Injected{owner: &s.faults, removed: true}
	}
	return i
}

// Faults gives all faults ever injected, in order, with their counts.
func (s *Server) Faults() []FaultStatus {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	out := []FaultStatus{}
	for _, i := range s.faults.all {
		out = append(out, FaultStatus{i.id, i.fault, i.Seen(), i.Fired(), i.live()})
	}
	return out
}

func (i *Injected) live() bool {
	return !i.removed && (i.fault.Count == 0 || i.Fired() < i.fault.Count)
}

var onEvents = []Kind{CutStream, RepeatEvent, EndSubscription}

var onlyOp = map[Kind]string{
	FailEntries: "PutRecords", StoreSome: "PutRecords", StaleShards: "ListShards",
	CutStream: "SubscribeToShard", RepeatEvent: "SubscribeToShard", EndSubscription: "SubscribeToShard",
}

// allKinds are the kinds and, for docs/localkinesis.md, what they do.
var allKinds = []struct {
	kind Kind
	what string
}{
	{Throttle, "refuses requests, or with shard, entries or entry_rate those entries of PutRecords, as beyond the throughput"},
	{FailEntries, "fails the chosen entries of PutRecords with code and stores the rest"},
	{Fail, "refuses requests with code (default: InternalFailure and status 500) and stores nothing"},
	{DropAnswer, "handles requests and closes the connection instead of answering"},
	{StoreLate, "closes the connection at once and handles the request after `requests` later writes to its stream"},
	{StoreSome, "stores only the chosen entries of PutRecords and closes the connection instead of answering"},
	{Delay, "handles requests `delay` later"},
	{StaleShards, "answers ListShards as it would have been answered `delay` ago, or before the last split or merge"},
	{ExpireIterators, "makes all iterators given so far expire, then handles the request"},
	{CutStream, "ends a subscription in the middle of an event's frame"},
	{RepeatEvent, "sends an event of a subscription twice"},
	{EndSubscription, "ends a subscription in good order before an event"},
	{Split, "splits `target`, or the widest open shard, in the middle, then handles the request"},
	{Merge, "merges `target`, or the lowest open shard, with the one above it, then handles the request"},
	{SwitchToAuto, "makes the stream on-demand with AUTO distribution, then handles the request"},
	{SwitchToKeys, "makes the stream go by partition keys again, then handles the request"},
}

func (f *faults) inject(fault Fault) (*Injected, error) {
	names, known := []string{}, false
	for _, k := range allKinds {
		names = append(names, string(k.kind))
		known = known || k.kind == fault.Do
	}
	if !known {
		return nil, fmt.Errorf("localkinesis: inject: no kind of fault %q: want one of %s", fault.Do, strings.Join(names, ", "))
	}
	if op := onlyOp[fault.Do]; op != "" {
		if fault.Op != "" && fault.Op != op {
			return nil, fmt.Errorf("localkinesis: inject: %s happens to %s, not to %s", fault.Do, op, fault.Op)
		}
		fault.Op = op
	}
	if fault.Op != "" && operationNamed(fault.Op) == nil {
		return nil, fmt.Errorf("localkinesis: inject: no operation %q", fault.Op)
	}
	if (fault.Do == StoreLate || fault.Do == DropAnswer) && fault.Op == "SubscribeToShard" {
		return nil, fmt.Errorf("localkinesis: inject: %s does not happen to SubscribeToShard: use %s", fault.Do, CutStream)
	}
	switch {
	case fault.After < 0 || fault.Count < 0 || fault.Requests < 0 || fault.Delay < 0:
		return nil, fmt.Errorf("localkinesis: inject: %s: After, Count, Requests and Delay must not be negative", fault.Do)
	case !(fault.Rate >= 0 && fault.Rate <= 1 && fault.EntryRate >= 0 && fault.EntryRate <= 1):
		return nil, fmt.Errorf("localkinesis: inject: %s: rates are chances from 0 (always) to 1, not %v and %v", fault.Do, fault.Rate, fault.EntryRate)
	case fault.Do == Delay && fault.Delay == 0:
		return nil, fmt.Errorf("localkinesis: inject: %s: how long is missing: set Delay", fault.Do)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	i := &Injected{id: len(f.all) + 1, fault: fault, owner: f}
	i.random = rand.New(rand.NewPCG(f.server.seed, uint64(i.id)))
	f.all = append(f.all, i)
	f.update()
	return i, nil
}

// update is called with mu held whenever the set of live faults changes.
func (f *faults) update() {
	active, shards := len(f.held) > 0, false
	for _, i := range f.all {
		if i.live() {
			active = true
			shards = shards || i.fault.Shard != ""
		}
	}
	f.active.Store(active)
	f.shards.Store(shards)
}

// hit is one fault that happens to one request or event. Entries of a request
// that the fault chooses by chance are drawn with seed.
type hit struct {
	*Injected
	seed uint64
}

// match gives the faults that happen to a request (or event) now, in the order
// of their injection.
func (f *faults) match(op, stream string, shards []string, event bool) []hit {
	if !f.active.Load() {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var hits []hit
	for _, i := range f.all {
		w := &i.fault
		if !i.live() || event != slices.Contains(onEvents, w.Do) || w.Op != "" && w.Op != op ||
			w.Stream != "" && w.Stream != stream || w.Shard != "" && !slices.Contains(shards, w.Shard) {
			continue
		}
		seen := i.seen.Add(1)
		if seen <= int64(w.After) || w.Rate > 0 && i.random.Float64() >= w.Rate {
			continue
		}
		i.fired.Add(1)
		hits = append(hits, hit{i, i.random.Uint64()})
	}
	if len(hits) > 0 {
		f.update()
	}
	return hits
}

// postpone keeps a request until enough others were handled.
func (f *faults) postpone(p *postponed, apply func()) {
	p.apply = apply
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held = append(f.held, p)
	f.active.Store(true)
}

// later is told of every write that was handled or is to be postponed, and
// applies postponed ones whose time has come.
func (f *faults) later(c *call) {
	if !f.active.Load() || c.op.Name != "PutRecords" && c.op.Name != "PutRecord" {
		return
	}
	f.mu.Lock()
	var due []func()
	f.held = slices.DeleteFunc(f.held, func(p *postponed) bool {
		if p.stream != c.stream {
			return false
		}
		if p.left--; p.left > 0 {
			return false
		}
		due = append(due, p.apply)
		return true
	})
	f.update()
	f.mu.Unlock()
	for _, apply := range due {
		apply()
	}
}

// effects are what the faults of a request leave for its operation to do.
type effects struct {
	stream string // the one it names
	drop   bool   // handle, then close the connection
	late   *postponed
	stale  *time.Duration // ListShards as of that long ago; 0 is before the last change
	rules  []entryRule
}

// entryRule fails some entries of a PutRecords request.
type entryRule struct {
	code   string // "" stores them: all others are then neither stored nor answered
	shard  string
	chosen []int
	rate   float64
	random *rand.Rand
}

func (r *entryRule) hits(index int, shard string) bool {
	return (r.shard == "" || r.shard == shard) &&
		(r.chosen == nil || slices.Contains(r.chosen, index)) &&
		(r.rate == 0 || r.random.Float64() < r.rate)
}

// suffer does what faults do before a request is handled and sets the call's
// effects for what they do later. It answers the failure that ends the request.
func (c *call) suffer(hits []hit, stream string) error {
	for _, h := range hits {
		w := &h.fault
		rule := entryRule{
			code: w.Code, shard: w.Shard, chosen: w.Entries, rate: w.EntryRate,
			random: rand.New(rand.NewPCG(h.seed, 0)),
		}
		switch w.Do {
		case Throttle:
			switch {
			case c.op.Rate > 0:
				return refuse(codeLimit, "Rate exceeded for stream %s under account %s (injected).", stream, c.server.account.id)
			case c.op.Name == "PutRecords" && (w.Shard != "" || w.Entries != nil || w.EntryRate > 0):
				rule.code = codeThrottled
				c.rules = append(c.rules, rule)
			default:
				return refuse(codeThrottled, "Rate exceeded for stream %s under account %s (injected).", stream, c.server.account.id)
			}
		case FailEntries:
			if rule.code == "" {
				rule.code = codeInternal
			}
			c.rules = append(c.rules, rule)
		case StoreSome:
			rule.code = ""
			c.rules = append(c.rules, rule)
			c.drop = true
		case Fail:
			if w.Code == "" || w.Code == codeInternal {
				return internalFailure("Injected failure.")
			}
			return refuse(w.Code, "Injected failure.")
		case DropAnswer:
			c.drop = true
		case StoreLate:
			c.late = &postponed{stream: stream, left: max(1, w.Requests)}
		case Delay:
			if err := c.wait(w.Delay); err != nil {
				return err
			}
		case StaleShards:
			c.stale = &w.Delay
		case ExpireIterators:
			c.server.account.mu.Lock()
			c.server.account.expiry++
			c.server.account.mu.Unlock()
		case Split, Merge, SwitchToAuto, SwitchToKeys:
			if w.Stream != "" {
				stream = w.Stream
			}
			if !c.server.disturb(w, stream) {
				h.missed()
			}
		}
	}
	return nil
}

// disturb changes the stream as the fault says and tells whether it could.
func (s *Server) disturb(w *Fault, name string) bool {
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	now := s.clock.now()
	st, f := s.account.live(name, now)
	if f != nil {
		return false
	}
	sh := st.open[0]
	switch {
	case w.Target != "":
		if sh = st.opened(w.Target); sh == nil {
			return false
		}
	case w.Do == Split:
		sh = st.widest()
	}
	switch w.Do {
	case Split:
		if sh.keys.First == sh.keys.Last {
			return false
		}
		st.split(sh, sh.keys.Middle(), now)
	case Merge:
		if sh.keys.Last == keyspace.Max {
			return false
		}
		st.merge(sh, st.at(sh.keys.Last.Next()), now)
	case SwitchToAuto:
		st.mode, st.distribution = modeOnDemand, distributionAuto
	case SwitchToKeys:
		st.distribution = distributionKey
	}
	return true
}

// opened gives an open shard by id, or nil.
func (st *stream) opened(id string) *shard {
	for _, sh := range st.open {
		if sh.id == id {
			return sh
		}
	}
	return nil
}
