package mark

import (
	"slices"

	"github.com/libvegas/vegas/internal/keyspace"
)

const (
	// ProducersKept is how many producers a Tracker remembers by default. A
	// producer is one run of one process; forgetting one can let a resend of
	// it through twice.
	ProducersKept = 4000
	// marksKept is how many ranges it remembers of one producer: more than any
	// producer has that sent something since the shard's ancestors merged. The
	// lowest mark is forgotten first.
	marksKept = 64
)

// mark says that of one producer everything up to top, in a range of hash keys,
// was seen.
type mark struct {
	over keyspace.Range
	top  uint64
}

// producer is what is known of one.
type producer struct {
	id           [16]byte
	marks        []mark
	newer, older *producer // by when they were last seen
}

// seen reports whether a mark covers counter c at hash h.
func (p *producer) seen(h keyspace.Hash, c uint64) bool {
	for i := range p.marks {
		if m := &p.marks[i]; c <= m.top && m.over.Has(h) {
			return true
		}
	}
	return false
}

// raise makes a mark for over at least top. Marks that say no more than another
// collapse into it.
func (p *producer) raise(over keyspace.Range, top uint64) {
	if len(p.marks) == 1 && p.marks[0].over == over { // nearly always
		p.marks[0].top = max(p.marks[0].top, top)
		return
	}
	for i := range p.marks {
		if m := &p.marks[i]; m.top >= top && m.over.Covers(over) {
			return
		}
	}
	p.marks = slices.DeleteFunc(p.marks, func(m mark) bool { return m.top <= top && over.Covers(m.over) })
	if len(p.marks) >= marksKept {
		lowest := 0
		for i := range p.marks {
			if p.marks[i].top < p.marks[lowest].top {
				lowest = i
			}
		}
		p.marks = slices.Delete(p.marks, lowest, lowest+1)
	}
	p.marks = append(p.marks, mark{over, top})
}

// table holds the marks of all producers, at most limit of them.
type table struct {
	limit          int
	byID           map[[16]byte]*producer
	newest, oldest *producer
}

func newTable(limit int) table {
	return table{limit: limit, byID: make(map[[16]byte]*producer)}
}

func (t *table) find(id [16]byte) *producer { return t.byID[id] }

// raise makes a mark at least top, and its producer the one seen last.
func (t *table) raise(id [16]byte, over keyspace.Range, top uint64) {
	p := t.byID[id]
	switch {
	case p == nil:
		if len(t.byID) >= t.limit {
			delete(t.byID, t.oldest.id)
			t.unlink(t.oldest)
		}
		p = &producer{id: id}
		t.byID[id] = p
		t.link(p)
	case p != t.newest:
		t.unlink(p)
		t.link(p)
	}
	p.raise(over, top)
}

func (t *table) link(p *producer) {
	p.newer, p.older = nil, t.newest
	if t.newest != nil {
		t.newest.newer = p
	} else {
		t.oldest = p
	}
	t.newest = p
}

func (t *table) unlink(p *producer) {
	if p.newer != nil {
		p.newer.older = p.older
	} else {
		t.newest = p.older
	}
	if p.older != nil {
		p.older.newer = p.newer
	} else {
		t.oldest = p.newer
	}
}

// clone is a deep copy.
func (t *table) clone() table {
	c := newTable(t.limit)
	for p := t.oldest; p != nil; p = p.newer {
		q := &producer{id: p.id, marks: slices.Clone(p.marks)}
		c.byID[q.id] = q
		c.link(q)
	}
	return c
}
