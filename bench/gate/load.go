package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/bench/contest"
	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/internal/lane"
	"github.com/libvegas/vegas/internal/send"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/store/memory"
)

// load is one thing that is counted.
type load struct {
	name string
	side contest.Side
	size int // of a payload
	// few and many are the records of the two runs whose difference is counted,
	// so that neither starting nor warming up is in it.
	few, many int
	// batch is how many records are sent, and then flushed: few enough that no
	// lane is full before. So it does not matter who ran when.
	batch  int
	raw    bool // not aggregated
	loose  bool // by an engine that keeps no order
	fanOut bool
}

// loads are a record's ways through the library. 100 bytes are aggregated some
// 1,500 to a lane, 1,000 bytes 200, and without aggregation 400 go in a request.
var loads = []load{
	{name: "send/100B", side: contest.Produce, size: 100, few: 25_000, many: 100_000, batch: 6_250},
	{name: "send/100B" + unordered, side: contest.Produce, size: 100, few: 25_000, many: 100_000, batch: 6_250, loose: true},
	{name: "send/1000B", side: contest.Produce, size: 1000, few: 4_000, many: 20_000, batch: 800},
	{name: "send/1000B/raw", side: contest.Produce, size: 1000, few: 4_000, many: 20_000, batch: 400, raw: true},
	{name: "send/1000B/raw" + unordered, side: contest.Produce, size: 1000, few: 4_000, many: 20_000, batch: 400, raw: true, loose: true},
	{name: "poll/100B", side: contest.Consume, size: 100, few: 25_000, many: 100_000, batch: 6_250},
	{name: "poll/1000B/raw", side: contest.Consume, size: 1000, few: 4_000, many: 20_000, batch: 400, raw: true},
	{name: "fan-out/100B", side: contest.Consume, size: 100, few: 25_000, many: 100_000, batch: 6_250, fanOut: true},
	{name: "fan-out/1000B/raw", side: contest.Consume, size: 1000, few: 4_000, many: 20_000, batch: 400, raw: true, fanOut: true},
}

// unordered ends the name of a load that differs from the one without it in that no
// order is kept.
const unordered = "/unordered"

const (
	shards = 4
	keys   = 10_000
)

// config reaches the canned service.
func (s *canned) config() aws.Config {
	return aws.Config{
		Region:       "us-east-1",
		BaseEndpoint: aws.String("http://canned.invalid"),
		HTTPClient:   s,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}, nil
		}),
	}
}

// producer is what is used of a vegas.Producer, which is a face of an engine.
type producer interface {
	SendAsync(ctx context.Context, r *vegas.Record, done func(vegas.Receipt, error)) error
	Flush(ctx context.Context) error
	Close(ctx context.Context) error
}

func (l *load) producer(cfg aws.Config) (producer, error) {
	const linger = time.Hour // only Flush lets records go
	if !l.loose {
		return vegas.NewProducer("orders", func(o *vegas.ProducerOptions) {
			o.AWS, o.Aggregate, o.Logger, o.Linger = cfg, !l.raw, slog.New(slog.DiscardHandler), linger
		})
	}
	name, err := kinesisapi.ParseName("orders")
	if err != nil {
		return nil, err
	}
	return send.New(send.Config{
		API: kinesisapi.New(name, kinesisapi.Options{AWS: cfg}), Stream: name.Stream, Broken: lane.Order, Raw: l.raw, Linger: linger,
		Deadline: 2 * time.Minute, BufferBytes: 64 << 20, MaxRequests: 16, RequestTimeout: 10 * time.Second,
		Logger: slog.New(slog.DiscardHandler), Observer: observe.Nop{},
	}), nil
}

// send sends n records, the first one being number from, in batches; rest waits for
// a second.
func (l *load) send(ctx context.Context, cfg aws.Config, from, n int, rest func()) error {
	p, err := l.producer(cfg)
	if err != nil {
		return err
	}
	w := contest.Work{Size: l.size, Keys: keys}
	names := w.AllKeys()
	payload := w.AppendPayload(nil, 0)
	var failed error
	done := func(_ vegas.Receipt, err error) {
		if err != nil {
			failed = err
		}
	}
	for i := 0; i < n; i += l.batch {
		for j := range l.batch {
			r := vegas.Record{PartitionKey: names[w.KeyIndex(from+i+j)], Data: payload}
			if err := p.SendAsync(ctx, &r, done); err != nil {
				return err
			}
		}
		if err := p.Flush(ctx); err != nil {
			return err
		}
		rest() // a shard's limits allow the next batch at once
	}
	if err := p.Close(ctx); err != nil {
		return err
	}
	return failed
}

// receive handles n records, all that there are.
func (l *load) receive(ctx context.Context, cfg aws.Config, n int) error {
	c, err := vegas.NewConsumer("orders", "group", func(o *vegas.ConsumerOptions) {
		o.AWS, o.FanOut, o.Store, o.Logger = cfg, l.fanOut, memory.New(), slog.New(slog.DiscardHandler)
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	var got atomic.Int64
	err = c.Run(ctx, func(context.Context, *vegas.Record) error {
		if got.Add(1) == int64(n) {
			cancel()
		}
		return nil
	})
	if err == nil && got.Load() != int64(n) {
		err = fmt.Errorf("%d of %d records were handled", got.Load(), n)
	}
	return err
}
