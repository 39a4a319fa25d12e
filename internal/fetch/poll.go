package fetch

import (
	"context"
	"errors"
	"time"

	"github.com/libvegas/vegas/internal/backoff"
	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/internal/limits"
	"github.com/libvegas/vegas/internal/wire"
	"github.com/libvegas/vegas/observe"
)

// callTime bounds one call. The largest answer, 10 MiB, passes in that time
// over 3 Mbit/s.
const callTime = 30 * time.Second

// answerBytes is about as much as is asked for at once: what a shard gives in two
// seconds. More of it in one answer comes no sooner, and takes memory: of a stream
// of 4 shards, read as fast as it gives, 190 MiB with answers of 10 MiB, 83 MiB with
// these. With half of it calls that find cold caches cost a third more.
const answerBytes = 2 * limits.ShardReadBytes

var retries = backoff.Backoff{Min: 100 * time.Millisecond, Max: 10 * time.Second}

// poll reads by GetRecords to the end of the shard.
func (r *reading) poll(ctx context.Context) error {
	p := poller{reading: r, pace: pace{idle: r.Idle, busy: r.Busy}}
	for {
		end, next, err := p.step(ctx)
		if end || err != nil {
			return err
		}
		if err := wait(ctx, time.Until(next)); err != nil {
			return err
		}
	}
}

// poller reads a shard by one GetRecords after the other.
type poller struct {
	*reading
	pace     pace
	iterator string // empty: there is none for where to go on
}

// step makes one call, for an iterator or for records, and hands over what that
// brought. It tells whether the shard has ended, and when the next call is due.
// An error is for good.
func (p *poller) step(ctx context.Context) (end bool, next time.Time, err error) {
	if err := p.share.room(ctx); err != nil {
		return false, next, err
	}
	began := time.Now()
	if p.iterator == "" {
		it, err := p.getIterator(ctx)
		if other := p.proven(ctx, err); other != nil {
			return p.again(ctx, other) // the shard's rate has no part in it
		}
		if err != nil && !p.trimmed(err) {
			return p.failed(ctx, err)
		}
		p.iterator = it
		return false, began, ctx.Err()
	}
	p.asked = began
	out, err := p.getRecords(ctx, p.iterator)
	if err != nil {
		return p.failed(ctx, err)
	}
	a := Answer{Behind: max(0, out.Behind)}
	p.iterator = out.Next
	if p.iterator == "" {
		a.End = true
		if a.Children, err = children(out.Children); err != nil {
			return false, next, err
		}
	}
	var bytes int64
	records := len(out.Records)
	for i := range out.Records {
		bytes += int64(len(out.Records[i].Data))
	}
	if err := p.hand(ctx, out, a); err != nil {
		return false, next, err
	}
	next = began.Add(p.pace.answered(records, bytes, a.Behind, p.random()))
	if p.pace.quiet {
		next = p.beat.nearest(next, between(p.pace.idle, p.Budget.readings()))
	}
	return a.End, next, nil
}

func (r *reading) getIterator(ctx context.Context) (string, error) {
	callCtx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	at := r.at.position()
	it, err := apart(callCtx, r.Reader, func() (string, error) { return r.Client.Iterator(callCtx, r.shard, at) })
	r.Observer.Count(observe.Requests, r.where, 1)
	return it, err
}

func (r *reading) getRecords(ctx context.Context, iterator string) (*wire.Answer, error) {
	callCtx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	began := time.Now()
	limit := r.share.records(answerBytes)
	out, err := apart(callCtx, r.Reader, func() (*wire.Answer, error) {
		return r.Client.GetRecords(callCtx, r.shard, iterator, limit)
	})
	r.Observer.Count(observe.Requests, r.where, 1)
	r.Observer.Observe(observe.RequestLatency, r.where, int64(time.Since(began)))
	return out, err
}

// failed tells when to try again after a call on the shard, or that it is of no use.
func (p *poller) failed(ctx context.Context, err error) (end bool, next time.Time, _ error) {
	switch {
	case ctx.Err() != nil:
	case kinesisapi.Expired(err):
		// Reading again where it stopped costs nothing: sequence numbers do
		// not expire.
		p.Observer.Count(observe.IteratorsExpired, p.where, 1)
		p.iterator = ""
		return false, time.Now(), nil
	case kinesisapi.Classify(err) == kinesisapi.Throttled:
		p.Observer.Count(observe.Throttles, p.where, 1)
		p.Warn.Warn("reading is throttled: all readers of a shard share 5 calls and 2 MiB a second", p.attrs(nil)...)
		return false, time.Now().Add(p.pace.throttled(p.random())), nil
	}
	return p.again(ctx, err)
}

// again tells when to try again after any failure, or that it is of no use.
func (p *poller) again(ctx context.Context, err error) (end bool, next time.Time, _ error) {
	switch {
	case ctx.Err() != nil:
		return false, next, ctx.Err()
	case errors.Is(err, ErrRemade):
		return false, next, err
	}
	p.Observer.Count(observe.RequestErrors, p.where, 1)
	switch kinesisapi.Classify(err) {
	case kinesisapi.Fatal, kinesisapi.Refused:
		return false, next, err
	}
	p.failures++
	p.Warn.Warn("reading failed, trying again", p.attrs(err)...)
	return false, time.Now().Add(retries.Full(p.failures, p.random())), nil
}
