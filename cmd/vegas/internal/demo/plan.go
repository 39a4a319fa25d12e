package demo

import (
	"fmt"
	"time"

	"github.com/libvegas/vegas/cmd/vegas/internal/shardtree"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/localkinesis"
)

// step is one incident that is to happen. do tells false if it cannot happen now,
// and is left out.
type step struct {
	at time.Duration
	do func(*world) bool
}

// steps are what happens, by turns, in the order in which a short demo shows them.
var turns = []struct {
	kind Kind
	do   func(*world) bool
}{
	{Add, (*world).add},
	{Kill, (*world).kill},
	{Split, (*world).split},
	{Stop, (*world).stop},
	{Merge, (*world).merge},
	{Add, (*world).add},
	{Fault, fault("PutRecords", 6, "drop the answers of 6 PutRecords, after storing them", localkinesis.Fault{Do: localkinesis.DropAnswer})},
	{Replace, (*world).replace},
	{Split, (*world).split},
	{Kill, (*world).kill},
	{Add, (*world).add},
	{Fault, fault("PutRecords", 2, "answer nothing to 2 PutRecords, and store them after 3 later ones", localkinesis.Fault{Do: localkinesis.StoreLate, Requests: 3})},
	{Merge, (*world).merge},
}

// The least and the usual time that an incident needs before the next one. A dead
// worker's shards need the lease time as well.
const (
	leastPause = 1200 * time.Millisecond
	usualPause = 3300 * time.Millisecond
	beforeAll  = 1300 * time.Millisecond // until the group's first shards are read
)

// plan spreads incidents over the time of sending.
func (w *world) plan(sending time.Duration) []step {
	need := func(kind Kind, pause time.Duration) time.Duration {
		if kind == Kill {
			return pause + w.LeaseTime
		}
		return pause
	}
	n, least, usual := 0, beforeAll, beforeAll
	for ; ; n++ {
		kind := turns[n%len(turns)].kind
		l, u := need(kind, leastPause), need(kind, usualPause)
		if least+l > sending || n >= 5 && usual+u > sending {
			break
		}
		least, usual = least+l, usual+u
	}
	// What is left of the time goes to the pauses.
	pause := leastPause
	if n > 0 {
		pause += (sending - least) / time.Duration(n)
	}
	var steps []step
	at := beforeAll
	for i := range n {
		turn := turns[i%len(turns)]
		steps = append(steps, step{at, turn.do})
		at += need(turn.kind, pause)
	}
	return steps
}

// follow does what is due, once what happened before is over, and gives what is
// left.
func (w *world) follow(plan []step, now time.Duration) []step {
	all := w.fleet.incidents()
	if n := len(all); n > 0 {
		last := all[n-1]
		calm := w.fleet.flows(w.openIDs()) && now >= last.At+leastPause
		if calm && w.told < n {
			w.told = n
			w.tell(Event{Kind: last.Kind, Note: true, Text: last.outcome()})
		}
		if !calm && now < last.At+w.LeaseTime+5*time.Second {
			return plan
		}
	} else if len(w.fleet.running()) < min(w.Workers, w.Shards) && now < 5*time.Second {
		return plan // the fleet has yet to start
	}
	if len(plan) > 0 && plan[0].at <= now {
		plan[0].do(w)
		return plan[1:]
	}
	return plan
}

// outcome is what came of an incident.
func (i *Incident) outcome() string {
	text := fmt.Sprintf("all shards flow, shard %s was silent longest: %s", shardtree.Short(i.Shard), short(i.Silent))
	if i.Repeated > 0 {
		text += fmt.Sprintf("; %s again", plural(int(i.Repeated), "record"))
	}
	return text
}

// happens opens the account of an incident and tells of it.
func (w *world) happens(kind Kind, goal time.Duration, format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	w.fleet.begin(&Incident{Kind: kind, What: what, Goal: goal})
	w.tell(Event{Kind: kind, Text: what})
}

// handover is for how long shards may be silent when they go from one living worker
// to another.
const handover = 500 * time.Millisecond

func (w *world) add() bool {
	name := w.fleet.next()
	w.happens(Add, handover, "start worker %s", name)
	return w.start()
}

// start starts a worker. A failure ends the demo.
func (w *world) start() bool {
	_, err := w.fleet.add()
	w.fleet.fail(err)
	return err == nil
}

// chosen is a worker to lose; nil if none can be spared.
func (w *world) chosen() *member {
	running := w.fleet.running()
	if len(running) < 2 {
		return nil
	}
	return running[w.random.IntN(len(running))]
}

func (w *world) stop() bool {
	m := w.chosen()
	if m == nil {
		return false
	}
	w.happens(Stop, handover, "stop worker %s, which reads %s", m.name, w.fleet.reads(m))
	w.fleet.stop(m)
	return true
}

func (w *world) kill() bool {
	m := w.chosen()
	if m == nil {
		return false
	}
	w.happens(Kill, w.LeaseTime+time.Second, "kill -9 worker %s, which reads %s", m.name, w.fleet.reads(m))
	w.fleet.kill(m)
	return true
}

// replace is what a deploy does, with the worker that has run longest.
func (w *world) replace() bool {
	running := w.fleet.running()
	if len(running) == 0 {
		return false
	}
	old := running[0]
	w.happens(Replace, handover, "deploy: start worker %s and stop %s, which reads %s", w.fleet.next(), old.name, w.fleet.reads(old))
	if !w.start() {
		return false
	}
	w.fleet.stop(old)
	return true
}

// fault is an incident that the server is told to make.
func fault(op string, count int, text string, f localkinesis.Fault) func(*world) bool {
	f.Op, f.Count, f.Stream = op, count, Stream
	return func(w *world) bool {
		w.happens(Fault, 0, "%s", text)
		w.inject(f)
		return true
	}
}

// split splits the widest open shard.
func (w *world) split() bool {
	var widest localkinesis.Shard
	var width float64
	for _, s := range w.open() {
		if n := width01(s); n > width*1.01 || n > width*0.99 && w.random.IntN(2) == 0 {
			widest, width = s, max(n, width)
		}
	}
	if widest.ID == "" {
		return false
	}
	w.happens(Split, 0, "split shard %s", shardtree.Short(widest.ID))
	_, _, err := w.server.Split(Stream, widest.ID, "")
	w.knowShards()
	return err == nil
}

// merge merges the narrowest pair of neighbours.
func (w *world) merge() bool {
	open := w.open() // by range, so that neighbours are next to each other
	best, width := -1, 2.0
	for i := range len(open) - 1 {
		if n := width01(open[i]) + width01(open[i+1]); n < width {
			best, width = i, n
		}
	}
	if best < 0 || len(open) < 3 {
		return false
	}
	a, b := open[best].ID, open[best+1].ID
	w.happens(Merge, 0, "merge shards %s and %s", shardtree.Short(a), shardtree.Short(b))
	_, err := w.server.Merge(Stream, a, b)
	w.knowShards()
	return err == nil
}

// open lists the open shards by their ranges.
func (w *world) open() []localkinesis.Shard {
	var open []localkinesis.Shard
	for _, shard := range w.shards() {
		if shard.Open {
			open = append(open, shard)
		}
	}
	sortByRange(open)
	return open
}

func (w *world) openIDs() []string {
	var ids []string
	for _, s := range w.open() {
		ids = append(ids, s.ID)
	}
	return ids
}

func (w *world) shards() []localkinesis.Shard {
	s, err := w.server.Stream(Stream)
	if err != nil {
		return nil
	}
	return s.Shards
}

// knowShards tells the fleet's account of the shards that there are.
func (w *world) knowShards() {
	at, shards := w.now(), w.shards()
	w.fleet.mu.Lock()
	defer w.fleet.mu.Unlock()
	for _, s := range shards {
		w.fleet.silence.know(s.ID, at, s.Parent, s.AdjacentParent)
	}
}

// width01 is a shard's part of the hash key space.
func width01(s localkinesis.Shard) float64 {
	r, err := keyspace.ParseRange(s.First, s.Last)
	if err != nil {
		return 0
	}
	return r.Last.Fraction() - r.First.Fraction()
}
