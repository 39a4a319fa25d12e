// Package lease runs a consumer group: it keeps the group's rows in the store,
// decides which shards may be read, parents first, and runs them. For now a
// group has one consumer, which holds every lease.
package lease

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/internal/fetch"
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
	Timing     Timing

	Log      *slog.Logger
	Warn     *quiet.Logger
	Observer observe.Observer

	mu    sync.Mutex
	lives map[string]*shard.Life
	idle  int // shards that wait for their parents
}

// Stream is the stream's name.
func (g *Group) stream() string { return g.Client.Name().Stream }

func (g *Group) where() observe.Where {
	return observe.Where{Stream: g.stream(), Group: g.Name, Worker: g.Worker}
}

// Lives are the shards that are read now, and how many wait for their parents.
func (g *Group) Lives() ([]shard.Snapshot, int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]shard.Snapshot, 0, len(g.lives))
	for _, l := range g.lives {
		out = append(out, l.Snapshot())
	}
	return out, g.idle
}

// Run consumes until ctx is over, and then returns nil once the handlers have
// returned and the last checkpoints are written. Any other end is an error.
//
// What goes wrong before anything was read is an error. Later on it is tried
// again, unless it is of no use.
func (g *Group) Run(ctx context.Context, fn shard.Func) error {
	for started := false; ; {
		again, err := g.session(ctx, fn, &started)
		again = again || started && err != nil && g.hopeful(err)
		if ctx.Err() != nil || !again {
			return err
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

// session consumes from the moment the group is ours until it is not. again: it
// can be tried once more.
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
	id := streamID(sum)
	live, lost := context.WithCancelCause(context.WithoutCancel(ctx))
	defer lost(nil)
	h := &heart{store: g.Store, worker: g.Worker, incarnation: rand.Text(), timing: g.Timing, warn: g.Warn, attrs: g.attrs(), lost: lost}
	if err := h.acquire(ctx, g.Name, g.stream(), "consumer#"+id); err != nil {
		return false, quietly(ctx, errStart{err})
	}
	beatCtx, endBeat := context.WithCancel(context.WithoutCancel(ctx))
	beating := make(chan struct{})
	go func() {
		defer close(beating)
		h.run(beatCtx)
	}()
	s := &session{
		Group: g, fn: fn, created: sum.Created, retention: sum.Retention,
		leases: "lease#" + id + ":", marks: "mark#" + id + ":",
		reader: &fetch.Reader{
			Client: g.Client, Budget: g.Budget, Idle: g.Idle, Busy: g.Busy, ConsumerARN: arn, FallBack: g.FallBack, Retention: sum.Retention,
			Warn: g.Warn, Observer: g.Observer, Where: g.where(),
		},
		stop: shard.NewBrake(), results: make(chan result), over: make(chan struct{}),
		live: live, end: lost,
		tree: tree{}, running: map[string]bool{}, after: map[string]time.Time{}, gone: map[string]bool{},
	}
	again, err = s.run(ctx, sum, id, started)
	// Not while something of this session still runs on a shard of the next.
	again = again && !errors.Is(err, record.ErrGraceOver)
	endBeat()
	<-beating
	if cause := context.Cause(live); live.Err() != nil && errors.Is(cause, record.ErrLeaseLost) {
		if errors.Is(cause, errSuperseded) || ctx.Err() != nil || errors.Is(err, record.ErrGraceOver) {
			return false, errors.Join(err, fmt.Errorf("consume: stream %q: group %q: %w", g.stream(), g.Name, cause))
		}
		return true, cause
	}
	releaseCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
	defer cancel()
	if err := h.release(releaseCtx); err != nil {
		g.Warn.Warn("the group could not be released: the next consumer waits until its lease time is over", append(g.attrs(), slog.Any("error", err))...)
	}
	return again, err
}

// hopeful tells that the start of a later session may succeed after a while: the
// store is away, the service does not answer.
func (g *Group) hopeful(err error) bool {
	var start errStart
	var other *Inhabited
	if !errors.As(err, &start) || errors.As(err, &other) {
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

// pinned is where the group starts: as it was written down when the group was
// first used, whatever is asked for now.
func (g *Group) pinned(ctx context.Context, sum kinesisapi.Summary, id string) (time.Time, error) {
	row := newRow(g.Name, "stream#"+id)
	set(&row, fieldStart, startHorizon)
	// The service's time, cut to the second: rather a few records of that
	// second than to miss one because a clock is wrong.
	now := sum.Now
	if now.IsZero() {
		now = time.Now()
	}
	at := g.Start.Time
	if g.Start.Latest || at.After(now) { // the service refuses a time to come
		at = now
	}
	if !at.IsZero() {
		set(&row, fieldStart, startTime)
		set(&row, fieldStartTime, strconv.FormatInt(at.UnixMilli(), 10))
	}
	got, err := swapSurely(ctx, g.Store, row, func(store.Row) bool { return true })
	if err != nil {
		return time.Time{}, fmt.Errorf("start of the group: %w", err)
	}
	if err := checkVersion(got); err != nil {
		return time.Time{}, err
	}
	switch start := got.Fields[fieldStart]; start {
	case startHorizon:
		return time.Time{}, nil
	case startTime:
		ms, err := strconv.ParseInt(got.Fields[fieldStartTime], 10, 64)
		if err != nil {
			return time.Time{}, fmt.Errorf("store row %q/%q: %w", got.Group, got.ID, err)
		}
		return time.UnixMilli(ms), nil
	default:
		return time.Time{}, fmt.Errorf("store row %q/%q: start is %.40q, want %s or %s", got.Group, got.ID, start, startHorizon, startTime)
	}
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
