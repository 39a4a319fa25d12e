package lane

import (
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/record"
)

// raw keeps order without aggregation: the unfinished items of one hash form a
// chain, and only the first of a chain may leave. Many records of a lane are
// under way at once, so its queue has no order of its own.
type raw struct {
	last map[keyspace.Hash]*Item // of each chain
}

// enter puts an item at the end of its hash's chain and reports whether it is
// alone there.
func (r *raw) enter(it *Item) bool {
	if r.last == nil {
		r.last = make(map[keyspace.Hash]*Item)
	}
	t := r.last[it.Hash]
	r.last[it.Hash] = it
	if t == nil {
		return true
	}
	t.behind, it.ahead = it, t
	return false
}

// leaveRaw takes an item out of its chain; the next one becomes free if it was
// the first.
func (m *Machine) leaveRaw(it *Item) {
	if m.c.Broken == Order {
		return
	}
	a, b := it.ahead, it.behind
	it.ahead, it.behind = nil, nil
	switch {
	case b != nil:
		b.ahead = a
	case a != nil:
		m.raw.last[it.Hash] = a
	default:
		delete(m.raw.last, it.Hash)
	}
	if a != nil {
		a.behind = b
		return
	}
	if b == nil || b.state != waiting {
		return
	}
	b.state = queued
	if b.owner != nil {
		b.owner.wait.remove(b)
		b.owner.q.push(b)
	}
}

// failRaw ends an item and, with FailKey, all behind it.
func (m *Machine) failRaw(it *Item, err error) {
	for it != nil {
		b := it.behind
		it.Err = err
		m.end(it)
		if !m.c.FailKey || b == nil || b.state != queued && b.state != waiting {
			return
		}
		m.unqueue(b)
		it, err = b, record.ErrEarlierFailed
	}
}

// backRaw returns an item to the head of its lane.
func (m *Machine) backRaw(it *Item) {
	if it.state == done {
		return
	}
	l := m.find(it.Hash)
	it.state, it.owner = queued, l
	l.q.pushFront(it)
}

// settleRaw distributes what spread gathered for a lane.
func (m *Machine) settleRaw(l *lane) {
	var items []*Item
	for l.in.head != nil {
		it := l.in.head
		l.in.remove(it)
		items = append(items, it)
	}
	sortItems(items)
	for _, it := range items {
		if it.state == waiting {
			l.wait.push(it)
		} else {
			l.q.push(it)
		}
	}
}
