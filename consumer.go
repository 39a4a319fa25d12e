package vegas

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/libvegas/vegas/admin"
	"github.com/libvegas/vegas/internal/fetch"
	"github.com/libvegas/vegas/internal/fleet"
	"github.com/libvegas/vegas/internal/inner"
	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/internal/lease"
	"github.com/libvegas/vegas/internal/quiet"
	"github.com/libvegas/vegas/internal/shard"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/store"
)

// Consumer reads one stream on behalf of a group, as one worker of it: as many
// as run with one store share the shards evenly, and take over from each other
// when one stops, crashes or joins. The store remembers how far they came:
// whoever reads a shard next goes on from its last checkpoint.
//
// Every record is delivered at least once, and those of one partition key in
// the order in which they were sent, through splits and merges: a shard is read
// when those it was made from are finished.
type Consumer struct {
	name    kinesisapi.Name
	group   kinesisapi.Group
	o       ConsumerOptions
	store   store.Store
	tally   *tally
	running atomic.Bool
	current atomic.Pointer[current]
}

// current is what Stats looks at while the Consumer runs.
type current struct {
	group  *lease.Group
	budget *fetch.Budget
}

// Shard is one leased shard, as the function given to [Consumer.RunShards]
// sees it.
type Shard = shard.Shard

// Ending is why a shard has no more batches.
type Ending = shard.Ending

// Why a shard has no more batches.
const (
	NotEnding = shard.NotEnding // it goes on
	ShardEnd  = shard.ShardEnd  // it was closed, and read to its end
	Handoff   = shard.Handoff   // its lease goes to another worker
	Shutdown  = shard.Shutdown  // the consumer stops
)

// NewConsumer makes a Consumer of a stream, given by name or ARN, for a group:
// a name of 1 to 128 letters, digits, "_", "." and "-", or the ARN of a
// registered enhanced fan-out consumer of the stream, whose name then is the
// group and as which it is read. NewConsumer checks its arguments and does no
// I/O: what is wrong with the stream, the store or the network is the error of
// Run, or of Check.
func NewConsumer(stream, group string, opts ...func(*ConsumerOptions)) (*Consumer, error) {
	name, err := kinesisapi.ParseName(stream)
	if err != nil {
		return nil, fmt.Errorf("new consumer: %w", err)
	}
	g, err := kinesisapi.ParseGroup(group, name)
	if err != nil {
		return nil, fmt.Errorf("new consumer: stream %q: %w", name.Stream, err)
	}
	o := consumerDefaults()
	for _, f := range opts {
		f(&o)
	}
	if g.ConsumerARN != "" {
		o.FanOut = true
	}
	if o.FanOutName == "" {
		o.FanOutName = g.Name
	} else if err := kinesisapi.CheckName(o.FanOutName); err != nil {
		return nil, fmt.Errorf("new consumer: stream %q, group %q: o.FanOutName %.80q: %w (see docs/troubleshooting.md#group-name)", name.Stream, g.Name, o.FanOutName, err)
	}
	rows, err := o.check()
	if err != nil {
		return nil, fmt.Errorf("new consumer: stream %q, group %q: %w", name.Stream, g.Name, err)
	}
	return &Consumer{name: name, group: g, o: o, store: rows, tally: newTally(o.Observer)}, nil
}

// Admin is for looking at the group and changing it, also of a Consumer that never
// runs.
func (c *Consumer) Admin() *admin.Group {
	return admin.New(c.name, kinesisapi.Options{AWS: c.o.AWS, Kinesis: c.o.Kinesis}, c.store, c.group.Name, c.o.Logger)
}

// Run calls h for every record, until ctx is over. Then reading stops, running
// handlers keep a live context for o.Grace, what they finished is checkpointed,
// and Run returns nil. Any other end is an error. A Consumer may run again
// after it has returned.
//
// Handlers of different shards run side by side; those of one shard one after
// the other, unless o.Parallel says otherwise. A record is done with when h
// returns nil. An error, or a panic, is handled by o.OnError: by default the
// record is tried again with growing pauses and its shard waits. Checkpoints
// are written by themselves, at most every o.CheckpointEvery, never ahead of
// what handlers finished, and always at the end of a shard and of Run. So a
// crash repeats at most what was handled since the last checkpoint.
//
// The context of h is that of Run, except that it ends later: when the lease of
// the shard can no longer be proven, or o.Grace is over. context.Cause tells
// ([ErrLeaseLost], [ErrGraceOver]). Handlers have to return then. Those that
// still run a second after o.Grace are left behind: Run returns ErrGraceOver, whose
// text has their shards and how many records of each are not done with, and what
// they do later is not checkpointed.
func (c *Consumer) Run(ctx context.Context, h Handler) error {
	if h == nil {
		return errors.New("run: the handler is nil")
	}
	for _, layer := range slices.Backward(c.o.use) {
		h = layer(h)
	}
	if c.o.Transactional {
		return c.run(ctx, "run", shard.Transacted(h))
	}
	return c.run(ctx, "run", shard.Records(h))
}

// RunBatches is Run for a handler of batches: all records that one answer of
// the service held, up to 10 MiB and many thousand records. An error concerns
// the whole batch. o.Parallel does not apply, and o.Use is refused.
func (c *Consumer) RunBatches(ctx context.Context, h func(ctx context.Context, b *Batch) error) error {
	switch {
	case h == nil:
		return errors.New("run batches: the handler is nil")
	case len(c.o.use) > 0:
		return errors.New("run batches: o.Use wraps handlers of single records: use Run, or call what it wraps yourself")
	}
	if c.o.Transactional {
		return c.run(ctx, "run batches", shard.TransactedBatches(h))
	}
	return c.run(ctx, "run batches", shard.BatchesFunc(func(ctx context.Context, b *Batch) error {
		if len(b.Records) == 0 {
			return nil
		}
		return h(ctx, b)
	}))
}

// RunShards calls f once for each shard that is leased, side by side, and
// leaves the rest to it: f loops over the shard's batches, checkpoints when it
// wants to, and returns when they end.
//
//	err := c.RunShards(ctx, func(ctx context.Context, s *vegas.Shard) error {
//		for batch, err := range s.Batches() { // ends at shard end, handoff or shutdown
//			if err != nil {
//				return err // reading failed for good
//			}
//			// …
//			if err := s.Checkpoint(ctx, batch.End); err != nil {
//				return err
//			}
//		}
//		return nil
//	})
//
// Returning nil at the end of a shard says that all of it is done with: its
// children start. Returning nil earlier gives the lease back; it is taken up
// again, from its last checkpoint, after ten seconds. An error starts f again
// from the last checkpoint, with growing pauses, or ends RunShards where
// o.OnError is Stop. ctx is as in [Consumer.Run].
func (c *Consumer) RunShards(ctx context.Context, f func(ctx context.Context, s *Shard) error) error {
	switch {
	case f == nil:
		return errors.New("run shards: the function is nil")
	case len(c.o.use) > 0:
		return errors.New("run shards: o.Use wraps handlers of single records: use Run, or call what it wraps yourself")
	case c.o.Transactional:
		return errors.New("run shards: o.Transactional is for handlers of records and batches, around which a transaction can be put: use Run or RunBatches (see docs/troubleshooting.md#transactional)")
	case c.o.OnError == Skip || c.o.DeadLetter != nil:
		return errors.New("run shards: o.OnError = Skip and o.DeadLetter concern single records, and an error of a shard's function names none: handle them in the function")
	}
	return c.run(ctx, "run shards", f)
}

func init() {
	inner.Run = func(ctx context.Context, consumer any, f shard.Func) error {
		return consumer.(*Consumer).run(ctx, "run", f)
	}
}

func (c *Consumer) run(ctx context.Context, op string, f shard.Func) error {
	if !c.running.CompareAndSwap(false, true) {
		return fmt.Errorf("%s: stream %q: this consumer runs already: make another one, of another group", op, c.name.Stream)
	}
	defer c.running.Store(false)
	warn := quiet.New(c.o.Logger)
	defer warn.Flush()
	client := kinesisapi.New(c.name, kinesisapi.Options{AWS: c.o.AWS, Kinesis: c.o.Kinesis})
	defer client.Close()
	budget := fetch.NewBudget(c.o.PrefetchBytes)
	_, unobserved := c.o.Observer.(observe.Nop)
	g := &lease.Group{
		Client: client, Store: c.store, Name: c.group.Name, Worker: c.o.Worker,
		Start:  c.o.Start,
		FanOut: c.o.FanOut, FanOutName: c.o.FanOutName, ConsumerARN: c.group.ConsumerARN, FallBack: c.o.FallBackToPolling,
		Idle: c.o.PollIdle, Busy: c.o.PollBusy, Budget: budget, Grace: c.o.Grace,
		Timing: fleet.TimingOf(c.o.LeaseTime), MaxShards: c.o.MaxShards,
		Policy: &shard.Policy{
			CheckpointEvery: c.o.CheckpointEvery, OnError: c.o.OnError, MaxAttempts: c.o.MaxAttempts, DeadLetter: c.o.DeadLetter,
			Parallel: c.o.Parallel, DropForeign: c.o.DropForeign, Resume: c.o.Resume, MaxCrashes: c.o.MaxCrashes, OnTrimmed: c.o.OnTrimmed,
			Log: c.o.Logger, Warn: warn, Observer: c.tally, Unobserved: unobserved,
		},
		Log: c.o.Logger, Warn: warn, Observer: c.tally,
	}
	c.current.Store(&current{g, budget})
	err := g.Run(ctx, f)
	c.current.Store(nil)
	where := observe.Where{Stream: c.name.Stream, Group: c.group.Name, Worker: c.o.Worker}
	c.tally.Event(observe.Event{Kind: observe.Stopped, Time: time.Now(), Where: where})
	attrs := []any{slog.String("stream", c.name.Stream), slog.String("group", c.group.Name), slog.String("worker", c.o.Worker)}
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	c.o.Logger.Info("stopped", attrs...)
	return nil
}
