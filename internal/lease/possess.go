package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libvegas/vegas/internal/backoff"
	"github.com/libvegas/vegas/internal/fetch"
	"github.com/libvegas/vegas/internal/fleet"
	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/internal/shard"
	"github.com/libvegas/vegas/layer"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

// life is one possession of a shard in this process.
type life struct {
	shard.Life
	act    fleet.Act
	brake  *shard.Brake
	cancel context.CancelCauseFunc
	grace  *time.Timer // from when it drains; the loop's
	left   bool        // nobody waits for it any more; the loop's

	ancestors []string
}

var retries = backoff.Backoff{Min: 50 * time.Millisecond, Max: 5 * time.Second}

// act does what the machine wants done about a shard.
func (s *session) act(a fleet.Act) {
	if a.Kind == fleet.Start {
		s.begin(a)
		return
	}
	s.mu.Lock()
	l := s.lives[a.Lease.ID]
	s.mu.Unlock()
	if l == nil {
		return // it has just ended
	}
	switch a.Kind {
	case fleet.Drain:
		why := shard.Handoff
		if a.Why == fleet.ToStop {
			why = shard.Shutdown
		}
		l.brake.Stop(why)
		if l.grace == nil {
			l.grace = time.AfterFunc(s.Grace, func() { l.cancel(record.ErrGraceOver) })
		}
	case fleet.Lose:
		l.cancel(s.lost())
	}
}

// begin starts a shard's goroutine.
func (s *session) begin(a fleet.Act) {
	e := a.Lease
	ctx, cancel := context.WithCancelCause(s.base)
	l := &life{
		Life: shard.Life{
			Policy: s.Policy, ID: e.ID, Stream: s.stream(), Parents: e.Parents, Range: e.Range,
			At: e.At, Time: a.Begin, Where: s.where(), Prefetched: s.Budget.Used, Possession: e.Possession, Proven: s.proven,
			Seen: e.Seen, Retention: s.retention, Takeovers: e.Takeovers, Suspect: e.Suspect, Tried: e.Tried,
			Source: func(ctx context.Context, from fetch.From, deliver func(context.Context, fetch.Answer) error) error {
				return s.reader.Read(ctx, e.ID, from, deliver)
			},
		},
		act: a, brake: shard.NewBrake(), cancel: cancel, ancestors: s.ancestors(e),
	}
	var parents []fleet.Lease
	for _, p := range e.Parents {
		if known, ok := s.m.Lease(p); ok {
			parents = append(parents, known)
		}
	}
	s.count(func() { s.lives[e.ID] = l })
	go func() {
		c := closed{life: l, err: fmt.Errorf("stream %q %s: %w", s.stream(), e.ID, shard.ErrExited)}
		defer func() {
			cancel(nil)
			select {
			case s.closed <- c:
			case <-s.over: // given up
			}
		}()
		if c = s.possess(ctx, l, parents); c.err != nil {
			c.remade = errors.Is(c.err, fetch.ErrRemade) || s.another()
		}
	}()
}

// ancestors are the shards that one comes from, the nearest first, as far as they are
// known.
func (s *session) ancestors(e fleet.Lease) []string {
	all := slices.Clone(e.Parents)
	for i := 0; i < len(all); i++ {
		if known, ok := s.m.Lease(all[i]); ok {
			for _, p := range known.Parents {
				if !slices.Contains(all, p) {
					all = append(all, p)
				}
			}
		}
	}
	return all
}

// count changes the lives, and tells how many there are.
func (s *session) count(change func()) {
	s.mu.Lock()
	if s.lives == nil {
		s.lives = map[string]*life{}
	}
	change()
	owned := len(s.lives)
	s.mu.Unlock()
	s.Observer.Gauge(observe.ShardsOwned, s.where(), int64(owned))
}

// possess runs a shard under a possession that has been written.
func (s *session) possess(ctx context.Context, l *life, parents []fleet.Lease) closed {
	e := l.act.Lease
	where := s.where()
	where.Shard = e.ID
	attrs := append(s.attrs(), slog.String("shard", e.ID))
	h := &held{table: s.table, stream: s.stream(), shard: e.ID, possession: e.Possession}
	l.Lease = h
	for attempt := 1; ; attempt++ {
		var err error
		l.Marks, l.ParentsMarks, err = h.loadMarks(ctx, e.At, parents, func(shard string, err error) {
			s.Warn.Warn("saved marks cannot be read and are not used: duplicates are possible", append(s.attrs(), slog.String("shard", shard), slog.Any("error", err))...)
		})
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return closed{life: l, how: fleet.Lost}
		}
		if errors.Is(err, errNewer) {
			s.Warn.Warn("a shard is left to workers of a later release", append(attrs, slog.Any("error", err))...)
			return closed{life: l, how: fleet.GivenBack}
		}
		s.Warn.Warn("marks could not be read, trying again", append(attrs, slog.Any("error", err))...)
		select {
		case <-time.After(retries.Full(attempt, rand.Float64())):
		case <-ctx.Done():
		case <-l.brake.Done():
			return closed{life: l, how: fleet.Drained}
		}
	}
	from := ""
	if l.act.From != "" {
		from = s.table.nameOf(l.act.From)
	}
	begins, at := time.Time{}, e.At.String()
	if e.At.IsStart() && !l.act.Begin.IsZero() {
		begins = l.act.Begin
		at = begins.UTC().Format(time.RFC3339)
	}
	s.Observer.Event(observe.Event{Kind: observe.Acquired, Time: time.Now(), Where: where, Sequence: e.At.Sequence, SubSequence: e.At.SubSequence, Start: begins, Parents: e.Parents,
		How: l.act.How.String(), Worker: from})
	s.Log.Info("reading shard", append(attrs, slog.String("from", at), slog.Uint64("possession", e.Possession), slog.String("how", l.act.How.String()), slog.String("former_owner", from))...)

	around := s.around(l, where)
	r, err := l.Run(layer.With(ctx, around), l.brake, s.fn)
	endLayers(ctx, around, err)
	if err != nil && kinesisapi.NotFound(err) && ctx.Err() == nil {
		// Retention has passed over the whole shard, if the stream is still
		// there and goes on elsewhere.
		if children, findErr := s.goneTo(e.ID); findErr == nil && len(children) > 0 {
			if err = l.Forgotten(); err == nil {
				return s.ended(where, closed{life: l, how: fleet.ReadToEnd, children: children})
			}
		}
	}
	c := closed{life: l, how: fleet.Drained}
	switch {
	case errors.Is(err, record.ErrLeaseLost):
		c.how = fleet.Lost
		at := l.Snapshot().Checkpoint
		s.Observer.Event(observe.Event{Kind: observe.Lost, Time: time.Now(), Where: where, Sequence: at.Sequence, SubSequence: at.SubSequence})
		s.Warn.Warn("lease lost", append(attrs, slog.Any("error", err))...)
	case errors.Is(err, record.ErrGraceOver), err != nil && errors.Is(context.Cause(ctx), record.ErrGraceOver):
		// Its function has returned, later than it should; whoever reads on does so
		// from its last checkpoint.
		if !errors.Is(err, record.ErrGraceOver) {
			s.Warn.Warn("a shard is handed over without its last checkpoint", append(attrs, slog.Any("error", err))...)
		}
	case err != nil:
		c.err = err
	case r.Ended:
		c.how = fleet.ReadToEnd
		for _, child := range r.Children {
			c.children = append(c.children, fleet.Shard(child))
		}
		return s.ended(where, c)
	case r.GivenBack:
		c.how = fleet.GivenBack
	}
	return c
}

func (s *session) ended(where observe.Where, c closed) closed {
	s.Observer.Event(observe.Event{Kind: observe.Ended, Time: time.Now(), Where: where})
	s.Log.Info("shard ended", append(s.attrs(), slog.String("shard", c.life.ID), slog.Int("children", len(c.children)))...)
	return c
}

// around is what layers around the handlers see of a possession.
func (s *session) around(l *life, where observe.Where) *layer.Shard {
	return &layer.Shard{
		ID: l.ID, Ancestors: l.ancestors, Possession: l.Possession,
		Checkpoint: func() record.Position { return l.Snapshot().Checkpoint },
		Store:      s.table.store, Group: s.table.group, Rows: s.table.layerPrefix(),
		Observer: s.Observer, Where: where, Warn: s.Warn.Warn,
	}
}

// endLayers has them write what they know of the shard, before anybody else may begin
// with it. Nothing of that is worth waiting for if it is somebody else's already.
func endLayers(ctx context.Context, around *layer.Shard, why error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
	defer cancel()
	if errors.Is(why, record.ErrLeaseLost) {
		cancel()
	}
	around.End(ctx)
}

// goneTo lists the children of a shard that the service does not know any more.
func (s *session) goneTo(id string) ([]fleet.Shard, error) {
	all, err := s.listing(s.base)
	if err != nil {
		return nil, err
	}
	var out []fleet.Shard
	for _, one := range all {
		if one.ID == id {
			return nil, fmt.Errorf("stream %q %s is listed and not found", s.stream(), id)
		}
		for _, p := range one.Parents {
			if p == id {
				out = append(out, one)
			}
		}
	}
	return out, nil
}

// onClosed takes in how a shard's function ended.
func (s *session) onClosed(c closed) {
	l := c.life
	if l.grace != nil {
		l.grace.Stop()
	}
	if l.left {
		return // told before
	}
	s.count(func() {
		if s.lives[l.ID] == l {
			delete(s.lives, l.ID)
		}
	})
	if c.remade && !s.stopping {
		s.Warn.Warn("the stream was deleted and made anew: the group starts on the new one (see docs/troubleshooting.md#stream-remade)", s.attrs()...)
		s.remade = true
	}
	if c.err != nil {
		s.stop(c.err)
	}
	s.m.Closed(s.now(), l.ID, l.Possession, c.how, c.children)
}

// another tells that the stream is not the one that it was any more.
func (s *session) another() bool {
	sum, err := inTime(s.told, s.Client.Describe)
	return err == nil && !sum.Created.Equal(s.created)
}
