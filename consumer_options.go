package vegas

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/libvegas/vegas/internal/lease"
	"github.com/libvegas/vegas/internal/shard"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/dynamodb"
	"github.com/libvegas/vegas/store/file"
	"github.com/libvegas/vegas/store/memory"
)

// ConsumerOptions arrive at an option function filled with the defaults named
// here.
type ConsumerOptions struct {
	// AWS is the configuration to reach the service with. Default: the zero
	// value, which stands for the SDK's default configuration, loaded at the
	// first use.
	AWS aws.Config
	// Kinesis is a client whose settings are used instead of AWS. Default: nil.
	// Records are decoded past it: middleware that looks at outputs finds none in
	// those of GetRecords and SubscribeToShard. With middleware, interceptors,
	// logging, metrics, tracing, signers or resolvers in it, or in AWS, and in AWS
	// Lambda, every call takes the SDK's whole way.
	Kinesis *kinesis.Client

	// Store remembers the group's leases and positions. Default: what the
	// environment variable VEGAS_STORE names: dynamodb or dynamodb:TABLE, file:DIR
	// (a directory that several processes of one machine may share) or memory:
	// (until the Consumer is gone); without it the DynamoDB table "vegas" of the
	// account and region of AWS, made where it is missing. How to choose:
	// docs/stores.md. The caller closes a Store it gives.
	Store store.Store
	// Transactional runs every handler in a transaction of the Store, which has to
	// be one in an SQL database (packages store/sqlite, store/postgres). The
	// handler finds it by that package's Tx(ctx); what it writes there, the
	// position behind the record and the marks are stored together or not at all,
	// so that each record takes effect once, whatever crashes. DeadLetter has one
	// too. Handlers of several records may share one, for a quarter of a second or
	// so; a batch of RunBatches has its own. o.Parallel has to be 1, RunShards is
	// refused, and o.CheckpointEvery matters only where nothing is handled.
	// Default false.
	Transactional bool
	// Resume says behind which position a shard is read, where the program keeps
	// positions itself, at best in one transaction with what its handlers write, so
	// that each record takes effect once: make that write conditional on nobody
	// having written with a higher s.Possession(). Resume is called whenever a shard
	// is begun, also after an error of its function, before anything is read;
	// s.Start() is the checkpoint of the group's store, and what to return where
	// there is no own position. An error is one of the shard's function. The
	// position may lie before or behind the checkpoint. Duplicates of what lies
	// before it are recognised as far as marks were saved for it, and not at all
	// where it lies before those. Checkpoints are still written, and go on from the
	// later of the two. Default nil: the checkpoint it is.
	Resume func(ctx context.Context, s *Shard) (Position, error)
	// Start is where a group starts that the store does not know yet. Default
	// TrimHorizon: nothing is skipped. Afterwards it has no effect.
	Start Start

	// FanOut reads by enhanced fan-out: 2 MiB a second for each shard that no
	// other reader takes from, pushed, at a price (docs/cost.md). Default false:
	// polling. The fan-out consumer is registered where it is missing, and stays
	// registered.
	FanOut bool
	// FanOutName is the name of the fan-out consumer. Default: the group's.
	FanOutName string
	// FallBackToPolling polls where fan-out is refused at the start (too many
	// consumers, not allowed). Default false: that is an error of Run.
	FallBackToPolling bool
	// PollIdle and PollBusy are the times between two reads of a shard without
	// and with new records. Defaults 1 s and 250 ms. A shard answers five reads a
	// second to all its polling readers together; whoever is throttled slows
	// down.
	PollIdle, PollBusy time.Duration

	// PrefetchBytes bounds what is read ahead of the handlers, for all shards
	// together. Default 64 MiB. Each shard may hold one answer (10 MiB at most,
	// usually its part of the bound) above it, so that none starves.
	PrefetchBytes int64
	// Parallel is how many records of one shard are handled at once. Default 1.
	// With more, records of one partition key still are handled one after the
	// other, and a checkpoint waits for the slowest.
	Parallel int

	// OnError says what becomes of a record whose handler keeps failing. Default
	// Hold.
	OnError OnError
	// MaxAttempts is after how many attempts OnError, or DeadLetter, applies.
	// Default 0: 5, and no limit under Hold without DeadLetter.
	MaxAttempts int
	// DeadLetter gets a record whose attempts are used up, with the last error.
	// Returning nil, it has taken the record over, and the shard goes on;
	// otherwise the record is held and tried again. Default nil.
	DeadLetter func(ctx context.Context, r *Record, err error) error
	// MaxCrashes is how many workers may die while they handle one record before
	// OnError, or DeadLetter (which is told ErrKillsProcess), applies to it
	// without calling the handler; under Hold its shard then waits. Default 3; 0:
	// a record is never blamed. From the second death at a checkpoint on a shard
	// is read one record at a time for a while, so that the one that kills is
	// found, and no other; of the deaths before that one counts at most, so one or
	// two workers more die (1 is as 2). RunShards is on its own, see
	// Shard.Takeovers.
	MaxCrashes int

	// OnTrimmed says what becomes of a shard that nobody read for longer than the
	// stream keeps records, since no consumer ran or a handler held it up: records
	// behind the last one that was read may be lost. Default Skip: reading goes on with the
	// oldest record, counted and logged. Stop: Run ends with ErrTrimmed.
	OnTrimmed OnError

	// CheckpointEvery is how often a shard's position is written at most while
	// there is progress. Default 5 s. Without progress nothing is written.
	CheckpointEvery time.Duration
	// Grace is how long handlers may go on when Run's context is over; then
	// theirs ends too, and Run does not wait for those that ignore it. Default
	// 20 s.
	Grace time.Duration

	// Worker names this worker of the group to people, in rows and logs. Default:
	// host name, process id and a random part. At most 256 bytes. Of two workers
	// that live under one name the younger is refused.
	Worker string
	// LeaseTime is how long a worker that crashed, or whose store is away, keeps
	// its shards: then others take them over. A stop waits for nobody. Default
	// 5 s. Shorter means that a frozen process or a slow store costs leases
	// earlier, and more heartbeats: one every fifth of it. At least 1 s.
	LeaseTime time.Duration
	// MaxShards is the most that this worker reads. Default 0: no limit. Shards
	// above the limits of all workers together are not read, and said so.
	MaxShards int

	// DropForeign drops sub-records of aggregates that lie in a shard whose hash
	// range they do not belong to, unless vegas' producers sent them, as the
	// Java KCL does. Default false: they are delivered.
	DropForeign bool

	// Logger gets the Consumer's log. Default slog.Default(). Repeated warnings
	// are one line a minute; keys and payloads are never logged, but errors of
	// handlers are. Like Observer it must not block: heartbeats wait for it.
	Logger *slog.Logger
	// Observer gets the Consumer's metrics and the events of its shards. Default
	// observe.Nop.
	Observer observe.Observer

	use []func(Handler) Handler
}

// Use puts a layer around the handler of Run: windows, tracing, decoding. The
// first one given is the outermost.
func (o *ConsumerOptions) Use(layer func(next Handler) Handler) { o.use = append(o.use, layer) }

// Start is where a new group starts; made by TrimHorizon, Latest and AtTime.
type Start = lease.Start

// TrimHorizon starts with the oldest record that the stream has.
func TrimHorizon() Start { return Start{} }

// Latest starts with what arrives after the group's first start. The moment is
// taken from the service's clock and written down once, so that nothing is
// skipped when the first start is interrupted; it is cut to the second, so that
// records of the same second may come along.
func Latest() Start { return Start{Latest: true} }

// AtTime starts with the first record that arrived at t or later, by the
// service's clock. A time that has not come yet there is that of Latest, so that
// AtTime(time.Now()) works on a machine whose clock is ahead.
func AtTime(t time.Time) Start { return Start{Time: t} }

// OnError is what becomes of a record whose handler keeps failing.
type OnError = shard.OnError

// What becomes of a record whose handler keeps failing.
const (
	// Hold tries again for as long as it takes; its shard waits, and nothing is
	// lost.
	Hold = shard.Hold
	// Skip passes it over after o.MaxAttempts, counted and logged.
	Skip = shard.Skip
	// Stop ends Run with the handler's error after o.MaxAttempts.
	Stop = shard.Stop
)

// defaultAttempts is MaxAttempts where it is needed and not given.
const defaultAttempts = 5

func consumerDefaults() ConsumerOptions {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return ConsumerOptions{
		PollIdle: time.Second, PollBusy: 250 * time.Millisecond, PrefetchBytes: 64 << 20, Parallel: 1, MaxCrashes: 3, OnTrimmed: Skip,
		CheckpointEvery: 5 * time.Second, Grace: 20 * time.Second, LeaseTime: 5 * time.Second,
		Worker: fmt.Sprintf("%s-%d-%s", host, os.Getpid(), strings.ToLower(rand.Text()[:6])),
		Logger: slog.Default(), Observer: observe.Nop{},
	}
}

// check completes the options, or says what is wrong with them.
func (o *ConsumerOptions) check() (store.Store, error) {
	switch {
	case o.PollBusy <= 0 || o.PollIdle < o.PollBusy:
		return nil, fmt.Errorf("o.PollBusy is %v and o.PollIdle %v: want more than 0, and PollIdle not below PollBusy", o.PollBusy, o.PollIdle)
	case o.PrefetchBytes <= 0:
		return nil, fmt.Errorf("o.PrefetchBytes is %d: want more than 0", o.PrefetchBytes)
	case o.Parallel < 1:
		return nil, fmt.Errorf("o.Parallel is %d: want 1 or more", o.Parallel)
	case o.OnError > Stop:
		return nil, fmt.Errorf("o.OnError is %d: want Hold, Skip or Stop", o.OnError)
	case o.MaxAttempts < 0:
		return nil, fmt.Errorf("o.MaxAttempts is %d: want 0 (the default) or more", o.MaxAttempts)
	case o.OnTrimmed != Skip && o.OnTrimmed != Stop:
		return nil, fmt.Errorf("o.OnTrimmed is %v: want Skip or Stop", o.OnTrimmed)
	case o.MaxCrashes < 0:
		return nil, fmt.Errorf("o.MaxCrashes is %d: want 0 (no record is blamed) or more", o.MaxCrashes)
	case o.CheckpointEvery <= 0:
		return nil, fmt.Errorf("o.CheckpointEvery is %v: want more than 0", o.CheckpointEvery)
	case o.Grace < 0:
		return nil, fmt.Errorf("o.Grace is %v: want 0 or more", o.Grace)
	case o.LeaseTime < time.Second || o.LeaseTime > time.Hour:
		return nil, fmt.Errorf("o.LeaseTime is %v: want 1 s to 1 h", o.LeaseTime)
	case o.MaxShards < 0:
		return nil, fmt.Errorf("o.MaxShards is %d: want 0 (no limit) or more", o.MaxShards)
	case len(o.Worker) > 256:
		return nil, fmt.Errorf("o.Worker has %d bytes, at most 256 fit into the rows", len(o.Worker))
	case o.Worker == "":
		return nil, errors.New("o.Worker is empty")
	}
	if o.MaxAttempts == 0 && (o.OnError != Hold || o.DeadLetter != nil) {
		o.MaxAttempts = defaultAttempts
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Observer == nil {
		o.Observer = observe.Nop{}
	}
	rows := o.Store
	if rows == nil {
		var err error
		if rows, err = o.storeFrom(os.Getenv("VEGAS_STORE")); err != nil {
			return nil, err
		}
	}
	if o.Transactional {
		if o.Resume != nil {
			return nil, errors.New("o.Transactional with o.Resume: the position is stored either with what handlers write to the Store, or by the program: leave one of them out (see docs/troubleshooting.md#transactional)")
		}
		if o.Parallel > 1 {
			return nil, fmt.Errorf("o.Transactional with o.Parallel = %d: handlers that run side by side cannot share a transaction, and a position has none of its own until all before it are done: leave o.Parallel at 1, a stream with more shards handles more at a time (see docs/troubleshooting.md#transactional)", o.Parallel)
		}
		if _, ok := rows.(store.Transactor); !ok {
			return nil, fmt.Errorf("o.Transactional with a store of type %T, which has no transactions: set o.Store to one in the database that handlers write to, by package store/sqlite or store/postgres (see docs/troubleshooting.md#transactional)", rows)
		}
	}
	return rows, nil
}

// storeFrom makes the store that VEGAS_STORE names.
func (o *ConsumerOptions) storeFrom(spec string) (store.Store, error) {
	kind, rest, more := strings.Cut(spec, ":")
	switch {
	case spec == "", kind == "dynamodb" && (rest != "" || !more):
		return dynamodb.New(func(d *dynamodb.Options) {
			d.AWS, d.Logger = o.AWS, o.Logger
			if rest != "" {
				d.Table = rest
			}
		}), nil
	case kind == "file" && rest != "":
		return file.New(rest), nil
	case kind == "memory" && rest == "":
		return memory.New(), nil
	}
	return nil, fmt.Errorf("VEGAS_STORE is %.80q: want dynamodb, dynamodb:TABLE, file:DIR or memory: (see docs/troubleshooting.md#no-store)", spec)
}
