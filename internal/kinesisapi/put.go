package kinesisapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/internal/wire"
)

// PutRecords sends one request, once. An answer has one result for each entry,
// in their order; an error concerns the whole request, and its class says
// whether entries can have been stored.
func (c *Client) PutRecords(ctx context.Context, entries []types.PutRecordsRequestEntry) (*wire.PutAnswer, error) {
	return call(ctx, c, "put records", "PutRecords", "", func(ctx context.Context) (*wire.PutAnswer, error) {
		sdk, _, err := c.open(ctx)
		if err != nil {
			return nil, err
		}
		in := &kinesis.PutRecordsInput{Records: entries}
		in.StreamName, in.StreamARN = c.name.Ref()
		out, err := direct(ctx, &c.put, in, new(kinesis.PutRecordsOutput), sdk.PutRecords)
		if err != nil {
			return nil, err
		}
		a := journeyOf(ctx).put
		if a == nil {
			a = wire.OfPutRecords(out)
		}
		if len(a.Results) != len(entries) {
			return nil, errWrongCount
		}
		return a, nil
	})
}

// EntryClass is what the failure of one entry means; Unknown for codes unheard of.
func EntryClass(r *wire.PutResult) Class {
	v, _ := byCode(r.Code, r.Message)
	return v.class
}
