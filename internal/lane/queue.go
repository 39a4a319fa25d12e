package lane

import "time"

// queue is a list of items by rising counter, linked through the items. An item
// is in at most one queue.
type queue struct {
	head, tail *Item
	n          int
	bytes      int

	// Deadlines rise along the queue unless mixed, so that only the head has
	// to be looked at. earliest is no later than any of them.
	mixed    bool
	latest   time.Duration
	earliest time.Duration
}

func deadline(it *Item) time.Duration {
	if it.Deadline <= 0 {
		return Never
	}
	return it.Deadline
}

// push appends an item whose counter is the highest.
func (q *queue) push(it *Item) {
	d := deadline(it)
	if q.tail == nil {
		q.head, q.mixed, q.latest, q.earliest = it, false, d, d
	} else {
		q.tail.next, it.prev = it, q.tail
		if d < q.latest {
			q.mixed = true
		}
		q.latest, q.earliest = max(q.latest, d), min(q.earliest, d)
	}
	q.tail = it
	q.n++
	q.bytes += int(it.Bound)
}

func (q *queue) remove(it *Item) {
	if it.prev == nil {
		q.head = it.next
	} else {
		it.prev.next = it.next
	}
	if it.next == nil {
		q.tail = it.prev
	} else {
		it.next.prev = it.prev
	}
	it.next, it.prev = nil, nil
	q.n--
	q.bytes -= int(it.Bound)
}

// take fills items with the first of the queue, which has that many.
func (q *queue) take(items []*Item) {
	it := q.head
	for i := range items {
		items[i] = it
		q.bytes -= int(it.Bound)
		next := it.next
		it.next, it.prev = nil, nil
		it = next
	}
	q.n -= len(items)
	if q.head = it; it == nil {
		q.tail = nil
	} else {
		it.prev = nil
	}
}

// merge moves every item of o into q, by counter, and empties o.
func (q *queue) merge(o *queue) {
	switch {
	case o.n == 0:
		return
	case q.n == 0:
		*q = *o
	case o.tail.Counter < q.head.Counter:
		o.join(q)
		*q = *o
	case q.tail.Counter < o.head.Counter:
		q.join(o)
	default:
		a, b := q.head, o.head
		*q = queue{}
		for a != nil || b != nil {
			var it *Item
			if b == nil || a != nil && a.Counter < b.Counter {
				it, a = a, a.next
			} else {
				it, b = b, b.next
			}
			it.next, it.prev = nil, nil
			q.push(it)
		}
	}
	*o = queue{}
}

// join appends the whole of o.
func (q *queue) join(o *queue) {
	q.mixed = q.mixed || o.mixed || o.earliest < q.latest
	q.latest, q.earliest = max(q.latest, o.latest), min(q.earliest, o.earliest)
	q.tail.next, o.head.prev = o.head, q.tail
	q.tail = o.tail
	q.n += o.n
	q.bytes += o.bytes
}

// pushFront puts an item before all others, whatever its counter.
func (q *queue) pushFront(it *Item) {
	if q.head == nil {
		q.push(it)
		return
	}
	d := deadline(it)
	q.mixed = q.mixed || d > q.earliest
	q.latest, q.earliest = max(q.latest, d), min(q.earliest, d)
	it.next, q.head.prev = q.head, it
	q.head = it
	q.n++
	q.bytes += int(it.Bound)
}

// due is no later than the first deadline, Never when there is none.
func (q *queue) due() time.Duration {
	if q.n == 0 {
		return Never
	}
	return q.earliest
}
