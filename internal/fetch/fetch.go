// Package fetch reads shards: by polling, or by enhanced fan-out. Both give the
// same answers in the same order, without gaps and without repeats, until the
// shard or the context ends.
package fetch

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/internal/quiet"
	"github.com/libvegas/vegas/internal/wire"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

// Answer is what one call, or one pushed event, gave of a shard.
type Answer struct {
	// Records are in stream order, and may be none.
	Records []Record
	// Behind is MillisBehindLatest.
	Behind time.Duration
	// End tells that the shard was read to its end: no answer follows.
	End bool
	// Trimmed tells that the record to start with or to go on behind is no longer
	// there: retention has passed it, and perhaps some that came after.
	Trimmed bool
	// Children are the shards that follow; with End, and only from servers
	// that name them.
	Children []Child

	share *Share
	bytes int64
	from  *wire.Answer // whose memory Records has
}

// Record is one Kinesis record, which may be an aggregate.
type Record = wire.Record

// Child is a shard that follows the one that ended.
type Child struct {
	ID      string
	Parents []string
	Range   keyspace.Range
}

// Release gives the answer's bytes back to the prefetch budget, and the memory of
// Records, though not what they point to, to answers to come: they are done with.
// Every delivered answer is released exactly once.
func (a *Answer) Release() {
	if a.share != nil {
		a.share.give(a.bytes)
		a.share = nil
	}
	if a.from != nil {
		a.from.Recycle()
		a.from, a.Records = nil, nil
	}
}

// From is where to start. The zero From is the oldest record that the shard
// still has.
type From struct {
	// Sequence is the first record wanted.
	Sequence string
	// Time is that of the oldest record wanted; only without Sequence.
	Time time.Time
	// Old tells that retention may have passed the record at Sequence. Reading
	// then begins with the oldest record, which shows whether that is so. (Asked
	// for a place that it has trimmed the service gives empty answers, for
	// minutes, or refuses it.)
	Old bool
}

// place is a From, or the place behind a sequence number.
type place struct {
	From
	after string
}

func (p place) position() types.StartingPosition {
	switch {
	case p.after != "":
		return types.StartingPosition{Type: types.ShardIteratorTypeAfterSequenceNumber, SequenceNumber: aws.String(p.after)}
	case p.Sequence != "":
		return types.StartingPosition{Type: types.ShardIteratorTypeAtSequenceNumber, SequenceNumber: aws.String(p.Sequence)}
	case !p.Time.IsZero():
		return types.StartingPosition{Type: types.ShardIteratorTypeAtTimestamp, Timestamp: aws.Time(p.Time)}
	}
	return types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon}
}

// Reader reads the shards of one stream. It is safe for use by many
// goroutines.
type Reader struct {
	Client *kinesisapi.Client
	// Budget bounds what is read ahead.
	Budget *Budget
	// Idle and Busy are the times between two calls on a shard that has
	// nothing new, and on one that has.
	Idle, Busy time.Duration
	// ConsumerARN is the registered fan-out consumer; empty: poll.
	ConsumerARN string
	// Retention is how long the stream keeps records; 0: unknown.
	Retention time.Duration
	// Created is when the stream was made, so that no other one is read under its
	// name; zero: unknown, and nobody looks.
	Created time.Time
	// FallBack polls a shard whose first subscription is refused for good.
	FallBack bool

	Warn     *quiet.Logger
	Observer observe.Observer
	// Where names stream, group and worker in what is observed.
	Where observe.Where

	calls  gate
	beat   beat
	origin origin
}

// Read reads a shard and hands every answer to deliver, one after the other.
// It returns nil when the answer that ends the shard was taken, the error of
// deliver, the context's error when that ends, or what makes reading on
// impossible.
func (r *Reader) Read(ctx context.Context, shard string, from From, deliver func(context.Context, Answer) error) error {
	one := &reading{
		Reader: r, shard: shard, at: place{From: from}, deliver: deliver,
		share: r.Budget.share(), where: r.Where, random: rand.Float64, floor: from.Sequence,
	}
	one.where.Shard = shard
	if from.Sequence != "" && from.Old {
		one.at, one.sought = place{}, from.Sequence
	}
	defer one.share.end()
	if r.ConsumerARN != "" {
		err := one.subscribe(ctx)
		if err == nil || !r.FallBack || !one.refused {
			return err
		}
		r.Warn.Warn("enhanced fan-out was refused, polling instead", one.attrs(err)...)
	}
	return one.poll(ctx)
}

// reading is the reading of one shard, by one goroutine.
type reading struct {
	*Reader
	shard   string
	at      place  // where to go on
	last    string // newest sequence number that was delivered
	pushed  string // how far subscriptions came behind it: a number without a record
	deliver func(context.Context, Answer) error
	share   *Share
	where   observe.Where
	random  func() float64
	refused bool // the first subscription failed for good
	noPolls bool // polling is refused for good

	floor    string    // no record before it is delivered; empty: no need to look
	sought   string    // the record that reading from the oldest one is to come by; empty: none
	asked    time.Time // when the call began whose answer this is
	upTo     time.Time // what arrived before was read; zero: unknown
	failures int       // in a row
}

// hand delivers an answer, whose records are in w, less what was delivered before,
// and moves on. w's slice of records becomes the answer's.
func (r *reading) hand(ctx context.Context, w *wire.Answer, a Answer) error {
	a.Trimmed = r.missed(w.Records, &a) || r.late(w.Records, &a)
	a.Records, a.from = w.Records[:0], w
	last, floor := r.last, r.floor
	for i := range w.Records {
		k := &w.Records[i]
		// An event delivered twice, or a reading that went back.
		if last != "" && record.CompareSequence(k.Sequence, last) <= 0 || floor != "" && record.CompareSequence(k.Sequence, floor) < 0 {
			continue
		}
		last, floor = k.Sequence, ""
		n := len(a.Records)
		if a.Records = w.Records[:n+1]; n < i {
			a.Records[n] = *k // it moves up
		}
		a.bytes += int64(len(k.Sequence) + len(k.Key) + len(k.Data))
	}
	if len(a.Records) > 0 {
		r.last, r.at.after, r.pushed, r.floor = last, last, "", ""
	}
	r.failures = 0
	r.Observer.Count(observe.EntriesReceived, r.where, int64(len(a.Records)))
	r.Observer.Gauge(observe.BehindMillis, r.where, a.Behind.Milliseconds())
	if w.Fallback {
		r.Observer.Count(observe.Fallbacks, r.where, 1)
	}
	a.share = r.share
	r.share.take(a.bytes, len(a.Records))
	if err := r.deliver(ctx, a); err != nil {
		a.Release()
		return err
	}
	return nil
}

// late tells that reading paused for longer than the stream keeps records, most
// likely because handlers did: what arrived behind the last answer may be gone.
func (r *reading) late(records []Record, a *Answer) bool {
	n := len(records)
	if n == 0 && a.Behind > 0 {
		return false // it still looks
	}
	late := r.Retention > 0 && !r.upTo.IsZero() && r.asked.Sub(r.upTo) > r.Retention+skew
	if r.upTo = r.asked; a.Behind > 0 {
		r.upTo = records[n-1].Arrival
	}
	return late
}

// skew is what clocks may differ by.
const skew = time.Minute

// children are those that an answer names; none if it does not tell their hash
// ranges, so that a listing is asked.
func children(from []wire.Child) ([]Child, error) {
	var out []Child
	for _, c := range from {
		if c.First == "" && c.Last == "" {
			return nil, nil
		}
		r, err := keyspace.ParseRange(c.First, c.Last)
		if err != nil {
			return nil, fmt.Errorf("hash range of child shard %s: %w", c.ID, err)
		}
		out = append(out, Child{ID: c.ID, Parents: c.Parents, Range: r})
	}
	return out, nil
}

// trimmed tells that a place to go on was refused because the shard does not
// have it any more, and goes on with the oldest record.
func (r *reading) trimmed(err error) bool {
	if !kinesisapi.Invalid(err) || r.at.Sequence == "" && r.at.after == "" && r.pushed == "" {
		return false
	}
	if r.pushed != "" {
		r.pushed = "" // the record before it may do
		return true
	}
	r.Warn.Warn("the place to read on is refused, most likely because retention has passed it: reading on with the oldest record", r.attrs(err)...)
	r.at = place{}
	if r.sought = r.last; r.sought == "" {
		r.sought = r.floor
	}
	return true
}

// missed tells that reading began with the oldest record, and the one that it is
// to come by is gone. The first record tells, or that there is none.
func (r *reading) missed(records []Record, a *Answer) bool {
	var gone bool
	switch {
	case r.sought == "":
		return false
	case len(records) > 0:
		gone = record.CompareSequence(records[0].Sequence, r.sought) > 0
	case a.End || a.Behind == 0:
		gone = true
	default:
		return false
	}
	r.sought = ""
	return gone
}

func (r *reading) attrs(err error) []any {
	attrs := []any{slog.String("stream", r.where.Stream), slog.String("shard", r.shard), slog.String("worker", r.where.Worker)}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	return attrs
}

// wait sleeps, or returns the context's error.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
