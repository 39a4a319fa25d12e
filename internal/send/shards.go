package send

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/internal/limits"
	"github.com/libvegas/vegas/internal/shardmap"
	"github.com/libvegas/vegas/observe"
)

// shards is what the engine has seen of the stream.
type shards struct {
	described time.Time // when the last summary came; zero: never
	measured  time.Time // when MaxRecordSize was asked for by itself
	created   time.Time // of the stream; zero: not known
	bytes     int       // MaxRecordSize; 0: not known
	auto      bool      // record distribution AUTO
	known     bool      // a listing was learnt
	again     bool      // MaxRecordSize is being asked for again
}

func (s *shards) recordBytes() int {
	if s.bytes == 0 {
		return limits.RecordBytes
	}
	return s.bytes
}

// describeEvery spares DescribeStreamSummary, 20 calls a second for all
// programs of an account (API_DescribeStreamSummary): what it tells changes
// rarely.
const describeEvery = 5 * time.Second

// lookTimeout bounds one look at the stream.
const lookTimeout = 30 * time.Second

// look asks the service what the stream is like and tells the machine. The
// machine decides when, and never has two under way.
func (e *Engine) look() {
	ctx, cancel := context.WithTimeout(e.ctx, lookTimeout)
	defer cancel()
	e.mu.Lock()
	describe := e.shards.described.IsZero() || time.Since(e.shards.described) >= describeEvery
	known, turn := e.shards.known, e.doubt.turn
	e.mu.Unlock()
	var summary kinesisapi.Summary
	var err, without error
	if describe {
		summary, err = e.cfg.API.Describe(ctx)
		if err != nil && (known || !e.fatal(err)) {
			// Rates of DescribeStreamSummary are shared by a whole account;
			// listing alone is enough to send.
			err, without, describe = nil, err, false
		}
	}
	var listing []shardmap.Shard
	if err == nil {
		listing, err = e.list(ctx)
	}
	if without != nil && err == nil {
		e.warn.Warn("describe stream failed, going on without", slog.Any("error", without))
	}
	if err == nil && describe && summary.Status == types.StreamStatusDeleting {
		err = fmt.Errorf("stream %q is being deleted (see docs/troubleshooting.md#stream-not-found)", e.cfg.Stream)
	}
	e.sums.looks.Add(1)
	if e.cfg.Observer != nil {
		e.cfg.Observer.Count(observe.MapRefreshes, e.at, 1)
	}
	if err != nil {
		e.lookFailed(err)
	} else {
		e.learn(summary, describe, listing, turn)
	}
	e.wake()
}

func (e *Engine) fatal(err error) bool { return kinesisapi.Classify(err) == kinesisapi.Fatal }

func (e *Engine) lookFailed(err error) {
	e.mu.Lock()
	e.lastLook = err
	if (!e.shards.known || e.doubt.is) && e.fatal(err) {
		// Nothing can be sent until somebody changes something: say so now.
		e.machine.FailQueued(err)
		e.lookedOnce()
	}
	e.machine.LearnFailed(e.now(), e.fatal(err))
	e.mu.Unlock()
	if e.ctx.Err() == nil {
		e.warn.Warn("look at the stream's shards failed, trying again", slog.Any("error", err))
	}
}

func (e *Engine) learn(s kinesisapi.Summary, described bool, listing []shardmap.Shard, turn int) {
	e.mu.Lock()
	now := e.now()
	if turn != e.doubt.turn {
		// It was asked for before the stream was found to be gone.
		e.machine.LearnFailed(now, false)
		e.mu.Unlock()
		return
	}
	e.lastLook = nil
	wasAuto, first := e.shards.auto, !e.shards.known
	if described {
		e.shards.described = time.Now()
		e.shards.bytes, e.shards.auto = s.RecordBytes, s.Auto
		if c := s.Created; !c.IsZero() { // not every server tells
			if !e.shards.created.IsZero() && !c.Equal(e.shards.created) {
				e.machine.Forget() // another stream under the same name
			}
			e.shards.created = c
		}
		e.machine.SetRecordBytes(s.RecordBytes)
		e.machine.SetLaned(!s.Auto)
		e.refusal = nil
		if s.Auto && e.cfg.RequireOrder {
			e.refusal = link("order", errAuto)
		}
	}
	change := e.machine.Learn(now, listing)
	e.failRefused() // also what a map gives back that was misplaced
	if len(change.Opened) > 0 {
		e.shards.known = true
	}
	if described || !e.doubt.is {
		e.dispel()
	}
	e.lookedOnce()
	auto := e.shards.auto
	held := e.refusal
	e.mu.Unlock()

	if held != nil && e.cfg.Ledger != nil {
		e.warn.Warn("what is buffered is held until the stream is as it is wanted", slog.Any("error", held))
	}
	switch {
	case auto && (!wasAuto || first):
		e.log.Warn("the stream distributes records itself: no order per key, no de-duplication (see docs/troubleshooting.md#order)")
	case wasAuto && !auto:
		e.log.Info("the stream routes by key again: order per key and de-duplication are back")
	}
	if first && len(change.Opened) > 0 {
		e.log.Info("producer started", slog.Int("shards", len(change.Opened)))
	}
	for _, s := range change.Closed {
		e.event(observe.Closed, s)
		e.log.Info("shard closed", slog.String("shard", s.ID))
	}
	for _, s := range change.Opened {
		e.event(observe.Opened, s)
		if !first {
			e.log.Info("shard opened", slog.String("shard", s.ID), slog.Any("parents", s.Parents))
		}
	}
}

// failRefused ends what is to be sent and must not be; what was under way when
// the refusal came ends with its answer. The lock is held.
func (e *Engine) failRefused() {
	if e.refusal != nil {
		e.machine.FailQueued(e.refusal)
	}
}

var errAuto = errors.New("the stream distributes records itself (AUTO), so there is no order per key, which o.RequireOrder asks for")

func (e *Engine) event(k observe.EventKind, s *shardmap.Shard) {
	if e.cfg.Observer != nil {
		e.cfg.Observer.Event(observe.Event{Kind: k, Time: time.Now(),
			Where: observe.Where{Stream: e.cfg.Stream, Shard: s.ID}, Parents: s.Parents})
	}
}

// lookedOnce lets those go on who wait for what the first look tells; the lock
// is held.
func (e *Engine) lookedOnce() {
	select {
	case <-e.looked:
	default:
		close(e.looked)
	}
}

// list asks for all shards within retention: the closed ones tell how the open
// ones came to be.
func (e *Engine) list(ctx context.Context) ([]shardmap.Shard, error) {
	shards, err := e.cfg.API.ListShards(ctx, nil)
	if err != nil {
		return nil, err
	}
	out := make([]shardmap.Shard, 0, len(shards))
	for i := range shards {
		s := &shards[i]
		if s.ShardId == nil || s.HashKeyRange == nil {
			return nil, fmt.Errorf("list shards: stream %q: shard %d of the answer lacks its id or range", e.cfg.Stream, i)
		}
		r, err := keyspace.ParseRange(aws.ToString(s.HashKeyRange.StartingHashKey), aws.ToString(s.HashKeyRange.EndingHashKey))
		if err != nil {
			return nil, fmt.Errorf("list shards: stream %q %s: hash key range: %w", e.cfg.Stream, *s.ShardId, err)
		}
		x := shardmap.Shard{ID: *s.ShardId, Range: r}
		if s.SequenceNumberRange != nil {
			x.Closed = aws.ToString(s.SequenceNumberRange.EndingSequenceNumber) != ""
		}
		for _, p := range []*string{s.ParentShardId, s.AdjacentParentShardId} {
			if aws.ToString(p) != "" {
				x.Parents = append(x.Parents, *p)
			}
		}
		out = append(out, x)
	}
	return out, nil
}

// recordSizeEvery is how often MaxRecordSize is asked for again because a record
// exceeds it.
const recordSizeEvery = time.Minute

// askRecordSize asks for MaxRecordSize again, which may have been raised since,
// if that was not done lately; the lock is held.
func (e *Engine) askRecordSize() {
	if e.shards.again || e.shards.described.IsZero() || time.Since(e.shards.described) < recordSizeEvery {
		return
	}
	e.shards.again = true
	e.wg.Go(func() {
		ctx, cancel := context.WithTimeout(e.ctx, lookTimeout)
		defer cancel()
		s, err := e.cfg.API.Describe(ctx)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.shards.again = false
		e.shards.described = time.Now()
		if err == nil {
			e.shards.bytes = s.RecordBytes
			e.machine.SetRecordBytes(s.RecordBytes)
		}
	})
}

// Check tries all but sending, and names what is missing.
func (e *Engine) Check(ctx context.Context) error {
	s, err := e.cfg.API.Describe(ctx)
	if err != nil {
		return err
	}
	if s.Status != types.StreamStatusActive && s.Status != types.StreamStatusUpdating {
		return link("stream-not-found", fmt.Errorf("check: stream %q: its status is %s: want ACTIVE", e.cfg.Stream, s.Status))
	}
	if s.Auto && e.cfg.RequireOrder {
		return link("order", fmt.Errorf("check: stream %q: %w", e.cfg.Stream, errAuto))
	}
	listing, err := e.list(ctx)
	if err != nil {
		return err
	}
	var m shardmap.Map
	m.Learn(listing)
	if !m.Ready() {
		return fmt.Errorf("check: stream %q: the %d shards listed do not cover the hash key space", e.cfg.Stream, len(listing))
	}
	return nil
}
