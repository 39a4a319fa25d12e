// Package durable runs a producer whose records survive it: it puts a buffer on
// stable storage before the send engine, and feeds the engine from there.
//
// Its shape: callers append to the buffer and wait until that is synced, each
// for itself or, where they want to be called back, through one goroutine (the
// syncer). Another one (the feeder) takes records out of the buffer in their
// order, those of earlier openings first, and gives them to the engine, which
// tells by its ledger how they ended: then they are acknowledged in the buffer,
// or have become dead letters there. Callbacks run where the engine's run.
package durable

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/internal/quiet"
	"github.com/libvegas/vegas/internal/send"
	"github.com/libvegas/vegas/observe"
)

// Config is what a producer is made with.
type Config struct {
	// Buffer is opened by New and closed by Close.
	Buffer buffer.Buffer
	// Place names it in errors and logs: its directory.
	Place string
	// WaitStored makes those who send wait for the stream.
	WaitStored bool
	// Send is the engine's; its Ledger is the producer. Its Deadline is the age at
	// which a record becomes a dead letter.
	Send send.Config
}

// Producer is a running durable producer of one stream.
type Producer struct {
	c      Config
	buf    buffer.Buffer
	engine *send.Engine
	log    *slog.Logger
	warn   *quiet.Logger
	at     observe.Where
	watch  *watcher

	feeding context.Context // of the feeder
	syncing context.Context // of the syncer's waits
	closing context.Context // ended by the first Close: nothing waits for room any more
	patient context.Context // ended by a Close whose context ends
	cut     struct{ feeding, syncing, closing, patient context.CancelCauseFunc }

	synced   chan struct{} // capacity 1: the syncer has something to look at
	over     chan struct{} // closed when all has ended
	ended    error         // Close's, once over
	wg       sync.WaitGroup
	stopping sync.Once
	gate     gate
	numbers  []uint64 // the ledger's, which one goroutine calls

	mu          sync.Mutex // guards what follows; held for moments, never while the buffer or the engine is called
	first, last uint64     // the numbers assigned in this opening; 0: none
	owed        int        // waiters that have not been told everything
	unsynced    []*waiter  // in the order of their numbers
	waiting     map[uint64]*waiter
	calls       []call // to be made
	calling     bool
	quitting    bool          // the syncer ends once nothing waits for it
	burying     int           // how many are becoming dead letters
	changed     chan struct{} // closed when something that is waited for may have come; nil: nobody waits
	unreadable  error         // why nothing comes out of the buffer any more
}

// New opens the buffer and begins to send what is in it.
func New(ctx context.Context, c Config) (*Producer, error) {
	p := &Producer{
		c:       c,
		buf:     c.Buffer,
		log:     c.Send.Logger.With(slog.String("stream", c.Send.Stream), slog.String("buffer", c.Place)),
		at:      observe.Where{Stream: c.Send.Stream},
		synced:  make(chan struct{}, 1),
		over:    make(chan struct{}),
		waiting: map[uint64]*waiter{},
		gate:    gate{empty: make(chan struct{})},
	}
	if err := p.buf.Open(ctx); err != nil {
		return nil, err
	}
	p.warn = quiet.New(p.log)
	p.watch = newWatcher(p)
	p.watch.begin(p.buf.Stats(), time.Now())
	p.feeding, p.cut.feeding = context.WithCancelCause(context.Background())
	p.syncing, p.cut.syncing = context.WithCancelCause(context.Background())
	p.closing, p.cut.closing = context.WithCancelCause(context.Background())
	p.patient, p.cut.patient = context.WithCancelCause(context.Background())
	c.Send.Ledger = p
	p.engine = send.New(c.Send)
	p.wg.Go(p.feed)
	p.wg.Go(p.sync)
	p.wg.Go(p.watch.run)
	return p, nil
}

// feed gives the engine what comes out of the buffer.
func (p *Producer) feed() {
	bytes := int(min(feedBytes, max(p.c.Send.BufferBytes/4, 1)))
	last := uint64(0)
	for {
		items, err := p.buf.Next(p.feeding, bytes)
		if err != nil {
			p.endFeed(err)
			return
		}
		p.mu.Lock()
		fresh := p.first // told before any of them comes out
		p.mu.Unlock()
		for i := range items {
			it := &items[i]
			if it.Seq <= last { // consumers would take it for one that they had before
				p.endFeed(link("buffer-numbers", fmt.Errorf("durable buffer %s: next: record %d came after record %d, but numbers have to rise: mend the buffer, buffertest tells where", p.c.Place, it.Seq, last)))
				return
			}
			last = it.Seq
			old := fresh == 0 || it.Seq < fresh
			if p.engine.Feed(p.feeding, it, old) != nil {
				return // Close
			}
		}
	}
}

// endFeed tells why nothing comes out of the buffer any more, unless Close is.
func (p *Producer) endFeed(why error) {
	if p.feeding.Err() != nil {
		return
	}
	p.log.Error("nothing can be read from the durable buffer any more: records stay in it until the next start", slog.Any("error", why))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unreadable = why
	p.change()
}

// feedBytes is how much is read from the buffer at once.
const feedBytes = 1 << 20

// Check tries what sending needs, and whether the buffer takes records.
func (p *Producer) Check(ctx context.Context) error {
	if err := p.buf.Stats().Stalled; err != nil {
		return fmt.Errorf("check: stream %q: the durable buffer takes nothing at present: %w", p.c.Send.Stream, err)
	}
	return p.engine.Check(ctx)
}

// Stats are snapshots of the engine and of the buffer.
func (p *Producer) Stats() (send.Stats, buffer.Stats) { return p.engine.Stats(), p.buf.Stats() }

// gate counts those who are inside, and lets nobody in once it is shut.
type gate struct {
	inside atomic.Int64
	shut   atomic.Bool
	empty  chan struct{} // closed when it is shut and nobody is inside
	once   sync.Once
}

func (g *gate) enter() bool {
	g.inside.Add(1)
	if g.shut.Load() {
		g.leave()
		return false
	}
	return true
}

func (g *gate) leave() {
	if g.inside.Add(-1) == 0 && g.shut.Load() {
		g.once.Do(func() { close(g.empty) })
	}
}

// close shuts the gate and waits until everybody has left.
func (g *gate) close() {
	g.inside.Add(1)
	g.shut.Store(true)
	g.leave()
	<-g.empty
}
