// Package send runs a producer: it owns the goroutines, the memory bound and
// the calls around the lane machine, which alone decides what is sent when.
//
// Its shape: callers accept records under one short mutex; one loop asks the
// machine what to do and hands requests to workers, which encode and send them
// without any lock and feed the answers back; ended records are given to those
// who wait for them by the loop, and to callbacks by a dispatcher of their own,
// so that no callback ever holds up sending.
package send

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/internal/lane"
	"github.com/libvegas/vegas/internal/quiet"
	"github.com/libvegas/vegas/internal/wire"
	"github.com/libvegas/vegas/observe"
)

// API is what the engine needs of the service; *kinesisapi.Client has it.
type API interface {
	PutRecords(ctx context.Context, entries []types.PutRecordsRequestEntry) (*wire.PutAnswer, error)
	ListShards(ctx context.Context, filter *types.ShardFilter) ([]types.Shard, error)
	Describe(ctx context.Context) (kinesisapi.Summary, error)
}

// Config is what an engine is made with. All fields are required unless said
// otherwise.
type Config struct {
	API    API
	Stream string // for errors and reports

	Linger         time.Duration
	Raw            bool          // without aggregation
	Deadline       time.Duration // 0: none
	BufferBytes    int64
	FailKey        bool
	RequireOrder   bool
	MaxRequests    int
	RequestTimeout time.Duration

	// Ledger is told of the ends of records that Feed accepts; nil: none are fed.
	// With one nothing comes but by Feed, and what holds for every record (no permission, no such stream, a
	// distribution that RequireOrder does not want) ends none but holds all up,
	// and Deadline counts from a record's acceptance by the buffer.
	Ledger Ledger

	Logger   *slog.Logger
	Observer observe.Observer // nil: none

	// Broken is the machine's; only set to count what order costs.
	Broken lane.Rule
}

// Engine is a running producer of one stream.
type Engine struct {
	cfg      Config
	producer [16]byte
	start    time.Time // the machine's times count from here
	warn     *quiet.Logger
	log      *slog.Logger
	at       observe.Where

	parcels sync.Pool // of *parcel
	slabs   sync.Pool // of *slab
	scratch sync.Pool // of *scratch

	ctx      context.Context // of all calls; ends when nothing is left to do
	cancel   context.CancelFunc
	kick     chan struct{} // capacity 1: the loop has something to look at
	work     chan *lane.Request
	ended    chan struct{} // closed when the loop and all it started have returned
	wg       sync.WaitGroup
	calls    *dispatcher
	sums     sums
	tell     func([]End)  // of rows
	told     []End        // the loop's
	toCall   []*parcel    // likewise
	toTell   []*parcel    // likewise
	heldBack []*parcel    // likewise: they wait for an earlier record of their key
	gauged   gauged       // likewise
	ends     ends         // likewise
	lining   atomic.Int32 // how many wait for room

	mu       sync.Mutex // guards what follows; never held across a wait
	machine  *lane.Machine
	latest   time.Duration // what was accepted last, was accepted then
	payload  int           // of the last slab that was full
	running  bool
	closing  bool
	aborted  bool  // Close ran out of patience: fed records stay in their buffer
	hurries  int   // that nothing lingers for
	refusal  error // why nothing is accepted at present; nil: it is
	room     room
	group    *group   // of what is accepted now
	sealed   []*group // those that a Flush waits for, oldest first
	shards   shards
	looked   chan struct{} // closed after the first look at the stream
	lastLook error         // why the last look at the stream failed
	doubt    doubt         // whether the stream is still the one that the map is of
	feeding  *[16]byte     // the identity of what is fed
}

// New makes an engine. It starts its goroutines with the first record.
func New(c Config) *Engine {
	e := &Engine{
		cfg:    c,
		start:  time.Now(),
		log:    c.Logger.With(slog.String("stream", c.Stream)),
		at:     observe.Where{Stream: c.Stream},
		kick:   make(chan struct{}, 1),
		work:   make(chan *lane.Request),
		ended:  make(chan struct{}),
		looked: make(chan struct{}),
		group:  newGroup(),
		room:   room{free: c.BufferBytes, size: c.BufferBytes},
	}
	if _, nop := c.Observer.(observe.Nop); nop {
		e.cfg.Observer = nil
	}
	e.warn = quiet.New(e.log)
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.parcels.New = func() any { return new(parcel) }
	e.slabs.New = func() any { return newSlab() }
	e.scratch.New = func() any { return new(scratch) }
	e.calls = newDispatcher(e)
	_, _ = crand.Read(e.producer[:]) // never fails
	var seed [16]byte
	_, _ = crand.Read(seed[:])
	e.machine = lane.New(lane.Config{
		Producer:    e.producer,
		Linger:      c.Linger,
		Raw:         c.Raw,
		MaxRequests: c.MaxRequests,
		FailKey:     c.FailKey,
		Patient:     c.Ledger != nil,
		Broken:      c.Broken,
		Rand: rand.New(rand.NewPCG(binary.LittleEndian.Uint64(seed[:8]),
			binary.LittleEndian.Uint64(seed[8:]))),
	})
	return e
}

// now is the machine's time.
func (e *Engine) now() time.Duration { return time.Since(e.start) }

// wake makes the loop look.
func (e *Engine) wake() {
	select {
	case e.kick <- struct{}{}:
	default:
	}
}

// ensureRunning starts the loop; the lock is held.
func (e *Engine) ensureRunning() {
	if !e.running {
		e.running = true
		go e.run()
	}
}

// run is the loop: it asks the machine what to do until the engine is closed
// and nothing is left.
func (e *Engine) run() {
	defer close(e.ended)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var finished []*lane.Item
	var failed bool
	for {
		e.buryLate()
		e.mu.Lock()
		now := e.now()
		turn := e.machine.Poll(now)
		finished, failed = e.machine.TakeFinished(finished[:0])
		var flying flights
		if len(e.heldBack) > 0 || failed && slices.ContainsFunc(finished, failsACallback) {
			flying = e.flights()
		}
		open := e.machine.Open()
		over := e.closing && open == 0
		aborted := e.aborted
		e.mu.Unlock()

		if !e.settle(finished, aborted) {
			e.withhold(turn.Requests)
			turn.Requests = nil
		}
		for _, r := range turn.Requests {
			e.hand(r)
		}
		if turn.Refresh {
			e.wg.Go(e.look)
		}
		e.deliver(finished, flying)
		clear(finished)
		if over {
			break
		}
		if next := e.gauges(now, open); next < turn.Wake {
			turn.Wake = next
		}
		if turn.Wake == lane.Never {
			<-e.kick
			continue
		}
		wait := turn.Wake - e.now()
		if wait <= 0 {
			continue
		}
		timer.Reset(wait)
		select {
		case <-e.kick:
			timer.Stop()
		case <-timer.C:
		}
	}
	e.cancel()
	close(e.work)
	e.wg.Wait()
	e.calls.close()
	e.warn.Flush()
}
