package send

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/lane"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

// flights are the records that have left and not ended: by hash, the number of
// the first. Nil: there is no callback that they concern.
type flights map[keyspace.Hash]uint64

// flights takes stock; the lock is held.
func (e *Engine) flights() flights {
	f := flights{}
	e.machine.Left(func(it *lane.Item) {
		if n, ok := f[it.Hash]; !ok || it.Counter < n {
			f[it.Hash] = it.Counter
		}
	})
	return f
}

// before tells that an earlier record of the same key is among them.
func (f flights) before(p *parcel) bool {
	n, ok := f[p.Hash]
	return ok && n < p.Counter
}

// called tells of a record that somebody is to be called for.
func (p *parcel) called() bool { return p.done != nil || p.row }

// failsACallback tells of a failed record that somebody is to be called for.
func failsACallback(it *lane.Item) bool { return it.Err != nil && of(it).called() }

// deliver tells those who wait that their records have ended; callbacks go to
// the dispatcher. A record that failed can have ended before an earlier one of
// its key that has left: its callback is held back until that one has ended
// too, so that callbacks run in order per key.
func (e *Engine) deliver(items []*lane.Item, flying flights) {
	if len(items) == 0 && len(e.heldBack) == 0 {
		return
	}
	calls, rows := e.toCall[:0], e.toTell[:0]
	var t tally
	now := e.now()
	others := false   // than those with callbacks
	var over []*batch // that have all results
	e.mu.Lock()
	for _, it := range items {
		p := of(it)
		if p.Err == nil || !p.fed || !e.aborted { // else it is in its buffer still
			t.add(p)
		}
		// A failed record can be part of an entry that is parked, and does not leave
		// again as it is, or that is under way when Abort ends it.
		if p.pinned = p.Err != nil; p.pinned && !e.aborted {
			p.Data, p.Headers = nil, nil
		}
		if p.Err != nil && p.Attempts == 0 && e.lastLook != nil && errors.Is(p.Err, record.ErrDeadline) {
			// It never left, so the machine knows no other cause.
			p.Err = fmt.Errorf("%w: %w", p.Err, e.lastLook)
		}
		if p.called() {
			switch {
			case flying.before(p):
				e.heldBack = append(e.heldBack, p)
			case p.row:
				rows = append(rows, p)
			default:
				calls = append(calls, p)
			}
			continue
		}
		others = true
		if p.batch != nil && !p.abandoned {
			r, err := e.result(p)
			if p.batch.take(p.at, r, err) {
				over = append(over, p.batch)
			}
		}
		e.room.give(p.bytes)
		e.groupEnd(p.group, 1)
	}
	e.mu.Unlock()
	e.report(&t, items, now)
	if others {
		e.answer(items)
	}
	for _, b := range over {
		close(b.done)
	}
	if flying != nil {
		e.heldBack = slices.DeleteFunc(e.heldBack, func(p *parcel) bool {
			switch {
			case flying.before(p):
				return false
			case p.row:
				rows = append(rows, p)
			default:
				calls = append(calls, p)
			}
			return true
		})
		inOrder := func(a, b *parcel) int { return cmp.Compare(a.Counter, b.Counter) }
		slices.SortFunc(calls, inOrder)
		slices.SortFunc(rows, inOrder)
	}
	e.calls.add(calls)
	e.tellRows(rows)
	clear(calls)
	clear(rows)
	e.toCall, e.toTell = calls, rows
}

// answer tells those who wait without a callback, and lets go of the records that
// nobody waits for.
func (e *Engine) answer(items []*lane.Item) {
	for _, it := range items {
		switch p := of(it); {
		case p.called():
		case p.wait && !p.abandoned:
			p.signal <- struct{}{}
		default: // nobody waits, or a batch that has its result
			e.done(p)
		}
	}
}

// called gives back what parcels held whose callbacks have returned.
func (e *Engine) called(ps []*parcel) {
	var bytes int64
	e.mu.Lock()
	for _, p := range ps {
		bytes += p.bytes
		e.groupEnd(p.group, 1)
	}
	e.room.give(bytes)
	e.mu.Unlock()
	for _, p := range ps {
		e.done(p)
	}
}

// tally counts ended records.
type tally struct {
	sent, failed, unknown, bytes, resent int64
}

func (t *tally) add(p *parcel) {
	switch {
	case p.Err == nil:
		t.sent++
		t.bytes += int64(len(p.Data))
	case p.Unknown:
		t.unknown++
	default:
		t.failed++
	}
	if p.Attempts > 1 {
		t.resent += int64(p.Attempts - 1)
	}
}

func (e *Engine) report(t *tally, items []*lane.Item, now time.Duration) {
	e.sums.sent.Add(t.sent)
	e.sums.bytes.Add(t.bytes)
	e.sums.failed.Add(t.failed)
	e.sums.unknown.Add(t.unknown)
	e.sums.resent.Add(t.resent)
	o := e.cfg.Observer
	if o == nil {
		return
	}
	for c, n := range map[observe.Counter]int64{
		observe.RecordsSent: t.sent, observe.BytesSent: t.bytes, observe.RecordsFailed: t.failed,
		observe.RecordsUnknown: t.unknown, observe.RecordsResent: t.resent,
	} {
		if n > 0 {
			o.Count(c, e.at, n)
		}
	}
	for _, it := range items {
		if it.Err == nil {
			o.Observe(observe.SendLatency, e.at, int64(now-it.Accepted))
		}
	}
}
