package lease

import (
	"context"
	"errors"
	"time"

	"github.com/libvegas/vegas/internal/fleet"
	"github.com/libvegas/vegas/store"
)

// nameOf is the name of a worker, or its ID.
func (t *table) nameOf(id string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if name := t.names[id]; name != "" {
		return name
	}
	return id
}

func (t *table) noteWorker(id string, row store.Row) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.peers[id], t.names[id] = row, row.Fields[fieldName]
}

func (t *table) look(ctx context.Context, surely bool, limit time.Duration) fleet.Answer {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var rows []store.Row
	var err error
	if surely {
		rows, err = t.store.List(ctx, t.group, t.workerPrefix())
	} else {
		rows, err = store.Peek(ctx, t.store, t.group, t.workerPrefix())
	}
	if err != nil {
		return t.unknown(ctx, "the workers could not be looked at, trying again", err)
	}
	ans := fleet.Answer{Workers: make([]fleet.Worker, 0, len(rows))}
	peers, names := make(map[string]store.Row, len(rows)), make(map[string]string, len(rows))
	for _, row := range rows {
		id := t.workerIDOf(row)
		w, err := readWorker(row, id)
		switch {
		case err != nil && newer(row):
			// It may live, and must not seem to be gone.
			return t.unknown(ctx, "the workers cannot be looked at: one of them is of a newer release", err)
		case err != nil:
			t.warnOf(ctx, "a worker's row cannot be read", err)
			continue
		}
		peers[id], names[id] = row, w.Name
		ans.Workers = append(ans.Workers, w)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if own, ok := t.peers[t.me]; ok { // nobody knows it better
		peers[t.me], names[t.me] = own, t.names[t.me]
	}
	t.peers, t.names = peers, names
	return ans
}

func (t *table) join(ctx context.Context, a *fleet.Ask, limit time.Duration) fleet.Answer {
	row := newRow(t.group, t.workerPrefix()+a.Worker.ID)
	writeWorker(&row, a.Worker)
	out, err := swap(ctx, t.beats, row, limit)
	switch {
	case errors.Is(err, store.ErrConflict):
		return fleet.Answer{Outcome: fleet.Refused}
	case err != nil:
		return t.unknown(ctx, "the worker's row could not be made, trying again", err)
	}
	t.noteWorker(a.Worker.ID, out)
	// An administrator closes the group first and looks for workers then.
	group, err := get(ctx, t.store, t.group, t.groupID(), limit)
	if err != nil || group.Fields[fieldReset] != "" {
		if err == nil {
			err = errClosed
		}
		return t.unknown(ctx, "the worker cannot join, trying again", err)
	}
	return fleet.Answer{Workers: []fleet.Worker{a.Worker}}
}

// beat writes a heartbeat over the row as we know it. Nobody else writes it but
// to declare us dead.
func (t *table) beat(ctx context.Context, a *fleet.Ask, limit time.Duration) fleet.Answer {
	t.mu.Lock()
	row := t.peers[a.Worker.ID]
	t.mu.Unlock()
	for range 4 {
		next := row.Clone()
		writeWorker(&next, a.Worker)
		out, err := swap(ctx, t.beats, next, limit)
		if err == nil {
			t.noteWorker(a.Worker.ID, out)
			return fleet.Answer{Workers: []fleet.Worker{a.Worker}}
		}
		got, getErr := get(ctx, t.beats, t.group, next.ID, limit)
		switch {
		case errors.Is(getErr, store.ErrNotFound):
			return fleet.Answer{Outcome: fleet.Refused}
		case getErr != nil:
			return t.unknown(ctx, "a heartbeat could not be written, trying again", err)
		}
		w, readErr := readWorker(got, a.Worker.ID)
		if readErr != nil || w.State == fleet.Dead && a.Worker.State != fleet.Dead {
			return fleet.Answer{Outcome: fleet.Refused, Workers: []fleet.Worker{w}}
		}
		t.noteWorker(a.Worker.ID, got)
		if w.Beat >= a.Worker.Beat {
			return fleet.Answer{Workers: []fleet.Worker{w}} // this very write, or a later one of ours
		}
		if !errors.Is(err, store.ErrConflict) && got.Revision == row.Revision {
			return t.unknown(ctx, "a heartbeat could not be written, trying again", err)
		}
		row = got // a heartbeat that was given up arrived after all
	}
	return fleet.Answer{Outcome: fleet.Unknown}
}

// declare writes that a worker is dead, over the row with the beat that was
// seen and no other. A look that was behind may have left us an older row; where
// it is not the one that is meant, or not stored any more, the stored one tells.
func (t *table) declare(ctx context.Context, a *fleet.Ask, limit time.Duration) fleet.Answer {
	t.mu.Lock()
	row := t.peers[a.Worker.ID]
	t.mu.Unlock()
	for fresh := false; ; fresh = true {
		w, err := readWorker(row, a.Worker.ID)
		if err == nil && w.Beat == a.Worker.Beat && w.State != fleet.Dead {
			next := row.Clone()
			set(&next, fieldState, fleet.Dead.String())
			out, err := swap(ctx, t.store, next, limit)
			if err == nil {
				t.noteWorker(w.ID, out)
				w.State = fleet.Dead
				return fleet.Answer{Workers: []fleet.Worker{w}}
			}
			if !errors.Is(err, store.ErrConflict) {
				return t.unknown(ctx, "a worker's death could not be written, trying again", err)
			}
		} else if fresh {
			ans := fleet.Answer{Outcome: fleet.Refused}
			if err == nil {
				ans.Workers = []fleet.Worker{w}
			}
			return ans
		}
		row, err = get(ctx, t.store, t.group, t.workerPrefix()+a.Worker.ID, limit)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return fleet.Answer{Outcome: fleet.Refused}
		case err != nil:
			return t.unknown(ctx, "a worker's death could not be written, trying again", err)
		}
	}
}

func (t *table) bury(ctx context.Context, a *fleet.Ask, limit time.Duration) fleet.Answer {
	err := remove(ctx, t.store, t.group, t.workerPrefix()+a.Worker.ID, limit, func(r store.Row) bool {
		return r.Fields[fieldState] == fleet.Dead.String()
	})
	if err != nil {
		return fleet.Answer{Outcome: fleet.Unknown}
	}
	t.mu.Lock()
	delete(t.peers, a.Worker.ID)
	t.mu.Unlock()
	return fleet.Answer{}
}
