package fetch

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/observe"
)

// ErrRemade is the end of a reading whose stream is not there any more: under its
// name there is another one, whose records belong to positions of their own.
var ErrRemade = errors.New("the stream was deleted and made anew (see docs/troubleshooting.md#stream-remade)")

// origin is what is known of whether the stream is still the one that is read.
// An iterator stays with the stream that it was given for, and a stream that is
// gone does not come back: one that was got before a question that finds the
// stream in place is of it. Such a question speaks for all that were got before
// it, so that a thousand shards that start together cost few.
type origin struct {
	turn  gate         // for one; who has it asks
	asked atomic.Int64 // questions that were begun

	// Of whoever has the turn.
	proven int64     // the latest question that found the stream in place
	began  time.Time // when the latest was begun
}

// betweenQuestions is the time between two of them. The service takes 20 a second
// for all of an account.
const betweenQuestions = 100 * time.Millisecond

// proven tells whether an iterator, or its refusal, is of the stream that is read.
// A sequence number that was accepted is of no other stream. Everything else says
// nothing: another stream has shards of the same names and oldest records too,
// and refuses a number as one does that has lost the record.
func (p *poller) proven(ctx context.Context, err error) error {
	switch {
	case p.Created.IsZero():
		return nil
	case err == nil && (p.at.after != "" || p.at.Sequence != ""):
		return nil
	case err != nil && !kinesisapi.Invalid(err):
		return nil
	}
	return p.inPlace(ctx)
}

// inPlace asks whether the stream is still there, or learns it from a question
// that somebody else begins from now on.
func (r *reading) inPlace(ctx context.Context) error {
	o := &r.origin
	before := o.asked.Load()
	if err := o.turn.enter(ctx, 1); err != nil {
		return err
	}
	defer o.turn.leave()
	if o.proven > before {
		return nil
	}
	if err := wait(ctx, time.Until(o.began.Add(betweenQuestions))); err != nil {
		return err
	}
	o.began = time.Now()
	question := o.asked.Add(1)
	callCtx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	sum, err := apart(callCtx, r.Reader, func() (kinesisapi.Summary, error) { return r.Client.Describe(callCtx) })
	r.Observer.Count(observe.Requests, r.where, 1)
	switch {
	case err != nil:
		return err
	case !sum.Created.Equal(r.Created):
		return fmt.Errorf("read: stream %q %s: %w", r.where.Stream, r.shard, ErrRemade)
	}
	o.proven = question
	return nil
}
