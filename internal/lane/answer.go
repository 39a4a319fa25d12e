package lane

import (
	"slices"
	"time"

	"github.com/libvegas/vegas/internal/shardmap"
)

// Answer takes the answer to a request, one result per entry; a missing one
// counts as unknown. The answer to a request that was answered before is
// ignored.
func (m *Machine) Answer(now time.Duration, r *Request, results []Result) {
	if !m.close(r) {
		return
	}
	took := now - r.Left
	fatal := -1
	for i, e := range r.Entries {
		var res Result
		if i < len(results) {
			res = results[i]
		}
		if res.Status == Fatal {
			fatal = i
		}
		m.answer(now, e, res, took)
	}
	if fatal >= 0 {
		m.FailQueued(results[fatal].Err)
	}
	m.failFollowers()
}

// Fail takes the failure of a whole request: any Status but Stored.
func (m *Machine) Fail(now time.Duration, r *Request, s Status, err error) {
	if !m.close(r) {
		return
	}
	if s == Stored {
		s = Unknown
	}
	if s == Refused && len(r.Entries) > 1 {
		m.halve(now, r, err)
		return
	}
	for _, e := range r.Entries {
		m.answer(now, e, Result{Status: s, Err: err}, now-r.Left)
	}
	if s == Fatal {
		m.FailQueued(err)
	}
	m.failFollowers()
}

// close ends a request's being under way.
func (m *Machine) close(r *Request) bool {
	i := slices.Index(m.sent, r)
	if i < 0 {
		return false
	}
	m.sent = slices.Delete(m.sent, i, i+1)
	if r.lone {
		m.lone--
	}
	return true
}

// halve sends the entries of a refused request again in two, so that the one to
// blame ends up alone.
func (m *Machine) halve(now time.Duration, r *Request, err error) {
	for i, e := range r.Entries {
		if i == 0 || i == len(r.Entries)/2 {
			m.group++
		}
		e.group = m.group
		e.lane.cause = err
		e.lane.pace.giveBack(e.charged, 1)
		m.back(e)
		m.land(e.lane, e)
	}
}

// answer takes one entry's result.
func (m *Machine) answer(now time.Duration, e *Entry, res Result, took time.Duration) {
	l := e.lane
	l.pace.giveBack(e.charged-e.size(), 0)
	e.charged = e.size()
	if res.Status == Stored {
		l.failures, l.cause, l.trouble = 0, nil, healthy
		if took > m.c.SlowAfter {
			l.trouble = suspect
		}
		if l.rtt == 0 {
			l.rtt = took
		}
		l.rtt += (took - l.rtt) / 8
		l.pace.stored(now)
		m.stored(e, res)
		return
	}
	l.cause = res.Err
	if res.Status == Fatal && m.c.Patient && m.c.Broken != Patience {
		res.Status = NotStored
	}
	switch res.Status {
	case Throttled:
		m.counts.Throttled++
		l.trouble = max(l.trouble, limited)
		l.pace.throttled(now)
	case NotStored:
		l.trouble = max(l.trouble, limited)
		l.pace.giveBack(e.charged, 1)
	case Refused, Fatal:
		l.pace.giveBack(e.charged, 1)
		m.failItems(e.Items, res.Err)
		m.land(l, e)
		return
	default:
		m.counts.Unknown++
		l.trouble = suspect
		m.doubt(e)
	}
	if now >= l.retryAt {
		l.failures++
		l.retryAt = now + retry.Full(l.failures, m.c.Rand.Float64())
	}
	m.back(e)
	m.land(l, e)
}

// doubt remembers that the entry's records may be stored.
func (m *Machine) doubt(e *Entry) {
	for _, it := range e.Items {
		if it.state != done {
			it.Unknown = true
		}
	}
}

// stored takes an acknowledgement, which may come from another shard than the
// one predicted.
func (m *Machine) stored(e *Entry, res Result) {
	l := e.lane
	if res.Shard == "" || res.Shard == l.shard.ID {
		m.acknowledge(e, l.shard.ID, res.Sequence)
		return
	}
	x := m.shards.Shard(res.Shard)
	if x == nil || !l.closed && m.laned {
		m.refresh.want = true
	}
	switch {
	case !e.Laned || m.c.Broken == Misplaced:
		// Readers take it wherever it is.
		m.acknowledge(e, res.Shard, res.Sequence)
	case x == nil:
		// Stored, in whole or part delivered or not: unknown if it ends here.
		m.doubt(e)
		e.parked = parked{res.Shard, res.Sequence, 0}
		m.parked = append(m.parked, e)
	default:
		m.judge(e, x, res.Sequence)
	}
}

// judge decides an acknowledgement by another shard than predicted.
func (m *Machine) judge(e *Entry, x *shardmap.Shard, sequence string) {
	for _, it := range e.Items {
		if !x.Range.Has(it.Hash) {
			m.undelivered(e)
			return
		}
	}
	m.acknowledge(e, x.ID, sequence)
}

// undelivered takes back an entry that readers ignore, at least in part. Its
// lane waits for a newer map, unless its shard is known to have given way or
// shards do not matter any more.
func (m *Machine) undelivered(e *Entry) {
	m.counts.Misplaced++
	m.doubt(e)
	if l := e.lane; !l.closed && m.laned {
		l.held = true
	}
	m.back(e)
	m.land(e.lane, e)
}

func (m *Machine) acknowledge(e *Entry, shard, sequence string) {
	for i, it := range e.Items {
		if it.state == done {
			continue
		}
		it.Shard, it.Sequence, it.Index = shard, sequence, int32(i)
		m.end(it)
	}
	m.land(e.lane, e)
}

// back returns what is left of an entry that was not stored: frozen to its
// lane, to leave again as it is, or taken apart, to the lanes that its records
// belong to now.
func (m *Machine) back(e *Entry) {
	l := e.lane
	if m.c.Broken == Sticky {
		for _, it := range e.Items {
			it.Unknown = false
		}
	}
	switch {
	case m.c.Raw:
		for _, it := range e.Items {
			it.group = e.group
			m.backRaw(it)
		}
	case l.closed, e.Laned != m.laned && !e.Raw, m.c.Broken == Front, e.torn(), e.bound > m.most(l) && e.unstored():
		// The last: what was refused for a rate, and certainly is nowhere, goes
		// on in the smaller steps that the lane has learnt to take.
		m.spread(e.Items)
	default:
		for _, it := range e.Items {
			it.state = frozen
		}
		l.again = append(l.again, e)
	}
}

// unstored tells that no attempt can have stored any of its items.
func (e *Entry) unstored() bool {
	return len(e.Items) > 1 && !slices.ContainsFunc(e.Items, func(it *Item) bool { return it.Unknown })
}

// torn tells that an item ended meanwhile.
func (e *Entry) torn() bool {
	return slices.ContainsFunc(e.Items, func(it *Item) bool { return it.state == done })
}

// land ends an entry's being under way; a lane that gave way is forgotten with
// its last one, and the barrier before its successors falls.
func (m *Machine) land(l *lane, e *Entry) {
	l.flights--
	l.under -= len(e.Items)
	l.volume -= e.bound
	if !l.closed || l.flights > 0 || m.c.Raw {
		return
	}
	is := func(x *lane) bool { return x == l }
	m.draining = slices.DeleteFunc(m.draining, is)
	for _, n := range m.lanes {
		if len(n.waits) > 0 {
			n.waits = slices.DeleteFunc(n.waits, is)
		}
	}
}

// unpark takes the i-th parked entry off the list; it is still under way.
func (m *Machine) unpark(i int) {
	m.parked = slices.Delete(m.parked, i, i+1)
}
