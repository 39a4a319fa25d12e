package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

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

// What a program sends that has its records at hand.
var produceAll = contest.Contender{
	Name: "vegas, SendAll", Side: contest.Produce,
	Settings: "SendAll of 10,000 records at a time, otherwise as vegas",
	Not:      onlyAggregated,
	Run:      runSendAll,
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
		keys := w.AllKeys()
		senders := make([]*sender, max(1, w.Producers))
		for n := range senders {
			p, err := vegas.NewProducer(w.Stream, func(o *vegas.ProducerOptions) {
				o.AWS = local(w)
				set(o, w)
			})
			if err != nil {
				return err
			}
			defer func() { _ = p.Close(ctx) }() // Flush tells what failed
			senders[n] = &sender{work: w, producer: p, keys: keys, payload: make([]byte, 0, w.Size)}
		}
		send := func(from, to int) error {
			began := time.Now()
			g, ctx := errgroup.WithContext(ctx)
			for n, s := range senders {
				g.Go(func() error { return s.send(ctx, from, to, n, len(senders), began) })
			}
			return g.Wait()
		}
		if err := send(0, w.Warm); err != nil {
			return err
		}
		m.Begin()
		return send(w.Warm, w.Records)
	}
}

// sender is a goroutine with a producer of its own.
type sender struct {
	work     *contest.Work
	producer *vegas.Producer
	keys     []string
	payload  []byte // a record is copied when it is accepted
	failed   atomic.Pointer[error]
}

// send has the stream take the records in a range whose numbers, divided by of,
// leave n; when they are due, if the work is spread over time.
func (s *sender) send(ctx context.Context, from, to, n, of int, began time.Time) error {
	var r vegas.Record
	first := from + (n-from%of+of)%of
	for i := first; i < to; i += of {
		if err := s.work.Until(ctx, began, i-from); err != nil {
			return err
		}
		r.PartitionKey, r.Data = s.keys[s.work.KeyIndex(i)], s.work.AppendPayload(s.payload, i)
		if err := s.producer.SendAsync(ctx, &r, s.done); err != nil {
			return err
		}
	}
	err := s.producer.Flush(ctx)
	if failed := s.failed.Load(); failed != nil {
		err = errors.Join(err, *failed)
	}
	return err
}

func (s *sender) done(_ vegas.Receipt, err error) {
	if err != nil {
		s.failed.CompareAndSwap(nil, &err)
	}
}

func runSendAll(ctx context.Context, w *contest.Work, m *contest.Meter) error {
	const batch = 10_000
	p, err := vegas.NewProducer(w.Stream, func(o *vegas.ProducerOptions) { o.AWS = local(w) })
	if err != nil {
		return err
	}
	defer func() { _ = p.Close(ctx) }() // SendAll tells what failed
	var (
		keys     = w.AllKeys()
		payloads = make([]byte, 0, batch*w.Size)
		records  = make([]vegas.Record, batch)
		rs       = make([]*vegas.Record, batch)
	)
	for i := range rs {
		rs[i] = &records[i]
	}
	send := func(from, to int) error {
		for ; from < to; from += batch {
			n := min(batch, to-from)
			all := payloads
			for i := range n {
				had := len(all)
				all = w.AppendPayload(all, from+i)
				records[i].PartitionKey, records[i].Data = keys[w.KeyIndex(from+i)], all[had:]
			}
			if _, err := p.SendAll(ctx, rs[:n]); err != nil {
				return err
			}
		}
		return nil
	}
	if err := send(0, w.Warm); err != nil {
		return err
	}
	m.Begin()
	return send(w.Warm, w.Records)
}
