package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/awslabs/kinesis-aggregation/go/v2/deaggregator"
	"golang.org/x/sync/errgroup"

	"github.com/libvegas/vegas/bench/contest"
)

var consumeSDK = contest.Contender{
	Name: "AWS SDK, GetRecords", Side: contest.Consume, Module: "github.com/aws/aws-sdk-go-v2/service/kinesis",
	Settings: "a loop of calls for each shard, 10,000 records each without a pause (1,000 and 100 cost more at 1 KiB, and the same in aggregates), opened by awslabs/kinesis-aggregation",
	Run: func(ctx context.Context, w *contest.Work, m *contest.Meter) error {
		client := kinesis.NewFromConfig(cured(w))
		shards, err := client.ListShards(ctx, &kinesis.ListShardsInput{StreamName: &w.Stream})
		if err != nil {
			return err
		}
		ctx, stop := untilDone(ctx, m)
		defer stop()
		g, ctx := errgroup.WithContext(ctx)
		for _, shard := range shards.Shards {
			g.Go(func() error { return sdkRead(ctx, client, w, shard.ShardId, m) })
		}
		if err := g.Wait(); err != nil {
			select {
			case <-m.Done(): // and so it was stopped
			default:
				return err
			}
		}
		return nil
	},
}

func sdkRead(ctx context.Context, client *kinesis.Client, w *contest.Work, shard *string, m *contest.Meter) error {
	first, err := client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
		StreamName: &w.Stream, ShardId: shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		return err
	}
	for at := first.ShardIterator; at != nil; {
		out, err := client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: at, Limit: aws.Int32(10_000)})
		if err != nil {
			return err
		}
		records, err := deaggregator.DeaggregateRecords(out.Records)
		if err != nil {
			return err
		}
		for i := range records {
			if err := m.Handle(records[i].Data); err != nil {
				return err
			}
		}
		if at = out.NextShardIterator; aws.ToInt64(out.MillisBehindLatest) == 0 {
			return nil // nobody writes any more
		}
	}
	return nil
}
