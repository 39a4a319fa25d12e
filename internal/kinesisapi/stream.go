package kinesisapi

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/internal/limits"
)

// Summary is what DescribeStreamSummary tells of the stream.
type Summary struct {
	Name string
	ARN  string
	// Status is ACTIVE and UPDATING for a stream that can be used, CREATING or
	// DELETING for one that cannot.
	Status types.StreamStatus
	// Created tells a stream from an earlier one of the same name.
	Created time.Time
	// RecordBytes is MaxRecordSize.
	RecordBytes int
	// Auto: the service distributes records over the shards itself.
	Auto bool
	// OnDemand: the stream's capacity mode.
	OnDemand bool
	// OpenShards is how many shards are open.
	OpenShards int
	Retention  time.Duration
	// Now is the service's clock when it answered, cut to the second (the Date
	// header); zero if the server sent none.
	Now time.Time
}

// Describe asks for the stream's summary (20 a second and account at most:
// https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DescribeStreamSummary.html).
func (c *Client) Describe(ctx context.Context) (Summary, error) {
	return call(ctx, c, "describe stream", "DescribeStreamSummary", "", func(ctx context.Context) (Summary, error) {
		_, sdk, err := c.open(ctx)
		if err != nil {
			return Summary{}, err
		}
		in := &kinesis.DescribeStreamSummaryInput{}
		in.StreamName, in.StreamARN = c.name.Ref()
		out, err := sdk.DescribeStreamSummary(ctx, in)
		if err != nil {
			return Summary{}, err
		}
		d := out.StreamDescriptionSummary
		if d == nil {
			return Summary{}, ErrEmptyAnswer
		}
		s := Summary{
			Name:        aws.ToString(d.StreamName),
			ARN:         aws.ToString(d.StreamARN),
			Status:      d.StreamStatus,
			Created:     aws.ToTime(d.StreamCreationTimestamp),
			RecordBytes: limits.RecordBytes,
			Auto:        d.RecordDistributionStrategy == types.RecordDistributionStrategyAuto,
			OpenShards:  int(aws.ToInt32(d.OpenShardCount)),
			Retention:   time.Duration(aws.ToInt32(d.RetentionPeriodHours)) * time.Hour,
		}
		s.Now, _ = awsmiddleware.GetServerTime(out.ResultMetadata)
		if kib := aws.ToInt32(d.MaxRecordSizeInKiB); kib > 0 {
			s.RecordBytes = int(kib) << 10
		}
		if d.StreamModeDetails != nil {
			s.OnDemand = d.StreamModeDetails.StreamMode == types.StreamModeOnDemand
		}
		return s, nil
	})
}

// ListShards lists the stream's shards, all pages of them; filter may be nil:
// every shard whose records are still retained. The listing may be stale: only
// what it says of parents and closed shards is sure.
//
// Rates: 1,000 calls a second and account
// (https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ListShards.html);
// other readers of the API reference say 100 a second and stream.
func (c *Client) ListShards(ctx context.Context, filter *types.ShardFilter) ([]types.Shard, error) {
	return call(ctx, c, "list shards", "ListShards", "", func(ctx context.Context) ([]types.Shard, error) {
		_, sdk, err := c.open(ctx)
		if err != nil {
			return nil, err
		}
		in := &kinesis.ListShardsInput{ShardFilter: filter, MaxResults: aws.Int32(listShardsPage)}
		in.StreamName, in.StreamARN = c.name.Ref()
		var shards []types.Shard
		seen := map[string]bool{}
		for {
			out, err := sdk.ListShards(ctx, in)
			if err != nil {
				return nil, err
			}
			shards = append(shards, out.Shards...)
			token := aws.ToString(out.NextToken)
			if token == "" {
				return shards, nil
			}
			if seen[token] {
				return nil, errLoopingPages // a server that ignores the token
			}
			seen[token] = true
			// A token excludes every other member of the request.
			in = &kinesis.ListShardsInput{NextToken: out.NextToken, MaxResults: aws.Int32(listShardsPage)}
		}
	})
}

// listShardsPage is the most that ListShards takes.
const listShardsPage = 10000
