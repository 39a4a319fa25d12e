package lease

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/internal/fleet"
	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store"
)

// Admin looks at a group's rows of one stream, and changes them, from outside of
// its workers.
type Admin struct {
	*Group
	table   *table
	created time.Time
}

// NewAdmin asks the service which stream it is.
func NewAdmin(ctx context.Context, g *Group) (*Admin, error) {
	sum, err := inTime(ctx, g.Client.Describe)
	if err != nil {
		return nil, err
	}
	t := newTable(g.Store, g.Name, streamID(sum), "admin-"+strings.ToLower(rand.Text()[:10]))
	t.warn, t.attrs = g.Warn, g.attrs()
	return &Admin{Group: g, table: t, created: sum.Created}, nil
}

// State is what a group's rows say.
type State struct {
	Workers []WorkerState
	Leases  []LeaseState
}

// WorkerState is a worker's row.
type WorkerState struct {
	fleet.Worker
	// Sent is when its last heartbeat left, by the clock of its machine.
	Sent time.Time
}

// LeaseState is a lease's row.
type LeaseState struct {
	fleet.Lease
	// Worker is the owner's name, and Next the heir's.
	Worker, Next string
	// Moved is when the checkpoint moved last, by the clock of its owner.
	Moved time.Time
}

// Inspect reads the rows: one listing of workers and one of leases.
func (a *Admin) Inspect(ctx context.Context) (State, error) {
	var out State
	rows, err := a.list(ctx, a.table.workerPrefix())
	if err != nil {
		return out, err
	}
	names := map[string]string{}
	for _, row := range rows {
		w, err := readWorker(row, a.table.workerIDOf(row))
		if err != nil {
			return out, err
		}
		names[w.ID] = w.Name
		if w.Name != "" { // an administrator's bell has none
			f := fields{row: row}
			out.Workers = append(out.Workers, WorkerState{Worker: w, Sent: f.time(fieldSent)})
		}
	}
	if rows, err = a.list(ctx, a.table.leasePrefix()); err != nil {
		return out, err
	}
	for _, row := range rows {
		l, err := readLease(row, a.table.shardOf(row))
		if err != nil {
			return out, err
		}
		f := fields{row: row}
		s := LeaseState{Lease: l, Moved: f.time(fieldMoved)}
		if l.Owner != "" {
			s.Worker = row.Fields[fieldWorker]
		}
		if s.Next = names[l.Heir]; s.Next == "" {
			s.Next = l.Heir
		}
		out.Leases = append(out.Leases, s)
	}
	return out, nil
}

func (a *Admin) list(ctx context.Context, prefix string) ([]store.Row, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*storeTime)
	defer cancel()
	rows, err := a.Store.List(ctx, a.Name, prefix)
	if err != nil {
		return nil, fmt.Errorf("stream %q: group %q: %w", a.stream(), a.Name, err)
	}
	return rows, nil
}

// Behind asks the service how far each checkpoint lies behind the tip of its
// shard: an iterator and a read of one record for each shard that has not ended.
// Where there is no answer, the shard is missing.
func (a *Admin) Behind(ctx context.Context, leases []LeaseState) map[string]time.Duration {
	var mu sync.Mutex
	var all sync.WaitGroup
	out := map[string]time.Duration{}
	turns := make(chan struct{}, 16)
	for _, l := range leases {
		if l.Ended() {
			continue
		}
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			if behind, err := a.behind(ctx, l); err == nil {
				mu.Lock()
				defer mu.Unlock()
				out[l.ID] = behind
			}
		})
	}
	all.Wait()
	return out
}

func (a *Admin) behind(ctx context.Context, l LeaseState) (time.Duration, error) {
	at := types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon}
	switch {
	case !l.At.IsStart():
		at = types.StartingPosition{Type: types.ShardIteratorTypeAfterSequenceNumber, SequenceNumber: &l.At.Sequence}
	case !l.Start.IsZero():
		at = types.StartingPosition{Type: types.ShardIteratorTypeAtTimestamp, Timestamp: &l.Start}
	}
	it, err := a.Client.Iterator(ctx, l.ID, at)
	if err != nil {
		return 0, err
	}
	answer, err := a.Client.GetRecords(ctx, l.ID, it, 1)
	if err != nil {
		return 0, err
	}
	behind := answer.Behind
	if behind < 0 {
		return 0, errors.New("no answer")
	}
	if len(answer.Records) > 0 { // which the answer is about the place after
		if arrived := answer.Records[0].Arrival; !arrived.IsZero() {
			behind = max(behind, time.Since(arrived))
		}
	}
	return behind, nil
}

// ErrInhabited: workers of the group live.
var ErrInhabited = errors.New("workers of the group are running")

// Release asks the owner of a shard to give it up in order: it finishes what it
// has, writes its checkpoint, and leaves the shard to the other workers for a
// while. force takes the lease away at once, whatever its owner does.
func (a *Admin) Release(ctx context.Context, shard string, force bool) error {
	fail := func(err error) error {
		return fmt.Errorf("stream %q %s: group %q: %w", a.stream(), shard, a.Name, err)
	}
	row, err := get(ctx, a.Store, a.Name, a.table.leaseID(shard), storeTime)
	if err != nil {
		return fail(unknown(err))
	}
	l, err := readLease(row, shard)
	if err != nil {
		return fail(err)
	}
	if l.Owner == "" {
		return fail(errors.New("nobody owns it"))
	}
	ask := &fleet.Ask{Verb: fleet.Announce, Lease: shard, Possession: l.Possession, From: l.Owner, To: fleet.Anyone}
	if force {
		ask.Verb, ask.To = fleet.Give, ""
	}
	switch ans := a.table.do(ctx, ask, storeTime); ans.Outcome {
	case fleet.Refused:
		return fail(fmt.Errorf("%w: it is changing hands already", store.ErrConflict))
	case fleet.Unknown:
		return fail(errors.New("the store did not answer: look at the lease and try again"))
	}
	if err := a.ring(ctx, shard); err != nil {
		return fail(err)
	}
	if force {
		return nil
	}
	for {
		row, err := get(ctx, a.Store, a.Name, a.table.leaseID(shard), storeTime)
		if err != nil {
			return fail(err)
		}
		if now, err := readLease(row, shard); err != nil || now.Possession != l.Possession || now.Ended() {
			return err
		}
		if !pause(ctx, 100*time.Millisecond) {
			return fail(fmt.Errorf("the owner %q has been asked and has not given it up yet: %w", row.Fields[fieldWorker], context.Cause(ctx)))
		}
	}
}

// ring tells the workers to look at a lease: with the bell of a worker that is
// dead already, which they bury.
func (a *Admin) ring(ctx context.Context, shard string) error {
	w := fleet.Worker{ID: "admin-" + strings.ToLower(rand.Text()[:10]), State: fleet.Dead}
	w.Bell.Ring(shard)
	row := newRow(a.Name, a.table.workerPrefix()+w.ID)
	writeWorker(&row, w)
	_, err := swap(ctx, a.Store, row, storeTime)
	return err
}

// Move sets the checkpoint of one shard; a start position means its oldest
// record. Its marks go with it.
func (a *Admin) Move(ctx context.Context, shard string, to record.Position, force bool) error {
	fail := func(err error) error {
		return fmt.Errorf("stream %q %s: group %q: %w", a.stream(), shard, a.Name, err)
	}
	if _, err := get(ctx, a.Store, a.Name, a.table.leaseID(shard), storeTime); err != nil {
		return fail(unknown(err))
	}
	if !to.IsStart() && !to.IsShardEnd() { // a reader would take it for trimmed, and start over
		at := types.StartingPosition{Type: types.ShardIteratorTypeAfterSequenceNumber, SequenceNumber: &to.Sequence}
		switch _, err := a.Client.Iterator(ctx, shard, at); {
		case kinesisapi.Invalid(err):
			return fail(fmt.Errorf("the shard has no position %s, or not any more: %w", to, err))
		case err != nil:
			return fail(err)
		}
	}
	if err := a.empty(ctx, force); err != nil {
		return fail(err)
	}
	// Marks that lead a checkpoint are not used, and those that lag it are
	// right; they are deleted so that a move to and fro leaves none. Nothing is
	// half done at any moment, so the group is opened again in any case.
	_, err := a.table.update(ctx, shard, storeTime, func(r *store.Row) verdict {
		f := fields{row: *r}
		setNumber(r, fieldPossession, f.number(fieldPossession)+1)
		set(r, fieldOwner, "")
		set(r, fieldWorker, "")
		set(r, fieldHeir, "")
		set(r, fieldSuspect, "")
		set(r, fieldStartTime, "")
		setPosition(r, to)
		return write
	})
	if err == nil {
		err = remove(ctx, a.Store, a.Name, a.table.markID(shard), storeTime, nil)
	}
	if err = errors.Join(err, a.filled(ctx)); err != nil {
		return fail(err)
	}
	return nil
}

// unknown explains why a shard has no row.
func unknown(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("the group has no lease of this shard, which is of another stream, or new: look at the leases of the group: %w", err)
	}
	return err
}

// Reset makes the group start anew: its leases and marks are deleted.
func (a *Admin) Reset(ctx context.Context, to Start, force bool) error {
	err := a.empty(ctx, force)
	if err == nil {
		err = a.clear(ctx)
	}
	if err == nil {
		err = a.restart(ctx, to)
	}
	if err != nil {
		return fmt.Errorf("stream %q: group %q: %w", a.stream(), a.Name, err)
	}
	return nil
}

// Delete deletes everything that the group remembers of the stream.
func (a *Admin) Delete(ctx context.Context, force bool) error {
	err := a.empty(ctx, force)
	if err == nil {
		err = a.clear(ctx)
	}
	if err == nil {
		err = a.removeAll(ctx, a.table.workerPrefix())
	}
	if err == nil {
		err = remove(ctx, a.Store, a.Name, a.table.groupID(), storeTime, nil)
	}
	if err != nil {
		return fmt.Errorf("stream %q: group %q: %w", a.stream(), a.Name, err)
	}
	return nil
}

// empty closes the group to new workers and makes sure that none lives: whoever
// joins looks whether the group is closed after its row is written, and empty
// looks for rows after it has closed the group. A worker that does not beat is
// declared dead when its lease time is over, or at once with force. Where that
// fails the group is open again.
func (a *Admin) empty(ctx context.Context, force bool) error {
	err := a.group(ctx, func(r *store.Row) { set(r, fieldReset, yes) })
	if err != nil {
		return err
	}
	if err := a.vacate(ctx, force); err != nil {
		return errors.Join(err, a.filled(ctx))
	}
	return nil
}

// vacate waits until no worker lives.
func (a *Admin) vacate(ctx context.Context, force bool) error {
	began := time.Now()
	first := map[string]fleet.Worker{}
	for {
		ans := a.table.look(ctx, true, storeTime)
		if ans.Outcome != fleet.Done {
			return fmt.Errorf("the workers' rows could not be read: %w", ans.Err)
		}
		waiting := false
		for _, w := range ans.Workers {
			if w.State == fleet.Dead {
				continue
			}
			seen, ok := first[w.ID]
			if !ok {
				first[w.ID], seen = w, w
			}
			switch {
			case force, w.Beat == seen.Beat && time.Since(began) >= w.Lease:
				a.table.do(ctx, &fleet.Ask{Verb: fleet.Declare, Worker: w}, storeTime)
			case w.Beat != seen.Beat:
				return fmt.Errorf("%w: worker %q has just sent a heartbeat: stop it first, or force (see docs/troubleshooting.md#group-running)", ErrInhabited, w.Name)
			}
			waiting = true
		}
		if !waiting {
			return nil
		}
		if !pause(ctx, 100*time.Millisecond) {
			return context.Cause(ctx)
		}
	}
}

// filled opens the group again, also when ctx is over.
func (a *Admin) filled(ctx context.Context) error {
	return a.group(context.WithoutCancel(ctx), func(r *store.Row) { set(r, fieldReset, "") })
}

// restart writes where the group starts, and opens it.
func (a *Admin) restart(ctx context.Context, to Start) error {
	sum, err := inTime(ctx, a.Client.Describe)
	if err != nil {
		return err
	}
	return a.group(ctx, func(r *store.Row) {
		setStart(r, to, sum)
		set(r, fieldReset, "")
	})
}

// group changes the group's row.
func (a *Admin) group(ctx context.Context, edit func(*store.Row)) error {
	for {
		row, err := get(ctx, a.Store, a.Name, a.table.groupID(), storeTime)
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("the store knows no such group of this stream: %w", err)
		}
		if err == nil {
			err = checkVersion(row)
		}
		if err != nil {
			return err
		}
		edit(&row)
		if _, err = swap(ctx, a.Store, row, storeTime); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// clear deletes leases and marks, and remembers the highest possession number.
func (a *Admin) clear(ctx context.Context) error {
	rows, err := a.list(ctx, a.table.leasePrefix())
	if err != nil {
		return err
	}
	high := uint64(0)
	for _, row := range rows {
		f := fields{row: row}
		high = max(high, f.number(fieldPossession))
	}
	if err := a.table.raiseFloor(ctx, high, storeTime); err != nil {
		return err
	}
	if err := a.removeAll(ctx, a.table.markID("")); err != nil {
		return err
	}
	if err := a.removeAll(ctx, a.table.layerPrefix()); err != nil {
		return err
	}
	return a.removeAll(ctx, a.table.leasePrefix())
}

func (a *Admin) removeAll(ctx context.Context, prefix string) error {
	return a.table.removeAll(ctx, prefix, storeTime)
}

// setStart writes where a group starts.
func setStart(row *store.Row, to Start, sum kinesisapi.Summary) {
	set(row, fieldStart, startHorizon)
	set(row, fieldStartTime, "")
	// The service's time, cut to the second: rather a few records of that
	// second than to miss one because a clock is wrong.
	now := sum.Now
	if now.IsZero() {
		now = time.Now()
	}
	at := to.Time
	if to.Latest || at.After(now) { // the service refuses a time to come
		at = now
	}
	if !at.IsZero() {
		set(row, fieldStart, startTime)
		setNumber(row, fieldStartTime, at.UnixMilli())
	}
}
