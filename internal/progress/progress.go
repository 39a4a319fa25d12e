// Package progress tells which position of a shard can be checkpointed while
// its records are handled side by side and finish in any order.
package progress

import "github.com/libvegas/vegas/record"

// Ticket stands for one added record, until it is done.
type Ticket uint64

// Window holds the records of one shard that were handed out and are not yet
// covered by Low. It is a decision without locks or clock: one owner calls it,
// or guards it. The zero Window is ready to use, at TRIM_HORIZON.
//
// Invariant: everything up to and including Low is done with; the record right
// behind it, if one was added, is not.
type Window struct {
	low   record.Position
	slots []slot // a ring; its length is a power of two
	head  Ticket // the oldest ticket that is not covered by low
	next  Ticket // the ticket of the next Add
}

type slot struct {
	through record.Position // what is passed once this one and all before are done
	done    bool
}

// Reset starts again at a position, as if the records up to it had been added
// and done. Tickets of before are void: Done ignores them.
func (w *Window) Reset(at record.Position) {
	for ; w.head < w.next; w.head++ {
		*w.at(w.head) = slot{}
	}
	w.low = at
}

// Add hands out the next record, which must lie behind everything added and
// passed before.
func (w *Window) Add(pos record.Position) Ticket {
	if int(w.next-w.head) == len(w.slots) {
		w.grow()
	}
	t := w.next
	w.next++
	*w.at(t) = slot{through: pos}
	return t
}

// Pass moves the position on over what nobody handles: duplicates, misplaced
// records, the rest of an aggregate. pos counts as done as soon as everything
// added before it is.
func (w *Window) Pass(pos record.Position) {
	if w.head == w.next {
		w.low = pos
		return
	}
	w.at(w.next - 1).through = pos
}

// Done finishes a record and reports whether Low moved. A ticket that is void
// or was done before changes nothing.
func (w *Window) Done(t Ticket) bool {
	if t < w.head || t >= w.next {
		return false
	}
	s := w.at(t)
	if s.done {
		return false
	}
	s.done = true
	if t != w.head {
		return false
	}
	for ; w.head < w.next && w.at(w.head).done; w.head++ {
		w.low = w.at(w.head).through
		*w.at(w.head) = slot{} // lets go of the sequence number
	}
	return true
}

// Low is the position that can be checkpointed: the last one before which
// nothing is outstanding.
func (w *Window) Low() record.Position { return w.low }

// Span is how many records lie behind Low, done or not: what would be handled
// again after a crash, and what the Window's memory grows with.
func (w *Window) Span() int { return int(w.next - w.head) }

// Whole tells that Low covers everything that is done: nothing behind it would be
// handled a second time.
func (w *Window) Whole() bool {
	for t := w.head; t < w.next; t++ {
		if w.at(t).done {
			return false
		}
	}
	return true
}

func (w *Window) at(t Ticket) *slot { return &w.slots[int(t)&(len(w.slots)-1)] }

func (w *Window) grow() {
	slots := make([]slot, max(64, 2*len(w.slots)))
	for t := w.head; t < w.next; t++ {
		slots[int(t)&(len(slots)-1)] = *w.at(t)
	}
	w.slots = slots
}
