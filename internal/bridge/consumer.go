package bridge

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/internal/inner"
	"github.com/libvegas/vegas/internal/shard"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store"
)

// worker is a consumer of the host: one worker of a group. What it reads goes to the
// host in chunks, one of a shard at a time.
type worker struct {
	s        *session
	number   uint32
	o        consumerOptions
	c        *vegas.Consumer
	rows     store.Store
	layers   []func(record.Handler) record.Handler
	attempts int // after which a record goes to the dead letters

	ctx   context.Context // of Run
	stop  context.CancelFunc
	once  sync.Once
	ended chan struct{} // closed when Run has returned, or is not to begin any more

	mu       sync.Mutex
	closing  bool // the host has said so
	shards   map[uint32]*leased
	last     uint32                   // number of a shard that was given out
	starting map[*vegas.Shard]*leased // resumed, and their functions not begun
	used     int64                    // of the window
}

// openConsumer answers open_consumer: it finds out what is wrong with the
// arguments. begin starts the consumer, when that has been answered.
func (s *session) openConsumer(ctx context.Context, number uint32, args arguments) (*worker, results, error) {
	stream, err := args.text("stream")
	if err != nil {
		return nil, nil, err
	}
	group, err := args.text("group")
	if err != nil {
		return nil, nil, err
	}
	w := &worker{
		s: s, number: number, o: defaultConsumerOptions(), ended: make(chan struct{}),
		shards: map[uint32]*leased{}, starting: map[*vegas.Shard]*leased{},
	}
	if err := readOptions(w.o.fields(), args["options"]); err != nil {
		return nil, nil, err
	}
	if err := w.together(); err != nil {
		return nil, nil, err
	}
	cfg, err := s.awses.load(ctx, w.o.Region, w.o.Endpoint, w.o.Profile)
	if err != nil {
		return nil, nil, err
	}
	rows, err := s.openStore(w.o.Store, w.o.Endpoint, cfg)
	if err != nil {
		return nil, nil, failureOf(err)
	}
	w.rows = rows
	name := ""
	w.c, err = vegas.NewConsumer(stream, group, func(v *vegas.ConsumerOptions) {
		v.AWS, v.Store, v.Logger = cfg, rows, s.log
		w.options(v)
		name = v.Worker
		w.attempts = v.MaxAttempts
	})
	if err != nil {
		w.closeStore()
		f := failureOf(err)
		if f.code == codeFailed {
			f.code = codeBadOption // it does no I/O
		}
		return nil, nil, f
	}
	w.ctx, w.stop = context.WithCancel(s.ctx)
	return w, results{"worker": name}, nil
}

// together says which options do not go together.
func (w *worker) together() (err error) {
	o := &w.o
	if w.layers, err = w.s.layers(o.Extensions); err != nil {
		return err
	}
	switch manual := o.Checkpoint == "manual"; {
	case o.Window <= 0:
		return badOption("the option window is %d: want more than 0", o.Window)
	case len(w.layers) > 0 && o.Batch:
		return badOption("the options extensions and batch: layers are around handlers of single records; leave one of them out")
	case len(w.layers) > 0 && manual:
		return badOption("the options extensions and checkpoint = manual: layers decide when a record is done with; leave one of them out")
	case manual && (o.DeadLetter || o.OnError == "skip"):
		return badOption("the option checkpoint = manual with dead_letter or on_error = skip: a handler that fails starts its shard anew from the last checkpoint, and no single record is given up; leave one of them out")
	}
	return nil
}

// layers are the extensions that a consumer asks for, the outermost first.
func (s *session) layers(asked []any) (layers []func(record.Handler) record.Handler, err error) {
	for _, one := range asked {
		m, ok := one.(map[string]any)
		if !ok || len(m) != 1 {
			return nil, badOption("the option extensions: want a list of maps, each of one name to its settings")
		}
		for name, v := range m {
			settings, ok := v.(map[string]any)
			if !ok && v != nil {
				return nil, badOption("the option extensions: the settings of %.80q are no map", name)
			}
			layer, err := s.layer(name, settings)
			if err != nil {
				return nil, err
			}
			layers = append(layers, layer)
		}
	}
	return layers, nil
}

func (s *session) layer(name string, settings map[string]any) (func(record.Handler) record.Handler, error) {
	var have []string
	for _, e := range s.cfg.Extensions {
		if e.Consumer == nil {
			continue
		}
		if have = append(have, e.Name); e.Name == name {
			layer, err := e.Consumer(settings)
			if err != nil {
				return nil, failuref(codeBadOption, "the option extensions: %s: %w", name, err)
			}
			return layer, nil
		}
	}
	return nil, badOption("the option extensions: this engine has no %.80q, it has %q", name, have)
}

// options fills the library's options from those that the host gave.
func (w *worker) options(v *vegas.ConsumerOptions) {
	o := &w.o
	switch at := o.Start.(type) {
	case int64:
		v.Start = vegas.AtTime(time.UnixMicro(at))
	case string:
		if at == "latest" {
			v.Start = vegas.Latest()
		}
	}
	v.FanOut, v.FanOutName, v.FallBackToPolling = o.FanOut, o.FanOutName, o.FallBackToPolling
	v.PollIdle, v.PollBusy, v.PrefetchBytes, v.Parallel = o.PollIdle, o.PollBusy, o.PrefetchBytes, o.Parallel
	v.OnError, v.MaxAttempts, v.MaxCrashes = errorPolicy(o.OnError), o.MaxAttempts, o.MaxCrashes
	v.OnTrimmed = errorPolicy(o.OnTrimmed)
	v.CheckpointEvery, v.Grace, v.LeaseTime, v.MaxShards, v.DropForeign = o.CheckpointEvery, o.Grace, o.LeaseTime, o.MaxShards, o.DropForeign
	if o.Worker != "" {
		v.Worker = o.Worker
	}
	if o.DeadLetter {
		v.DeadLetter = w.bury
	}
	if o.External {
		v.Resume = w.resume
	}
}

func errorPolicy(word string) vegas.OnError {
	switch word {
	case "skip":
		return vegas.Skip
	case "stop":
		return vegas.Stop
	}
	return vegas.Hold
}

// begin starts the consumer. Its open call has been answered.
func (w *worker) begin() {
	w.once.Do(func() {
		if w.o.StatsEvery > 0 {
			w.s.spawn(func() { w.s.tellStats(w.ctx, "consumer", w.number, w.o.StatsEvery, w.stats) })
		}
		w.s.spawn(w.run)
	})
}

func (w *worker) run() { w.over(inner.Run(w.ctx, w.c, w.shard)) }

// over tells the host that the consumer has ended, and lets go of what it had.
func (w *worker) over(err error) {
	defer close(w.ended)
	defer w.stop()
	defer w.closeStore()
	e := results{"event": "consumer_ended", "consumer": w.number}
	if err != nil {
		f := failureOf(err)
		if _, ok := errors.AsType[hostError](err); ok {
			f = failureAs(codeHandler, err)
		}
		e["error"] = f.value()
	}
	w.s.event(e)
}

func (w *worker) closeStore() {
	if err := w.rows.Close(); err != nil {
		w.s.log.Warn("the store could not be closed", slog.Any("error", err))
	}
}

// close ends the consumer, and returns when it has ended. If ctx is over the host has
// gone without saying so: what it had in its handlers counts as a death.
func (w *worker) close(ctx context.Context) error {
	w.mu.Lock()
	w.closing = w.closing || ctx.Err() == nil
	w.mu.Unlock()
	w.stop()
	w.once.Do(func() { w.over(nil) }) // it was never begun
	<-w.ended
	return nil
}

func (w *worker) check(ctx context.Context) error { return w.c.Check(ctx) }

// settle takes the body of a settle frame, which is valid until it returns. It does
// not wait. An error ends the session.
func (w *worker) settle(body []byte) error {
	f, err := parseSettle(body)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.shards[f.shard]
	if l == nil {
		return protocolf("settle: consumer %d has no shard %d that is open", w.number, f.shard)
	}
	return l.settle(&f)
}

// checkpoint answers the host's call of that name.
func (w *worker) checkpoint(_ context.Context, args arguments) (results, error) {
	number, err := args.id("shard")
	if err != nil {
		return nil, err
	}
	p, given, err := args.position()
	switch {
	case err != nil:
		return nil, err
	case !given:
		return nil, badOption("checkpoint: the argument sequence is missing")
	case w.o.Checkpoint != "manual":
		return nil, badOption("checkpoint: the consumer writes checkpoints by itself: set the option checkpoint to manual")
	}
	w.mu.Lock()
	l, last := w.shards[number], w.last
	w.mu.Unlock()
	switch {
	case l != nil:
		return nil, l.checkpoint(p)
	case number > 0 && number <= last:
		return nil, lostLease("the shard has ended here, or is another worker's")
	}
	return nil, badOption("checkpoint: consumer %d has no shard %d", w.number, number)
}

// position are the arguments sequence and sub, which may be missing.
func (a arguments) position() (p record.Position, given bool, err error) {
	if p.Sequence, err = a.text("sequence"); err != nil || p.Sequence == "" {
		return p, false, err
	}
	if a["sub"] != nil {
		if p.SubSequence, err = a.number("sub"); err != nil {
			return p, false, err
		}
	}
	if !p.IsStart() && !p.IsShardEnd() {
		if err := record.CheckSequence(p.Sequence); err != nil || p.SubSequence < 0 {
			return p, false, badOption("%.140q/%d is no position of a record", p.Sequence, p.SubSequence)
		}
	}
	return p, true, nil
}

// ---- shards

type leasedKey struct{}

// bury is the consumer's dead-letter function.
func (w *worker) bury(ctx context.Context, r *record.Record, cause error) error {
	l, ok := ctx.Value(leasedKey{}).(*leased)
	if !ok {
		return shard.ErrNotBegun
	}
	return l.bury(ctx, r, cause)
}

// start tells the host of a shard, and waits until it is ready for it.
func (w *worker) start(ctx context.Context, s *vegas.Shard) (*leased, arguments, error) {
	at := s.Start()
	if at.IsStart() {
		at.Sequence = record.SequenceTrimHorizon
	}
	l := &leased{w: w, s: s, turn: make(chan struct{}, 1), delivered: at}
	w.mu.Lock()
	w.last++
	l.number = w.last
	w.shards[l.number] = l
	w.mu.Unlock()
	answer, err := w.s.call(ctx, methodStartShard, results{
		"consumer": w.number, "shard": l.number, "id": s.ID(), "stream": s.Stream(), "parents": s.Parents(),
		"possession": int64(s.Possession()), "sequence": at.Sequence, "sub": at.SubSequence, "takeovers": s.Takeovers(),
	})
	if err != nil {
		w.forget(l)
		if f, ok := errors.AsType[*failure](err); ok {
			err = hostError{f.text}
		}
		return nil, nil, err
	}
	return l, answer, nil
}

// resume is the consumer's Resume: the host's answer says where to begin.
func (w *worker) resume(ctx context.Context, s *vegas.Shard) (vegas.Position, error) {
	l, answer, err := w.start(ctx, s)
	if err != nil {
		return vegas.Position{}, err
	}
	p, given, err := answer.position()
	if err == nil && (p.IsShardEnd() || p.Sequence == record.SequenceLatest) {
		err = badOption("start_shard: %s is no position to begin behind (see docs/troubleshooting.md#resume)", p.Sequence)
	}
	if err != nil {
		_ = w.end(ctx, l, "restart")
		return p, hostError{err.Error()}
	}
	if !given {
		p = s.Start()
	}
	w.mu.Lock()
	l.delivered = p
	w.starting[s] = l
	w.mu.Unlock()
	return p, nil
}

// shard is the function of a shard: it is the host's from start_shard to end_shard.
func (w *worker) shard(ctx context.Context, s *vegas.Shard) (err error) {
	w.mu.Lock()
	l := w.starting[s]
	delete(w.starting, s)
	w.mu.Unlock()
	if l == nil {
		if l, _, err = w.start(ctx, s); err != nil {
			return err
		}
	}
	of := context.WithValue(ctx, leasedKey{}, l)
	w.mu.Lock()
	l.ctx = of
	w.mu.Unlock()
	unwatch := l.watch(ctx)
	err = w.handle(l)(of, s)
	unwatch()
	if errors.Is(err, shard.ErrDied) || errors.Is(err, errHostGone) {
		w.forget(l)
		return err
	}
	why := w.why(ctx, s, err)
	if ended := w.end(ctx, l, why); why == "shard_end" && err == nil {
		return ended
	}
	return err
}

// handle is what is done with a shard's records.
func (w *worker) handle(l *leased) shard.Func {
	o := shard.RunOptions{Batch: w.o.Batch, Room: l.room, Cost: deliverCost}
	switch {
	case len(w.layers) > 0:
		h := record.Handler(l.one)
		for _, layer := range slices.Backward(w.layers) {
			h = layer(h)
		}
		return shard.Records(l.layered(h))
	case w.o.Checkpoint == "manual":
		return shard.Manual(o, l.host)
	}
	return shard.Runs(o, l.host)
}

// why is the reason why a shard's function has ended, as end_shard tells it.
func (w *worker) why(ctx context.Context, s *vegas.Shard, err error) string {
	switch {
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), record.ErrLeaseLost):
		return "lost"
	case ctx.Err() != nil:
		return "grace_over"
	case err != nil && !shard.Fatal(err) && w.o.Checkpoint == "manual":
		return "restart"
	case err != nil:
		return "shutdown"
	case s.Ending() == vegas.ShardEnd:
		return "shard_end"
	case shard.Stopping(s).Why() == vegas.Handoff:
		return "handoff"
	}
	return "shutdown"
}

// end tells the host that nothing more will come of a shard. Its error is what the
// host has against that.
func (w *worker) end(ctx context.Context, l *leased, why string) error {
	defer w.forget(l)
	if ctx.Err() != nil {
		w.forget(l) // nothing may be checkpointed any more
	}
	_, err := w.s.call(ctx, methodEndShard, results{"consumer": w.number, "shard": l.number, "why": why})
	if f, ok := errors.AsType[*failure](err); ok {
		return hostError{f.text}
	}
	return err
}

// forget lets go of a shard.
func (w *worker) forget(l *leased) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.used -= int64(l.reserved)
	l.reserved = 0
	delete(w.shards, l.number)
}
