package bridge

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/libvegas/vegas/internal/shard"
	"github.com/libvegas/vegas/record"
)

// gathering brings records to the host that layers have let through. They come one by
// one, each with a goroutine that waits for its result, and of different keys at the
// same time with the option parallel: what comes while a chunk is on its way is the
// next one. Layers see what they see in Go: with parallel = 1 a record's handler has
// returned before the layers of the next one begin, so then a chunk is one record.
type gathering struct {
	mu      sync.Mutex
	busy    bool // somebody delivers
	waiting []*passing
	tries   map[record.Position]int   // how often records have failed
	left    map[record.Position]error // why those are open that the host has not handled
}

// triesKept bounds what is remembered of records that were given up.
const triesKept = 1000

// passing is a record on its way through the layers.
type passing struct {
	r      *record.Record
	result chan error // capacity 1
}

// errLead asks a record's goroutine to deliver what waits.
var errLead = errors.New("deliver")

// layered is a handler with layers around it. They decide what a failure means, and not
// what it means that the host has not handled a record: one that takes no notice of
// errors must not have it taken for done.
func (l *leased) layered(h record.Handler) record.Handler {
	g := &l.gathering
	return func(ctx context.Context, r *record.Record) error {
		err := h(ctx, r)
		g.mu.Lock()
		defer g.mu.Unlock()
		if left, ok := g.left[r.Position]; ok {
			delete(g.left, r.Position)
			return left
		}
		return err
	}
}

// one is the handler that layers are put around.
func (l *leased) one(ctx context.Context, r *record.Record) error {
	g := &l.gathering
	p := &passing{r, make(chan error, 1)}
	g.mu.Lock()
	delete(g.left, r.Position) // a layer tries again
	g.waiting = append(g.waiting, p)
	lead := !g.busy
	g.busy = true
	g.mu.Unlock()
	for {
		if !lead {
			if err := <-p.result; !errors.Is(err, errLead) {
				return err
			}
		}
		lead = false
		l.gathered(ctx)
	}
}

// gathered delivers the first of the records that wait, and has another one do the
// same for the rest.
func (l *leased) gathered(ctx context.Context) {
	g := &l.gathering
	g.mu.Lock()
	// In stream order, as in every chunk.
	slices.SortFunc(g.waiting, func(a, b *passing) int { return a.r.Position.Compare(b.r.Position) })
	n := 1
	for room := l.room(nil) - deliverCost(g.waiting[0].r); n < len(g.waiting); n++ {
		if room -= deliverCost(g.waiting[n].r); room < 0 {
			break
		}
	}
	chunk := slices.Clone(g.waiting[:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
	rs, attempts := make([]*record.Record, n), make([]int, n)
	for i, p := range chunk {
		rs[i], attempts[i] = p.r, g.tries[p.r.Position]+1
	}
	g.mu.Unlock()

	run := shard.NewRun(rs, attempts, 0)
	done := make([]bool, n)
	run.OnDone(func(fresh []int) {
		for _, i := range fresh {
			done[i] = true
			chunk[i].result <- nil
		}
	})
	failures, err := l.deliver(ctx, run, 0, "")
	run.End()

	g.mu.Lock()
	defer g.mu.Unlock()
	for _, f := range failures {
		if g.tries == nil || len(g.tries) >= triesKept {
			g.tries = map[record.Position]int{}
		}
		g.tries[rs[f.Index].Position]++
	}
	leave := func(p *passing, why error) {
		if g.left == nil {
			g.left = map[record.Position]error{}
		}
		g.left[p.r.Position] = why
		p.result <- why
	}
	for i, p := range chunk {
		at := slices.IndexFunc(failures, func(f shard.Failure) bool { return f.Index == i })
		switch {
		case done[i]:
			delete(g.tries, p.r.Position)
		case at >= 0:
			p.result <- failures[at].Err
		case err != nil:
			leave(p, err)
		case ctx.Err() != nil:
			leave(p, context.Cause(ctx))
		default:
			leave(p, shard.ErrNotBegun)
		}
	}
	if g.busy = len(g.waiting) > 0; g.busy {
		g.waiting[0].result <- errLead
	}
}
