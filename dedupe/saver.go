package dedupe

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libvegas/vegas/internal/backoff"
	"github.com/libvegas/vegas/record"
)

const (
	// loadTime is how long a shard waits for what was saved of it. Without that it is
	// read all the same.
	loadTime = 30 * time.Second
	// saveTime bounds one writing.
	saveTime = 10 * time.Second
	// checkpointTime is how often a writing looks whether the checkpoint is there.
	checkpointTime = time.Second
)

var retries = backoff.Backoff{Min: 100 * time.Millisecond, Max: 5 * time.Second}

// saver brings what is handled in a possession into rows, behind the checkpoint: what is
// written must not be taken back by a crash, after which the record could fail.
type saver struct {
	state *state
	every time.Duration

	turn chan struct{} // who uses rows; holds one token
	rows rows

	timer *time.Timer // of the next writing; guarded by state.mu, as what follows
	armed bool
	ended bool

	news, sealed       []entry         // the older ones are sealed
	newsEnd, sealedEnd record.Position // the furthest record of each
}

// load reads what was saved of the shard and of those it comes from. What does not come
// in time, or is damaged, is done without. at is when the first record arrived.
func (sv *saver) load(at int64) {
	sv.rows.shard.AtEnd(sv.end)
	ctx, cancel := context.WithTimeout(context.Background(), loadTime)
	defer cancel()
	st := sv.state
	sv.turn <- struct{}{}
	defer func() { <-sv.turn }()
	var saved []entry
	for attempt := 1; ; attempt++ {
		var err error
		if saved, err = sv.rows.read(ctx, st.warn); err == nil {
			break
		}
		select {
		case <-time.After(retries.Full(attempt, rand.Float64())):
		case <-ctx.Done():
			st.warn("the keys that were saved cannot be read, and are not used: duplicates are possible (see docs/troubleshooting.md#dedupe-store)",
				slog.String("shard", st.where.Shard), slog.Any("error", err))
			return
		}
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.restore(at, saved)
}

// restore puts back what was saved, in the order of its writing. What is over when the
// first record comes is left out, and what arrived later than that: somebody has moved
// the position back, and it comes again.
func (st *state) restore(at int64, saved []entry) {
	last := make(map[hash]entry, len(saved)) // of what was written about a key the last counts
	for _, e := range saved {
		last[e.key] = e
	}
	saved = saved[:0]
	for _, e := range last {
		if at-e.at < st.table.window && e.at-at <= st.table.slack {
			saved = append(saved, e)
		}
	}
	slices.SortFunc(saved, func(a, b entry) int { return cmp.Compare(a.at, b.at) })
	forgotten := 0
	for _, e := range saved {
		forgotten += st.table.put(e)
	}
	st.forgot(forgotten)
}

// note has an entry written, once the checkpoint has passed its record. The caller holds
// state.mu.
func (sv *saver) note(e entry, at record.Position) {
	if sv == nil || sv.ended {
		return
	}
	sv.news = append(sv.news, e)
	if at.Compare(sv.newsEnd) > 0 {
		sv.newsEnd = at
	}
	if limit := sv.state.table.limit; len(sv.news) > limit+limit/4+1 { // the store is away for long
		sv.news = slices.Clone(sv.news[len(sv.news)-limit:])
	}
	sv.arm(sv.every)
}

// revoke takes back what was noted of a record. The caller holds state.mu.
func (sv *saver) revoke(e entry, at record.Position) {
	if sv == nil || at.Compare(sv.newsEnd) > 0 && at.Compare(sv.sealedEnd) > 0 {
		return // it is new
	}
	same := func(f entry) bool { return f.origin == e.origin }
	sv.news, sv.sealed = slices.DeleteFunc(sv.news, same), slices.DeleteFunc(sv.sealed, same)
}

// arm has what there is written some time later. The caller holds state.mu.
func (sv *saver) arm(later time.Duration) {
	switch {
	case sv.armed || sv.ended:
		return
	case sv.timer == nil:
		sv.timer = time.AfterFunc(later, sv.tick)
	default:
		sv.timer.Reset(later)
	}
	sv.armed = true
}

func (sv *saver) tick() {
	ctx, cancel := context.WithTimeout(context.Background(), saveTime)
	defer cancel()
	err := sv.save(ctx)
	st := sv.state
	st.mu.Lock()
	sv.armed = false
	switch {
	case err == nil && len(sv.sealed) > 0:
		sv.arm(min(checkpointTime, sv.every))
	case len(sv.news)+len(sv.sealed) > 0:
		sv.arm(sv.every)
	}
	ended := sv.ended
	st.mu.Unlock()
	if err != nil && !ended {
		st.warn("keys could not be saved, trying again later (see docs/troubleshooting.md#dedupe-store)",
			slog.String("shard", st.where.Shard), slog.Any("error", err))
	}
}

// end writes what is left, at the end of the possession.
func (sv *saver) end(ctx context.Context) {
	st := sv.state
	st.mu.Lock()
	sv.ended = true
	if sv.timer != nil {
		sv.timer.Stop()
	}
	st.mu.Unlock()
	if ctx.Err() != nil {
		return // the shard is somebody else's
	}
	if err := sv.save(ctx); err != nil {
		st.warn("keys could not be saved at the end of a shard: duplicates are possible (see docs/troubleshooting.md#dedupe-store)",
			slog.String("shard", st.where.Shard), slog.Any("error", err))
	}
}

// save writes what is new and lies before the checkpoint.
func (sv *saver) save(ctx context.Context) error {
	select {
	case sv.turn <- struct{}{}:
		defer func() { <-sv.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for {
		due := sv.due()
		if len(due) == 0 {
			break
		}
		written, err := sv.rows.write(ctx, due)
		if err != nil {
			sv.state.mu.Lock()
			sv.sealed = due[written:]
			sv.state.mu.Unlock()
			return err
		}
	}
	sv.state.mu.Lock()
	over := sv.state.table.newest - sv.state.table.window
	sv.state.mu.Unlock()
	return sv.rows.clear(ctx, over)
}

// due takes out what may be written now. What it leaves is sealed, so that the checkpoint
// overtakes it although more is handled meanwhile.
func (sv *saver) due() []entry {
	checkpoint := sv.rows.shard.Checkpoint()
	sv.state.mu.Lock()
	defer sv.state.mu.Unlock()
	if len(sv.sealed) == 0 {
		sv.sealed, sv.sealedEnd = sv.news, sv.newsEnd
		sv.news, sv.newsEnd = nil, record.Position{}
	}
	if sv.sealedEnd.Compare(checkpoint) > 0 {
		return nil
	}
	due := sv.sealed
	sv.sealed = nil
	return due
}
