package lease

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libvegas/vegas/internal/shard"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store"
)

var _ shard.Transactor = (*held)(nil)

// Begin starts a transaction of the store, for a handler and the checkpoint
// behind its record. How long it waits is the store's business: what it waits for
// may be the turn of others.
func (h *held) Begin(ctx context.Context) (shard.Transaction, error) {
	t, ok := h.table.store.(store.Transactor)
	if !ok {
		return nil, errors.New("the store has no transactions")
	}
	tx, err := t.Begin(ctx)
	if err != nil {
		return nil, err
	}
	return &transaction{tx, h}, nil
}

// transaction writes the lease along with what a handler does.
type transaction struct {
	store.Tx
	h *held
}

// Commit writes the lease last, so that its lock is held for no longer than the
// database needs to commit.
//
// The outcome may be unknown, and an earlier attempt may even arrive after this
// one has begun. So the write is conditional on the position that this attempt
// began with: of all attempts at one position one is stored, whoever is told.
func (t *transaction) Commit(ctx context.Context, from, to record.Position, seen time.Time, marks []byte) error {
	h := t.h
	err := t.commit(ctx, from, to, seen, marks)
	if err == nil || errors.Is(err, record.ErrLeaseLost) || errors.Is(err, store.ErrRolledBack) || errors.As(err, new(*shard.Moved)) {
		return err
	}
	t.Rollback()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// What is stored decides.
	if readErr := h.reread(ctx, from); readErr != nil {
		return readErr
	}
	return fmt.Errorf("checkpoint: stream %q %s at %v: %w", h.stream, h.shard, to, err)
}

func (t *transaction) commit(ctx context.Context, from, to record.Position, seen time.Time, marks []byte) error {
	h := t.h
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	var saved store.Row
	if marks != nil {
		next := h.marks.Clone()
		next.Body = marks
		setNumber(&next, fieldPossession, h.possession)
		var err error
		if saved, err = t.Swap(ctx, next); err != nil {
			return fmt.Errorf("marks: %w", err)
		}
	}
	// Without the turn of the lease's cell: where a database has one writer at a
	// time, whoever holds it waits for this transaction to end.
	c := h.table.cell(h.shard)
	for range 4 {
		next := h.table.known(c).Clone()
		// What is known may have been forgotten, or be of before we took it, or read
		// since an earlier attempt arrived after all.
		if f := (fields{row: next}); next.Revision == 0 || !h.ours(&next) || f.position().Compare(from) != 0 {
			if err := h.reread(ctx, from); err != nil {
				return err
			}
			continue
		}
		setPosition(&next, to)
		setNumber(&next, fieldMoved, time.Now().UnixMilli())
		if !seen.IsZero() {
			setNumber(&next, fieldSeen, seen.UnixMilli())
		}
		row, err := t.Swap(ctx, next)
		if errors.Is(err, store.ErrConflict) {
			// Perhaps nothing that concerns this write: a field of another kind.
			if err := h.reread(ctx, from); err != nil {
				return err
			}
			continue
		}
		if err == nil {
			err = t.Tx.Commit(ctx)
		}
		if err == nil {
			h.table.note(c, row)
			if marks != nil {
				h.marks = saved
			}
		}
		return err
	}
	return store.ErrConflict
}

// reread reads what is stored of a lease that was at a position. It is an error
// if that is not ours any more, or somewhere else.
func (h *held) reread(ctx context.Context, from record.Position) error {
	row, err := get(ctx, h.table.store, h.table.group, h.table.leaseID(h.shard), storeTime)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("its row is gone: %w", record.ErrLeaseLost)
	case err != nil:
		return err
	case !h.ours(&row):
		return record.ErrLeaseLost
	}
	marks, err := get(ctx, h.table.store, h.marks.Group, h.marks.ID, storeTime)
	switch {
	case err == nil:
		h.marks = marks
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	h.table.note(h.table.cell(h.shard), row)
	f := fields{row: row}
	at := f.position()
	switch cmp := at.Compare(from); {
	case cmp > 0:
		return &shard.Moved{At: at, Seen: f.time(fieldSeen)}
	case cmp < 0:
		return fmt.Errorf("somebody moved its position back: %w", record.ErrLeaseLost)
	}
	return nil
}
