package lease

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/libvegas/vegas/internal/shard"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store"
)

// database is a store with transactions, whose commits may go astray.
type database struct {
	mu       sync.Mutex
	rows     map[string]store.Row // by ID
	revision uint64
	fate     fate     // of the next commit
	late     []func() // commits on their way
}

type fate int

const (
	arrives fate = iota
	isLost       // the connection breaks before
	isMute       // the connection breaks behind it
	isLate       // it breaks, and the commit arrives after all
)

var errCut = errors.New("the connection broke")

func (d *database) List(context.Context, string, string) ([]store.Row, error) { return nil, nil }
func (d *database) Close() error                                              { return nil }

func (d *database) Get(_ context.Context, _, id string) (store.Row, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	row, ok := d.rows[id]
	if !ok {
		return row, store.ErrNotFound
	}
	return row.Clone(), nil
}

func (d *database) Swap(ctx context.Context, r store.Row) (store.Row, error) {
	w := &work{d: d}
	out, err := w.Swap(ctx, r)
	if err == nil {
		err = w.apply()
	}
	return out, err
}

func (d *database) Delete(_ context.Context, r store.Row) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rows[r.ID].Revision != r.Revision {
		return store.ErrConflict
	}
	delete(d.rows, r.ID)
	return nil
}

func (d *database) Begin(context.Context) (store.Tx, error) { return &work{d: d}, nil }

// arrive lets late commits arrive.
func (d *database) arrive() {
	for _, commit := range d.late {
		commit()
	}
	d.late = nil
}

// work is a transaction.
type work struct {
	d       *database
	bases   []uint64
	written []store.Row
	over    bool
}

func (w *work) Context(ctx context.Context) context.Context { return ctx }
func (w *work) Rollback()                                   { w.over = true }

func (w *work) Swap(_ context.Context, r store.Row) (store.Row, error) {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	if w.d.rows[r.ID].Revision != r.Revision {
		return store.Row{}, store.ErrConflict
	}
	r = r.Clone()
	w.bases = append(w.bases, r.Revision)
	w.d.revision++
	r.Revision = w.d.revision
	w.written = append(w.written, r)
	return r.Clone(), nil
}

// apply stores all that was written, unless somebody was faster.
func (w *work) apply() error {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	for i, r := range w.written {
		if w.d.rows[r.ID].Revision != w.bases[i] {
			return store.ErrConflict
		}
	}
	for _, r := range w.written {
		w.d.rows[r.ID] = r
	}
	return nil
}

func (w *work) Commit(context.Context) error {
	if w.over {
		return errors.New("committed after its end")
	}
	w.over = true
	f := w.d.fate
	w.d.fate = arrives
	switch f {
	case isLost:
		return errCut
	case isMute:
		return errors.Join(errCut, w.apply())
	case isLate:
		w.d.late = append(w.d.late, func() { _ = w.apply() })
		return errCut
	}
	return w.apply()
}

func at(n int) record.Position {
	if n == 0 {
		return record.Position{Sequence: record.SequenceTrimHorizon}
	}
	return record.Position{Sequence: fmt.Sprint(n)}
}

// possessed is a lease under possession 7 in a database.
func possessed(t *testing.T) (*database, *held) {
	t.Helper()
	d := &database{rows: map[string]store.Row{}}
	tab := tableOn(d, "a")
	row := newRow("g", tab.leaseID(oneShard))
	setPosition(&row, at(0))
	setNumber(&row, fieldPossession, 7)
	if _, err := d.Swap(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	return d, &held{table: tab, stream: "orders", shard: oneShard, possession: 7, marks: newRow("g", tab.markID(oneShard))}
}

// commit tries to go from one position to another.
func commit(t *testing.T, h *held, from, to int, marks ...byte) error {
	t.Helper()
	tx, err := h.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	return tx.Commit(t.Context(), at(from), at(to), time.Time{}, marks)
}

func stored(t *testing.T, d *database, h *held) (position string) {
	t.Helper()
	row, err := d.Get(t.Context(), "g", h.table.leaseID(oneShard))
	if err != nil {
		t.Fatal(err)
	}
	return row.Fields[fieldSequence]
}

// change is a write of somebody else.
func change(t *testing.T, d *database, h *held, edit func(*store.Row)) {
	t.Helper()
	row, err := d.Get(t.Context(), "g", h.table.leaseID(oneShard))
	if err != nil {
		t.Fatal(err)
	}
	edit(&row)
	if _, err := d.Swap(t.Context(), row); err != nil {
		t.Fatal(err)
	}
}

func TestACommitMovesTheCheckpointAndTheMarks(t *testing.T) {
	d, h := possessed(t)
	for i := range 3 {
		if err := commit(t, h, i, i+1, byte(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := commit(t, h, 3, 4); err != nil {
		t.Fatal(err)
	}
	marks, err := d.Get(t.Context(), "g", h.table.markID(oneShard))
	if err != nil || string(marks.Body) != "\x02" || stored(t, d, h) != "4" {
		t.Errorf("at %s, marks %q, %v", stored(t, d, h), marks.Body, err)
	}
	// Plain writes and transactions take turns.
	if err := h.Checkpoint(t.Context(), at(5), time.Time{}); err != nil {
		t.Error(err)
	}
	if err := commit(t, h, 5, 6); err != nil || stored(t, d, h) != "6" {
		t.Errorf("%v, at %s", err, stored(t, d, h))
	}
}

// What becomes of a commit whose answer is lost: it is found out, or the next
// attempt finds it in its way. Never are both stored.
func TestACommitOfUnknownOutcome(t *testing.T) {
	moved := func(err error, to int) bool {
		m, ok := errors.AsType[*shard.Moved](err)
		return ok && m.At == at(to)
	}
	t.Run("lost", func(t *testing.T) {
		d, h := possessed(t)
		d.fate = isLost
		if err := commit(t, h, 0, 5); !errors.Is(err, errCut) {
			t.Errorf("%v, want the connection's error", err)
		}
		if err := commit(t, h, 0, 3); err != nil || stored(t, d, h) != "3" {
			t.Errorf("again: %v, at %s", err, stored(t, d, h))
		}
	})
	t.Run("stored", func(t *testing.T) {
		d, h := possessed(t)
		d.fate = isMute
		if err := commit(t, h, 0, 5, 1); !moved(err, 5) {
			t.Errorf("%v, want that it is at 5", err)
		}
		if err := commit(t, h, 5, 6, 2); err != nil || stored(t, d, h) != "6" {
			t.Errorf("the next: %v, at %s", err, stored(t, d, h))
		}
	})
	for name, between := range map[string]func(t *testing.T, h *held){
		"stored later": func(*testing.T, *held) {},
		// Another write of this worker has read the row meanwhile, and with it
		// what the late commit wrote.
		"stored later, and read": func(t *testing.T, h *held) {
			if err := h.Suspect(t.Context(), 1); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, h := possessed(t)
			d.fate = isLate
			if err := commit(t, h, 0, 5); !errors.Is(err, errCut) {
				t.Errorf("%v, want the connection's error", err)
			}
			d.arrive()
			between(t, h)
			if err := commit(t, h, 0, 3); !moved(err, 5) || stored(t, d, h) != "5" {
				t.Errorf("again: %v, at %s, want that it is at 5", err, stored(t, d, h))
			}
		})
	}
	t.Run("and too late", func(t *testing.T) {
		d, h := possessed(t)
		d.fate = isLate
		if err := commit(t, h, 0, 5); !errors.Is(err, errCut) {
			t.Errorf("%v, want the connection's error", err)
		}
		if err := commit(t, h, 0, 3); err != nil {
			t.Error(err)
		}
		d.arrive()
		if got := stored(t, d, h); got != "3" {
			t.Errorf("both were stored: at %s", got)
		}
	})
}

func TestACommitAfterTheLeaseWasLost(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, d *database, h *held){
		"taken": func(t *testing.T, d *database, h *held) {
			change(t, d, h, func(r *store.Row) { setNumber(r, fieldPossession, 8) })
		},
		"deleted": func(t *testing.T, d *database, h *held) {
			row, err := d.Get(t.Context(), "g", h.table.leaseID(oneShard))
			if err == nil {
				err = d.Delete(t.Context(), row)
			}
			if err != nil {
				t.Fatal(err)
			}
		},
		"moved back": func(t *testing.T, d *database, h *held) {
			change(t, d, h, func(r *store.Row) { setPosition(r, at(1)) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, h := possessed(t)
			if err := commit(t, h, 0, 2); err != nil {
				t.Fatal(err)
			}
			lose(t, d, h)
			if err := commit(t, h, 2, 3, 1); !errors.Is(err, record.ErrLeaseLost) {
				t.Errorf("%v, want ErrLeaseLost", err)
			}
			if _, err := d.Get(t.Context(), "g", h.table.markID(oneShard)); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("the marks were stored without the lease: %v", err)
			}
		})
	}
}

// What others write into the row beside the checkpoint, or are about to, holds
// nobody up.
func TestACommitBesideOtherWrites(t *testing.T) {
	d, h := possessed(t)
	if err := commit(t, h, 0, 1); err != nil {
		t.Fatal(err)
	}
	change(t, d, h, func(r *store.Row) { set(r, "of.a.later.version", "x") })
	if err := commit(t, h, 1, 2); err != nil || stored(t, d, h) != "2" {
		t.Errorf("%v, at %s", err, stored(t, d, h))
	}

	c := h.table.cell(oneShard)
	if !h.table.lock(t.Context(), c) {
		t.Fatal("no turn")
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := commit(t, h, 2, 3); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
	c.unlock()
	row, err := d.Get(t.Context(), "g", h.table.leaseID(oneShard))
	if err != nil || row.Fields["of.a.later.version"] != "x" || row.Fields[fieldSequence] != "3" {
		t.Errorf("%v, %v", row, err)
	}
}
