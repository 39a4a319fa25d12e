package fleettest

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/libvegas/vegas/internal/mark"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store"
)

// rows watches what is written to a group's store, past all that can go wrong
// on the way to it: positions and possessions never go back, also where a row was
// deleted meanwhile; nothing follows the end of a shard; marks never lead their
// position; the possession rises with every change of the owner; from a worker
// that lives only it itself gives a lease away; and the dead stay dead.
type rows struct {
	fail  func(format string, args ...any)
	began func(time.Time)                          // is told where the group starts, once
	taken func(shard string)                       // is told of leases that were not given by their owner, or late
	late  func(actor string, since time.Time) bool // tells that an owner's grace time is over, of a shard that was announced at a time, or not
	trace *trace
	group string

	mu        sync.Mutex           // held while a write is applied and judged
	rows      map[string]store.Row // as they are, or were when they were deleted
	gone      map[string]bool
	actors    map[string]string    // which life made a worker's row, by the row's ID
	announced map[string]time.Time // when a lease got its heir
	history   map[string][]version // of workers' rows
	written   time.Time            // when something else than a worker's row was written
	reads     int                  // how often something else was read
}

// version of a row; of one that was deleted it is empty.
type version struct {
	at  time.Time
	row store.Row
}

func newRows(fail func(string, ...any), began func(time.Time), tr *trace, group string) *rows {
	return &rows{
		fail: fail, began: began, trace: tr, group: group,
		taken: func(string) {}, late: func(string, time.Time) bool { return false },
		rows: map[string]store.Row{}, gone: map[string]bool{}, actors: map[string]string{}, announced: map[string]time.Time{}, history: map[string][]version{},
	}
}

// apply does a write and judges it.
func (w *rows) apply(ctx context.Context, s store.Store, actor string, row store.Row) (store.Row, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out, err := s.Swap(ctx, row)
	if err != nil {
		return out, err
	}
	w.judge(actor, out)
	w.rows[out.ID], w.gone[out.ID] = out.Clone(), false
	w.remember(out.ID, out)
	return out, nil
}

// remove does a deletion and judges it.
func (w *rows) remove(ctx context.Context, s store.Store, actor string, row store.Row) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := s.Delete(ctx, row); err != nil {
		return err
	}
	if before := w.rows[row.ID]; strings.HasPrefix(row.ID, "worker#") && before.Fields["state"] != "dead" {
		w.fail("%s: %s deletes %s, which is %s", w.group, actor, row.ID, before.Fields["state"])
	}
	w.gone[row.ID] = true
	w.remember(row.ID, store.Row{})
	return nil
}

// lagMost is how old an answer of peek may be.
const lagMost = time.Second

func (w *rows) remember(id string, row store.Row) {
	if !strings.HasPrefix(id, "worker#") {
		w.written = time.Now()
		return
	}
	h := w.history[id]
	for len(h) > 1 && time.Since(h[1].at) > lagMost {
		h = h[1:]
	}
	w.history[id] = append(h, version{time.Now(), row.Clone()})
}

// peek gives of each worker's row a state that it had not longer ago than age
// says.
func (w *rows) peek(prefix string, age func() time.Duration) []store.Row {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []store.Row
	for _, id := range slices.Sorted(maps.Keys(w.history)) {
		if !strings.HasPrefix(id, prefix) {
			continue
		}
		var row store.Row
		asOf := time.Now().Add(-age())
		for _, v := range w.history[id] {
			if v.at.After(asOf) {
				break
			}
			row = v.row
		}
		if row.ID != "" {
			out = append(out, row.Clone())
		}
	}
	return out
}

// quiet is how long ago something else than a worker's row was written.
func (w *rows) quiet() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Since(w.written)
}

// looks counts the reads of something else than workers' rows.
func (w *rows) looks() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reads
}

// read counts a read.
func (w *rows) read(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !strings.HasPrefix(id, "worker#") {
		w.reads++
	}
}

// owned counts the unfinished leases of each life.
func (w *rows) owned() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[string]int{}
	for id, row := range w.rows {
		if strings.HasPrefix(id, "lease#") && !w.gone[id] && !position(row).IsShardEnd() {
			out[w.actor(row)]++
		}
	}
	return out
}

// actor is the life that owns a lease; empty: nobody does.
func (w *rows) actor(lease store.Row) string { return w.actors[workerOf(lease)] }

// workerOf is the ID of the row of a lease's owner; empty: nobody owns it.
func workerOf(lease store.Row) string {
	owner := lease.Fields["owner"]
	if owner == "" {
		return ""
	}
	return "worker#" + lease.ID[len("lease#"):strings.LastIndexByte(lease.ID, ':')+1] + owner
}

func (w *rows) judge(actor string, now store.Row) {
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
		if existed {
			w.judgeLease(actor, before, now)
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
		switch {
		case !existed:
			w.actors[now.ID] = actor
		case w.gone[now.ID]:
			w.fail("%s: %s makes %s a second time", w.group, actor, now.ID)
		case before.Fields["state"] == "dead" && now.Fields["state"] != "dead":
			w.fail("%s: %s rises from the dead", w.group, now.ID)
		case w.actors[now.ID] != actor && now.Fields["state"] != "dead":
			w.fail("%s: %s writes %s, which is %s's", w.group, actor, now.ID, w.actors[now.ID])
		}
	}
}

func (w *rows) judgeLease(actor string, before, now store.Row) {
	was, is := position(before), position(now)
	if is.Compare(was) < 0 {
		w.fail("%s: the checkpoint of %s goes back from %v to %v", w.group, now.ID, was, is)
	}
	if was.IsShardEnd() && is != was {
		w.fail("%s: %s ended and goes on to %v", w.group, now.ID, is)
	}
	from, to := workerOf(before), workerOf(now)
	a, b := number(before, "possession"), number(now, "possession")
	if b < a {
		w.fail("%s: the possession of %s goes back from %d to %d", w.group, now.ID, a, b)
	}
	announced := w.announced[now.ID]
	if now.Fields["heir"] != before.Fields["heir"] {
		delete(w.announced, now.ID)
		if now.Fields["heir"] != "" {
			w.announced[now.ID] = time.Now()
		}
	}
	if from == to {
		return
	}
	if to != "" && b == a {
		w.fail("%s: %s gets a new owner under the possession %d", w.group, now.ID, a)
	}
	owner := w.actors[from]
	shard := now.ID[strings.LastIndexByte(now.ID, ':')+1:]
	switch {
	case from == "":
	case owner != actor && w.lives(from):
		w.fail("%s: %s takes %s from %s, which lives", w.group, actor, now.ID, owner)
	case owner != actor, w.actors[to] == owner, w.late(owner, announced):
		w.taken(shard)
	}
}

// lives tells that a worker's row is there and not dead.
func (w *rows) lives(id string) bool {
	row, ok := w.rows[id]
	return ok && !w.gone[id] && row.Fields["state"] != "dead"
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
