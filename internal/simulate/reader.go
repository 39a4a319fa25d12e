package simulate

import (
	"slices"
	"sort"
	"strconv"

	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/mark"
	"github.com/libvegas/vegas/internal/progress"
	"github.com/libvegas/vegas/record"
)

// group is a consumer group that reads the whole stream once production is
// over: what it decides depends on what is stored, not on when. Its workers
// crash and start again from what they wrote.
type group struct {
	*world
	p       *plan
	readers []*reader
	audit   *audit
}

// row is what a group stores of a shard.
type row struct {
	at    record.Position
	marks []byte
	ended bool
}

// reader is one shard's life in a worker.
type reader struct {
	g     *group
	s     *shard
	row   row
	alive bool

	marks    *mark.Tracker
	window   progress.Window
	next     int // in the log
	tasks    []task
	verdicts []mark.Verdict
	fresh    []handled // since the last checkpoint
}

// task is a record handed to a handler.
type task struct {
	r      *sent
	slot   int
	at     record.Position
	ticket progress.Ticket
}

type handled struct {
	r  *sent
	at record.Position
}

func newGroup(w *world, p *plan, a *audit) *group {
	g := &group{world: w, p: p, audit: a}
	for _, s := range w.shards {
		g.readers = append(g.readers, &reader{g: g, s: s})
	}
	return g
}

// run reads everything.
func (g *group) run() {
	for can := g.readable(); len(can) > 0; {
		r := can[g.rnd.IntN(len(can))]
		if r.step(); r.row.ended {
			can = g.readable()
		}
	}
}

// readable are the readers that may go on: children wait for their parents.
func (g *group) readable() (can []*reader) {
	for _, r := range g.readers {
		waits := func(p *shard) bool { return !g.readers[p.n].row.ended }
		if !r.row.ended && (g.p.mutant == orphans || !slices.ContainsFunc(r.s.parents, waits)) {
			can = append(can, r)
		}
	}
	return can
}

func (r *reader) step() {
	g := r.g
	if !r.alive {
		r.start()
	}
	x := g.rnd.Float64()
	switch {
	case g.p.crashes && x < .04:
		r.crash()
	case x < .14:
		r.checkpoint(r.window.Low())
	case x < .20:
		r.save()
	case x < .55 && r.next < len(r.s.log):
		r.read(r.s.log[r.next])
		r.next++
	case len(r.tasks) > 0:
		r.finish()
	case r.next == len(r.s.log):
		r.checkpoint(record.ShardEnd)
		if !g.p.lazy || !g.p.crashes || g.chance(.7) {
			r.save()
		}
		r.row.ended, r.alive = true, false
		if g.traced {
			g.trace("the group ends %s", r.s.id)
		}
	}
}

// start begins at what is stored.
func (r *reader) start() {
	r.alive = true
	rng := r.s.rng
	if r.g.p.mutant == cut {
		rng = keyspace.Full
	}
	r.marks = mark.New(rng, 0)
	r.tasks, r.fresh = nil, nil
	if r.row.marks == nil {
		for _, p := range r.s.parents {
			r.inherit(r.g.readers[p.n].row)
		}
	} else if s, err := mark.Decode(r.row.marks); err != nil {
		r.g.audit.fail("marks of %s: %v", r.s.id, err)
	} else {
		if r.g.p.mutant == lead {
			s.At = r.row.at
		}
		if !r.marks.Restore(s, r.row.at) {
			r.g.audit.fail("marks of %s lead the checkpoint %v", r.s.id, r.row.at)
		}
	}
	r.window.Reset(r.row.at)
	r.next = 0
	if !r.row.at.IsStart() {
		seq, _ := strconv.ParseUint(r.row.at.Sequence, 10, 64)
		r.next = sort.Search(len(r.s.log), func(i int) bool { return r.s.log[i].seq >= seq })
	}
}

func (r *reader) inherit(parent row) {
	if parent.marks == nil {
		return
	}
	s, err := mark.Decode(parent.marks)
	if err != nil {
		r.g.audit.fail("marks for %s: %v", r.s.id, err)
		return
	}
	if s.Leads(parent.at) {
		r.g.audit.fail("marks for %s lead the checkpoint %v", r.s.id, parent.at)
	}
	r.marks.Inherit(s)
}

func (r *reader) read(st *stored) {
	p := st.what
	if p.raw {
		r.hand(p, 0, record.Position{Sequence: st.name})
		return
	}
	var id *aggregate.Identity
	if !p.foreign {
		id = &aggregate.Identity{Producer: p.producer, Laned: p.laned, Range: p.rng, Counters: p.counters}
		if r.g.p.mutant == wide {
			id.Range = r.s.rng
		}
	}
	r.verdicts = r.marks.Decide(r.verdicts[:0], st.name, id, p)
	for i, v := range r.verdicts {
		at := record.Position{Sequence: st.name, SubSequence: int64(i)}
		if v == mark.Deliver && p.laned && !r.s.rng.Has(p.Hash(i)) {
			v = mark.Misplaced // under the mutant that hides the shard's range from the marks
		}
		switch v {
		case mark.Duplicate:
			r.g.audit.sums.Duplicates++
		case mark.Misplaced:
			r.g.audit.sums.Misplaced++
		case mark.Foreign:
			r.g.audit.sums.Foreign++
		}
		if v == mark.Deliver || v == mark.Foreign {
			r.hand(p, i, at)
		} else {
			if r.g.traced {
				r.g.trace("the group drops %s at %s %v: %v", p.recs[i].name(), r.s.id, at, v)
			}
			if at.Compare(r.row.at) > 0 {
				r.window.Pass(at)
			}
		}
	}
}

// hand gives a record to the handlers, unless the checkpoint covers it.
func (r *reader) hand(p *payload, i int, at record.Position) {
	if at.Compare(r.row.at) <= 0 && !r.row.at.IsStart() {
		return
	}
	t := task{p.recs[i], p.slots[i], at, r.window.Add(at)}
	switch r.g.p.mutant {
	case loseOne:
		if r.g.chance(.01) {
			r.window.Done(t.ticket)
			return
		}
	case twice:
		if r.g.chance(.01) {
			r.tasks = append(r.tasks, t)
		}
	case swapTwo:
		if n := len(r.tasks); n > 0 && r.g.chance(.3) {
			r.tasks = append(r.tasks, r.tasks[n-1])
			r.tasks[n-1] = t
			return
		}
	}
	r.tasks = append(r.tasks, t)
}

// finish ends some handler; records of one hash are handled in order.
func (r *reader) finish() {
	i := r.g.rnd.IntN(len(r.tasks))
	if r.g.p.mutant != scramble {
		for j := range i {
			if r.tasks[j].r.item.Hash == r.tasks[i].r.item.Hash {
				i = j
				break
			}
		}
	}
	t := r.tasks[i]
	r.tasks = append(r.tasks[:i], r.tasks[i+1:]...)
	if r.g.traced {
		r.g.trace("the group handles %s at %s %v", t.r.name(), r.s.id, t.at)
	}
	r.g.audit.handle(t.r, t.slot)
	r.fresh = append(r.fresh, handled{t.r, t.at})
	r.window.Done(t.ticket)
}

func (r *reader) checkpoint(at record.Position) {
	if r.g.p.mutant == hasty && r.next > 0 && len(r.tasks) > 0 {
		at = r.tasks[len(r.tasks)-1].at
	}
	if at.Compare(r.row.at) < 0 {
		r.g.audit.fail("the checkpoint of %s goes back from %v to %v", r.s.id, r.row.at, at)
	}
	r.row.at = at
	if r.g.p.mutant == lead && r.next > 0 && !at.IsShardEnd() {
		last := r.s.log[r.next-1]
		at = record.Position{Sequence: last.name, SubSequence: int64(len(last.what.recs) - 1)}
	}
	r.marks.Checkpointed(at)
	keep := r.fresh[:0]
	for _, h := range r.fresh {
		if h.at.Compare(r.row.at) <= 0 {
			h.r.handled++
		} else {
			keep = append(keep, h)
		}
	}
	r.fresh = keep
	if !r.g.p.lazy {
		r.save()
	}
	if r.g.traced {
		r.g.trace("the group checkpoints %s at %v", r.s.id, at)
	}
}

func (r *reader) save() { r.row.marks = r.marks.Encode() }

// crash forgets all that is not in the row. What was handled and is not
// covered by the checkpoint will be handled again.
func (r *reader) crash() {
	if r.g.traced {
		r.g.trace("the reader of %s crashes", r.s.id)
	}
	r.g.audit.sums.Restarts++
	r.alive = false
}
