package simulate

import (
	"errors"
	"fmt"
	"time"

	"github.com/libvegas/vegas/internal/lane"
	"github.com/libvegas/vegas/record"
)

// durable is one life of a durable producer: a sender that is fed from a log, as
// internal/send and internal/durable do it.
type durable struct {
	*sender
	log     *diskLog
	next    int  // in the log: the first that was not fed
	ahead   int  // fed, and not ended
	busy    bool // the loop waits for the disk
	again   bool // it has something to look at
	stuck   bool // the feeder waits for the disk
	syncing bool
	age     time.Duration // after which records are late; 0: never
	spared  time.Duration // until then some that are may leave, for they could not be buried
	refused int           // such
	buried  map[*lane.Item]bool
}

var errLarge = fmt.Errorf("for this stream %w", record.ErrTooLarge)

func newDurable(l *diskLog, fail func(string, ...any)) *durable {
	d := &durable{log: l, buried: map[*lane.Item]bool{}}
	d.sender = newSender(l.world, l.p, fmt.Sprintf("%s.%d", l.name, l.openings+1), fail)
	d.sender.runner = d
	if l.openings == 0 || !d.chance(.3) { // else its user has taken the limit away
		d.age = l.p.age
	}
	l.open(d)
	d.feed()
	return d
}

// accept takes a record from the user.
func (d *durable) accept(all *[]*sent) {
	if d.dead {
		return
	}
	slot := d.rnd.IntN(slots)
	if d.chance(d.p.hot) {
		slot = d.p.hotSlot
	}
	r := &sent{slot: slot, kept: &keeping{accepted: d.now, cured: lane.Never}}
	if r.poison = d.chance(d.p.poison); r.poison && d.chance(.5) {
		r.kept.cured = d.now + d.within(4*time.Second)
	}
	r.item.Key, r.item.Hash, r.item.Data = slotKey(slot), slotHash(slot), payloads[d.rnd.IntN(3)]
	if d.chance(d.p.large) {
		r.item.Data = payloads[3+d.rnd.IntN(2)]
	}
	*all = append(*all, r)
	d.log.append(r)
	if d.traced {
		d.trace("%s takes %s in", d.name, r.name())
	}
	d.sync()
	if d.p.mutant == early {
		d.feed()
	}
}

// sync makes durable what was taken in, all of it at once.
func (d *durable) sync() {
	if d.syncing {
		return
	}
	d.syncing = true
	n := len(d.log.items)
	d.after(d.within(d.p.fsync), func() {
		if d.dead {
			return
		}
		d.syncing = false
		d.log.sync(n)
		if d.traced {
			d.trace("%s has synced up to %s", d.name, d.log.items[n-1].name())
		}
		if n < len(d.log.items) {
			d.sync()
		}
		d.feed()
	})
}

// feed gives the machine what is durable, as far as the look-ahead goes.
func (d *durable) feed() {
	limit := d.log.synced
	if d.p.mutant == early {
		limit = len(d.log.items)
	}
	due := false
	for !d.dead && !d.stuck && d.next < limit && d.ahead < d.p.lookahead {
		r := d.log.items[d.next]
		d.next++
		if d.log.over(r) {
			continue
		}
		fed := &sent{owner: d.sender, slot: r.slot, origin: r}
		it := &fed.item
		it.Key, it.Hash, it.Data, it.Tag = r.item.Key, r.item.Hash, r.item.Data, fed
		it.Counter, it.Producer, it.Accepted = r.item.Counter, r.kept.producer, r.kept.accepted
		fed.item.Counter = r.item.Counter
		if d.age > 0 {
			it.Deadline = it.Accepted + d.age
		}
		if d.m.Form(len(it.Data)+len(it.Key), 0) == lane.TooLarge {
			d.stuck = true
			d.insist([]*lane.Item{it}, []error{errLarge}, func() {
				d.stuck = false
				d.feed()
			})
			break
		}
		d.ahead++
		due = d.m.Accept(d.now, it) || due
	}
	if due {
		d.sender.poll()
	}
}

// poll is a round of the loop: what is late is dead before it ends, and what has
// failed before anything behind it leaves.
func (d *durable) poll() {
	if d.busy {
		d.again = true
		return
	}
	told := d.now
	late := d.m.Late(told, nil)
	if d.p.mutant == tardy && d.chance(.5) {
		late = nil
	}
	if len(late) == 0 {
		d.round(true)
		return
	}
	errs := make([]error, len(late))
	for i := range late {
		errs[i] = record.ErrDeadline
	}
	if d.p.mutant == overtake {
		d.m.End(late, errs)
		d.round(false)
		return
	}
	d.busy = true
	d.bury(late, errs, func(done bool) {
		d.busy = false
		if !done {
			d.spared = told + lateGap
			d.refused += len(late)
		}
		if done || d.p.mutant == hurry {
			for _, it := range late {
				d.buried[it] = d.p.mutant != again
			}
			d.m.End(late, errs)
		}
		d.round(false)
	})
}

// What the machine allows itself: late records that could not be buried are told
// of again after a second, and a queue whose deadlines have no order is searched
// every 10 ms.
const (
	lateGap  = time.Second
	sweepGap = 10 * time.Millisecond
)

// round goes on where what was late has ended. If nothing was, nothing that leaves
// is; else some may be that was fed, or came back to its lane, during the burial.
func (d *durable) round(none bool) {
	t := d.turn()
	if none {
		d.young(t)
	}
	dead, errs := d.ended()
	if len(dead) == 0 {
		d.set(t)
		return
	}
	if d.p.mutant == overtake {
		d.insist(dead, errs, func() {})
		d.set(t)
		return
	}
	d.busy = true
	d.insist(dead, errs, func() {
		d.busy = false
		d.set(t)
	})
}

// young checks that nothing leaves that is late, unless it could not be buried.
func (d *durable) young(t lane.Turn) {
	for _, r := range t.Requests {
		for _, e := range r.Entries {
			for _, it := range e.Items {
				if it.Deadline > 0 && it.Deadline <= d.now-sweepGap && d.now >= d.spared {
					d.fail("%s lets %s leave, which is late by %v", d.name, it.Tag.(*sent).name(), d.now-it.Deadline)
				}
			}
		}
	}
}

// set lets a turn's requests leave.
func (d *durable) set(t lane.Turn) {
	d.leave(t)
	d.feed()
	if d.again && !d.busy {
		d.again = false
		d.sender.poll()
	}
}

// bury makes dead letters, if the disk lets it, and goes on with what it knows of
// that.
func (d *durable) bury(items []*lane.Item, errs []error, then func(done bool)) {
	full := d.now <= d.p.calm && d.chance(d.p.full)
	d.after(d.within(d.p.fsync), func() {
		if d.dead {
			return
		}
		if !full || d.chance(.1) {
			for i, it := range items {
				r := it.Tag.(*sent).of()
				old := r.kept.opening != d && d.p.mutant != innocent
				d.log.bury(r, letter{errs[i], it.Unknown || old, full, d})
				if d.traced {
					d.trace("%s has buried %s: %v", d.name, r.name(), errs[i])
				}
			}
		}
		d.after(d.within(d.p.fsync), func() {
			if !d.dead {
				then(!full)
			}
		})
	})
}

// insist buries, however often it takes.
func (d *durable) insist(items []*lane.Item, errs []error, then func()) {
	d.bury(items, errs, func(done bool) {
		if done {
			then()
			return
		}
		d.after(time.Second, func() {
			if !d.dead {
				d.insist(items, errs, then)
			}
		})
	})
}

// ended takes what has ended: acknowledged, or to be buried.
func (d *durable) ended() (dead []*lane.Item, errs []error) {
	d.scratch, _ = d.m.TakeFinished(d.scratch[:0])
	for _, it := range d.scratch {
		fed := it.Tag.(*sent)
		r := fed.of()
		switch {
		case fed.ended:
			d.fail("%s: %s ends twice", d.name, r.name())
		case it.Err == nil, errors.Is(it.Err, errRefused) && r.shared:
		case errors.Is(it.Err, record.ErrDeadline) && it.Deadline > 0 && it.Deadline <= d.now:
		case errors.Is(it.Err, record.ErrEarlierFailed) && d.c.FailKey:
		default:
			d.fail("%s: %s ends for a reason that is not its own: %v", d.name, r.name(), it.Err)
		}
		fed.ended = true
		d.ahead--
		if d.traced {
			d.trace("%s ends %s: %v, unknown %v, %s %s/%d", d.name, r.name(), it.Err, it.Unknown, it.Shard, it.Sequence, it.Index)
		}
		if it.Err == nil {
			fed.acked, r.acked = true, true
			r.item.Shard, r.item.Sequence, r.item.Index = it.Shard, it.Sequence, it.Index
			d.log.ack(r)
		} else if !d.buried[it] {
			dead, errs = append(dead, it), append(errs, it.Err)
		}
	}
	return dead, errs
}

// idle tells that nothing is left to do.
func (d *durable) idle() bool {
	return !d.dead && !d.busy && !d.stuck && !d.syncing && d.m.Open() == 0 && d.next == len(d.log.items)
}
