package fleet

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/libvegas/vegas/internal/story"
)

// TestStories plays the scripts of testdata: what the workers of a fleet do, told
// step by step (see package story).
//
// The store answers within 10 ms, and the shards' functions do what they are told
// at once, unless that is told otherwise. What is shown is what changes a row, but
// for heartbeats, and what happens to functions.
//
//	fleet [lease=D]                       begins anew; the lease time is 4s by default
//	shards ID[<PARENT[,PARENT]]...        are listed from now on
//	start W[=NAME]... [limit=N]           workers with these IDs
//	run D                                 time passes
//	stop W | crash W | pause W | resume W
//	slow W | quick W                      its functions return with "close", or as soon as they should
//	close W SHARD drained|back|lost|end [CHILD]...
//	lose W VERB [applied]                 the next answer to this is lost, and what it asked for, unless it was applied
//	hold W VERB                           the next such request waits
//	let W                                 … until now
//	away | back                           the store
//	behind D                              looks show what was so long ago
//	delete W | heir SHARD W               somebody else writes
//	rows
func TestStories(t *testing.T) {
	story.Play(t, func() func(string) []string {
		s := &stage{}
		return func(line string) []string {
			s.out = nil
			s.do(line)
			return s.out
		}
	})
}

// stage is a fleet, its store and its stream.
type stage struct {
	now    time.Duration
	timing Timing
	actors []*actor
	table  *table
	shards []Shard
	away   bool
	behind time.Duration
	events []event
	out    []string

	requests int
	silent   map[string]time.Duration // shards that nobody reads, since when
	gaps     []time.Duration          // how long those were silent that are read again
}

type event struct {
	at time.Duration
	do func()
}

// actor is a worker's process.
type actor struct {
	id     string
	m      *Machine
	wake   time.Duration
	gone   bool // crashed, or over
	paused bool
	box    []func() // what came meanwhile
	slow   bool
	lose   map[Verb]string // what becomes of the next ask
	hold   map[Verb]bool
	held   []*Ask
	open   map[string]uint64 // functions, by their possessions
}

func (s *stage) say(format string, a ...any) {
	s.out = append(s.out, fmt.Sprintf("%7.2fs  ", s.now.Seconds())+fmt.Sprintf(format, a...))
}

func (s *stage) actor(id string) *actor {
	for _, a := range slices.Backward(s.actors) {
		if a.id == id {
			return a
		}
	}
	panic("no worker " + id)
}

func (s *stage) do(line string) {
	f := strings.Fields(line)
	switch f[0] {
	case "fleet":
		*s = stage{timing: TimingOf(4 * time.Second), out: s.out, table: newTable()}
		for _, x := range f[1:] {
			if k, v, _ := strings.Cut(x, "="); k == "lease" {
				s.timing = TimingOf(span(v))
			}
		}
	case "shards":
		s.shards = parseShards(f[1:])
	case "start":
		s.start(f[1:])
	case "run":
		s.run(s.now + span(f[1]))
	case "stop":
		a := s.actor(f[1])
		a.in(func() { a.m.Stop(s.now); s.poll(a) })
	case "crash":
		a := s.actor(f[1])
		a.gone = true
		for id := range a.open {
			s.quiet(id)
		}
	case "pause":
		s.actor(f[1]).paused = true
	case "resume":
		a := s.actor(f[1])
		a.paused = false
		box := a.box
		a.box = nil
		for _, do := range box {
			do()
		}
		s.poll(a)
	case "slow", "quick":
		s.actor(f[1]).slow = f[0] == "slow"
	case "close":
		how := slices.Index([]string{"drained", "back", "end", "lost"}, f[3])
		s.close(s.actor(f[1]), f[2], Closing(how), parseShards(f[4:]))
	case "lose":
		s.actor(f[1]).lose[verb(f[2])] = strings.Join(append([]string{"lost"}, f[3:]...), " ")
	case "hold":
		s.actor(f[1]).hold[verb(f[2])] = true
	case "let":
		a := s.actor(f[1])
		clear(a.hold)
		for _, q := range a.held {
			s.send(a, q)
		}
		a.held = nil
	case "away", "back":
		s.away = f[0] == "away"
	case "behind":
		s.behind = span(f[1])
	case "delete":
		s.table.put(s.now, Worker{ID: f[1]}, false)
	case "heir":
		l := s.table.leases[f[1]]
		l.Heir = f[2]
		s.table.leases[f[1]] = l
	case "rows":
		s.out = append(s.out, s.table.show()...)
	default:
		panic(line)
	}
}

func (s *stage) start(args []string) {
	limit := 0
	for _, x := range args {
		if k, n, _ := strings.Cut(x, "="); k == "limit" {
			limit, _ = strconv.Atoi(n)
		}
	}
	for _, x := range args {
		id, name, named := strings.Cut(x, "=")
		if id == "limit" {
			continue
		}
		if !named {
			name = id
		}
		a := &actor{id: id, lose: map[Verb]string{}, hold: map[Verb]bool{}, open: map[string]uint64{}}
		a.m = New(Config{ID: id, Name: name, Timing: s.timing, MaxLeases: limit, Rand: func() float64 { return .5 }})
		s.actors = append(s.actors, a)
		s.poll(a)
	}
}

// quiet notes that nobody reads a shard.
func (s *stage) quiet(id string) {
	if s.silent == nil {
		s.silent = map[string]time.Duration{}
	}
	s.silent[id] = s.now
}

func (s *stage) after(d time.Duration, do func()) {
	s.events = append(s.events, event{s.now + d, do})
	slices.SortStableFunc(s.events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
}

// run lets time pass.
func (s *stage) run(until time.Duration) {
	for len(s.events) > 0 && s.events[0].at <= until {
		e := s.events[0]
		s.events = s.events[1:]
		s.now = e.at
		e.do()
	}
	s.now = until
}

// in does something in a worker's process, once it can.
func (a *actor) in(do func()) {
	switch {
	case a.gone:
	case a.paused:
		a.box = append(a.box, do)
	default:
		do()
	}
}

func (s *stage) poll(a *actor) {
	if a.gone || a.paused {
		return
	}
	asks, acts, next := a.m.Poll(s.now)
	for _, act := range acts {
		s.act(a, act)
	}
	for _, q := range asks {
		if a.hold[q.Verb] {
			delete(a.hold, q.Verb)
			s.say("%s: %s has no answer yet", a.id, told(q))
			a.held = append(a.held, q)
			continue
		}
		s.send(a, q)
	}
	if over, err := a.m.Over(); over {
		a.gone = true
		s.say("%s is over: %v", a.id, err)
		return
	}
	if next <= s.now {
		panic(fmt.Sprintf("%s wants to be polled at %v, it is %v", a.id, next, s.now))
	}
	a.wake = next
	if next < never {
		s.after(next-s.now, func() {
			if a.wake == next {
				s.poll(a)
			}
		})
	}
}

// send brings an ask to the store and the answer back.
func (s *stage) send(a *actor, q *Ask) {
	s.requests++
	fate := a.lose[q.Verb]
	delete(a.lose, q.Verb)
	answer := func(ans Answer) {
		a.in(func() { a.m.Answer(s.now, q, ans); s.poll(a) })
	}
	switch {
	case s.away:
		s.after(time.Second, func() { answer(Answer{Outcome: Unknown}) })
	case fate != "":
		if fate == "lost applied" {
			s.after(5*time.Millisecond, func() { s.execute(a, q) })
		}
		s.after(500*time.Millisecond, func() {
			s.say("%s: no answer to %s", a.id, told(q))
			answer(Answer{Outcome: Unknown})
		})
	default:
		s.after(5*time.Millisecond, func() {
			ans := s.execute(a, q)
			s.after(5*time.Millisecond, func() { answer(ans) })
		})
	}
}

func (s *stage) act(a *actor, act Act) {
	id, possession := act.Lease.ID, act.Lease.Possession
	switch act.Kind {
	case Start:
		from := ""
		if act.From != "" {
			from = " from " + act.From
		}
		begin := ""
		if !act.Begin.IsZero() {
			begin = " at the group's start"
		}
		s.say("%s starts %s, %v%s, possession %d%s", a.id, id, act.How, from, possession, begin)
		if _, ok := a.open[id]; ok {
			panic(a.id + " starts " + id + " twice")
		}
		a.open[id] = possession
		if since, ok := s.silent[id]; ok {
			s.gaps = append(s.gaps, s.now-since)
			delete(s.silent, id)
		}
	case Drain:
		s.say("%s drains %s to %s", a.id, id, [...]string{"balance", "stop"}[act.Why])
		if !a.slow {
			s.after(0, func() { s.close(a, id, Drained, nil) })
		}
	case Lose:
		s.say("%s loses %s", a.id, id)
		if !a.slow {
			s.after(0, func() { s.close(a, id, Lost, nil) })
		}
	}
}

func (s *stage) close(a *actor, id string, how Closing, children []Shard) {
	a.in(func() {
		possession, ok := a.open[id]
		if !ok {
			panic(a.id + " does not read " + id)
		}
		delete(a.open, id)
		s.quiet(id)
		a.m.Closed(s.now, id, possession, how, children)
		s.poll(a)
	})
}

func span(x string) time.Duration {
	d, err := time.ParseDuration(x)
	if err != nil {
		panic(err)
	}
	return d
}

func verb(x string) Verb {
	for v := range List + 1 {
		if v.String() == x {
			return v
		}
	}
	panic("no verb " + x)
}

func parseShards(args []string) (out []Shard) {
	for _, x := range args {
		id, parents, _ := strings.Cut(x, "<")
		one := Shard{ID: id}
		if parents != "" {
			one.Parents = strings.Split(parents, ",")
		}
		out = append(out, one)
	}
	return out
}
