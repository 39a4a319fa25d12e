package fleettest

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/libvegas/vegas/store"
)

// door is one consumer's way to the store. Calls take time, fail before or
// after they are applied, and are applied late; what may lag lags; and all fail
// while it is shut.
type door struct {
	store.Store
	rows  *rows
	actor string
	sick  float64 // chance that a call fails
	lag   time.Duration
	beat  func(sent time.Time) // is told of heartbeats that were acknowledged

	mu     sync.Mutex
	rnd    *rand.Rand
	shut   bool
	locked bool // shut for good
	gone   chan struct{}
	sent   map[string]pulse // the last heartbeats, by row
}

// pulse is a heartbeat that was sent.
type pulse struct {
	at time.Time
	n  uint64
}

func newDoor(s store.Store, w *rows, actor string, sick float64, rnd *rand.Rand) *door {
	return &door{Store: s, rows: w, actor: actor, sick: sick, rnd: rnd, beat: func(time.Time) {}, gone: make(chan struct{}), sent: map[string]pulse{}}
}

// beats notes that a heartbeat leaves. Declared deaths are none.
func (d *door) beats(row store.Row) {
	if strings.HasPrefix(row.ID, "worker#") && row.Fields["state"] != "dead" {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.sent[row.ID] = pulse{time.Now(), number(row, "beat")}
	}
}

// hears takes in a row that tells of the last heartbeat.
func (d *door) hears(row store.Row) {
	d.mu.Lock()
	p, ok := d.sent[row.ID]
	d.mu.Unlock()
	if ok && row.Fields["state"] != "dead" && number(row, "beat") >= p.n {
		d.beat(p.at)
	}
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
	d.rows.read(prefix)
	return d.Store.List(ctx, group, prefix)
}

// Peek implements store.Peeker.
func (d *door) Peek(ctx context.Context, group, prefix string) ([]store.Row, error) {
	if d.lag == 0 || !strings.HasPrefix(prefix, "worker#") {
		return d.List(ctx, group, prefix)
	}
	t, err := d.draw()
	if err == nil {
		err = d.enter(ctx, t)
	}
	if err != nil || t.after || t.late {
		return nil, errors.Join(err, errStore)
	}
	return d.rows.peek(prefix, func() time.Duration {
		d.mu.Lock()
		defer d.mu.Unlock()
		return time.Duration(d.rnd.Int64N(int64(d.lag)))
	}), nil
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
	d.rows.read(id)
	row, err := d.Store.Get(ctx, group, id)
	if err == nil {
		d.hears(row)
	}
	return row, err
}

// Swap implements store.Store.
func (d *door) Swap(ctx context.Context, row store.Row) (store.Row, error) {
	t, err := d.draw()
	if err != nil {
		return store.Row{}, err
	}
	d.beats(row)
	if t.late {
		row = row.Clone()
		time.AfterFunc(t.wait, func() {
			_, err := d.rows.apply(context.WithoutCancel(ctx), d.Store, d.actor, row)
			d.rows.trace.add("%s writes %s %v, late: %v", d.actor, row.ID, t.wait, err)
		})
		return store.Row{}, errStore
	}
	if err := d.enter(ctx, t); err != nil {
		return store.Row{}, err
	}
	out, err := d.rows.apply(ctx, d.Store, d.actor, row)
	if t.after || err != nil && !errors.Is(err, store.ErrConflict) {
		d.rows.trace.add("%s writes %s: %v, hears nothing %v", d.actor, row.ID, err, t.after)
	}
	if t.after {
		return store.Row{}, errStore
	}
	if err == nil {
		d.hears(out)
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
	if err := d.rows.remove(ctx, d.Store, d.actor, row); err != nil || !t.after {
		return err
	}
	return errStore
}
