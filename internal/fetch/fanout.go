package fetch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/internal/limits"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

// silence is how long a subscription may push nothing, not even an empty event,
// before it counts as dead. The service pushes at least every few seconds.
const silence = 30 * time.Second

const (
	// betweenSubscriptions is the time between two successful calls.
	betweenSubscriptions = limits.SubscriptionInterval + 50*time.Millisecond
	// betweenTries keeps calls below one a second.
	betweenTries = time.Second + 50*time.Millisecond
)

var errSilent = errors.New("the subscription went silent")

// subscribe reads by SubscribeToShard: one subscription after the other, each
// five minutes at most.
func (r *reading) subscribe(ctx context.Context) error {
	var next time.Time  // a call before it is refused
	var inUse time.Time // since when calls are; zero: the last one was not
	for first := true; ; {
		if end, err := r.bridge(ctx, next); end || err != nil {
			return err
		}
		if err := r.share.room(ctx); err != nil {
			return err
		}
		began := time.Now()
		sub, err := r.open(ctx)
		opened := err == nil
		if opened {
			first, inUse = false, time.Time{}
			r.asked, next = began, began.Add(betweenSubscriptions)
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
		now := time.Now()
		d := time.Duration(0)
		switch class := kinesisapi.Classify(err); {
		case r.trimmed(err):
		case kinesisapi.InUse(err) && opened:
			// Somebody took the subscription over. That it is ours will be known
			// in a moment, or that the lease is not.
			d = betweenSubscriptions
		case kinesisapi.InUse(err):
			// The subscription of the shard's former owner is younger than five
			// seconds, or the consumer still becomes active.
			if inUse.IsZero() {
				inUse = now
			}
			if now.Sub(inUse) > 2*betweenSubscriptions {
				r.Warn.Warn("subscriptions are refused: the consumer is in use, polling meanwhile", r.attrs(err)...)
			}
			d = betweenTries
		case class == kinesisapi.Throttled:
			r.Observer.Count(observe.Throttles, r.where, 1)
			r.Warn.Warn("subscribing is throttled", r.attrs(nil)...)
			d = betweenTries
		case (class == kinesisapi.Fatal || class == kinesisapi.Refused) && !errors.Is(err, errSilent):
			r.refused = first
			return err
		default:
			r.failures++
			r.Observer.Count(observe.RequestErrors, r.where, 1)
			r.Warn.Warn("subscription failed, subscribing again", r.attrs(err)...)
			d = retries.Full(r.failures, r.random())
		}
		if t := now.Add(d); t.After(next) {
			next = t
		}
	}
}

// bridge polls until a time, so that nobody waits for a subscription that is
// refused until then: most of all the new owner of a shard whose former owner
// has just subscribed to it. It tells whether the shard has ended. Where polling
// is not allowed it only waits.
func (r *reading) bridge(ctx context.Context, until time.Time) (end bool, err error) {
	p := poller{reading: r, pace: pace{idle: r.Busy, busy: r.Busy}}
	for time.Now().Before(until) {
		next := until
		if !r.noPolls {
			end, next, err = p.step(ctx)
			switch {
			case end || ctx.Err() != nil:
				return end, ctx.Err()
			case err != nil && kinesisapi.Classify(err) != kinesisapi.Fatal && kinesisapi.Classify(err) != kinesisapi.Refused:
				return false, err // of the one it was delivered to
			case err != nil:
				r.Warn.Warn("polling is refused: records wait for up to five seconds when a subscription is taken over", r.attrs(err)...)
				r.noPolls, next = true, until
			case next.After(until):
				next = until
			}
		}
		if err := wait(ctx, time.Until(next)); err != nil {
			return false, err
		}
	}
	return false, nil
}

// open subscribes. The subscription ends with ctx; only the wait for its first
// answer is bounded by time.
func (r *reading) open(ctx context.Context) (*subscription, error) {
	subCtx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(callTime, func() { cancel(context.DeadlineExceeded) })
	at := r.subscribeAt().position()
	sub, err := apart(subCtx, r.Reader, func() (*kinesisapi.Subscription, error) {
		return r.Client.Subscribe(subCtx, r.ConsumerARN, r.shard, at)
	})
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

// subscribeAt is where to go on by subscription: the number that the last event
// named is for that, and moves on where no records come.
func (r *reading) subscribeAt() place {
	if r.pushed != "" {
		return place{after: r.pushed}
	}
	return r.at
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
			next := e.Next
			a := Answer{Behind: max(0, e.Behind), End: len(e.Children) > 0 || next == ""}
			if a.Children, err = children(e.Children); err != nil {
				return true, err
			}
			if err := r.hand(ctx, e, a); err != nil {
				return true, err
			}
			if a.End {
				return true, nil
			}
			// It moves on with the tip even where there are no records.
			if record.CompareSequence(next, r.at.after) > 0 {
				r.pushed = next
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
