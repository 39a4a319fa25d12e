package lane

import (
	"errors"
	"fmt"
	"slices"
)

// Check reports the first invariant that does not hold, nil if all do. It looks
// at everything the machine holds; it is for the simulator.
func (m *Machine) Check() error {
	tiles := m.shards.Tiles()
	if len(tiles) != len(m.lanes) {
		return fmt.Errorf("%d lanes for %d tiles", len(m.lanes), len(tiles))
	}
	open := m.early.n
	for i, l := range m.lanes {
		if l.shard != tiles[i] || l.closed {
			return fmt.Errorf("lane %d is that of %s, closed %v; the tile is %s", i, l.shard.ID, l.closed, tiles[i].ID)
		}
		n, err := m.checkLane(l)
		if err != nil {
			return fmt.Errorf("lane of %s: %w", l.shard.ID, err)
		}
		open += n
	}
	for _, d := range m.draining {
		if !d.closed || d.flights == 0 || d.q.n > 0 || d.wait.n > 0 || len(d.again) > 0 {
			return fmt.Errorf("lane of %s drains: closed %v, %d under way, %d queued, %d frozen", d.shard.ID, d.closed, d.flights, d.q.n+d.wait.n, len(d.again))
		}
	}
	flying, flights := m.flying()
	open += flying
	if open != m.open {
		return fmt.Errorf("%d items are open, %d are counted", open, m.open)
	}
	if m.open == 0 && m.raw.last.n > 0 {
		return fmt.Errorf("%d hashes are remembered for nothing", m.raw.last.n)
	}
	known := 0
	for _, l := range slices.Concat(m.lanes, m.draining) {
		known += l.flights
	}
	if known != flights && !m.c.Raw {
		return fmt.Errorf("%d entries are under way, the lanes count %d", flights, known)
	}
	return nil
}

// flying counts the items that have not ended and the entries in requests and
// parked.
func (m *Machine) flying() (items, entries int) {
	count := func(e *Entry) {
		entries++
		for _, it := range e.Items {
			if it.state != done {
				items++
			}
		}
	}
	for _, r := range m.sent {
		for _, e := range r.Entries {
			count(e)
		}
	}
	for _, e := range m.parked {
		count(e)
	}
	return items, entries
}

func (m *Machine) checkLane(l *lane) (open int, err error) {
	open = l.q.n + l.wait.n
	if l.in.n > 0 {
		return 0, errors.New("items are left between two lanes")
	}
	for _, d := range m.draining {
		if d.shard.Range.Overlaps(l.shard.Range) != slices.Contains(l.waits, d) {
			return 0, fmt.Errorf("it waits for %s: %v", d.shard.ID, slices.Contains(l.waits, d))
		}
	}
	for _, d := range l.waits {
		if !slices.Contains(m.draining, d) {
			return 0, fmt.Errorf("it waits for %s, which has nothing under way", d.shard.ID)
		}
	}
	if !m.c.Raw && l.flights+len(l.again) > 1 {
		return 0, fmt.Errorf("%d entries are under way and %d frozen", l.flights, len(l.again))
	}
	top := uint64(0)
	for _, e := range l.again {
		for _, it := range e.Items {
			if it.state != frozen || it.Counter <= top || !l.shard.Range.Has(it.Hash) {
				return 0, fmt.Errorf("frozen item %d after %d has state %d", it.Counter, top, it.state)
			}
			top = it.Counter
		}
		open += len(e.Items)
	}
	for it := l.q.head; it != nil; it = it.next {
		if it.state != queued || it.owner != l || !l.shard.Range.Has(it.Hash) || it.ahead != nil {
			return 0, fmt.Errorf("queued item %d has state %d", it.Counter, it.state)
		}
		if it.Counter <= top && !m.c.Raw {
			return 0, fmt.Errorf("item %d is queued behind %d", it.Counter, top)
		}
		top = it.Counter
	}
	for it := l.wait.head; it != nil; it = it.next {
		if it.state != waiting || it.owner != l || it.ahead == nil {
			return 0, fmt.Errorf("waiting item %d has state %d", it.Counter, it.state)
		}
	}
	return open, nil
}
