package fetch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/internal/limits"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

// silence is how long a subscription may push nothing, not even an empty event,
// before it counts as dead. The service pushes at least every few seconds.
const silence = 30 * time.Second

var errSilent = errors.New("the subscription went silent")

// subscribe reads by SubscribeToShard: one subscription after the other, each
// five minutes at most.
func (r *reading) subscribe(ctx context.Context) error {
	var last time.Time // of the last call
	for first := true; ; {
		if err := r.share.room(ctx); err != nil {
			return err
		}
		// A second call within five seconds is refused.
		if !last.IsZero() {
			if err := wait(ctx, time.Until(last.Add(limits.SubscriptionInterval+50*time.Millisecond))); err != nil {
				return err
			}
		}
		last = time.Now()
		sub, err := r.open(ctx)
		if err == nil {
			first = false
			var end bool
			end, err = r.follow(ctx, sub)
			if end || err != nil && !errors.Is(err, errSilent) && kinesisapi.Classify(err) == kinesisapi.Fatal {
				return err
			}
			if err == nil {
				continue // five minutes are over
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		d := time.Duration(0)
		switch class := kinesisapi.Classify(err); {
		case r.trimmed(err):
		case kinesisapi.InUse(err):
			// The consumer still becomes active, or the subscription of an
			// earlier life of this process still counts.
			r.Warn.Warn("subscription refused for now: consumer in use", r.attrs(err)...)
		case class == kinesisapi.Throttled:
			r.Observer.Count(observe.Throttles, r.where, 1)
			r.Warn.Warn("subscribing is throttled", r.attrs(nil)...)
		case (class == kinesisapi.Fatal || class == kinesisapi.Refused) && !errors.Is(err, errSilent):
			r.refused = first
			return err
		default:
			r.failures++
			r.Observer.Count(observe.RequestErrors, r.where, 1)
			r.Warn.Warn("subscription failed, subscribing again", r.attrs(err)...)
			d = retries.Full(r.failures, r.random())
		}
		if err := wait(ctx, d); err != nil {
			return err
		}
	}
}

// open subscribes. The subscription ends with ctx; only the wait for its first
// answer is bounded by time.
func (r *reading) open(ctx context.Context) (*subscription, error) {
	subCtx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(callTime, func() { cancel(context.DeadlineExceeded) })
	sub, err := r.Client.Subscribe(subCtx, r.ConsumerARN, r.shard, r.at.position())
	r.Observer.Count(observe.Requests, r.where, 1)
	if !timer.Stop() && err == nil {
		err = errors.Join(context.DeadlineExceeded, sub.Close())
	}
	if err != nil {
		cancel(nil)
		return nil, err
	}
	r.Observer.Count(observe.Subscriptions, r.where, 1)
	return &subscription{sub, cancel}, nil
}

type subscription struct {
	*kinesisapi.Subscription
	cancel context.CancelCauseFunc
}

// follow delivers what a subscription pushes, and tells whether that was the
// end of the shard or of the reading; else it is to be subscribed again.
func (r *reading) follow(ctx context.Context, sub *subscription) (end bool, err error) {
	defer func() {
		sub.cancel(nil)
		_ = sub.Close() // it has ended; why, Err tells
	}()
	watchdog := time.NewTimer(silence)
	defer watchdog.Stop()
	for {
		if err := r.share.room(ctx); err != nil {
			return true, err
		}
		watchdog.Reset(silence) // only our own waiting counts
		select {
		case <-ctx.Done():
			return true, ctx.Err()
		case <-watchdog.C:
			return false, fmt.Errorf("read subscription: %s: %w for %v", r.shard, errSilent, silence)
		case e, ok := <-sub.Events():
			if !ok {
				if ctx.Err() != nil {
					return true, ctx.Err()
				}
				return false, sub.Err()
			}
			event, ok := e.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent)
			if !ok {
				continue
			}
			v := &event.Value
			next := aws.ToString(v.ContinuationSequenceNumber)
			a := Answer{
				Behind: time.Duration(aws.ToInt64(v.MillisBehindLatest)) * time.Millisecond,
				End:    len(v.ChildShards) > 0 || next == "",
			}
			if a.Children, err = children(v.ChildShards); err != nil {
				return true, err
			}
			if err := r.hand(ctx, v.Records, a); err != nil {
				return true, err
			}
			if a.End {
				return true, nil
			}
			// It moves on with the tip even where there are no records.
			if next != "" && record.CompareSequence(next, r.at.after) > 0 {
				r.at.after = next
			}
		}
	}
}

// Register makes sure that the stream has a fan-out consumer of that name that
// can be subscribed to, and returns its ARN.
func Register(ctx context.Context, client *kinesisapi.Client, streamARN, name string) (string, error) {
	for try := 1; ; try++ {
		callCtx, cancel := context.WithTimeout(ctx, callTime)
		c, err := client.DescribeConsumer(callCtx, "", streamARN, name)
		cancel()
		switch {
		case err == nil && c.Status == types.ConsumerStatusActive:
			return c.ARN, nil
		case err == nil:
			// It is being made, or removed.
		case kinesisapi.NotFound(err):
			callCtx, cancel := context.WithTimeout(ctx, callTime)
			_, err := client.RegisterConsumer(callCtx, streamARN, name)
			cancel()
			if err != nil && !kinesisapi.InUse(err) {
				return "", fmt.Errorf("enhanced fan-out: register consumer %q: %w (see docs/troubleshooting.md#fan-out)", name, err)
			}
		default:
			return "", fmt.Errorf("enhanced fan-out: consumer %q: %w", name, err)
		}
		if try > registerTries {
			return "", fmt.Errorf("enhanced fan-out: consumer %q does not become active (it is %s) (see docs/troubleshooting.md#fan-out)", name, c.Status)
		}
		if err := wait(ctx, time.Second); err != nil {
			return "", err
		}
	}
}

// registerTries are seconds.
const registerTries = 60
