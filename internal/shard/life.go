package shard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libvegas/vegas/internal/backoff"
	"github.com/libvegas/vegas/internal/fetch"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/mark"
	"github.com/libvegas/vegas/internal/quiet"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

// Lease is what is written about a shard. Its methods fail with ErrLeaseLost
// once the possession is over.
type Lease interface {
	// Checkpoint stores a position, and up to when what arrived is done with;
	// zero: as it is. The same position may come again, with a later time.
	Checkpoint(ctx context.Context, p record.Position, seen time.Time) error
	// SaveMarks stores marks.
	SaveMarks(ctx context.Context, marks []byte) error
	// Suspect stores that a record behind the checkpoint may kill whoever
	// handles it, and how often the next one was tried without an end. The next
	// Checkpoint takes Takeovers and the tries back, and leaves the suspicion.
	Suspect(ctx context.Context, tried int) error
	// Calm stores that nothing is suspected, and that nobody died here.
	Calm(ctx context.Context) error
	// Died stores that what handled records died at the checkpoint, as if this
	// owner had.
	Died(ctx context.Context) error
}

// Source reads a shard; fetch.Reader.Read is one.
type Source func(ctx context.Context, from fetch.From, deliver func(context.Context, fetch.Answer) error) error

// OnError is what becomes of a record whose handler keeps failing.
type OnError uint8

const (
	// Hold tries again for as long as it takes; the shard waits.
	Hold OnError = iota
	// Skip passes the record over when its attempts are used up.
	Skip
	// Stop ends the consumer with the handler's error.
	Stop
)

// String is the policy's word.
func (o OnError) String() string {
	switch o {
	case Skip:
		return "skip"
	case Stop:
		return "stop"
	}
	return "hold"
}

// Policy is how a consumer treats its shards.
type Policy struct {
	CheckpointEvery time.Duration
	OnError         OnError
	MaxAttempts     int // 0: no limit
	DeadLetter      func(context.Context, *record.Record, error) error
	Parallel        int
	DropForeign     bool
	// Resume, if there is one, says where to read from: see resume.go.
	Resume     func(context.Context, *Shard) (record.Position, error)
	MaxCrashes int     // 0: no record is blamed
	OnTrimmed  OnError // Stop, or else go on

	Log      *slog.Logger
	Warn     *quiet.Logger
	Observer observe.Observer
	// Unobserved tells that nobody looks at what Observer is told of single records.
	Unobserved bool

	trials turnstile // one of the consumer's shards tries a suspect
}

// Timing of what is not an option.
const (
	// marksEvery is how old saved marks become while there is progress.
	marksEvery = 30 * time.Second
	// slowAfter is how long a handler may run before somebody is told.
	slowAfter = 30 * time.Second
	// lastWrite bounds the last checkpoint of a possession whose context is
	// over.
	lastWrite = 5 * time.Second
)

var (
	handlerRetries = backoff.Backoff{Min: 100 * time.Millisecond, Max: 10 * time.Second}
	writeRetries   = backoff.Backoff{Min: 100 * time.Millisecond, Max: 2 * time.Second}
)

// Life is one possession of a shard: from the lease that was taken to the one
// that is given back, lost or ended. Fill the exported fields, then Run.
type Life struct {
	*Policy
	ID         string
	Stream     string
	Parents    []string
	Range      keyspace.Range
	Possession uint64
	Lease      Lease
	Source     Source
	// At is the checkpoint; where it is a start, Time (if set) is where the
	// group starts.
	At   record.Position
	Time time.Time
	// Seen is the time that was stored with At; zero: unknown. Retention is how
	// long the stream keeps records; 0: unknown.
	Seen      time.Time
	Retention time.Duration
	// Takeovers is how many owners died at exactly this checkpoint. Suspect and
	// Tried are what Lease.Suspect stored: somebody was careful here before, and
	// so often the record behind the checkpoint was tried without an end.
	Takeovers int
	Suspect   bool
	Tried     int
	// Marks are those saved for this shard, nil if there are none. Where there
	// are none, or they lead the checkpoint, those of its parents count.
	Marks        *mark.Saved
	ParentsMarks []*mark.Saved
	// Where names stream, group and worker.
	Where observe.Where
	// Proven is asked before each record is handed out: an error tells that the
	// lease cannot be proven at that time, though nobody has come to say so: the
	// process may have been frozen since. May be nil.
	Proven func(now time.Time) error
	// Prefetched tells how much the consumer has read ahead; may be nil.
	Prefetched func() int64

	where observe.Where
	from  fetch.From
	turn  chan struct{}           // who writes; holds one token
	lose  context.CancelCauseFunc // ends the context of the function

	suspicion  suspicion
	refreshing sync.WaitGroup
	unhandled  atomic.Int64 // records handed out that are not done with

	mu      sync.Mutex // guards what follows, and is never held across a wait
	marks   *mark.Tracker
	at      record.Position // last checkpoint
	seen    watermark
	saved   time.Time       // when the marks were
	savedAt record.Position // and for which checkpoint
	known   bool            // they were, at least once
	lags    bool            // the marks have not been made up to the checkpoint yet
	busy    bool            // the function runs, and not only to write its last checkpoint
	left    bool            // nobody waits for it any more, and nothing is written for it
	state   Snapshot
}

// Snapshot is what a shard looks like at a moment.
type Snapshot struct {
	Shard      string
	Checkpoint record.Position
	Delivered  record.Position // last position handed out
	Read       bool            // there was an answer
	Behind     time.Duration   // of the last answer
	Records    int64           // handed out
	Unhandled  int64           // of these not done with
}

// Result is how a life ended.
type Result struct {
	// Ended: the shard was read to its end and all of it is done with.
	Ended    bool
	Children []fetch.Child
	// GivenBack: the function returned before it had to.
	GivenBack bool
	// Stopped is why the reading was stopped; NotEnding if it was not.
	Stopped Ending
	// Settled: the checkpoint covers everything that was finished, so that
	// whoever reads on repeats nothing. Also where Run returns an error.
	Settled bool
}

// Func is a user's function for a shard.
type Func func(ctx context.Context, s *Shard) error

// errStop wraps an error that ends the consumer.
type errStop struct{ error }

func (e errStop) Unwrap() error { return e.error }

// prepare makes marks and the place to start from.
func (l *Life) prepare() {
	l.where = l.Where
	l.where.Shard = l.ID
	l.turn = make(chan struct{}, 1)
	l.at, l.saved = l.At, time.Now()
	l.seen.stored, l.seen.asked, l.seen.position = l.Seen, l.Seen, l.At
	l.marks = mark.New(l.Range, 0)
	restored := l.Marks != nil && l.marks.Restore(l.Marks, l.At)
	if !restored {
		if l.Marks != nil {
			l.Log.Info("marks are ahead of the checkpoint and not used: somebody moved it back", l.attrs()...)
		}
		for _, m := range l.ParentsMarks {
			l.marks.Inherit(m)
		}
		l.marks.Checkpointed(l.At) // or the next one reads from the oldest record for them
	}
	l.from = l.startAt(l.At)
	if restored && l.Marks.At.Compare(l.At) < 0 {
		// The marks were saved a little before the checkpoint. Reading from
		// there raises them over what was handled, so that its resends are
		// recognised; nothing of it is delivered again.
		l.from, l.lags = l.startAt(l.Marks.At), true
	}
	if restored {
		l.savedAt, l.known = l.Marks.At, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = Snapshot{Shard: l.ID, Checkpoint: l.At, Delivered: l.At}
}

func (l *Life) startAt(p record.Position) fetch.From {
	if p.IsStart() {
		return fetch.From{Time: l.Time}
	}
	return fetch.From{Sequence: p.Sequence, Old: l.passed()}
}

// Run reads the shard and runs fn on it, again and again if it fails, until the
// shard ends, fn gives it back, stop is used or ctx is over. stop ends the
// reading; fn keeps its context, which ends with ctx and when a write finds the
// lease lost.
func (l *Life) Run(ctx context.Context, stop *Brake, fn Func) (Result, error) {
	ctx, l.lose = context.WithCancelCause(ctx)
	defer l.refreshing.Wait()
	defer l.lose(nil)
	l.prepare()
	settled := true // nothing has been handled yet
	for failures := 0; ; {
		if stop.stopped() {
			return Result{Stopped: stop.Why(), Settled: settled}, nil
		}
		before := l.checkpoint()
		s, err := l.once(ctx, stop, fn)
		settled = s.settled
		r := Result{Stopped: stop.Why(), Settled: settled}
		switch {
		case ctx.Err() != nil:
			return r, context.Cause(ctx)
		case s.broken != nil:
			return r, fmt.Errorf("stream %q %s: %w", l.Stream, l.ID, s.broken)
		case err == nil && s.Ending() == ShardEnd:
			// The position of the last record, and the marks that the children
			// start with, before anybody may write that the shard has ended.
			err := l.settle(ctx, s.delivered)
			return Result{Ended: true, Children: s.children, Settled: err == nil}, err
		case err == nil:
			// The marks of what the function checkpointed by itself.
			r.GivenBack = s.Ending() == NotEnding
			err := l.settle(ctx, l.checkpoint())
			r.Settled = settled && err == nil
			return r, err
		}
		if stopped, ok := errors.AsType[errStop](err); ok {
			return r, stopped.error
		}
		if errors.Is(err, ErrDied) {
			r.GivenBack = true
			return r, l.died(ctx, err)
		}
		if s.stopping() {
			l.Warn.Warn("the shard's function failed while its reading was stopped", append(l.attrs(), slog.Any("error", err))...)
			return r, nil
		}
		if l.checkpoint().Compare(before) > 0 {
			failures = 0
		}
		failures++
		l.Observer.Count(observe.HandlerErrors, l.where, 1)
		if l.OnError == Stop && failures >= max(1, l.MaxAttempts) {
			return r, fmt.Errorf("stream %q %s: the shard's function failed %d times: %w", l.Stream, l.ID, failures, err)
		}
		l.Warn.Warn("the shard's function failed, starting it again from the last checkpoint",
			append(l.attrs(), slog.Int("attempt", failures), slog.Any("error", err))...)
		if !pause(ctx, stop.Done(), handlerRetries.Full(failures, rand.Float64())) && ctx.Err() != nil {
			return r, context.Cause(ctx)
		}
		l.again()
	}
}

// again goes back to the last checkpoint.
func (l *Life) again() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.marks.Rewind()
	l.seen.answers, l.seen.position = nil, l.at
	if l.at.Compare(l.At) > 0 {
		l.from = l.startAt(l.at)
	} // else from where it began, which may lie before the checkpoint: the marks still lag
}

// once runs fn once, over a reading of its own.
func (l *Life) once(ctx context.Context, stop *Brake, fn Func) (*Shard, error) {
	at := l.checkpoint()
	l.unhandled.Store(0)
	s := &Shard{life: l, start: at, stop: stop, ctx: ctx, delivered: at, answers: make(chan fetch.Answer, 1)}
	if l.Resume != nil {
		if err := l.resume(ctx, s); err != nil {
			s.kept, s.settled = true, true // nothing was begun
			return s, err
		}
		at = s.start
	}
	s.open = unpacker{
		stream: l.Stream, shard: l.ID, after: at, dropForeign: l.DropForeign,
		observer: l.Observer, where: l.where, mu: &l.mu, marks: l.marks,
		warn: func(message string, err error) { l.Warn.Warn(message, append(l.attrs(), slog.Any("error", err))...) },
	}
	readCtx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.read(readCtx, l.from)
	}()
	// stop ends the reading; the function has its grace time.
	defer stop.then(cancel)()
	l.enter(true)
	err := guard(func() error { return fn(ctx, s) })
	l.enter(false)
	cancel()
	for a := range s.answers {
		a.Release()
	}
	<-done
	s.hold(nil)
	s.hold(s.restOf)
	s.hold(nil)
	if s.stopping() {
		s.end(stop.Why())
	}
	if !s.kept {
		s.settled = l.checkpoint().Compare(s.delivered) >= 0
	}
	return s, err
}

func (l *Life) enter(busy bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy = busy
}

// Leave gives up a function that goes on although its context is over, and
// reports whether there is one. Nothing that it finishes later is written.
func (l *Life) Leave() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left = l.left || l.busy
	return l.left
}

// settle writes a checkpoint and the marks of it for sure, when nothing more is
// handled: it tries until it succeeds, the lease is lost or ctx is over. Then it
// tries once more, unless the lease is lost: what was finished is finished.
func (l *Life) settle(ctx context.Context, p record.Position) error {
	l.enter(false)
	for attempt := 1; ; attempt++ {
		if ctx.Err() != nil {
			if errors.Is(context.Cause(ctx), record.ErrLeaseLost) {
				return context.Cause(ctx)
			}
			lastCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrite)
			defer cancel()
			return l.write(lastCtx, p, true)
		}
		err := l.write(ctx, p, true)
		if err == nil || errors.Is(err, record.ErrLeaseLost) {
			return err
		}
		l.Warn.Warn("the last checkpoint could not be written, trying again", append(l.attrs(), slog.Any("error", err))...)
		pause(ctx, nil, writeRetries.Full(attempt, rand.Float64()))
	}
}

func (l *Life) checkpoint() record.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at
}

// write stores a checkpoint, if it is one step on, and afterwards the marks
// where they are due. Never the other way round: marks must not lead. last: the
// marks are due however young they are.
func (l *Life) write(ctx context.Context, p record.Position, last bool) error {
	return l.alone(ctx, func() error { return l.writeAlone(ctx, p, last) })
}

// alone writes to the lease, one writer after the other.
func (l *Life) alone(ctx context.Context, write func() error) error {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	err := write()
	if errors.Is(err, record.ErrLeaseLost) {
		l.lose(err)
	}
	return err
}

func (l *Life) writeAlone(ctx context.Context, p record.Position, last bool) error {
	l.mu.Lock()
	left := l.left
	l.mu.Unlock()
	if left {
		return l.leftBehind(p)
	}
	if !p.IsStart() && p.Compare(l.checkpoint()) > 0 {
		if err := l.firstMarks(ctx); err != nil {
			return err
		}
		l.mu.Lock()
		seen := l.seen.at(p)
		l.mu.Unlock()
		if err := l.Lease.Checkpoint(ctx, p, seen); err != nil {
			return err
		}
		l.moved(p, seen)
	}
	return l.saveMarks(ctx, last)
}

// leftBehind is the error of a write for a function that nobody waits for.
func (l *Life) leftBehind(p record.Position) error {
	return fmt.Errorf("checkpoint: stream %q %s at %v: %w: the consumer has stopped without waiting any longer", l.Stream, l.ID, p, record.ErrGraceOver)
}

// moved takes in that a checkpoint is stored.
func (l *Life) moved(p record.Position, seen time.Time) {
	l.mu.Lock()
	l.at = p
	l.seen.stored, l.seen.asked = seen, time.Now()
	l.state.Checkpoint = p
	l.marks.Checkpointed(p)
	l.mu.Unlock()
	l.Observer.Count(observe.Checkpoints, l.where, 1)
	l.Observer.Event(observe.Event{Kind: observe.Checkpoint, Time: time.Now(), Where: l.where, Sequence: p.Sequence, SubSequence: p.SubSequence})
}

// firstMarks saves marks before the first checkpoint that may need any, as of
// the checkpoint before. Whoever takes over after a crash then knows from where
// to read to get them; without any it could not, and would deliver what is sent
// a second time once more.
func (l *Life) firstMarks(ctx context.Context) error {
	l.mu.Lock()
	due := !l.known && l.marks.Producers() > 0
	var body []byte
	at := l.at
	if due {
		body = l.marks.Encode()
	}
	l.mu.Unlock()
	if !due {
		return nil
	}
	if err := l.Lease.SaveMarks(ctx, body); err != nil {
		return fmt.Errorf("save marks: %w", err)
	}
	l.mu.Lock()
	l.savedAt, l.known = at, true
	l.mu.Unlock()
	return nil
}

func (l *Life) saveMarks(ctx context.Context, last bool) error {
	now := time.Now()
	l.mu.Lock()
	// Also of a shard without records: its children start with them.
	due := !l.lags && l.marks.Producers() > 0 && (l.at.Compare(l.savedAt) > 0 && now.Sub(l.saved) >= marksEvery || last && (l.at.Compare(l.savedAt) > 0 || !l.known))
	var body []byte
	at := l.at
	if due {
		body = l.marks.Encode()
	}
	l.mu.Unlock()
	if !due {
		return nil
	}
	if err := l.Lease.SaveMarks(ctx, body); err != nil {
		return fmt.Errorf("save marks: %w", err)
	}
	l.mu.Lock()
	l.saved, l.savedAt, l.known = now, at, true
	l.mu.Unlock()
	return nil
}

// took notes what an answer brought.
func (l *Life) took(a *fetch.Answer, records int, end record.Position) {
	l.Observer.Gauge(observe.Unhandled, l.where, l.unhandled.Add(int64(records)))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state.Read, l.state.Behind = true, a.Behind
	l.seen.came(a, end, time.Now())
	l.state.Records += int64(records)
	if end.Compare(l.At) >= 0 {
		l.lags = false
	}
	if end.Compare(l.state.Delivered) > 0 {
		l.state.Delivered = end
	}
}

// Snapshot is the state of the shard now; the zero Snapshot before Run.
func (l *Life) Snapshot() Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.state
	s.Unhandled = l.unhandled.Load()
	return s
}

// expired ends the shard's context if the lease cannot be proven now.
func (l *Life) expired(now time.Time) error {
	if l.Proven == nil {
		return nil
	}
	err := l.Proven(now)
	if err != nil {
		l.lose(err)
	}
	return err
}

func (l *Life) prefetched() int64 {
	if l.Prefetched == nil {
		return 0
	}
	return l.Prefetched()
}

func (l *Life) attrs() []any {
	return []any{slog.String("stream", l.Stream), slog.String("shard", l.ID), slog.String("worker", l.Where.Worker)}
}

// guard runs a user's code and turns a panic into an error with its stack.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f()
}

// pause waits, and reports false if it was cut short.
func pause(ctx context.Context, stop <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-stop:
	case <-ctx.Done():
	}
	return false
}
