package main

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/awslabs/kinesis-aggregation/go/v2/deaggregator"
	harlow "github.com/harlow/kinesis-consumer"

	"github.com/libvegas/vegas/bench/contest"
)

var consumeHarlow = contest.Contender{
	Name: "harlow/kinesis-consumer", Side: contest.Consume, Module: "github.com/harlow/kinesis-consumer",
	// Its own WithAggregation (v0.3.6) takes the address of a loop's variable under
	// the rules before Go 1.22: of an answer's aggregates it opens the last one, again
	// and again.
	Settings: "10,000 records a call (1,000 and 100 cost more at 1 KiB, and the same in aggregates), scans without a pause (1 ms), no store; opened by awslabs/kinesis-aggregation, since WithAggregation loses aggregates",
	Run: func(ctx context.Context, w *contest.Work, m *contest.Meter) error {
		c, err := harlow.New(w.Stream,
			harlow.WithClient(kinesis.NewFromConfig(cured(w))),
			harlow.WithShardIteratorType("TRIM_HORIZON"),
			harlow.WithMaxRecords(10_000),
			harlow.WithScanInterval(time.Millisecond),
		)
		if err != nil {
			return err
		}
		ctx, stop := untilDone(ctx, m)
		defer stop()
		err = c.Scan(ctx, func(r *harlow.Record) error {
			records, err := deaggregator.DeaggregateRecords([]types.Record{r.Record})
			if err != nil {
				return err
			}
			for i := range records {
				if err := m.Handle(records[i].Data); err != nil {
					return err
				}
			}
			return nil
		})
		select {
		case <-m.Done(): // and so it was stopped
			return nil
		default:
			return err
		}
	},
}
