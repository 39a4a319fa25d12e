package simulate

import (
	"errors"

	"github.com/libvegas/vegas/record"
)

// handleKept takes a record of a durable producer that a handler finished for
// the first time: in each log that has it, it comes in its turn. Dead letters
// have none, also where a copy of the log sends what is dead in the other one.
func (a *audit) handleKept(r *sent) {
	for _, l := range r.kept.logs {
		if _, dead := l.dead[r]; dead {
			return
		}
	}
	for _, l := range r.kept.logs {
		a.inTurn(chain{l: l, hash: r.item.Hash}, l.name, r)
	}
}

// closeLogs checks the books of every log once everything was handled.
func (a *audit) closeLogs(w *world, logs []*diskLog, all []*sent, p *plan, sums *DurableSums) {
	for _, l := range logs {
		if l.owner == nil || !l.owner.idle() {
			a.fail("stuck: %s does not come to rest", l.name)
		} else if err := l.owner.m.Check(); err != nil && !p.blind {
			a.fail("%s: %v", l.owner.name, err)
		}
	}
	for _, r := range all {
		a.kept(w, r, p, sums)
	}
}

func (a *audit) kept(w *world, r *sent, p *plan, sums *DurableSums) {
	a.handledOnce("durable", r, p)
	if len(r.kept.logs) == 0 {
		if r.copies > 0 {
			a.fail("%s was sent, and is not in its log any more", r.name())
		}
		return
	}
	dead, old, known := 0, false, true
	for _, l := range r.kept.logs {
		if x, ok := l.dead[r]; ok {
			dead++
			known = known && !x.unknown && !x.failed
			old = old || errors.Is(x.err, record.ErrDeadline)
		} else if !l.acked[r] {
			a.fail("stuck: %s is in %s, neither acknowledged nor dead", r.name(), l.name)
		}
	}
	if dead > 0 {
		sums.Dead++
		if old {
			sums.Expired++
		}
		if !known {
			sums.DeadUnknown++
		}
		if r.acked && r.handled == 0 {
			sums.Vanished++
		}
	}
	if r.acked {
		a.sums.Acknowledged++
		a.receipt(w, r.kept.logs[0].name, r)
	}
	switch {
	case dead == 0 && r.handled == 0:
		a.fail("lost: %s of %s is durable, and neither was handled nor is a dead letter; acknowledged %v, by %s at %s",
			r.name(), r.kept.logs[0].name, r.acked, r.item.Shard, r.item.Sequence)
	case dead > 0 && known && len(r.kept.logs) == 1 && r.copies > 0:
		a.fail("%s is dead as not stored, and was stored %d times", r.name(), r.copies)
	}
}
