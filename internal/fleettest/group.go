package fleettest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/file"
	"github.com/libvegas/vegas/store/memory"
)

// group is a consumer group: a fleet of programs that consume for it, each of
// them one worker after the other.
type group struct {
	*fleet
	p     groupPlan
	name  string
	books *account
	rows  *rows
	open  func() store.Store // as one process does
	runs  sync.WaitGroup     // lives that have not ended, of dead workers too

	guard sync.Mutex
	lives map[string]*worker
	cut   []context.CancelFunc // those that try for ever

	planted atomic.Int64
}

func newGroup(f *fleet, i int) *group {
	g := &group{fleet: f, p: f.plan.groups[i], name: fmt.Sprint("group", i), lives: map[string]*worker{}}
	g.books = f.audit.account(g.name, f.plan.auto)
	g.rows = newRows(f.audit.fail, g.books.began, f.trace, g.name)
	g.rows.taken = g.books.disturbed
	g.rows.late = g.late
	shared := memory.New()
	g.open = func() store.Store { return shared }
	if g.p.file {
		dir := f.dir + "/" + g.name
		g.open = func() store.Store { return file.New(dir) }
	}
	return g
}

// late tells that a worker's grace time is over, since it was told to stop or
// since one of its shards was announced: then it need not have finished what it
// had begun.
func (g *group) late(actor string, announced time.Time) bool {
	g.guard.Lock()
	w := g.lives[actor]
	g.guard.Unlock()
	if w == nil {
		return true
	}
	g.books.mu.Lock()
	defer g.books.mu.Unlock()
	over := func(since time.Time) bool { return !since.IsZero() && time.Since(since) >= w.grace }
	return over(announced) || over(w.stopped)
}

// run consumes until ctx is over, with workers that join, stop, crash, and lose
// what they need. Afterwards workers to which nothing happens read all that is
// left.
func (g *group) run(ctx context.Context) {
	wait(ctx, g.p.delay)
	var slots sync.WaitGroup
	for i := range g.p.workers {
		slots.Go(func() { g.newSlot(i).run(ctx) })
	}
	if g.p.release > 0 {
		slots.Go(func() { g.administer(ctx) })
	}
	slots.Wait()
	g.last()
}

// slot is a program that is started again and again.
type slot struct {
	*group
	workerPlan
	number int
	rnd    *rand.Rand
	starts int
}

func (g *group) newSlot(i int) *slot {
	return &slot{group: g, workerPlan: g.p.workers[i], number: i, rnd: source(g.plan.seed, uint64(200+20*len(g.name)+i)+uint64(g.name[len(g.name)-1])<<16)}
}

func (s *slot) run(ctx context.Context) {
	wait(ctx, s.delay)
	for ctx.Err() == nil {
		l := s.start(s.p.storeSick)
		how := s.ending()
		select {
		case <-l.done:
			l.complain()
			if s.p.storeSick == 0 && s.plan.faults == 0 && !s.plan.slow {
				l.unwanted()
			}
			wait(ctx, time.Second)
			continue
		case <-time.After(time.Duration(s.rnd.Int64N(int64(s.p.life)) + 1)):
		case <-ctx.Done():
			how = stop
		}
		s.end(l, how)
	}
}

// ending draws how a life ends.
func (s *slot) ending() ending {
	for e := ends - 1; e > stop; e-- {
		if s.rnd.Float64() < s.p.ends[e] {
			return e
		}
	}
	return stop
}

// end ends a life.
func (s *slot) end(l *life, how ending) {
	s.trace.add("%s: %v", l.name, how)
	s.count(how.String())
	switch how {
	case crash:
		s.books.killed(l.worker)
		l.door.lock()
		l.net.cut()
		l.cancel()
	case partition:
		l.door.lock()
		l.net.cut()
		s.guard.Lock()
		s.cut = append(s.cut, l.cancel)
		s.guard.Unlock()
	case outage:
		l.door.set(true)
		wait(s.forever, time.Duration(s.rnd.IntN(20000))*time.Millisecond)
		l.door.set(false)
		wait(s.forever, time.Duration(s.rnd.IntN(20000))*time.Millisecond)
		fallthrough
	default:
		l.stop()
	}
	wait(s.forever, time.Duration(s.rnd.IntN(3000))*time.Millisecond)
}

// administer has shards given up now and then.
func (g *group) administer(ctx context.Context) {
	rnd := source(g.plan.seed, 3000+uint64(g.name[len(g.name)-1]))
	name := g.name + ".admin"
	_, cfg := connect(g.server, g.trace, name, false)
	d := newDoor(g.open(), g.rows, name, 0, rnd)
	c, err := vegas.NewConsumer(streamName, g.name, func(o *vegas.ConsumerOptions) {
		o.AWS, o.Store, o.Logger = cfg, d, g.trace.logger(name)
	})
	if err != nil {
		g.audit.fail("%s: %v", name, err)
		return
	}
	for {
		wait(ctx, time.Duration(rnd.Int64N(2*int64(g.p.release))+1))
		if ctx.Err() != nil {
			return
		}
		leases, err := d.Store.List(ctx, g.name, "lease#")
		if err != nil || len(leases) == 0 {
			continue
		}
		id := leases[rnd.IntN(len(leases))].ID
		releaseCtx, cancel := context.WithTimeout(ctx, 5*time.Second)
		err = c.Admin().Release(releaseCtx, id[strings.LastIndexByte(id, ':')+1:], false)
		cancel()
		g.trace.add("%s: has %s released: %v", name, id, err)
		if err == nil {
			g.count("release")
		}
	}
}

// last lets a fleet that nothing happens to read all that is left. It has to come
// to rest, each with its share; and whoever starts when all have stopped finds
// nothing.
func (g *group) last() {
	select {
	case <-g.produced:
	case <-g.forever.Done():
	}
	slots := make([]*slot, len(g.p.workers))
	lives := make([]*life, len(slots))
	for i := range slots {
		slots[i] = g.newSlot(i)
		slots[i].starts, slots[i].maxShards = 1000, 0
		lives[i] = slots[i].start(0)
	}
	missing := func() int { return g.books.missing(func() { g.audit.look(g.server, streamName) }) }
	for stuck := time.Now().Add(20 * time.Minute); missing() > 0 && time.Now().Before(stuck) && g.forever.Err() == nil; {
		wait(g.forever, time.Second)
		g.revive(slots, lives)
	}
	for end := time.Now().Add(2 * time.Minute); ; {
		before := g.rows.looks()
		wait(g.forever, restful)
		reads, quiet, uneven := g.rows.looks()-before, g.rows.quiet(), g.uneven(lives)
		if uneven == "" && quiet >= 2*restful {
			// Each may read all leases once in that time, as it does once in a
			// while, and once more before it buries dead of a time.
			if reads > 3*len(lives) {
				g.audit.fail("%s: %d reads of leases in %v in which nothing happens", g.name, reads, restful)
			}
			break
		}
		if time.Now().After(end) || g.forever.Err() != nil {
			g.audit.fail("%s: does not come to rest: %s, last written to %v ago", g.name, uneven, quiet)
			break
		}
		g.revive(slots, lives)
	}
	g.trace.add("%s: is told to stop, %d records missing", g.name, missing())
	for i, l := range lives {
		if i > 0 {
			wait(g.forever, time.Duration(slots[i].rnd.IntN(2000))*time.Millisecond)
		}
		l.stop()
	}
	l := slots[0].start(0)
	wait(g.forever, 10*time.Second)
	l.stop()
	for _, cancel := range g.cut {
		cancel()
	}
	g.runs.Wait()
}

// restful is for how long nothing but heartbeats is written once nothing happens.
const restful = 10 * time.Second

// revive starts those again that ended by themselves, which none has a reason
// for.
func (g *group) revive(slots []*slot, lives []*life) {
	for i, l := range lives {
		select {
		case <-l.done:
			l.complain()
			l.unwanted()
			lives[i] = slots[i].start(0)
		default:
		}
	}
}

// uneven says what is wrong with how the leases are spread.
func (g *group) uneven(lives []*life) string {
	owned := g.rows.owned()
	least, most, all := 1<<30, 0, 0
	for _, n := range owned {
		all += n
	}
	for _, l := range lives {
		n := owned[l.name]
		least, most, all = min(least, n), max(most, n), all-n
	}
	if all != 0 || most-least > 1 {
		return fmt.Sprintf("leases are owned by %v", owned)
	}
	return ""
}
