package kinesisapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
)

// Control runs a call of the control plane that this package has no method for
// (those of the command line), by the SDK's client with its retries, and judges
// its failure like any other: op says in words what is tried, action is the IAM
// action without its prefix.
func Control[T any](ctx context.Context, c *Client, op, action, shard string, do func(context.Context, *kinesis.Client) (T, error)) (T, error) {
	return call(ctx, c, op, action, shard, func(ctx context.Context) (T, error) {
		_, sdk, err := c.open(ctx)
		if err != nil {
			var none T
			return none, err
		}
		return do(ctx, sdk)
	})
}
