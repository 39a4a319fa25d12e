package simulate

import (
	"maps"
	"slices"
	"time"
)

// keeping is what there is to know of a record that a durable producer accepted.
type keeping struct {
	logs     []*diskLog // that have it
	producer *[16]byte
	opening  *durable // that accepted it
	accepted time.Duration
	durable  bool          // its user was told that nothing can happen to it
	cured    time.Duration // from when requests with it are not refused any more
}

// diskLog is a directory with records, which outlives the processes that open
// it, one after the other. It stands for what the port of buffers promises, and
// takes every liberty that the port allows.
type diskLog struct {
	*world
	p        *plan
	name     string
	items    []*sent // by rising number
	synced   int     // so many survive for sure
	acked    map[*sent]bool
	told     map[*sent]bool // of these, what a crash does not take back
	dead     map[*sent]letter
	id       *[16]byte // of the present opening
	seq      uint64    // the last number given
	since    uint64    // the one before the present opening
	openings int
	owner    *durable // who has it open
}

// letter is why a record is dead.
type letter struct {
	err     error
	unknown bool
	failed  bool // its writer was told that it may not be there, and may have gone on
	by      *durable
}

// bury writes a dead letter. One that is surely there is not written again, nor
// one of a record that the same opening has seen acknowledged.
func (l *diskLog) bury(r *sent, x letter) {
	switch {
	case l.gone(r):
		x.by.fail("%s buries %s, which is dead", x.by.name, r.name())
	case l.acked[r]:
		x.by.fail("%s buries %s, which is acknowledged", x.by.name, r.name())
	}
	l.dead[r] = x
}

// gone tells that a record is a dead letter for sure: nothing of it may be sent
// any more.
func (l *diskLog) gone(r *sent) bool {
	x, dead := l.dead[r]
	return dead && (!x.failed || x.by != l.owner)
}

func newLog(w *world, p *plan, name string) *diskLog {
	return &diskLog{world: w, p: p, name: name, acked: map[*sent]bool{}, told: map[*sent]bool{}, dead: map[*sent]letter{}}
}

// open begins an opening: a new identity, numbers that go on from what is there.
func (l *diskLog) open(d *durable) {
	l.openings++
	l.owner = d
	if l.id == nil || l.p.mutant != reuse && l.p.mutant != fresh {
		l.id = new([16]byte)
		for i := range l.id {
			l.id[i] = byte(l.rnd.Uint32())
		}
	}
	l.seq = 0
	if n := len(l.items); n > 0 {
		l.seq = l.items[n-1].item.Counter
	}
	l.since = l.seq
	l.sync(len(l.items))
}

// append takes a record in, which a crash may take back until it is synced.
func (l *diskLog) append(r *sent) {
	l.seq++
	r.item.Counter = l.seq
	if l.p.mutant == fresh && l.openings > 1 {
		r.item.Counter = l.seq - l.since
	}
	r.kept.producer, r.kept.opening = l.id, l.owner
	r.kept.logs = append(r.kept.logs, l)
	l.items = append(l.items, r)
}

func (l *diskLog) sync(n int) {
	for _, r := range l.items[l.synced:n] {
		r.kept.durable = true
	}
	l.synced = n
}

// ack remembers an acknowledgement, for sure or not.
func (l *diskLog) ack(r *sent) {
	l.acked[r] = true
	if l.chance(.5) {
		l.told[r] = true
	}
}

// crash takes back what was not synced, or a part of it from the end,
// acknowledgements, and dead letters whose writer was told that they failed.
func (l *diskLog) crash() (lost int) {
	keep := l.synced + l.rnd.IntN(len(l.items)-l.synced+1)
	for _, r := range l.items[keep:] {
		r.kept.logs = slices.DeleteFunc(r.kept.logs, func(x *diskLog) bool { return x == l })
		lost++
	}
	l.items = l.items[:keep:keep]
	l.acked = maps.Clone(l.told)
	for _, r := range l.items {
		if _, dead := l.dead[r]; dead && (!l.gone(r) && l.chance(.5) || l.p.mutant == undead && !l.acked[r]) {
			delete(l.dead, r)
		}
	}
	return lost
}

// copy is the directory as somebody copies it while it is in use.
func (l *diskLog) copy(name string) *diskLog {
	c := newLog(l.world, l.p, name)
	n := l.synced + l.rnd.IntN(len(l.items)-l.synced+1)
	c.items, c.id, c.openings = slices.Clone(l.items[:n]), l.id, l.openings
	maps.Copy(c.dead, l.dead)
	for _, r := range c.items {
		r.kept.logs = append(r.kept.logs, c)
		if l.acked[r] && (l.told[r] || l.chance(.5)) {
			c.acked[r], c.told[r] = true, true
		}
	}
	return c
}

// over tells that a record need not be sent any more.
func (l *diskLog) over(r *sent) bool {
	_, dead := l.dead[r]
	return dead || l.acked[r]
}
