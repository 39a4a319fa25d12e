package main

import (
	"context"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/bench/contest"
	"github.com/libvegas/vegas/store/memory"
)

var consumeVegas = contest.Contender{
	Name: "vegas, polling", Side: contest.Consume, Paced: true,
	Settings: "defaults; positions in memory",
	Run: func(ctx context.Context, w *contest.Work, m *contest.Meter) error {
		return consumeByVegas(ctx, w, m, w.Stream, func(ctx context.Context, c *vegas.Consumer) error {
			return c.Run(ctx, func(_ context.Context, r *vegas.Record) error { return m.Handle(r.Data) })
		})
	},
}

var consumeBatches = contest.Contender{
	Name: "vegas, polling, batches", Side: contest.Consume, Paced: true,
	Settings: "RunBatches, otherwise as vegas, polling",
	Run: func(ctx context.Context, w *contest.Work, m *contest.Meter) error {
		return consumeByVegas(ctx, w, m, "batches", func(ctx context.Context, c *vegas.Consumer) error {
			return c.RunBatches(ctx, func(_ context.Context, b *vegas.Batch) error {
				for _, r := range b.Records {
					if err := m.Handle(r.Data); err != nil {
						return err
					}
				}
				return nil
			})
		})
	},
}

var consumeFanOut = contest.Contender{
	Name: "vegas, fan-out", Side: contest.Consume, FanOut: true,
	Settings: "the group is the ARN of a registered consumer, otherwise as vegas, polling",
	Run: func(ctx context.Context, w *contest.Work, m *contest.Meter) error {
		return consumeByVegas(ctx, w, m, w.ConsumerARN, func(ctx context.Context, c *vegas.Consumer) error {
			return c.Run(ctx, func(_ context.Context, r *vegas.Record) error { return m.Handle(r.Data) })
		})
	},
}

// consumeByVegas runs a consumer of a group until all records were handled.
func consumeByVegas(ctx context.Context, w *contest.Work, m *contest.Meter, group string, run func(context.Context, *vegas.Consumer) error) error {
	c, err := vegas.NewConsumer(w.Stream, group, func(o *vegas.ConsumerOptions) {
		o.AWS, o.Store, o.Logger = local(w), memory.New(), noLog
	})
	if err != nil {
		return err
	}
	ctx, stop := untilDone(ctx, m)
	defer stop()
	if w.Warm == 0 {
		m.Begin()
	}
	return run(ctx, c)
}

// untilDone is a context that also ends when all records were handled.
func untilDone(ctx context.Context, m *contest.Meter) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(ctx)
	go func() {
		select {
		case <-m.Done():
			stop()
		case <-ctx.Done():
		}
	}()
	return ctx, stop
}
