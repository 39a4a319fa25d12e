package lease

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/libvegas/vegas/internal/fleet"
	"github.com/libvegas/vegas/internal/mark"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store"
)

// held is a lease in our possession: what is written about its shard, by one
// writer at a time.
type held struct {
	table      *table
	stream     string // for errors
	shard      string
	possession uint64
	marks      store.Row // as it is stored, as far as we know
}

// ours tells whether the lease's row is of this possession, and none before or
// after it.
func (h *held) ours(r *store.Row) bool {
	n, err := possessionOf(r)
	return err == nil && n == h.possession
}

// oursToo tells whether the row of the marks may be written under this
// possession: an earlier one may have written it last.
func (h *held) oursToo(r *store.Row) bool {
	n, err := possessionOf(r)
	return err == nil && n <= h.possession
}

func possessionOf(r *store.Row) (uint64, error) {
	return strconv.ParseUint(r.Fields[fieldPossession], 10, 64)
}

// Checkpoint stores a position, and up to when everything that arrived is done
// with.
func (h *held) Checkpoint(ctx context.Context, p record.Position, seen time.Time) error {
	err := h.write(ctx, func(r *store.Row) verdict {
		f := fields{row: *r}
		switch c := p.Compare(f.position()); {
		case c < 0, c == 0 && !seen.After(f.time(fieldSeen)):
			return applied // an earlier write of ours arrived after all
		case c > 0:
			setPosition(r, p)
			setNumber(r, fieldMoved, time.Now().UnixMilli())
		}
		if !seen.IsZero() {
			setNumber(r, fieldSeen, seen.UnixMilli())
		}
		return write
	})
	if err != nil {
		return fmt.Errorf("checkpoint: stream %q %s at %v: %w", h.stream, h.shard, p, err)
	}
	return nil
}

// Suspect stores that a record behind the checkpoint may kill its owners, and
// how often the next one was tried.
func (h *held) Suspect(ctx context.Context, tried int) error {
	return h.suspicion(ctx, func(r *store.Row) verdict {
		set(r, fieldSuspect, yes)
		setNumber(r, fieldTried, tried)
		return write
	})
}

// Calm takes that back.
func (h *held) Calm(ctx context.Context) error {
	return h.suspicion(ctx, func(r *store.Row) verdict {
		set(r, fieldTakeovers, "")
		set(r, fieldSuspect, "")
		set(r, fieldTried, "")
		return write
	})
}

// Died counts a death at the checkpoint, once.
func (h *held) Died(ctx context.Context) error {
	counted := uint64(0) // nobody else counts in our possession
	return h.suspicion(ctx, func(r *store.Row) verdict {
		f := fields{row: *r}
		n := f.number(fieldTakeovers)
		if counted == 0 {
			counted = n + 1
		}
		if n == counted {
			return applied // an earlier write of ours arrived after all
		}
		setNumber(r, fieldTakeovers, counted)
		return write
	})
}

func (h *held) suspicion(ctx context.Context, change func(*store.Row) verdict) error {
	err := h.write(ctx, change)
	if err != nil {
		return fmt.Errorf("suspicion: stream %q %s: %w", h.stream, h.shard, err)
	}
	return nil
}

// write changes the lease's row, as long as it is of this possession.
func (h *held) write(ctx context.Context, edit func(*store.Row) verdict) error {
	_, err := h.table.update(ctx, h.shard, storeTime, func(r *store.Row) verdict {
		if !h.ours(r) {
			return refuse
		}
		return edit(r)
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("its row is gone: %w", record.ErrLeaseLost)
	case errors.Is(err, store.ErrConflict):
		return record.ErrLeaseLost
	}
	return err
}

// SaveMarks stores marks. Their row belongs to whoever possesses the lease,
// whatever number an earlier possession left there.
func (h *held) SaveMarks(ctx context.Context, marks []byte) error {
	err := h.saveMarks(ctx, marks)
	if err != nil {
		return fmt.Errorf("marks: stream %q %s: %w", h.stream, h.shard, err)
	}
	return nil
}

func (h *held) saveMarks(ctx context.Context, marks []byte) error {
	for range 4 {
		next := h.marks.Clone()
		next.Body = marks
		setNumber(&next, fieldPossession, h.possession)
		out, err := swap(ctx, h.table.store, next, storeTime)
		if err == nil {
			h.marks = out
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		got, getErr := get(ctx, h.table.store, next.Group, next.ID, storeTime)
		switch {
		case errors.Is(getErr, store.ErrNotFound) && h.marks.Revision == 0:
			return err // not made yet
		case errors.Is(getErr, store.ErrNotFound):
			return fmt.Errorf("their row is gone: %w", record.ErrLeaseLost) // somebody deleted the group
		case getErr != nil:
			return err
		case !h.oursToo(&got):
			return record.ErrLeaseLost
		case !errors.Is(err, store.ErrConflict) && got.Revision == h.marks.Revision:
			return err // not applied yet, and perhaps never
		}
		h.marks = got
	}
	return store.ErrConflict
}

// loadMarks reads the marks of the shard, and where it has none that can be used
// at its checkpoint those of its parents. Marks that cannot be read count as
// none, which can let a duplicate through and loses nothing; told tells.
func (h *held) loadMarks(ctx context.Context, at record.Position, parents []fleet.Lease, told func(shard string, err error)) (own *mark.Saved, of []*mark.Saved, err error) {
	read := func(shard string) (store.Row, *mark.Saved, error) {
		row, err := get(ctx, h.table.store, h.table.group, h.table.markID(shard), storeTime)
		if errors.Is(err, store.ErrNotFound) {
			return newRow(h.table.group, h.table.markID(shard)), nil, nil
		}
		if err != nil {
			return row, nil, err
		}
		if err := checkVersion(row); err != nil {
			return row, nil, err
		}
		saved, err := mark.Decode(row.Body)
		if err != nil {
			told(shard, err)
			return row, nil, nil
		}
		return row, saved, nil
	}
	if h.marks, own, err = read(h.shard); err != nil || own != nil && !own.Leads(at) {
		return own, nil, err
	}
	for _, p := range parents {
		_, saved, err := read(p.ID)
		if err != nil {
			return nil, nil, err
		}
		if saved != nil && !saved.Leads(p.At) {
			of = append(of, saved)
		}
	}
	return own, of, nil
}
