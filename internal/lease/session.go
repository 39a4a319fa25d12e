package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/internal/backoff"
	"github.com/libvegas/vegas/internal/fetch"
	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/internal/shard"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store"
)

// session is one stretch of consuming: one goroutine owns its fields and starts
// one more for each shard.
type session struct {
	*Group
	fn        shard.Func
	created   time.Time
	leases    string // prefix of the lease rows
	marks     string
	reader    *fetch.Reader
	start     time.Time // of the group
	retention time.Duration

	stop *shard.Brake            // of every shard
	live context.Context         // of the shards' functions
	end  context.CancelCauseFunc // of live

	tree    tree
	running map[string]bool
	after   map[string]time.Time // when a shard that was left may be started again
	gone    map[string]bool      // parents whose records are gone
	listed  time.Time            // when the shards were last asked for
	results chan result
	over    chan struct{} // closed: nobody waits for results
}

// result is how the possession of a shard ended.
type result struct {
	entry    *entry // as it is now
	children []*entry
	err      error
	again    time.Duration // to be started again after it; 0: not
}

var retries = backoff.Backoff{Min: 100 * time.Millisecond, Max: 5 * time.Second}

// run starts what may be read, until ctx is over, the leases are lost or
// something fails for good; then it stops everything, and returns when all
// shards have.
func (s *session) run(ctx context.Context, sum kinesisapi.Summary, id string, started *bool) (again bool, err error) {
	if err := s.begin(ctx, sum, id); err != nil {
		return false, quietly(ctx, errStart{err})
	}
	*started = true
	s.Log.Info("consuming", append(s.attrs(), slog.Int("leases", len(s.tree)))...)
	for err == nil && !again {
		s.startReady()
		wake := s.wake()
		select {
		case r := <-s.results:
			again, err = s.ended(ctx, r)
		case <-wake:
			err = s.listAgain(ctx)
		case <-s.live.Done():
			err = errStopped
		case <-ctx.Done():
			err = errStopped
		}
	}
	if errors.Is(err, errStopped) {
		err = nil
	}
	last := err != nil && !again || errors.Is(context.Cause(s.live), errSuperseded)
	if last || ctx.Err() != nil {
		s.Observer.Event(observe.Event{Kind: observe.Stopping, Time: time.Now(), Where: s.where()})
		s.Log.Info("stopping", s.attrs()...)
	}
	s.stop.Stop(shard.Shutdown)
	return again, errors.Join(err, s.drain(ctx, last))
}

// errStopped ends the loop of run.
var errStopped = errors.New("stopped")

// begin reads the group's rows and makes leases for the shards that have none.
func (s *session) begin(ctx context.Context, sum kinesisapi.Summary, id string) error {
	var err error
	if s.start, err = s.pinned(ctx, sum, id); err != nil {
		return err
	}
	listCtx, cancel := context.WithTimeout(ctx, 2*storeTime)
	defer cancel()
	rows, err := s.Store.List(listCtx, s.Name, s.leases)
	if err != nil {
		return fmt.Errorf("consume: stream %q: group %q: %w", s.stream(), s.Name, err)
	}
	for _, r := range rows {
		e, err := readEntry(r, s.leases)
		if err != nil {
			return err
		}
		s.tree[e.id] = e
	}
	all, err := s.list(ctx)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("consume: stream %q has no shards", s.stream())
	}
	for _, e := range s.tree.outlived(all) {
		s.forget(ctx, e)
	}
	return nil
}

// list makes leases for the stream's shards that have none.
func (s *session) list(ctx context.Context) ([]Shard, error) {
	s.listed = time.Now()
	all, err := s.listing(ctx)
	if err != nil {
		return nil, err
	}
	for _, one := range all {
		if s.tree[one.ID] != nil {
			continue
		}
		e, err := create(ctx, s.Store, s.Name, s.leases, one, s.start, s.freshPossession())
		if err != nil {
			return nil, fmt.Errorf("make lease: stream %q %s: %w", s.stream(), one.ID, err)
		}
		s.tree[e.id] = e
	}
	return all, nil
}

// listing asks for the stream's shards.
func (s *session) listing(ctx context.Context) ([]Shard, error) {
	raw, err := inTime(ctx, func(ctx context.Context) ([]types.Shard, error) { return s.Client.ListShards(ctx, nil) })
	if err != nil {
		return nil, err
	}
	all, err := listed(raw)
	if err != nil {
		return nil, fmt.Errorf("list shards: stream %q: %w", s.stream(), err)
	}
	return all, nil
}

// freshPossession is above every possession number that the group ever used,
// also when rows were deleted: it follows the clock, which runs faster than
// possessions change hands.
func (s *session) freshPossession() uint64 {
	n := uint64(max(0, time.Now().UnixMilli()))
	for _, e := range s.tree {
		n = max(n, e.possession+1)
	}
	return n
}

// forget deletes the rows of a shard that nobody needs. What fails is tried at
// the next start.
func (s *session) forget(ctx context.Context, e *entry) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	m, err := s.Store.Get(ctx, s.Name, s.marks+e.id)
	if err == nil {
		err = s.Store.Delete(ctx, m)
	} else if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	if err == nil && s.Store.Delete(ctx, e.row) == nil {
		delete(s.tree, e.id)
	}
}

// startReady starts every shard that may be read and is not.
func (s *session) startReady() {
	waiting := s.tree.unknownParent(s.gone)
	now := time.Now()
	for _, e := range s.tree.ready() {
		if s.running[e.id] || now.Before(s.after[e.id]) || waiting != nil && s.unsure(e) {
			continue
		}
		s.running[e.id] = true
		var parents []*entry
		for _, p := range e.parents {
			if t := s.tree[p]; t != nil {
				parents = append(parents, t)
			}
		}
		l := &shard.Life{
			Policy: s.Policy, ID: e.id, Stream: s.stream(), Parents: e.parents, Range: e.hashes,
			At: e.at, Time: s.tree.startOf(e), Seen: e.seen, Retention: s.retention, Takeovers: e.takeovers, Suspect: e.suspect, Tried: e.tried, Where: s.where(), Prefetched: s.Budget.Used,
			Source: func(ctx context.Context, from fetch.From, deliver func(context.Context, fetch.Answer) error) error {
				return s.reader.Read(ctx, e.id, from, deliver)
			},
		}
		possession := max(s.freshPossession(), e.possession+1)
		go func() {
			r := result{entry: e, err: fmt.Errorf("stream %q %s: %w", s.stream(), e.id, shard.ErrExited)}
			defer func() {
				select {
				case s.results <- r:
				case <-s.over: // given up by drain
				}
			}()
			r = s.possess(l, *e, parents, possession)
		}()
	}
	unfinished := 0
	for _, e := range s.tree {
		if !e.ended() {
			unfinished++
		}
	}
	s.mu.Lock()
	s.idle = unfinished - len(s.running)
	s.mu.Unlock()
}

// unsure tells that a parent of e may still turn up.
func (s *session) unsure(e *entry) bool {
	for _, p := range e.parents {
		if s.tree[p] == nil && !s.gone[p] && e.at.IsStart() {
			return true
		}
	}
	return false
}

// wake fires when a shard that was left may be started again, or when a listing
// is due to find a parent.
func (s *session) wake() <-chan time.Time {
	var next time.Time
	for id, at := range s.after {
		if !s.running[id] && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if s.tree.unknownParent(s.gone) != nil {
		if t := s.listed.Add(time.Second); next.IsZero() || t.Before(next) {
			next = t
		}
	}
	if next.IsZero() {
		return nil
	}
	return time.After(time.Until(next))
}

// listAgain looks for parents that have no lease. One that a listing does not
// show although it shows the child has no records any more.
func (s *session) listAgain(ctx context.Context) error {
	now := time.Now()
	for id, at := range s.after {
		if !now.Before(at) {
			delete(s.after, id)
		}
	}
	if s.tree.unknownParent(s.gone) == nil {
		return nil
	}
	all, err := s.list(ctx)
	if err != nil {
		if ctx.Err() == nil && kinesisapi.Classify(err) != kinesisapi.Fatal {
			s.Warn.Warn("shards could not be listed, trying again", append(s.attrs(), slog.Any("error", err))...)
			return nil
		}
		return quietly(ctx, err)
	}
	for _, one := range all {
		for _, p := range one.Parents {
			if s.tree[p] == nil {
				s.gone[p] = true
			}
		}
	}
	return nil
}

// possess takes a shard's lease and runs the shard. It owns the copy of the
// entry that it is given.
func (s *session) possess(l *shard.Life, e entry, parents []*entry, possession uint64) result {
	where := s.where()
	where.Shard = e.id
	attrs := append(s.attrs(), slog.String("shard", e.id))
	h, err := take(s.live, s.Store, s.stream(), s.Worker, &e, possession)
	if err != nil {
		return s.unpossessed(&e, err)
	}
	e.possession, e.row = possession, h.row
	l.Lease, l.Possession = h, possession
	l.Marks, l.ParentsMarks, err = h.loadMarks(s.live, s.marks, e.at, parents, func(shard string, err error) {
		s.Warn.Warn("saved marks cannot be read and are not used: duplicates are possible", append(s.attrs(), slog.String("shard", shard), slog.Any("error", err))...)
	})
	if err != nil {
		return s.unpossessed(&e, err)
	}
	s.mu.Lock()
	if s.lives == nil {
		s.lives = map[string]*shard.Life{}
	}
	s.lives[e.id] = l
	owned := len(s.lives)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.lives, e.id)
		owned := len(s.lives)
		s.mu.Unlock()
		s.Observer.Gauge(observe.ShardsOwned, s.where(), int64(owned))
	}()
	s.Observer.Gauge(observe.ShardsOwned, s.where(), int64(owned))
	s.Observer.Event(observe.Event{Kind: observe.Acquired, Time: time.Now(), Where: where, Sequence: e.at.Sequence, SubSequence: e.at.SubSequence, Parents: e.parents})
	s.Log.Info("reading shard", append(attrs, slog.String("from", e.at.String()), slog.Uint64("possession", possession))...)

	r, err := l.Run(s.live, s.stop, s.fn)
	out := result{entry: &e, err: err}
	if r.GivenBack {
		out.again = s.Timing.Pause
	}
	if err != nil && kinesisapi.NotFound(err) && s.live.Err() == nil {
		// Retention has passed over the whole shard, if the stream is still
		// there and goes on elsewhere.
		if children, findErr := s.findChildren(e.id, true); findErr == nil && len(children) > 0 {
			if out.err = l.Forgotten(); out.err == nil {
				r.Ended, r.Children = true, children
			}
		}
	}
	if r.Ended && out.err == nil {
		out.children, out.err = s.finish(h, e.id, r.Children)
	}
	if updated, err := readEntry(h.row, s.leases); err == nil {
		e = *updated
	}
	switch {
	case e.ended():
		s.Observer.Event(observe.Event{Kind: observe.Ended, Time: time.Now(), Where: where})
		s.Log.Info("shard ended", append(attrs, slog.Int("children", len(out.children)))...)
	case errors.Is(out.err, record.ErrLeaseLost):
		s.Observer.Event(observe.Event{Kind: observe.Lost, Time: time.Now(), Where: where, Sequence: e.at.Sequence, SubSequence: e.at.SubSequence})
		s.Warn.Warn("lease lost", append(attrs, slog.Any("error", out.err))...)
	}
	return out
}

// unpossessed is the result of a lease that could not be taken: somebody
// changed it, or the store does not answer. It is tried again.
func (s *session) unpossessed(e *entry, err error) result {
	if s.live.Err() == nil {
		s.Warn.Warn("a lease could not be taken, trying again", append(s.attrs(), slog.String("shard", e.id), slog.Any("error", err))...)
	}
	ctx, cancel := context.WithTimeout(s.live, storeTime)
	defer cancel()
	row, getErr := s.Store.Get(ctx, s.Name, s.leases+e.id)
	if errors.Is(getErr, store.ErrNotFound) {
		return result{entry: e, err: fmt.Errorf("stream %q %s: %w", s.stream(), e.id, errRowGone)}
	}
	if getErr == nil {
		if updated, readErr := readEntry(row, s.leases); readErr == nil {
			return result{entry: updated, again: s.Timing.Beat}
		}
	}
	return result{entry: e, again: s.Timing.Beat}
}

// errRowGone: somebody deleted a lease. The next session makes it anew.
var errRowGone = errors.New("the lease's row was deleted")

// finish writes a shard's end. It tries until that is stored or the lease is
// lost: the next start would find the shard unfinished, and read its last
// record again only to find its end.
func (s *session) finish(h *held, id string, children []fetch.Child) ([]*entry, error) {
	for attempt := 1; ; attempt++ {
		var err error
		if len(children) == 0 {
			children, err = s.findChildren(id, false)
		}
		var out []*entry
		if err == nil {
			out, err = h.end(s.live, s.leases, children, s.start)
		}
		if err == nil || errors.Is(err, record.ErrLeaseLost) {
			return out, err
		}
		if s.live.Err() != nil {
			return nil, context.Cause(s.live)
		}
		s.Warn.Warn("the end of a shard could not be written, trying again", append(s.attrs(), slog.String("shard", id), slog.Any("error", err))...)
		pause(s.live, retries.Full(attempt, rand.Float64()))
		select {
		case <-s.stop.Done():
			return nil, nil // the next start finds the end again
		default:
		}
	}
}

// childTries are seconds in which a closed shard's children have to be listed.
const childTries = 30

// findChildren lists the children of a shard whose end did not name them, as
// some servers do. must: the shard itself has to be gone from the listing.
func (s *session) findChildren(id string, must bool) ([]fetch.Child, error) {
	for try := 0; ; try++ {
		all, err := s.listing(s.live)
		if err != nil {
			return nil, err
		}
		if must {
			for _, one := range all {
				if one.ID == id {
					return nil, fmt.Errorf("stream %q %s is listed and not found", s.stream(), id)
				}
			}
		}
		if children := childrenOf(id, all); len(children) > 0 || must {
			return children, nil
		}
		if try == childTries {
			s.Warn.Warn("a closed shard has no children", append(s.attrs(), slog.String("shard", id))...)
			return nil, nil
		}
		if !pause(s.live, time.Second) {
			return nil, context.Cause(s.live)
		}
	}
}

// ended takes in how a possession ended. An error ends the session.
func (s *session) ended(ctx context.Context, r result) (again bool, err error) {
	e := r.entry
	delete(s.running, e.id)
	s.tree[e.id] = e
	for _, c := range r.children {
		if s.tree[c.id] == nil {
			s.tree[c.id] = c
		}
	}
	if r.again > 0 {
		s.after[e.id] = time.Now().Add(r.again)
	}
	switch {
	case r.err == nil:
		return false, nil
	case errors.Is(r.err, record.ErrLeaseLost):
		// Of this shard alone: somebody wrote to its row. Of all: the session
		// ends by itself.
		s.after[e.id] = time.Now().Add(s.Timing.Pause)
		return false, nil
	case errors.Is(r.err, record.ErrGraceOver):
		return false, r.err
	case errors.Is(r.err, errRowGone):
		return true, r.err
	}
	// Before an error is blamed on the shard: is it still the same stream?
	if ctx.Err() == nil {
		if sum, descErr := inTime(ctx, s.Client.Describe); descErr == nil && !sum.Created.Equal(s.created) {
			s.Warn.Warn("the stream was deleted and made anew: the group starts on the new one (see docs/troubleshooting.md#stream-remade)", s.attrs()...)
			return true, r.err
		}
	}
	return false, r.err
}
