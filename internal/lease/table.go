package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libvegas/vegas/internal/fleet"
	"github.com/libvegas/vegas/internal/quiet"
	"github.com/libvegas/vegas/store"
)

// table is a group's rows of one stream: what is known of them, and how an Ask
// is carried out with compare-and-swap. It is the one place that knows how
// leases and workers are laid out in a store; leases of another layout are
// another table behind the same machine and the same shard runner.
type table struct {
	store  store.Store
	beats  store.Store // the same rows, for heartbeats
	group  string
	stream string // its ID
	me     string // ID of this worker
	start  time.Time
	warn   *quiet.Logger
	attrs  []any
	// seen is told rows that somebody else changed under us; may be nil.
	seen func(fleet.Lease)

	mu    sync.Mutex
	rows  map[string]*cell // of leases, by shard
	peers map[string]store.Row
	names map[string]string // of workers, by ID
	floor uint64            // as it is stored
}

// cell is a lease's row as it was last seen. Who writes it holds the turn, so
// that checkpoints and handoffs of one worker do not refuse each other.
type cell struct {
	turn chan struct{} // holds one token
	row  store.Row     // guarded by table.mu
}

func newTable(s store.Store, group, stream, me string) *table {
	return &table{store: s, beats: s, group: group, stream: stream, me: me,
		rows: map[string]*cell{}, peers: map[string]store.Row{}, names: map[string]string{}}
}

func (t *table) groupID() string                 { return "group#" + t.stream }
func (t *table) workerPrefix() string            { return "worker#" + t.stream + ":" }
func (t *table) leasePrefix() string             { return "lease#" + t.stream + ":" }
func (t *table) leaseID(shard string) string     { return t.leasePrefix() + shard }
func (t *table) markID(shard string) string      { return "mark#" + t.stream + ":" + shard }
func (t *table) layerPrefix() string             { return "layer#" + t.stream + ":" }
func (t *table) shardOf(row store.Row) string    { return strings.TrimPrefix(row.ID, t.leasePrefix()) }
func (t *table) workerIDOf(row store.Row) string { return strings.TrimPrefix(row.ID, t.workerPrefix()) }

// storeTime bounds one call of the store.
const storeTime = 5 * time.Second

// do carries out an Ask of the store. limit bounds each call.
func (t *table) do(ctx context.Context, a *fleet.Ask, limit time.Duration) fleet.Answer {
	switch a.Verb {
	case fleet.Join:
		return t.join(ctx, a, limit)
	case fleet.Beat:
		return t.beat(ctx, a, limit)
	case fleet.Declare:
		return t.declare(ctx, a, limit)
	case fleet.Bury:
		return t.bury(ctx, a, limit)
	case fleet.Look, fleet.LookSurely:
		return t.look(ctx, a.Verb == fleet.LookSurely, limit)
	case fleet.Sweep:
		return t.sweep(ctx, limit)
	case fleet.Read:
		return t.read(ctx, a.Leases, limit)
	case fleet.Create:
		return t.create(ctx, a, limit)
	case fleet.Forget:
		return t.forget(ctx, a, limit)
	}
	return t.change(ctx, a, limit)
}

// warnOf warns of what went wrong, unless that is only that we leave.
func (t *table) warnOf(ctx context.Context, message string, err error, more ...any) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	t.warn.Warn(message, append(append(slices.Clip(t.attrs), more...), slog.Any("error", err))...)
}

// unknown is the answer where the store gave none, and warns of that.
func (t *table) unknown(ctx context.Context, message string, err error, more ...any) fleet.Answer {
	t.warnOf(ctx, message, err, more...)
	return fleet.Answer{Outcome: fleet.Unknown, Err: err}
}

func (t *table) cell(shard string) *cell {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.rows[shard]
	if c == nil {
		c = &cell{turn: make(chan struct{}, 1)}
		t.rows[shard] = c
	}
	return c
}

func (t *table) known(c *cell) store.Row {
	t.mu.Lock()
	defer t.mu.Unlock()
	return c.row
}

// note remembers a row. Revisions of one row need not be in order, so that
// nobody can tell whether a later one is known: who holds the turn calls it, and
// a transaction, which does not; what is known may be old, and a write finds out.
func (t *table) note(c *cell, row store.Row) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.row = row
}

func (t *table) lock(ctx context.Context, c *cell) bool {
	select {
	case c.turn <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (c *cell) unlock() { <-c.turn }

// verdict of a change on a row as it is: write it, do not, or it was written
// by an earlier try.
type verdict int

const (
	write verdict = iota
	refuse
	applied
)

// update changes a lease's row by compare-and-swap, as often as somebody else
// was faster and edit still wants to. The row that comes with a nil error is as
// it is stored; ErrConflict: refused, with the row as it is; ErrNotFound: there
// is none. Any other error: the outcome is unknown.
func (t *table) update(ctx context.Context, shard string, limit time.Duration, edit func(*store.Row) verdict) (store.Row, error) {
	c := t.cell(shard)
	if !t.lock(ctx, c) {
		return store.Row{}, context.Cause(ctx)
	}
	defer c.unlock()
	row := t.known(c)
	fresh := false
	for range 8 {
		if row.Revision == 0 {
			got, err := get(ctx, t.store, t.group, t.leaseID(shard), limit)
			if err != nil {
				return got, err
			}
			row, fresh = got, true
			t.note(c, row)
		}
		next := row.Clone()
		if v := edit(&next); v != write {
			switch {
			case !fresh:
				row = store.Row{} // what we knew may be old
				continue
			case v == applied:
				return row, nil
			}
			return row, store.ErrConflict
		}
		out, err := swap(ctx, t.store, next, limit)
		if err == nil {
			t.note(c, out)
			return out, nil
		}
		if ctx.Err() != nil {
			return row, context.Cause(ctx)
		}
		// A conflict may be with our own write, applied though its answer was
		// lost: the row decides.
		got, getErr := get(ctx, t.store, t.group, t.leaseID(shard), limit)
		switch {
		case errors.Is(getErr, store.ErrNotFound):
			t.note(c, store.Row{})
			return got, getErr
		case getErr != nil:
			return row, err
		}
		t.note(c, got)
		if !errors.Is(err, store.ErrConflict) && got.Revision == row.Revision {
			return got, err // not applied yet, and perhaps never
		}
		row, fresh = got, true
		if l, err := readLease(got, shard); err == nil && t.seen != nil {
			t.seen(l)
		}
	}
	return row, store.ErrConflict
}

// change carries out Take, Announce, Withdraw, Give and End.
func (t *table) change(ctx context.Context, a *fleet.Ask, limit time.Duration) fleet.Answer {
	var bad error
	row, err := t.update(ctx, a.Lease, limit, func(r *store.Row) verdict {
		l, err := readLease(*r, a.Lease)
		if err != nil {
			bad = err
			return refuse
		}
		bad = nil
		if a.Applied(l) {
			return applied
		}
		next, ok := a.Apply(l)
		if !ok {
			return refuse
		}
		writeLease(r, next, t.nameOf(next.Owner))
		return write
	})
	if bad != nil {
		return t.unknown(ctx, "a lease row cannot be read", bad)
	}
	return t.told(ctx, a.Lease, row, err)
}

// told makes an answer of the outcome of an update.
func (t *table) told(ctx context.Context, shard string, row store.Row, err error) fleet.Answer {
	ans := fleet.Answer{Outcome: fleet.Done}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return fleet.Answer{Outcome: fleet.Refused, Gone: []string{shard}}
	case errors.Is(err, store.ErrConflict):
		ans.Outcome = fleet.Refused
	case err != nil:
		return t.unknown(ctx, "the store did not answer", err)
	}
	if l, err := readLease(row, shard); err == nil {
		ans.Leases = []fleet.Lease{l}
	}
	return ans
}

// freshPossession is above every possession number that the group ever used,
// also when rows were deleted: it follows the clock, which runs faster than
// possessions change hands, and where the clock went back it is above the floor
// that deletions left, and above all that this worker has seen.
func (t *table) freshPossession(seen uint64) uint64 {
	n := uint64(max(1, time.Now().UnixMilli()))
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(n, t.floor+1, seen)
}

// create makes a lease, or finds that it is there.
func (t *table) create(ctx context.Context, a *fleet.Ask, limit time.Duration) fleet.Answer {
	c := t.cell(a.Shard.ID)
	if !t.lock(ctx, c) {
		return fleet.Answer{Outcome: fleet.Unknown}
	}
	defer c.unlock()
	row := leaseRow(t.group, t.leaseID(a.Shard.ID), a.Shard, t.start, t.freshPossession(a.Possession))
	set(&row, fieldOwner, a.To)
	set(&row, fieldWorker, t.nameOf(a.To))
	out, err := swap(ctx, t.store, row, limit)
	if err != nil {
		var getErr error
		if out, getErr = get(ctx, t.store, t.group, row.ID, limit); getErr != nil {
			return t.unknown(ctx, "a lease could not be made, trying again", err, slog.String("shard", a.Shard.ID))
		}
		// Ours, if an earlier try was applied though its answer was lost.
		if out.Fields[fieldPossession] != row.Fields[fieldPossession] || out.Fields[fieldOwner] != a.To {
			err = store.ErrConflict
		} else {
			err = nil
		}
	}
	t.note(c, out)
	return t.told(ctx, a.Shard.ID, out, err)
}

// forget deletes the rows of a shard that nobody needs. What fails is tried
// after the next listing.
func (t *table) forget(ctx context.Context, a *fleet.Ask, limit time.Duration) fleet.Answer {
	if err := t.raiseFloor(ctx, a.Possession, limit); err != nil {
		return fleet.Answer{Outcome: fleet.Unknown}
	}
	c := t.cell(a.Lease)
	if !t.lock(ctx, c) {
		return fleet.Answer{Outcome: fleet.Unknown}
	}
	defer c.unlock()
	err := remove(ctx, t.store, t.group, t.markID(a.Lease), limit, nil)
	if err == nil {
		err = t.removeAll(ctx, t.layerPrefix()+a.Lease+":", limit)
	}
	if err == nil {
		err = remove(ctx, t.store, t.group, t.leaseID(a.Lease), limit, func(r store.Row) bool {
			l, err := readLease(r, a.Lease)
			return err == nil && l.Ended() && l.Possession == a.Possession
		})
	}
	if err != nil {
		return fleet.Answer{Outcome: fleet.Unknown}
	}
	t.mu.Lock()
	delete(t.rows, a.Lease)
	t.mu.Unlock()
	return fleet.Answer{Outcome: fleet.Done, Gone: []string{a.Lease}}
}

// raiseFloor writes down that possession numbers up to n were used, before the
// row that says so is deleted.
func (t *table) raiseFloor(ctx context.Context, n uint64, limit time.Duration) error {
	t.mu.Lock()
	enough := t.floor >= n
	t.mu.Unlock()
	if enough {
		return nil
	}
	for {
		row, err := get(ctx, t.store, t.group, t.groupID(), limit)
		if errors.Is(err, store.ErrNotFound) {
			row, err = newRow(t.group, t.groupID()), nil
		}
		if err != nil {
			return err
		}
		f := fields{row: row}
		if floor := f.number(fieldFloor); floor < n {
			setNumber(&row, fieldFloor, n)
			if _, err = swap(ctx, t.store, row, limit); errors.Is(err, store.ErrConflict) {
				continue
			}
			if err != nil {
				return err
			}
		}
		t.mu.Lock()
		t.floor = max(t.floor, n)
		t.mu.Unlock()
		return nil
	}
}

func (t *table) sweep(ctx context.Context, limit time.Duration) fleet.Answer {
	ctx, cancel := context.WithTimeout(ctx, 2*limit)
	defer cancel()
	rows, err := t.store.List(ctx, t.group, t.leasePrefix())
	if err != nil {
		return t.unknown(ctx, "the leases could not be read, trying again", err)
	}
	ans := fleet.Answer{Leases: make([]fleet.Lease, 0, len(rows))}
	for _, row := range rows {
		t.add(ctx, &ans, row)
	}
	return ans
}

// add adds a row that was read to an answer.
func (t *table) add(ctx context.Context, ans *fleet.Answer, row store.Row) {
	shard := t.shardOf(row)
	l, err := readLease(row, shard)
	if err != nil {
		t.warnOf(ctx, "a lease row cannot be read, its shard is left alone", err)
		return
	}
	t.mu.Lock()
	c := t.rows[shard]
	if c == nil {
		c = &cell{turn: make(chan struct{}, 1)}
		t.rows[shard] = c
	}
	// Whoever writes it now knows it better.
	if len(c.turn) == 0 {
		c.row = row
	}
	t.mu.Unlock()
	ans.Leases = append(ans.Leases, l)
}

func (t *table) read(ctx context.Context, shards []string, limit time.Duration) fleet.Answer {
	var ans fleet.Answer
	for _, shard := range shards {
		row, err := get(ctx, t.store, t.group, t.leaseID(shard), limit)
		switch {
		case errors.Is(err, store.ErrNotFound):
			ans.Gone = append(ans.Gone, shard)
		case err != nil:
			return t.unknown(ctx, "a lease could not be read, trying again", err)
		default:
			t.add(ctx, &ans, row)
		}
	}
	return ans
}

// ---- calls of the store, each in its time

func get(ctx context.Context, s store.Store, group, id string, limit time.Duration) (store.Row, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return s.Get(ctx, group, id)
}

func swap(ctx context.Context, s store.Store, row store.Row, limit time.Duration) (store.Row, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return s.Swap(ctx, row)
}

// remove deletes a row as long as may says so; one that is gone is removed.
func remove(ctx context.Context, s store.Store, group, id string, limit time.Duration, may func(store.Row) bool) error {
	for {
		row, err := get(ctx, s, group, id, limit)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if may != nil && !may(row) {
			return fmt.Errorf("delete store row %q/%q: %w", group, id, store.ErrConflict)
		}
		delCtx, cancel := context.WithTimeout(ctx, limit)
		err = s.Delete(delCtx, row)
		cancel()
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// removeAll deletes the rows whose IDs begin with prefix.
func (t *table) removeAll(ctx context.Context, prefix string, limit time.Duration) error {
	listCtx, cancel := context.WithTimeout(ctx, 2*limit)
	rows, err := t.store.List(listCtx, t.group, prefix)
	cancel()
	if err != nil {
		return err
	}
	for _, row := range rows {
		if err := remove(ctx, t.store, t.group, row.ID, limit, nil); err != nil {
			return err
		}
	}
	return nil
}
