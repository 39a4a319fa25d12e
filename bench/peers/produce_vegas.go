package main

import (
	"context"
	"sync/atomic"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/bench/contest"
)

var produceVegas = contest.Contender{
	Name: "vegas", Side: contest.Produce,
	Settings: "defaults; SendAsync from one goroutine; not aggregated: Aggregate = false",
	Run:      runVegas(func(o *vegas.ProducerOptions, w *contest.Work) { o.Aggregate = w.Aggregated }),
}

var produceDurable = contest.Contender{
	Name: "vegas, durable", Side: contest.Produce,
	Settings: "Durable = a directory, otherwise as vegas; done when the stream has all",
	Not:      onlyAggregated,
	Run:      runVegas(func(o *vegas.ProducerOptions, w *contest.Work) { o.Durable = w.Dir }),
}

// onlyAggregated is the Contender.Not of those that always aggregate.
func onlyAggregated(w *contest.Work) string {
	if w.Aggregated {
		return ""
	}
	return "aggregates"
}

func runVegas(set func(*vegas.ProducerOptions, *contest.Work)) func(context.Context, *contest.Work, *contest.Meter) error {
	return func(ctx context.Context, w *contest.Work, m *contest.Meter) error {
		p, err := vegas.NewProducer(w.Stream, func(o *vegas.ProducerOptions) {
			o.AWS = local(w)
			set(o, w)
		})
		if err != nil {
			return err
		}
		defer p.Close(ctx)
		keys, payload := w.AllKeys(), make([]byte, 0, w.Size) // a record is copied when it is accepted
		var failed atomic.Pointer[error]
		done := func(_ vegas.Receipt, err error) {
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		}
		var r vegas.Record
		send := func(from, to int) error {
			for i := from; i < to; i++ {
				r.PartitionKey, r.Data = keys[w.KeyIndex(i)], w.AppendPayload(payload, i)
				if err := p.SendAsync(ctx, &r, done); err != nil {
					return err
				}
			}
			if err := p.Flush(ctx); err != nil {
				return err
			}
			if err := failed.Load(); err != nil {
				return *err
			}
			return nil
		}
		if err := send(0, w.Warm); err != nil {
			return err
		}
		m.Begin()
		return send(w.Warm, w.Records)
	}
}
