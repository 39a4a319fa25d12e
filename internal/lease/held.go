package lease

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/libvegas/vegas/internal/fetch"
	"github.com/libvegas/vegas/internal/mark"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store"
)

// storeTime bounds one call of the store.
const storeTime = 5 * time.Second

// held is a lease in our possession: what is written about its shard, by one
// writer at a time.
type held struct {
	store      store.Store
	group      string
	stream     string // for errors
	shard      string
	possession uint64
	row        store.Row // as it is stored, as far as we know
	marks      store.Row
}

// take makes a lease ours: a write that raises the possession number, after
// which every write of an earlier possession is refused.
func take(ctx context.Context, s store.Store, stream, worker string, e *entry, possession uint64) (*held, error) {
	h := &held{store: s, group: e.row.Group, stream: stream, shard: e.id, possession: possession, row: e.row.Clone()}
	set(&h.row, fieldPossession, strconv.FormatUint(possession, 10))
	set(&h.row, fieldWorker, worker)
	row, err := swapSurely(ctx, s, h.row, func(r store.Row) bool {
		return r.Fields[fieldPossession] == h.row.Fields[fieldPossession] && r.Fields[fieldWorker] == worker
	})
	if err != nil {
		return nil, fmt.Errorf("take lease: stream %q %s: %w", stream, e.id, err)
	}
	h.row = row
	return h, nil
}

// swapSurely writes a row and, when the outcome is unknown, lets the row decide:
// mine tells our write from others'.
func swapSurely(ctx context.Context, s store.Store, row store.Row, mine func(store.Row) bool) (store.Row, error) {
	swapCtx, cancel := context.WithTimeout(ctx, storeTime)
	out, err := s.Swap(swapCtx, row)
	cancel()
	if err == nil {
		return out, nil
	}
	// A conflict may be with our own write, applied though its answer was lost.
	getCtx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	got, getErr := s.Get(getCtx, row.Group, row.ID)
	if getErr == nil && mine(got) {
		return got, nil
	}
	return store.Row{}, err
}

// Checkpoint stores a position, and up to when everything that arrived is done
// with.
func (h *held) Checkpoint(ctx context.Context, p record.Position, seen time.Time) error {
	err := h.write(ctx, &h.row, func(r *store.Row) bool {
		if at := (record.Position{Sequence: r.Fields[fieldSequence], SubSequence: subSequence(*r)}); p.Compare(at) > 0 {
			setPosition(r, p)
			set(r, fieldTakeovers, "")
			set(r, fieldTried, "")
		} else if p != at || seen.UnixMilli() <= millis(*r, fieldSeen) {
			return false // an earlier write of ours arrived after all
		}
		if !seen.IsZero() {
			set(r, fieldSeen, strconv.FormatInt(seen.UnixMilli(), 10))
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("checkpoint: stream %q %s at %v: %w", h.stream, h.shard, p, err)
	}
	return nil
}

func millis(r store.Row, field string) int64 {
	n, _ := strconv.ParseInt(r.Fields[field], 10, 64)
	return n
}

func subSequence(r store.Row) int64 {
	n, _ := strconv.ParseInt(r.Fields[fieldSub], 10, 64)
	return n
}

// SaveMarks stores marks.
func (h *held) SaveMarks(ctx context.Context, marks []byte) error {
	err := h.write(ctx, &h.marks, func(r *store.Row) bool {
		r.Body = marks
		set(r, fieldPossession, strconv.FormatUint(h.possession, 10))
		return true
	})
	if err != nil {
		return fmt.Errorf("marks: stream %q %s: %w", h.stream, h.shard, err)
	}
	return nil
}

// Suspect stores that a record behind the checkpoint may kill its owners, and how
// often the next one was tried.
func (h *held) Suspect(ctx context.Context, tried int) error {
	return h.suspect(ctx, func(r *store.Row) {
		set(r, fieldSuspect, "1")
		setCount(r, fieldTried, tried)
	})
}

// Calm takes that back.
func (h *held) Calm(ctx context.Context) error {
	return h.suspect(ctx, func(r *store.Row) {
		set(r, fieldTakeovers, "")
		set(r, fieldSuspect, "")
		set(r, fieldTried, "")
	})
}

func (h *held) suspect(ctx context.Context, change func(*store.Row)) error {
	err := h.write(ctx, &h.row, func(r *store.Row) bool {
		change(r)
		return true
	})
	if err != nil {
		return fmt.Errorf("suspicion: stream %q %s: %w", h.stream, h.shard, err)
	}
	return nil
}

// write changes a row of ours. It holds on to the possession: if the row has a
// higher one, the lease is lost. The row of the marks belongs to whoever
// possesses the lease, whatever number an earlier possession left there.
func (h *held) write(ctx context.Context, row *store.Row, change func(*store.Row) bool) error {
	for range 4 {
		next := row.Clone()
		if !change(&next) {
			return nil
		}
		swapCtx, cancel := context.WithTimeout(ctx, storeTime)
		out, err := h.store.Swap(swapCtx, next)
		cancel()
		if err == nil {
			*row = out
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		getCtx, cancel := context.WithTimeout(ctx, storeTime)
		got, getErr := h.store.Get(getCtx, row.Group, row.ID)
		cancel()
		switch {
		case errors.Is(getErr, store.ErrNotFound) && row.Revision == 0:
			return err // not made yet
		case errors.Is(getErr, store.ErrNotFound):
			// Somebody deleted the group.
			return fmt.Errorf("its row is gone: %w", record.ErrLeaseLost)
		case getErr != nil:
			return err
		}
		possession, _ := strconv.ParseUint(got.Fields[fieldPossession], 10, 64)
		if possession > h.possession {
			return record.ErrLeaseLost
		}
		if !errors.Is(err, store.ErrConflict) && got.Revision == row.Revision {
			return err // not applied yet, and perhaps never
		}
		*row = got
	}
	return store.ErrConflict
}

// loadMarks reads the marks of the shard, and where it has none that can be used
// at its checkpoint those of its parents. Marks that cannot be read count as
// none, which can let a duplicate through and loses nothing; told tells.
func (h *held) loadMarks(ctx context.Context, prefix string, at record.Position, parents []*entry, told func(shard string, err error)) (own *mark.Saved, of []*mark.Saved, err error) {
	read := func(shard string) (store.Row, *mark.Saved, error) {
		getCtx, cancel := context.WithTimeout(ctx, storeTime)
		defer cancel()
		row, err := h.store.Get(getCtx, h.group, prefix+shard)
		if errors.Is(err, store.ErrNotFound) {
			return newRow(h.group, prefix+shard), nil, nil
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
		_, saved, err := read(p.id)
		if err != nil {
			return nil, nil, err
		}
		if saved != nil && !saved.Leads(p.at) {
			of = append(of, saved)
		}
	}
	return own, of, nil
}

// end writes the leases of the children, and then that the shard has ended: in
// this order, so that whoever crashes in between leaves nothing out. It returns
// the children's leases.
func (h *held) end(ctx context.Context, prefix string, children []fetch.Child, start time.Time) ([]*entry, error) {
	var out []*entry
	var ids []string
	for _, c := range children {
		e, err := create(ctx, h.store, h.group, prefix, Shard(c), start, h.possession)
		if err != nil {
			return nil, fmt.Errorf("lease of child %s: stream %q %s: %w", c.ID, h.stream, h.shard, err)
		}
		out = append(out, e)
		ids = append(ids, c.ID)
	}
	err := h.write(ctx, &h.row, func(r *store.Row) bool {
		setPosition(r, record.ShardEnd)
		set(r, fieldChildren, strings.Join(ids, " "))
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("end of shard: stream %q %s: %w", h.stream, h.shard, err)
	}
	return out, nil
}

// create makes a lease, or finds that it is there.
func create(ctx context.Context, s store.Store, group, prefix string, shard Shard, start time.Time, possession uint64) (*entry, error) {
	row, err := swapSurely(ctx, s, leaseRow(group, prefix, shard, start, possession), func(store.Row) bool { return true })
	if err != nil {
		return nil, err
	}
	return readEntry(row, prefix)
}
