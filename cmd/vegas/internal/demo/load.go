package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/cmd/vegas/internal/audit"
)

// load sends stamped records at an even rate.
type load struct {
	w    *world
	to   *vegas.Producer
	done chan error // one value: the sender is closed
}

// startLoad sends until ctx ends; accept bounds the wait for room in the producer.
func (w *world) startLoad(ctx, accept context.Context) error {
	to, err := vegas.NewProducer(Stream, func(o *vegas.ProducerOptions) {
		o.AWS, o.Logger = w.server.AWS(), w.Log
		o.RequestTimeout = 3 * time.Second // the server is near
		// A rate that the shards cannot take then slows sending down, instead of
		// making the demo longer than it was to be.
		o.BufferBytes = 4 << 20
	})
	if err != nil {
		return err
	}
	w.sender = &load{w: w, to: to, done: make(chan error, 1)}
	go func() { w.sender.done <- w.sender.run(ctx, accept) }()
	return nil
}

// run sends until ctx ends, then has every record answered.
func (l *load) run(ctx, accept context.Context) error {
	err := l.send(ctx, accept)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if cerr := l.to.Close(closing); err == nil && cerr != nil {
		err = fmt.Errorf("close the producer: %w", cerr)
	}
	return err
}

func (l *load) send(ctx, accept context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	random := rand.New(rand.NewPCG(l.w.Seed, 2))
	start := time.Now()
	var payload []byte
	for n := 0; ; {
		for due := int(time.Since(start).Seconds() * float64(l.w.Rate)); n < due && ctx.Err() == nil; n++ {
			stamp := l.w.auditor.Next(customer(random), time.Now())
			payload = stamp.Append(payload[:0], l.w.Size)
			err := l.to.SendAsync(accept, &vegas.Record{PartitionKey: stamp.Key, Data: payload}, l.answered(stamp, len(payload)))
			if err != nil {
				l.w.auditor.Answer(stamp, audit.NotStored)
				if ctx.Err() != nil {
					return nil
				}
				return fmt.Errorf("send: %w", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// answered books the result of a vegas.
func (l *load) answered(s audit.Stamp, bytes int) func(vegas.Receipt, error) {
	return func(r vegas.Receipt, err error) {
		var failed *vegas.SendError
		switch {
		case err == nil:
			now := time.Now()
			l.w.traffic.acknowledged(now.Sub(l.w.started), r.Shard, bytes, now.Sub(s.Sent))
			l.w.auditor.Answer(s, audit.Acknowledged)
		case errors.As(err, &failed) && failed.Outcome == vegas.NotStored:
			l.w.auditor.Answer(s, audit.NotStored)
		default:
			l.w.auditor.Answer(s, audit.Unknown)
		}
	}
}
