package fetch

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/libvegas/vegas/internal/backoff"
	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/internal/limits"
	"github.com/libvegas/vegas/observe"
)

// callTime bounds one call. The largest answer, 10 MiB, passes in that time
// over 3 Mbit/s.
const callTime = 30 * time.Second

var retries = backoff.Backoff{Min: 100 * time.Millisecond, Max: 10 * time.Second}

// poll reads by GetRecords.
func (r *reading) poll(ctx context.Context) error {
	p := pace{idle: r.Idle, busy: r.Busy}
	var iterator string
	for {
		if err := r.share.room(ctx); err != nil {
			return err
		}
		if iterator == "" {
			var err error
			if iterator, err = r.iterator(ctx); err != nil {
				return err
			}
		}
		began := time.Now()
		out, err := r.getRecords(ctx, iterator)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			d, fatal := r.failed(err, &p)
			if fatal != nil {
				return fatal
			}
			if kinesisapi.Expired(err) {
				iterator, d = "", 0
			}
			if err := wait(ctx, d); err != nil {
				return err
			}
			continue
		}
		a := Answer{Behind: time.Duration(aws.ToInt64(out.MillisBehindLatest)) * time.Millisecond}
		iterator = aws.ToString(out.NextShardIterator)
		if iterator == "" {
			a.End = true
			if a.Children, err = children(out.ChildShards); err != nil {
				return err
			}
		}
		var bytes int64
		for i := range out.Records {
			bytes += int64(len(out.Records[i].Data))
		}
		if err := r.hand(ctx, out.Records, a); err != nil {
			return err
		}
		if a.End {
			return nil
		}
		next := p.answered(len(out.Records), bytes, a.Behind, r.random())
		if err := wait(ctx, time.Until(began.Add(next))); err != nil {
			return err
		}
	}
}

// iterator asks for one at the place to go on, until it gets it.
func (r *reading) iterator(ctx context.Context) (string, error) {
	p := pace{idle: r.Idle, busy: r.Busy}
	for {
		callCtx, cancel := context.WithTimeout(ctx, callTime)
		it, err := r.Client.Iterator(callCtx, r.shard, r.at.position())
		cancel()
		r.Observer.Count(observe.Requests, r.where, 1)
		if err == nil {
			return it, nil
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if r.trimmed(err) {
			continue
		}
		d, fatal := r.failed(err, &p)
		if fatal != nil {
			return "", fatal
		}
		if err := wait(ctx, d); err != nil {
			return "", err
		}
	}
}

func (r *reading) getRecords(ctx context.Context, iterator string) (*kinesis.GetRecordsOutput, error) {
	callCtx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	began := time.Now()
	out, err := r.Client.GetRecords(callCtx, r.shard, iterator, r.share.records(limits.GetRecordsBytes))
	r.Observer.Count(observe.Requests, r.where, 1)
	r.Observer.Observe(observe.RequestLatency, r.where, int64(time.Since(began)))
	return out, err
}

// failed tells how long to wait before trying again, or that it is of no use.
func (r *reading) failed(err error, p *pace) (time.Duration, error) {
	switch {
	case kinesisapi.Expired(err):
		// Reading again where it stopped costs nothing: sequence numbers do
		// not expire.
		r.Observer.Count(observe.IteratorsExpired, r.where, 1)
		return 0, nil
	case kinesisapi.Classify(err) == kinesisapi.Throttled:
		r.Observer.Count(observe.Throttles, r.where, 1)
		r.Warn.Warn("reading is throttled: all readers of a shard share 5 calls and 2 MiB a second", r.attrs(nil)...)
		return p.throttled(r.random()), nil
	}
	r.Observer.Count(observe.RequestErrors, r.where, 1)
	switch kinesisapi.Classify(err) {
	case kinesisapi.Fatal, kinesisapi.Refused:
		return 0, err
	}
	r.failures++
	r.Warn.Warn("reading failed, trying again", r.attrs(err)...)
	return retries.Full(r.failures, r.random()), nil
}
