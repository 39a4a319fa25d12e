package fleettest

import (
	"time"

	"github.com/libvegas/vegas"
)

// worker is one life of a consumer, as far as the auditor cares.
type worker struct {
	name     string
	lease    time.Duration
	grace    time.Duration
	parallel int

	dead    bool                               // whatever it still does did not happen
	stopped time.Time                          // when it began to stop
	proven  time.Time                          // the acknowledged heartbeats prove its leases until then
	failing map[string]map[vegas.Position]bool // by shard: handlers that run side by side with others and have not succeeded
}

// parting is what functions have to return in once their context is over.
const parting = time.Second

// beat: a heartbeat that left at a time was acknowledged.
func (c *account) beat(w *worker, sent time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if until := sent.Add(w.lease); until.After(w.proven) {
		w.proven = until
	}
}

// stops: a worker is told to, or stops by itself since it could not start.
func (c *account) stops(w *worker) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.stopped.IsZero() {
		w.stopped = time.Now()
	}
}

// acquired: a worker reads a shard from behind a position on.
func (c *account) acquired(w *worker, shard string, at vegas.Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.dead {
		return
	}
	if before := c.owners[shard]; before != nil && len(before.failing[shard]) > 0 {
		// What was handled beside it, further on, comes again.
		c.unsure[shard] = true
	}
	delete(w.failing, shard)
	c.owners[shard] = w
	if c.unsure[shard] {
		delete(c.unsure, shard)
		c.forgive(shard, at)
	}
}

// forgive: what was delivered from a shard behind a checkpoint may come again.
func (c *account) forgive(shard string, checkpoint vegas.Position) {
	for _, v := range c.last {
		for _, o := range v.all {
			if o.shard == shard && o.at.Compare(checkpoint) > 0 {
				o.forgiven = true
			}
		}
	}
}

// disturbed: the possession of a shard did not end in good order, so that the
// next one repeats what its checkpoint does not cover.
func (c *account) disturbed(shard string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unsure[shard] = true
}

// lost is disturbed, if the worker lives and nobody has taken the shard over yet.
func (c *account) lost(w *worker, shard string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !w.dead && c.owners[shard] == w {
		c.unsure[shard] = true
	}
}

// restarted: the function of a shard starts again behind a checkpoint.
func (c *account) restarted(w *worker, shard string, checkpoint vegas.Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !w.dead && c.owners[shard] == w {
		c.forgive(shard, checkpoint)
	}
}

// killed: nothing that a worker does from now on happened.
func (c *account) killed(w *worker) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.dead = true
}

// fails: a record was begun with and is not done with; or it is now.
func (c *account) fails(w *worker, r *vegas.Record, failing bool) {
	if w.parallel == 1 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.failing == nil {
		w.failing = map[string]map[vegas.Position]bool{}
	}
	of := w.failing[r.Shard]
	switch {
	case !failing:
		delete(of, r.Position)
	case of == nil:
		w.failing[r.Shard] = map[vegas.Position]bool{r.Position: true}
	default:
		of[r.Position] = true
	}
}

// enter: a handler, or a shard's function, begins. No two workers are at work on
// one shard, but where the other one has crashed, or cannot prove its lease any
// more and goes on all the same, or was left behind. And nobody begins who
// cannot prove its lease.
func (c *account) enter(w *worker, shard string) (leave func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for o, n := range c.inside[shard] {
		switch {
		case n == 0 || w.dead || o.dead:
		case o == w && w.parallel > 1:
		case o == w:
			c.failed("%s: %s handles %s twice at once", c.group, w.name, shard)
		case now.Before(o.proven) && !o.leftBehind(now):
			c.failed("%s: two owners: %s and %s handle %s at once", c.group, w.name, o.name, shard)
		}
	}
	if !w.dead && !now.Before(w.proven) {
		c.failed("%s: %s handles %s without proof since %v", c.group, w.name, shard, now.Sub(w.proven))
	}
	if c.inside[shard] == nil {
		c.inside[shard] = map[*worker]int{}
	}
	c.inside[shard][w]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.inside[shard][w]--
	}
}

// leftBehind tells that nobody waits for the worker's handlers any more.
func (w *worker) leftBehind(now time.Time) bool {
	return !w.stopped.IsZero() && !now.Before(w.stopped.Add(w.grace+parting))
}
