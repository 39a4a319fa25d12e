package lane

import (
	"math/bits"

	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/record"
)

// raw keeps order without aggregation: the unfinished items of one hash form a
// chain, and only the first of a chain may leave. Many records of a lane are
// under way at once, so its queue has no order of its own.
type raw struct{ last tails }

// enter puts an item at the end of its hash's chain and reports whether it is
// alone there.
func (r *raw) enter(it *Item) bool {
	t := r.last.put(it)
	if t == nil {
		return true
	}
	t.behind, it.ahead = it, t
	return false
}

// tails are the last items of all chains, to be found by hash: in place of a map of
// Go, since keys that are hashes need none, and the item found is looked at anyway.
// With the entries made together (see Machine.entry) it spares 500 of the 5,000
// instructions of a record that are not hashing or base64. In time that was lost in
// the noise of a busy machine: what is waited for is the memory of the item.
type tails struct {
	slots []*Item // each the head of a list by Item.other; as many as a power of two
	n     int
}

// slot is where the list begins that a hash is in. Explicit hash keys may be round
// numbers: each bit of the slot depends on all of the hash.
func (t *tails) slot(h keyspace.Hash) **Item {
	hi, lo := bits.Mul64(h.Hi^0x9e3779b97f4a7c15, h.Lo^0xd1b54a32d192ed03)
	return &t.slots[(hi^lo)&uint64(len(t.slots)-1)]
}

// put makes an item its chain's last and returns the one that was it; nil: none.
func (t *tails) put(it *Item) *Item {
	if 2*t.n >= len(t.slots) { // half of them are empty: looking at another one's item is waiting for memory
		t.grow()
	}
	first := t.slot(it.Hash)
	for at := first; *at != nil; at = &(*at).other {
		if was := *at; was.Hash == it.Hash {
			*at, it.other, was.other = it, was.other, nil
			return was
		}
	}
	it.other, *first = *first, it
	t.n++
	return nil
}

// replace puts b, of the same hash or nil, in the place of a chain's last.
func (t *tails) replace(it, b *Item) {
	at := t.slot(it.Hash)
	for *at != it {
		at = &(*at).other
	}
	if b == nil {
		*at = it.other
		t.n--
	} else {
		*at, b.other = b, it.other
	}
	it.other = nil
}

func (t *tails) grow() {
	old := t.slots
	t.slots = make([]*Item, max(64, 2*len(old)))
	for _, it := range old {
		for it != nil {
			next, first := it.other, t.slot(it.Hash)
			it.other, *first = *first, it
			it = next
		}
	}
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
	default:
		m.raw.last.replace(it, a)
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
