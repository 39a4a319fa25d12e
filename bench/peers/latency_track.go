package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"golang.org/x/sync/errgroup"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/bench/contest"
	"github.com/libvegas/vegas/bench/floor"
	"github.com/libvegas/vegas/store/memory"
)

// leg is a way of a record whose time is measured.
type leg int

const (
	toStored leg = iota // the producer calls back
	toPolled            // a handler has it, by polling
	toPushed            // a handler has it, by fan-out
	toBare              // a bare subscription has it, which is what the server takes
	legs
)

// track is a stream of one shard, who sends to it at a steady rate, and who reads
// it, all side by side.
//
// A record's time counts from when it was due: if sending one is late, so are those
// behind it, as they would be for whoever wants to send them.
type track struct {
	work   contest.Work
	bare   string // a registered consumer for the bare subscription
	linger time.Duration
	every  time.Duration // between two records
	began  time.Time

	took    [legs][]time.Duration // by record
	missing [legs]atomic.Int64
	all     [legs]chan struct{} // closed when none is
}

func newTrack(w contest.Work, bare string, linger, every time.Duration) *track {
	t := &track{work: w, bare: bare, linger: linger, every: every}
	for l := range legs {
		t.took[l], t.all[l] = make([]time.Duration, w.Records), make(chan struct{})
		t.missing[l].Store(int64(w.Records))
	}
	return t
}

func (t *track) due(i int) time.Time { return t.began.Add(time.Duration(i) * t.every) }

// arrived notes that a record was at the end of a leg.
func (t *track) arrived(l leg, i int) error {
	if i < 0 || i >= len(t.took[l]) || t.took[l][i] != 0 {
		return fmt.Errorf("record %d of %d came twice, or was not sent", i, t.work.Records)
	}
	t.took[l][i] = time.Since(t.due(i))
	if t.missing[l].Add(-1) == 0 {
		close(t.all[l])
	}
	return nil
}

func (t *track) arrivedIn(l leg, payload []byte) error {
	i, err := contest.Number(payload)
	if err != nil {
		return err
	}
	return t.arrived(l, i)
}

// run sends all records and returns when they are at the end of each leg.
func (t *track) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	t.began = time.Now()
	reads := func(read func(context.Context) error) {
		g.Go(func() error {
			if err := read(ctx); ctx.Err() == nil { // else stop has ended it
				return fmt.Errorf("a reader has ended: %w", err)
			}
			return nil
		})
	}
	reads(func(ctx context.Context) error { return t.read(ctx, toPolled, t.work.Stream) })
	reads(func(ctx context.Context) error { return t.read(ctx, toPushed, t.work.ConsumerARN) })
	reads(func(ctx context.Context) error {
		bare := t.work
		bare.ConsumerARN = t.bare
		return floor.Follow(ctx, &bare, func(payload []byte) error { return t.arrivedIn(toBare, payload) })
	})
	g.Go(func() error {
		defer stop()
		if err := t.send(ctx); err != nil {
			return err
		}
		for l := range legs {
			select {
			case <-t.all[l]:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	return g.Wait()
}

// send puts one record after the other, each when it is due.
func (t *track) send(ctx context.Context) error {
	p, err := vegas.NewProducer(t.work.Stream, func(o *vegas.ProducerOptions) {
		o.AWS, o.Linger, o.Logger = overTLS(&t.work), t.linger, noLog
	})
	if err != nil {
		return err
	}
	defer func() { _ = p.Close(ctx) }() // Flush tells what failed
	keys, payload, failed := t.work.AllKeys(), []byte(nil), make(chan error, 1)
	fail := func(err error) {
		if err != nil {
			select {
			case failed <- err:
			default:
			}
		}
	}
	wake := time.NewTimer(0)
	defer wake.Stop()
	var r vegas.Record
	for i := range t.work.Records {
		for time.Now().Before(t.due(i)) {
			wake.Reset(time.Until(t.due(i)))
			select {
			case <-wake.C:
			case err := <-failed:
				return err
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		payload = t.work.AppendPayload(payload[:0], i)
		r.PartitionKey, r.Data = keys[t.work.KeyIndex(i)], payload
		if err := p.SendAsync(ctx, &r, func(_ vegas.Receipt, err error) {
			if fail(err); err == nil {
				fail(t.arrived(toStored, i))
			}
		}); err != nil {
			return err
		}
	}
	return p.Flush(ctx)
}

// read handles records by a group, or the ARN of a consumer.
func (t *track) read(ctx context.Context, l leg, group string) error {
	c, err := vegas.NewConsumer(t.work.Stream, group, func(o *vegas.ConsumerOptions) {
		o.AWS, o.Store = overTLS(&t.work), memory.New()
		o.Logger, o.Grace = noLog, time.Second
	})
	if err != nil {
		return err
	}
	return c.Run(ctx, func(_ context.Context, r *vegas.Record) error { return t.arrivedIn(l, r.Data) })
}

var noLog = slog.New(slog.DiscardHandler)

// overTLS reaches the work's server as the service is reached.
func overTLS(w *contest.Work) aws.Config {
	cfg := local(w)
	cfg.BaseEndpoint = aws.String(w.TLS)
	cfg.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // of a server on this machine
	})
	return cfg
}
