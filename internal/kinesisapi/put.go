package kinesisapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// PutResult is what became of one entry of a PutRecords request.
type PutResult struct {
	// Shard and Sequence say where it was stored; Shard is empty when it was
	// not.
	Shard, Sequence string
	// Class says what a failure means; Throttled or Unknown.
	Class Class
	// Code and Message are the service's words for a failure.
	Code, Message string
}

// PutRecords sends one request, once. An answer has one result for each entry,
// in their order; an error concerns the whole request, and its class says
// whether entries can have been stored.
func (c *Client) PutRecords(ctx context.Context, entries []types.PutRecordsRequestEntry) ([]PutResult, error) {
	return call(ctx, c, "put records", "PutRecords", "", func(ctx context.Context) ([]PutResult, error) {
		sdk, _, err := c.open(ctx)
		if err != nil {
			return nil, err
		}
		in := &kinesis.PutRecordsInput{Records: entries}
		in.StreamName, in.StreamARN = c.name.Ref()
		out, err := sdk.PutRecords(ctx, in)
		if err != nil {
			return nil, err
		}
		if len(out.Records) != len(entries) {
			return nil, errWrongCount
		}
		results := make([]PutResult, len(entries))
		for i := range out.Records {
			r := &out.Records[i]
			if r.ErrorCode == nil && r.SequenceNumber != nil && r.ShardId != nil {
				results[i] = PutResult{Shard: *r.ShardId, Sequence: *r.SequenceNumber}
				continue
			}
			results[i] = PutResult{Code: aws.ToString(r.ErrorCode), Message: aws.ToString(r.ErrorMessage)}
			v, _ := byCode(results[i].Code, results[i].Message)
			results[i].Class = v.class // Unknown for codes unheard of
		}
		return results, nil
	})
}
