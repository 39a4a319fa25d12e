package lane

import (
	"slices"
	"time"

	"github.com/libvegas/vegas/internal/shardmap"
)

// refresh is when to ask for the shard map: when an answer showed that it is
// out of date, seldom enough for the service.
type refresh struct {
	want      bool
	underWay  bool
	lasting   bool          // the last one failed, and will until somebody changes something
	idle      int           // in a row that taught nothing
	notBefore time.Duration // of the next
	began     time.Duration
}

// due is when to ask next.
func (r *refresh) due(m *Machine) time.Duration {
	switch {
	case r.underWay, r.lasting && m.open == 0:
		return Never
	case r.want:
		return r.notBefore
	case !m.laned:
		return max(r.notBefore, r.began+m.c.RecheckAuto)
	}
	return Never
}

func (m *Machine) refreshNow(now time.Duration) bool {
	r := &m.refresh
	if r.due(m) > now {
		return false
	}
	r.want, r.underWay, r.began = false, true, now
	m.counts.Refreshes++
	return true
}

func (m *Machine) refreshed(now time.Duration, taught bool) {
	r := &m.refresh
	r.underWay, r.lasting = false, false
	if r.idle++; taught {
		r.idle = 0
	}
	wait := m.c.RefreshEvery << min(r.idle, 4)
	r.notBefore = now + wait/2 + time.Duration(m.c.Rand.Int64N(int64(wait/2)+1))
}

// LearnFailed ends the refresh that Poll asked for; it is asked for again, with
// backoff. A lasting failure, which goes on until somebody changes something, is
// not looked into while there are no records to send.
func (m *Machine) LearnFailed(now time.Duration, lasting bool) {
	m.refresh.want = true
	m.refreshed(now, false)
	m.refresh.lasting = lasting
}

// parkedLooks is how many maps may be learnt without the shard that a parked
// entry is in before the entry counts as not delivered.
const parkedLooks = 3

// Learn takes in a listing of shards, possibly stale, and ends the refresh that
// Poll asked for. Lanes follow the map; what changed is returned.
func (m *Machine) Learn(now time.Duration, listing []shardmap.Shard) shardmap.Change {
	change := m.shards.Learn(listing)
	if !change.Empty() {
		m.rebuild(now, change)
	}
	for i := 0; i < len(m.parked); i++ {
		e := m.parked[i]
		x := m.shards.Shard(e.parked.shard)
		e.parked.looks++
		if x == nil && e.parked.looks < parkedLooks {
			m.refresh.want = true
			continue
		}
		m.unpark(i)
		i--
		if x == nil {
			m.undelivered(e)
		} else {
			m.judge(e, x, e.parked.sequence)
		}
	}
	for _, l := range m.lanes {
		if l.held {
			// Its shard is still open as far as is known: once more.
			l.held = false
			l.failures++
			l.retryAt = now + retry.Full(l.failures, m.c.Rand.Float64())
		}
	}
	if !m.shards.Ready() {
		m.refresh.want = true
	}
	m.refreshed(now, !change.Empty())
	return change
}

// Forget makes all knowledge of the shards void, because the stream is gone or
// was made anew: the next listing replaces them, whatever their names, and until
// then nothing is sent. Records that have not ended go to the new stream. Poll
// is due.
func (m *Machine) Forget() {
	m.shards.Forget()
	m.refresh.want = true
}

// rebuild makes the lanes fit the tiles: lanes whose shards gave way hand what
// is queued to their successors, and drain if something is under way.
func (m *Machine) rebuild(now time.Duration, change shardmap.Change) {
	old := make(map[*shardmap.Shard]*lane, len(m.lanes))
	for _, l := range m.lanes {
		old[l.shard] = l
	}
	tiles := m.shards.Tiles()
	lanes := make([]*lane, len(tiles))
	for i, s := range tiles {
		if lanes[i] = old[s]; lanes[i] == nil {
			lanes[i] = newLane(s, now)
		}
	}
	m.lanes = lanes

	var items []*Item
	gather := func(q *queue) {
		for q.head != nil {
			it := q.head
			q.remove(it)
			items = append(items, it)
		}
	}
	gather(&m.early)
	m.tag = nil
	inherited := m.draining
	for _, s := range change.Closed {
		l := old[s]
		l.closed, l.held = true, false
		if l.flights > 0 && !m.c.Raw {
			m.draining = append(m.draining, l)
		}
		for _, e := range l.again {
			items = append(items, e.Items...)
		}
		l.again = nil
		gather(&l.q)
		gather(&l.wait)
	}
	for _, s := range change.Opened {
		l := m.lanes[m.shards.Find(s.Range.First)]
		for _, d := range m.draining {
			if m.c.Broken == Retire && slices.Contains(inherited, d) {
				continue
			}
			if d.shard.Range.Overlaps(s.Range) {
				l.waits = append(l.waits, d)
			}
		}
	}
	if m.c.Broken != Merge {
		sortItems(items)
	}
	m.spread(items)
}
