package fleettest

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/libvegas/vegas/internal/mark"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store"
)

// rows watches what is written to a group's store, past all that can go wrong
// on the way to it: positions and possessions never go back, nothing follows
// the end of a shard, marks never lead their position, and nobody takes the
// group from a consumer that can still think it has it.
type rows struct {
	fail  func(format string, args ...any)
	began func(time.Time) // is told where the group starts, once
	trace *trace
	group string

	mu   sync.Mutex // held while a write is applied and judged
	rows map[string]store.Row
}

func newRows(fail func(string, ...any), began func(time.Time), tr *trace, group string) *rows {
	return &rows{fail: fail, began: began, trace: tr, group: group, rows: map[string]store.Row{}}
}

// apply does a write and judges it.
func (w *rows) apply(ctx context.Context, s store.Store, row store.Row) (store.Row, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out, err := s.Swap(ctx, row)
	if err != nil {
		return out, err
	}
	w.judge(out)
	w.rows[out.ID] = out.Clone()
	return out, nil
}

func (w *rows) judge(now store.Row) {
	before, existed := w.rows[now.ID]
	kind, name, _ := strings.Cut(now.ID, "#")
	switch kind {
	case "group":
		if existed && (now.Fields["start"] != before.Fields["start"] || now.Fields["start_ms"] != before.Fields["start_ms"]) {
			w.fail("%s: the start of %s changes: %v after %v", w.group, now.ID, now.Fields, before.Fields)
		}
		if ms := number(now, "start_ms"); ms > 0 {
			w.began(time.UnixMilli(int64(ms)))
		}
	case "lease":
		if !existed {
			return
		}
		was, is := position(before), position(now)
		if is.Compare(was) < 0 {
			w.fail("%s: the checkpoint of %s goes back from %v to %v", w.group, now.ID, was, is)
		}
		if was.IsShardEnd() && is != was {
			w.fail("%s: %s ended and goes on to %v", w.group, now.ID, is)
		}
		if a, b := number(before, "possession"), number(now, "possession"); b < a {
			w.fail("%s: the possession of %s goes back from %d to %d", w.group, now.ID, a, b)
		}
	case "mark":
		saved, err := mark.Decode(now.Body)
		if err != nil {
			w.fail("%s: %s: %v", w.group, now.ID, err)
			return
		}
		if at := position(w.rows["lease#"+name]); saved.Leads(at) {
			w.fail("%s: %s as of %v lead the checkpoint %v", w.group, now.ID, saved.At, at)
		}
	case "worker":
		if existed && before.Fields["state"] == "dead" && now.Fields["state"] != "dead" {
			w.fail("%s: %s rises from the dead", w.group, now.ID)
		}
	}
}

func position(r store.Row) record.Position {
	p := record.Position{Sequence: r.Fields["sequence"]}
	p.SubSequence, _ = strconv.ParseInt(r.Fields["sub_sequence"], 10, 64)
	return p
}

func number(r store.Row, field string) uint64 {
	n, _ := strconv.ParseUint(r.Fields[field], 10, 64)
	return n
}

// door is one consumer's way to the store. Calls take time, fail before or
// after they are applied, and are applied late; and all fail while it is shut.
type door struct {
	store.Store
	rows  *rows
	actor string
	sick  float64 // chance that a call fails

	mu     sync.Mutex
	rnd    *rand.Rand
	shut   bool
	locked bool // shut for good
	gone   chan struct{}
}

func newDoor(s store.Store, w *rows, actor string, sick float64, rnd *rand.Rand) *door {
	return &door{Store: s, rows: w, actor: actor, sick: sick, rnd: rnd, gone: make(chan struct{})}
}

var (
	errStore  = errors.New("the store does not answer")
	errDenied = errors.New("the store is out of reach")
)

// set begins and ends an outage.
func (d *door) set(shut bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = shut
}

// lock is an outage for good.
func (d *door) lock() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.locked {
		d.locked = true
		close(d.gone)
	}
}

// trouble is what is wrong with a call.
type trouble struct {
	before, after, late bool
	wait                time.Duration
}

func (d *door) draw() (t trouble, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shut || d.locked {
		return t, errDenied
	}
	if d.rnd.Float64() >= d.sick {
		return t, nil
	}
	switch d.rnd.IntN(4) {
	case 0:
		t.before = true
	case 1:
		t.after = true
	case 2:
		t.late, t.wait = true, time.Duration(d.rnd.IntN(15000))*time.Millisecond
		return t, nil
	}
	t.wait = time.Duration(d.rnd.IntN(3000)) * time.Millisecond
	return t, nil
}

// enter waits for as long as the call takes on its way.
func (d *door) enter(ctx context.Context, t trouble) error {
	if t.wait > 0 {
		select {
		case <-time.After(t.wait):
		case <-d.gone:
			return errDenied
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if t.before {
		return errStore
	}
	return ctx.Err()
}

// List implements store.Store.
func (d *door) List(ctx context.Context, group, prefix string) ([]store.Row, error) {
	t, err := d.draw()
	if err == nil {
		err = d.enter(ctx, t)
	}
	if err != nil || t.after || t.late {
		return nil, errors.Join(err, errStore)
	}
	return d.Store.List(ctx, group, prefix)
}

// Get implements store.Store.
func (d *door) Get(ctx context.Context, group, id string) (store.Row, error) {
	t, err := d.draw()
	if err == nil {
		err = d.enter(ctx, t)
	}
	if err != nil || t.after || t.late {
		return store.Row{}, errors.Join(err, errStore)
	}
	return d.Store.Get(ctx, group, id)
}

// Swap implements store.Store.
func (d *door) Swap(ctx context.Context, row store.Row) (store.Row, error) {
	t, err := d.draw()
	if err != nil {
		return store.Row{}, err
	}
	if t.late {
		row = row.Clone()
		time.AfterFunc(t.wait, func() {
			_, err := d.rows.apply(context.WithoutCancel(ctx), d.Store, row)
			d.rows.trace.add("%s writes %s %v, late: %v", d.actor, row.ID, t.wait, err)
		})
		return store.Row{}, errStore
	}
	if err := d.enter(ctx, t); err != nil {
		return store.Row{}, err
	}
	out, err := d.rows.apply(ctx, d.Store, row)
	if t.after || err != nil && !errors.Is(err, store.ErrConflict) {
		d.rows.trace.add("%s writes %s: %v, hears nothing %v", d.actor, row.ID, err, t.after)
	}
	if t.after {
		return store.Row{}, errStore
	}
	return out, err
}

// Delete implements store.Store.
func (d *door) Delete(ctx context.Context, row store.Row) error {
	t, err := d.draw()
	if err == nil {
		err = d.enter(ctx, t)
	}
	if err != nil || t.late {
		return errors.Join(err, errStore)
	}
	if err := d.Store.Delete(ctx, row); err != nil || !t.after {
		return err
	}
	return errStore
}
