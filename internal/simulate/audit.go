package simulate

import (
	"fmt"

	"github.com/libvegas/vegas/internal/keyspace"
)

// audit is what must hold whatever happened.
type audit struct {
	problems []string
	sums     Sums
	last     map[chain]uint64 // the highest counter handled first, of acknowledged records
}

// chain is what has an order.
type chain struct {
	s    *sender
	l    *diskLog // of a durable producer
	hash keyspace.Hash
}

func (a *audit) fail(format string, args ...any) {
	if len(a.problems) < 20 {
		a.problems = append(a.problems, fmt.Sprintf(format, args...))
	}
}

// handle takes a record that a handler finished.
func (a *audit) handle(r *sent, slot int) {
	if slot != r.slot {
		a.fail("wrong key: %s arrives as one of slot %d", r.name(), slot)
	}
	first := !r.delivered
	r.delivered = true
	if first && r.kept != nil && !r.loose {
		a.handleKept(r)
		return
	}
	if !first || !r.acked || r.foreign || r.loose || r.kept != nil {
		return
	}
	a.inTurn(chain{s: r.owner, hash: r.item.Hash}, r.owner.name, r)
}

// inTurn takes a record of a chain, which rises. who is its sender or its log.
func (a *audit) inTurn(k chain, who string, r *sent) {
	if last := a.last[k]; last > r.item.Counter {
		a.fail("inverted: %s %s comes after %d", who, r.name(), last)
	} else {
		a.last[k] = r.item.Counter
	}
}

// close checks the books of every sender once everything was handled.
func (a *audit) close(w *world, senders []*sender, foreign []*sent, p *plan) {
	for _, r := range foreign {
		if r.handled != 1 && !(p.lazy && p.crashes) {
			a.fail("a record of another library was handled %d times", r.handled)
		}
	}
	for _, s := range senders {
		if !s.dead && s.m.Open() > 0 {
			a.fail("stuck: %s has %d open records", s.name, s.m.Open())
		}
		if err := s.m.Check(); err != nil && !p.blind {
			a.fail("%s: %v", s.name, err)
		}
		c := s.m.Counts()
		a.sums.Resent += int(c.Resent)
		a.sums.Undelivered += int(c.Misplaced)
		for _, r := range s.all {
			a.one(w, s, r, p)
		}
	}
}

// handledOnce counts an accepted record.
func (a *audit) handledOnce(who string, r *sent, p *plan) {
	a.sums.Accepted++
	a.sums.Handled += min(r.handled, 1)
	// Without an identity, or one that readers could use, again and again is
	// allowed; and where marks were lost with their worker.
	if r.handled > 1 && !r.raw && !r.loose && !(p.crashes && p.lazy) {
		a.fail("duplicate: %s %s was handled %d times", who, r.name(), r.handled)
	}
}

func (a *audit) one(w *world, s *sender, r *sent, p *plan) {
	n := &a.sums
	a.handledOnce(s.name, r, p)
	switch {
	case r.acked:
		n.Acknowledged++
		if r.handled == 0 {
			a.fail("lost: %s %s is acknowledged by %s at %s", s.name, r.name(), r.item.Shard, r.item.Sequence)
		}
		a.receipt(w, s.name, r)
	case r.withdrawn, r.ended && !r.item.Unknown:
		n.NotStored++
		if r.withdrawn {
			n.Withdrawn++
		}
		if r.copies > 0 {
			a.fail("%s %s is reported as not stored (%v) and was stored %d times", s.name, r.name(), r.item.Err, r.copies)
		}
	case r.ended:
		n.Unknown++
	case !s.dead:
		a.fail("stuck: %s %s never ended", s.name, r.name())
	}
}

// receipt checks that the record is where its receipt says.
func (a *audit) receipt(w *world, name string, r *sent) {
	for _, sh := range w.shards {
		if sh.id != r.item.Shard {
			continue
		}
		for _, st := range sh.log {
			if st.name == r.item.Sequence && int(r.item.Index) < len(st.what.recs) && st.what.recs[r.item.Index] == r {
				return
			}
		}
	}
	a.fail("%s %s is not at %s %s/%d, as its receipt says", name, r.name(), r.item.Shard, r.item.Sequence, r.item.Index)
}
