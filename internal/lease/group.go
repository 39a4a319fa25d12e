// Package lease runs a worker of a consumer group: it carries out what package
// fleet decides, over the group's rows in the store, and runs the shards that
// are leased.
package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/internal/fetch"
	"github.com/libvegas/vegas/internal/fleet"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/internal/quiet"
	"github.com/libvegas/vegas/internal/shard"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store"
)

// Start is where a new group starts.
type Start struct {
	// Latest: what arrives from now on, by the service's clock.
	Latest bool
	// Time: what arrived at that time or later. Zero and not Latest: the
	// oldest record there is.
	Time time.Time
}

// Group is a consumer of a group. Fill the fields, then Run.
type Group struct {
	Client *kinesisapi.Client
	Store  store.Store
	Name   string
	Worker string
	Start  Start

	// FanOut reads by enhanced fan-out, as the consumer FanOutName, or as
	// ConsumerARN where it is known already. FallBack polls where that is
	// refused.
	FanOut      bool
	FanOutName  string
	ConsumerARN string
	FallBack    bool

	Idle, Busy time.Duration
	Budget     *fetch.Budget
	Policy     *shard.Policy
	Grace      time.Duration
	Timing     fleet.Timing
	MaxShards  int // the most that are read; 0: no limit

	Log      *slog.Logger
	Warn     *quiet.Logger
	Observer observe.Observer

	beats store.Store // Store over connections of its own, for heartbeats

	mu      sync.Mutex
	lives   map[string]*life
	waiting int // shards that nobody may read yet, or nobody does
}

// NameTaken is the error of a worker whose name another one has that lives.
type NameTaken struct{ Group, Stream, Worker string }

func (e *NameTaken) Error() string {
	return fmt.Sprintf("consume: stream %q: group %q: a worker named %q is running: give each worker of a group a name of its own, or leave o.Worker out (see docs/troubleshooting.md#worker-name-taken)", e.Stream, e.Group, e.Worker)
}

// Stream is the stream's name.
func (g *Group) stream() string { return g.Client.Name().Stream }

func (g *Group) where() observe.Where {
	return observe.Where{Stream: g.stream(), Group: g.Name, Worker: g.Worker}
}

// Lives are the shards that are read now, and how many wait for their parents or
// for an owner.
func (g *Group) Lives() ([]shard.Snapshot, int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]shard.Snapshot, 0, len(g.lives))
	for _, l := range g.lives {
		if s := l.Snapshot(); s.Shard != "" { // else its marks are still being read
			out = append(out, s)
		}
	}
	return out, g.waiting
}

// Run consumes until ctx is over, and then returns nil once the handlers have
// returned, the last checkpoints are written and the leases are handed over. Any
// other end is an error.
//
// What goes wrong before anything was read is an error. Later on it is tried
// again, unless it is of no use.
func (g *Group) Run(ctx context.Context, fn shard.Func) error {
	g.beats = store.Separate(g.Store)
	defer func() { _ = g.beats.Close() }()
	for started := false; ; {
		again, err := g.session(ctx, fn, &started)
		again = again || started && err != nil && g.hopeful(err)
		switch {
		case !again:
			return err
		case ctx.Err() != nil:
			return nil
		}
		g.Warn.Warn("starting again", append(g.attrs(), slog.Any("error", err))...)
		if !pause(ctx, g.Timing.Beat) {
			return nil
		}
	}
}

func (g *Group) attrs() []any {
	return []any{slog.String("stream", g.stream()), slog.String("group", g.Name), slog.String("worker", g.Worker)}
}

// session is a worker's row from its making to its end. again: another one can
// be tried.
func (g *Group) session(ctx context.Context, fn shard.Func, started *bool) (again bool, err error) {
	sum, err := g.describe(ctx)
	if err != nil {
		return false, quietly(ctx, errStart{err})
	}
	var arn string
	if g.FanOut {
		if arn, err = g.register(ctx, sum); err != nil {
			return false, quietly(ctx, errStart{err})
		}
	}
	if err := g.open(ctx); err != nil {
		return false, quietly(ctx, errStart{fmt.Errorf("consume: stream %q: group %q: %w", g.stream(), g.Name, err)})
	}
	s := g.newSession(ctx, fn, sum, arn)
	if err := s.pinned(ctx, sum); err != nil {
		return false, quietly(ctx, errStart{err})
	}
	s.started = started
	err = s.run()
	switch {
	case errors.Is(err, record.ErrGraceOver):
		return false, err // something of this session still runs on a shard of the next
	case errors.Is(err, fleet.ErrDead):
		return true, fmt.Errorf("consume: stream %q: group %q: %w", g.stream(), g.Name, err)
	}
	return s.remade, err
}

// hopeful tells that the start of a later session may succeed after a while: the
// store is away, the service does not answer.
func (g *Group) hopeful(err error) bool {
	if _, start := errors.AsType[errStart](err); !start {
		return false
	}
	if class := kinesisapi.Classify(err); errors.As(err, new(*kinesisapi.Error)) && (class == kinesisapi.Fatal || class == kinesisapi.Refused) {
		return false
	}
	return true
}

// errStart is an error of a session that has not read anything.
type errStart struct{ error }

func (e errStart) Unwrap() error { return e.error }

// quietly is nil for an error that is only the end of Run.
func quietly(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

// callTime bounds one question to the service, the SDK's retries included.
const callTime = 30 * time.Second

func inTime[T any](ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	callCtx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	out, err := ask(callCtx)
	if err != nil && callCtx.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: no answer in %v: check the endpoint, DNS, proxies and security groups (see docs/troubleshooting.md#unreachable)", err, callTime)
	}
	return out, err
}

// describe waits for the stream to be usable.
func (g *Group) describe(ctx context.Context) (kinesisapi.Summary, error) {
	for {
		sum, err := inTime(ctx, g.Client.Describe)
		if err != nil {
			return sum, err
		}
		switch sum.Status {
		case types.StreamStatusDeleting:
			return sum, fmt.Errorf("consume: stream %q is being deleted", g.stream())
		case types.StreamStatusCreating:
			g.Warn.Warn("the stream is being created, waiting", g.attrs()...)
			if !pause(ctx, time.Second) {
				return sum, ctx.Err()
			}
		default:
			return sum, nil
		}
	}
}

// openTime is what a store may need to get ready, such as to make its table.
const openTime = 2 * time.Minute

func (g *Group) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	if err := store.Open(ctx, g.Store); err != nil {
		return err
	}
	return store.Open(ctx, g.beats)
}

// register is the ARN of the fan-out consumer to read as; empty: poll.
func (g *Group) register(ctx context.Context, sum kinesisapi.Summary) (string, error) {
	if g.ConsumerARN != "" {
		return g.ConsumerARN, nil
	}
	arn, err := fetch.Register(ctx, g.Client, sum.ARN, g.FanOutName)
	if err != nil && ctx.Err() == nil && g.FallBack {
		g.Warn.Warn("enhanced fan-out was refused, polling instead", append(g.attrs(), slog.Any("error", err))...)
		return "", nil
	}
	return arn, err
}

// pinned finds where the group starts: as it was written down when the group was
// first used, whatever is asked for now.
func (s *session) pinned(ctx context.Context, sum kinesisapi.Summary) error {
	row, err := s.pin(ctx, sum)
	if err != nil {
		return fmt.Errorf("consume: stream %q: start of group %q: %w", s.stream(), s.Name, err)
	}
	f := fields{row: row}
	s.table.floor = f.number(fieldFloor)
	switch start := row.Fields[fieldStart]; start {
	case startHorizon:
	case startTime:
		s.table.start = f.time(fieldStartTime)
	default:
		return fmt.Errorf("store row %q/%q: start is %.40q, want %s or %s", row.Group, row.ID, start, startHorizon, startTime)
	}
	return f.err
}

// pin is the group's row, made where it is missing.
func (s *session) pin(ctx context.Context, sum kinesisapi.Summary) (store.Row, error) {
	for {
		row, err := get(ctx, s.Store, s.Name, s.table.groupID(), storeTime)
		if errors.Is(err, store.ErrNotFound) {
			row, err = newRow(s.Name, s.table.groupID()), nil
		}
		if err != nil {
			return row, err
		}
		if err := checkVersion(row); err != nil {
			return row, err
		}
		if row.Fields[fieldReset] != "" {
			return row, errClosed
		}
		if row.Fields[fieldStart] != "" {
			return row, nil
		}
		setStart(&row, s.Start, sum)
		// Of an outcome that is unknown the row tells, now or at the next start.
		if _, err := swap(ctx, s.Store, row, storeTime); err != nil && !errors.Is(err, store.ErrConflict) {
			if got, getErr := get(ctx, s.Store, s.Name, s.table.groupID(), storeTime); getErr == nil && got.Fields[fieldStart] != "" {
				return got, nil
			}
			return row, err
		}
	}
}

// errClosed: an administrator is at work.
var errClosed = errors.New("the group is being reset or deleted: wait for that to end, or if it was interrupted do it again (see docs/troubleshooting.md#group-closed)")

// listing asks for the stream's shards.
func (g *Group) listing(ctx context.Context) ([]fleet.Shard, error) {
	raw, err := inTime(ctx, func(ctx context.Context) ([]types.Shard, error) { return g.Client.ListShards(ctx, nil) })
	if err != nil {
		return nil, err
	}
	out := make([]fleet.Shard, 0, len(raw))
	for _, one := range raw {
		// Without a range nothing can be told to be misplaced.
		l := fleet.Shard{ID: aws.ToString(one.ShardId), Range: keyspace.Full}
		for _, p := range []*string{one.ParentShardId, one.AdjacentParentShardId} {
			if aws.ToString(p) != "" {
				l.Parents = append(l.Parents, *p)
			}
		}
		if r := one.HashKeyRange; r != nil {
			if l.Range, err = keyspace.ParseRange(aws.ToString(r.StartingHashKey), aws.ToString(r.EndingHashKey)); err != nil {
				return nil, fmt.Errorf("list shards: stream %q: %w", g.stream(), err)
			}
		}
		out = append(out, l)
	}
	return out, nil
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
