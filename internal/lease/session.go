package lease

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	random "math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libvegas/vegas/internal/fetch"
	"github.com/libvegas/vegas/internal/fleet"
	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/internal/shard"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

// session is the life of one worker's row: one goroutine runs the machine,
// starts another for each Ask and each shard, and never waits for any of them.
type session struct {
	*Group
	fn        shard.Func
	created   time.Time     // of the stream
	retention time.Duration // of its records
	table     *table
	m         *fleet.Machine
	reader    *fetch.Reader
	began     time.Time
	fuse      *time.Timer
	until     atomic.Int64    // until when leases can be proven, in nanoseconds since began
	told      context.Context // Run's: when it is over, the session stops
	base      context.Context // of Asks and shards: outlives that
	asking    sync.WaitGroup

	answers chan answered
	closed  chan closed
	news    chan fleet.Lease
	over    chan struct{} // closed: nobody waits for answers any more

	started  *bool // the shards have been listed once, in this session or an earlier one
	failed   error // why the session stops, other than being told to
	remade   bool  // the stream is another one now
	stopping bool
	deaf     []string // shards whose functions were left behind, and how much of each
}

type answered struct {
	ask    *fleet.Ask
	answer fleet.Answer
	err    error // that ends the session
}

// closed is how a shard's function ended.
type closed struct {
	life     *life
	how      fleet.Closing
	children []fleet.Shard
	err      error // that ends the session
	remade   bool  // for the stream is another one now
}

// errNobody: no shard can be read, for the stream has none.
var errNobody = errors.New("the stream has no shards")

func (g *Group) newSession(ctx context.Context, fn shard.Func, sum kinesisapi.Summary, arn string) *session {
	id := strings.ToLower(rand.Text()[:16])
	s := &session{
		Group: g, fn: fn, created: sum.Created, retention: sum.Retention, table: newTable(g.Store, g.Name, streamID(sum), id), began: time.Now(),
		reader: &fetch.Reader{
			Client: g.Client, Budget: g.Budget, Idle: g.Idle, Busy: g.Busy, ConsumerARN: arn, FallBack: g.FallBack, Retention: sum.Retention, Created: sum.Created,
			Warn: g.Warn, Observer: g.Observer, Where: g.where(),
		},
		told: ctx, base: context.WithoutCancel(ctx),
		answers: make(chan answered), closed: make(chan closed), news: make(chan fleet.Lease, 16), over: make(chan struct{}),
	}
	s.table.beats, s.table.warn, s.table.attrs = g.beats, g.Warn, g.attrs()
	s.table.seen = func(l fleet.Lease) {
		select {
		case s.news <- l:
		default: // the next sweep tells
		}
	}
	s.m = fleet.New(fleet.Config{ID: id, Name: g.Worker, Timing: g.Timing, MaxLeases: g.MaxShards, Rand: random.Float64})
	s.table.names[id] = g.Worker
	return s
}

func (s *session) now() time.Duration { return time.Since(s.began) }

// run is the worker's loop, until its part is over and all shards have ended.
// It returns ErrDead of package fleet where another session may go on.
func (s *session) run() error {
	var endAsks context.CancelFunc
	s.base, endAsks = context.WithCancel(s.base)
	defer s.asking.Wait()
	defer endAsks()
	defer close(s.over)
	s.fuse = time.AfterFunc(time.Hour, s.burn)
	defer s.fuse.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var late <-chan time.Time
	done := s.told.Done()
	for {
		asks, acts, next := s.m.Poll(s.now())
		for _, a := range asks {
			s.ask(a)
		}
		for _, a := range acts {
			s.act(a)
		}
		s.mu.Lock()
		s.waiting = s.m.Waiting()
		s.mu.Unlock()
		if over, why := s.m.Over(); over {
			return s.ending(why)
		}
		timer.Reset(max(0, next-s.now()))
		select {
		case a := <-s.answers:
			s.answered(a)
		case c := <-s.closed:
			s.onClosed(c)
		case l := <-s.news:
			s.m.Seen(s.now(), l)
		case <-timer.C:
		case <-done:
			done = nil
			s.stop(nil)
		case <-late:
			s.leave()
		}
		if s.stopping && late == nil {
			late = time.After(s.Grace + parting)
		}
	}
}

// parting is what functions have to return in once their context is over.
const parting = time.Second

// stop begins the end of the session.
func (s *session) stop(err error) {
	if s.failed == nil {
		s.failed = err
	}
	if s.stopping {
		return
	}
	s.stopping = true
	s.Observer.Event(observe.Event{Kind: observe.Stopping, Time: time.Now(), Where: s.where()})
	s.Log.Info("stopping", s.attrs()...)
	s.m.Stop(s.now())
}

// ending is what the session returns when the machine is over.
func (s *session) ending(why error) error {
	switch {
	case errors.Is(why, fleet.ErrNameTaken):
		why = &NameTaken{Group: s.Name, Stream: s.stream(), Worker: s.Worker}
	case why != nil && s.stopping:
		why = nil // it was about to leave
	}
	err := errors.Join(s.failed, why)
	if len(s.deaf) > 0 {
		slices.Sort(s.deaf)
		err = errors.Join(err, fmt.Errorf("consume: stream %q: group %q: %w; what handles %s was told to return and goes on; nothing of it is checkpointed any more: let handlers return when they are told to, or raise o.Grace (see docs/troubleshooting.md#grace-over)",
			s.stream(), s.Name, record.ErrGraceOver, strings.Join(s.deaf, ", ")))
	}
	return err
}

// leave gives up the functions that go on although their context is over. Their
// leases are given away as the others are.
func (s *session) leave() {
	s.mu.Lock()
	var left []*life
	for id, l := range s.lives {
		if l.Leave() {
			left = append(left, l)
			delete(s.lives, id)
		}
	}
	s.mu.Unlock()
	for _, l := range left {
		l.left = true
		s.deaf = append(s.deaf, fmt.Sprintf("%s (unfinished records: %d)", l.ID, l.Snapshot().Unhandled))
		s.m.Closed(s.now(), l.ID, l.Possession, fleet.Lost, nil)
	}
}

// ---- asks

// ask carries out an Ask, and brings its answer to the loop.
func (s *session) ask(a *fleet.Ask) {
	limit := min(storeTime, s.Timing.Lease)
	switch a.Verb {
	case fleet.Beat:
		limit = min(storeTime, s.Timing.Lease/4)
	case fleet.Join:
		limit = storeTime // over a connection that is new
	}
	first := !*s.started
	s.asking.Go(func() {
		r := answered{ask: a}
		sent := time.Now()
		if a.Verb == fleet.List {
			r.answer, r.err = s.list(first)
		} else {
			r.answer = s.table.do(s.base, a, limit)
		}
		switch a.Verb {
		case fleet.Join, fleet.Look, fleet.LookSurely:
			if err := r.answer.Err; first && err != nil {
				r.err = fmt.Errorf("consume: stream %q: group %q: %w", s.stream(), s.Name, err)
			}
		case fleet.Beat:
			s.Observer.Observe(observe.HeartbeatLatency, s.where(), int64(time.Since(sent)))
		}
		select {
		case s.answers <- r:
		case <-s.over:
		}
	})
}

func (s *session) answered(r answered) {
	a := r.ask
	if r.err != nil {
		s.stop(r.err)
	} else if a.Verb == fleet.List && r.answer.Outcome == fleet.Done {
		*s.started = true
	}
	before := s.m.Until()
	s.m.Answer(s.now(), a, r.answer)
	switch until := s.m.Until(); {
	case until == 0 && before != 0:
		s.endAll(s.lost())
	case until != before:
		// What was left of the lease's time says how close it was.
		s.Observer.Gauge(observe.LeaseLeftMillis, s.where(), int64((before-s.now())/time.Millisecond))
		s.until.Store(int64(until))
		s.fuse.Reset(until - s.now())
	}
	if n := s.m.Overdue(); a.Verb == fleet.Sweep && n > 0 && s.MaxShards > 0 {
		s.Warn.Warn("shards are read by nobody, and this worker reads as many as o.MaxShards lets it: raise that, or start more workers (see docs/troubleshooting.md#max-shards)",
			append(s.attrs(), slog.Int("unread", n), slog.Int("max_shards", s.MaxShards))...)
	}
	if r.answer.Outcome != fleet.Done {
		if a.Verb == fleet.Beat {
			s.Observer.Count(observe.HeartbeatErrors, s.where(), 1)
		}
		return
	}
	switch a.Verb {
	case fleet.Declare:
		s.Observer.Count(observe.WorkersDeclaredDead, s.where(), 1)
		s.Log.Warn("a worker has not sent a heartbeat for the lease time: it is declared dead, and its shards are taken over",
			append(s.attrs(), slog.String("dead_worker", a.Worker.Name), slog.Duration("lease_time", a.Worker.Lease))...)
	case fleet.Give:
		if a.To != "" {
			where := s.where()
			where.Shard = a.Lease
			to := s.table.nameOf(a.To)
			s.Observer.Event(observe.Event{Kind: observe.HandedOver, Time: time.Now(), Where: where, Worker: to})
			s.Log.Info("handed shard over", append(s.attrs(), slog.String("shard", a.Lease), slog.String("to", to))...)
		}
	}
}

// list lists the stream's shards. An error ends the session; the first time
// everything that goes wrong is one, for it may never go right.
func (s *session) list(first bool) (fleet.Answer, error) {
	all, err := s.listing(s.base)
	switch {
	case err == nil && len(all) == 0:
		return fleet.Answer{Outcome: fleet.Unknown}, fmt.Errorf("consume: stream %q: %w", s.stream(), errNobody)
	case err == nil:
		return fleet.Answer{Shards: all}, nil
	case s.base.Err() == nil && (first || kinesisapi.Classify(err) == kinesisapi.Fatal):
		return fleet.Answer{Outcome: fleet.Unknown}, err
	}
	return s.table.unknown(s.base, "shards could not be listed, trying again", err), nil
}

// ---- the end of proof

// burn ends every shard: the lease time is over, and nobody has acknowledged a
// heartbeat. It runs by itself, however busy the loop is.
func (s *session) burn() { s.endAll(s.unproven()) }

func (s *session) endAll(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lives {
		l.cancel(why)
	}
}

// lost is why a shard ends that the machine gives up.
func (s *session) lost() error {
	why := "another worker has taken it, or its row is gone"
	switch until := s.m.Until(); {
	case until == 0:
		why = "this worker was declared dead, or its row is gone"
	case s.now() >= until:
		return s.unproven()
	}
	return fmt.Errorf("%w: %s (see docs/troubleshooting.md#lease-lost)", record.ErrLeaseLost, why)
}

// proven tells whether leases can be proven at a time. Whoever hands a record out
// asks, since a process that was frozen may wake up there before the fuse does.
func (s *session) proven(now time.Time) error {
	if int64(now.Sub(s.began)) >= s.until.Load() {
		return s.unproven()
	}
	return nil
}

// unproven is why shards end when the lease time is over.
func (s *session) unproven() error {
	return fmt.Errorf("%w: the store did not acknowledge a heartbeat for %v (see docs/troubleshooting.md#lease-lost)", record.ErrLeaseLost, s.Timing.Lease-s.Timing.Margin)
}
