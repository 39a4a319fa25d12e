package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/libvegas/vegas/internal/quiet"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store"
)

// heart keeps a group's consumer row: proof that this consumer lives, and the
// fence against a second one.
//
// Nobody else takes the row before having seen it unchanged for LeaseTime. The
// heart stops everything LeaseTime less a margin after it *sent* the last
// heartbeat that was acknowledged: what others can have seen is not older. Both
// count on their own monotonic clocks. What clocks cannot promise: a machine
// that is suspended wakes up with leases that it lost meanwhile; what it then
// writes is refused by possession number, but a handler may run for a moment.
type heart struct {
	store       store.Store
	row         store.Row
	worker      string
	incarnation string
	timing      Timing
	warn        *quiet.Logger
	attrs       []any // of warnings

	beats uint64                  // number of the last try; no two have the same
	lost  context.CancelCauseFunc // ends every shard
	fuse  *time.Timer
}

// Timing of leases.
type Timing struct {
	// Lease is how long a consumer that stopped beating keeps its leases.
	Lease time.Duration
	// Beat is the time between heartbeats.
	Beat time.Duration
	// Margin is what a lease is given up before others may take it.
	Margin time.Duration
	// Pause is the time until a shard that was given back is read again.
	Pause time.Duration
}

// DefaultTiming is for stores that answer within a second or two.
var DefaultTiming = Timing{Lease: 10 * time.Second, Beat: 2 * time.Second, Margin: 1500 * time.Millisecond, Pause: 10 * time.Second}

// errSuperseded: another consumer has the group.
var errSuperseded = errors.New("another consumer of the group has taken over")

// Inhabited is the error of a consumer whose group has another one that lives.
type Inhabited struct{ Group, Stream, Worker string }

func (e *Inhabited) Error() string {
	return fmt.Sprintf("consume: stream %q: group %q is consumed by worker %q at this moment, and a group has one consumer in this version: stop that one, or use another group (see docs/troubleshooting.md#group-in-use)", e.Stream, e.Group, e.Worker)
}

// acquire makes the consumer row ours: at once if its consumer stopped, and
// after having seen it unchanged for the lease time if that crashed. A living
// one is an error.
func (h *heart) acquire(ctx context.Context, group, stream, id string) error {
	var seen store.Row
	var since time.Time
	for {
		row, err := h.get(ctx, group, id)
		switch {
		case errors.Is(err, store.ErrNotFound):
			row = newRow(group, id)
		case err != nil:
			return fmt.Errorf("consume: stream %q: group %q: %w", stream, group, err)
		default:
			if err := checkVersion(row); err != nil {
				return err
			}
		}
		now := time.Now()
		free := row.Revision == 0 || row.Fields[fieldState] != stateRunning || row.Fields[fieldIncarnation] == h.incarnation
		switch {
		case !free && since.IsZero():
			seen, since = row, now
			// Whoever waits for records would wonder for so long.
			h.warn.Warn("the group's last consumer did not say that it stopped: waiting to see whether it lives (see docs/troubleshooting.md#group-in-use)",
				slog.String("stream", stream), slog.String("group", group), slog.String("worker", row.Fields[fieldWorker]), slog.Duration("wait_max", h.timing.Lease))
		case !free && row.Revision != seen.Revision:
			return &Inhabited{group, stream, row.Fields[fieldWorker]}
		}
		if !free && now.Sub(since) < h.timing.Lease {
			timer := time.NewTimer(min(h.timing.Beat/2, h.timing.Lease-now.Sub(since)))
			select {
			case <-timer.C:
				continue
			case <-ctx.Done():
				timer.Stop()
				return ctx.Err()
			}
		}
		h.row = row
		sent := time.Now()
		err = h.beat(ctx)
		if err == nil {
			h.proved(sent)
			return nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("consume: stream %q: group %q: %w", stream, group, err)
		}
		// Somebody was faster; what is there now decides.
		seen, since = store.Row{}, time.Time{}
	}
}

func (h *heart) get(ctx context.Context, group, id string) (store.Row, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	return h.store.Get(ctx, group, id)
}

// beat writes the row once more. Each try has a number of its own: that an
// earlier one arrives late does not prove that this one was seen.
func (h *heart) beat(ctx context.Context) error {
	next := h.row.Clone()
	n, _ := strconv.ParseUint(next.Fields[fieldBeat], 10, 64)
	h.beats = max(h.beats, n) + 1
	beat := strconv.FormatUint(h.beats, 10)
	set(&next, fieldBeat, beat)
	set(&next, fieldWorker, h.worker)
	set(&next, fieldIncarnation, h.incarnation)
	set(&next, fieldState, stateRunning)
	row, err := swapSurely(ctx, h.store, next, func(r store.Row) bool {
		return r.Fields[fieldIncarnation] == h.incarnation && r.Fields[fieldBeat] == beat
	})
	if err == nil {
		h.row = row
	}
	return err
}

// proved moves the moment on at which everything has to stop.
func (h *heart) proved(sent time.Time) {
	left := time.Until(sent.Add(h.timing.Lease - h.timing.Margin))
	if h.fuse == nil {
		h.fuse = time.AfterFunc(left, func() {
			h.lost(fmt.Errorf("%w: the store did not acknowledge a heartbeat for %v", record.ErrLeaseLost, h.timing.Lease-h.timing.Margin))
		})
		return
	}
	// A fuse that has burnt stays burnt: its shards are stopped.
	if h.fuse.Stop() {
		h.fuse.Reset(left)
	}
}

// run beats until ctx is over or the row is lost.
func (h *heart) run(ctx context.Context) {
	defer h.fuse.Stop()
	next := h.timing.Beat
	timer := time.NewTimer(next)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		sent := time.Now()
		err := h.beat(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			h.proved(sent)
			next = h.timing.Beat
		case errors.Is(err, store.ErrConflict) && h.superseded(ctx):
			h.lost(fmt.Errorf("%w: %w", record.ErrLeaseLost, errSuperseded))
			return
		default:
			h.warn.Warn("a heartbeat could not be written, trying again", append(h.attrs, slog.Any("error", err))...)
			next = h.timing.Beat / 4
		}
		timer.Reset(next)
	}
}

// superseded looks whether the row is still ours, and takes over what it says.
func (h *heart) superseded(ctx context.Context) bool {
	row, err := h.get(ctx, h.row.Group, h.row.ID)
	if errors.Is(err, store.ErrNotFound) {
		return true // deleted; it is never made a second time
	}
	if err != nil {
		return false
	}
	if row.Fields[fieldIncarnation] != h.incarnation {
		return true
	}
	h.row = row // a heartbeat that was given up arrived after all
	return false
}

// release tells the next consumer that it need not wait. Called after run, whose
// last heartbeat may have been applied though nobody waited for the answer.
func (h *heart) release(ctx context.Context) error {
	for again := true; ; again = false {
		next := h.row.Clone()
		set(&next, fieldState, stateStopped)
		_, err := swapSurely(ctx, h.store, next, func(r store.Row) bool { return r.Fields[fieldState] == stateStopped })
		if !errors.Is(err, store.ErrConflict) || !again || h.superseded(ctx) {
			return err
		}
	}
}
