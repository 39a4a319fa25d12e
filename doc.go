// Package vegas sends to and receives from Amazon Kinesis Data Streams: in
// order, without losing anything, with batching, retries, resharding,
// de-duplication and checkpoints taken care of.
//
// # Send
//
//	p, err := vegas.NewProducer("orders")
//	err = p.Send(ctx, "customer-42", []byte("paid")) // nil: the stream has it
//	err = p.Close(ctx)                               // drains
//
// Records of one partition key are stored in the order in which they were sent,
// through retries, throttling, splits and merges. Every record ends in exactly
// one result: a [Receipt], or a [*SendError] that says whether the record can
// be in the stream all the same.
//
// With a directory to keep records in, [ProducerOptions.Durable], nil says that the
// record is safe there: outages and the end of the process do not lose it, and the
// next Producer of the directory goes on with what is left (docs/durability.md).
//
// # Receive
//
//	c, err := vegas.NewConsumer("orders", "billing") // stream, group
//	err = c.Run(ctx, func(ctx context.Context, r *vegas.Record) error { return nil })
//
// A record is done with when its handler returns nil; after a crash a group goes
// on from its last checkpoint. Start as many consumers of a group as you like, on
// as many machines: they share the shards, take over from each other, and remember
// positions in a store, a DynamoDB table unless another is named.
//
// # Configuration
//
// A stream is named by its name or its ARN. Region, credentials and endpoint
// come from the AWS SDK's usual places (AWS_REGION, AWS_PROFILE,
// AWS_ENDPOINT_URL, shared files, roles) unless options say otherwise. Options
// are functions on a struct that arrives filled with its defaults:
//
//	p, err := vegas.NewProducer("orders", func(o *vegas.ProducerOptions) { o.Linger = 0 })
//
// Package localkinesis is a Kinesis server for tests; package vegastest feeds
// handlers without one. What exactly is promised, to whom and under which
// faults is written down in docs/semantics.md, every error that a user can meet
// in docs/troubleshooting.md.
package vegas
