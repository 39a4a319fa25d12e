package kinesisapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/internal/wire"
)

// Iterator asks for a place to read a shard from (5 calls a second and shard:
// https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetShardIterator.html).
func (c *Client) Iterator(ctx context.Context, shard string, from types.StartingPosition) (string, error) {
	return call(ctx, c, "get shard iterator", "GetShardIterator", shard, func(ctx context.Context) (string, error) {
		sdk, _, err := c.open(ctx)
		if err != nil {
			return "", err
		}
		in := &kinesis.GetShardIteratorInput{
			ShardId:                aws.String(shard),
			ShardIteratorType:      from.Type,
			StartingSequenceNumber: from.SequenceNumber,
			Timestamp:              from.Timestamp,
		}
		in.StreamName, in.StreamARN = c.name.Ref()
		out, err := direct(ctx, &c.iterator, in, new(kinesis.GetShardIteratorOutput), sdk.GetShardIterator)
		if err != nil {
			return "", err
		}
		if aws.ToString(out.ShardIterator) == "" {
			return "", ErrEmptyAnswer
		}
		return *out.ShardIterator, nil
	})
}

// GetRecords reads on, once; shard is for the error only. Limit 0 is the
// service's default, 10,000 records.
func (c *Client) GetRecords(ctx context.Context, shard, iterator string, limit int) (*wire.Answer, error) {
	return call(ctx, c, "get records", "GetRecords", shard, func(ctx context.Context) (*wire.Answer, error) {
		sdk, _, err := c.open(ctx)
		if err != nil {
			return nil, err
		}
		in := &kinesis.GetRecordsInput{ShardIterator: aws.String(iterator)}
		if limit > 0 {
			in.Limit = aws.Int32(int32(min(limit, 10000)))
		}
		if c.name.ARN != "" {
			in.StreamARN = aws.String(c.name.ARN)
		}
		out, err := direct(ctx, &c.get, in, new(kinesis.GetRecordsOutput), sdk.GetRecords)
		if err != nil {
			return nil, err
		}
		if a := journeyOf(ctx).answer; a != nil {
			return a, nil
		}
		return wire.OfGetRecords(out), nil
	})
}
