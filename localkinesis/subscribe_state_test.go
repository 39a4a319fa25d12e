package localkinesis_test

import (
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/localkinesis"
)

// TestSubscriptionIsPrompt: what happens is told when it happens, not when the
// next event is due anyway.
func TestSubscriptionIsPrompt(t *testing.T) {
	both(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		arn := register(t, srv, c, "billing")
		prompt := func(what string, after time.Duration, do func() error, wait func()) {
			t.Helper()
			time.Sleep(time.Second)
			started := time.Now()
			if err := do(); err != nil {
				t.Fatal(err)
			}
			if wait(); time.Since(started) != after {
				t.Errorf("%s was told %v later, want %v", what, time.Since(started), after)
			}
		}
		s, err := subscribe(t, c, arn, first, latest)
		if err != nil {
			t.Fatal(err)
		}
		prompt("a record", 0, func() error { _, err := srv.Put("orders", "a", "", nil); return err }, func() { next(t, s) })
		time.Sleep(7 * time.Second)
		var second *kinesis.SubscribeToShardEventStream
		prompt("a newer subscription", 0, func() (err error) { second, err = subscribe(t, c, arn, first, latest); return err }, func() { next(t, s) })
		prompt("a split", 0, func() error { _, _, err := srv.Split("orders", first, ""); return err }, func() { next(t, second) })

		const child = "shardId-000000000001"
		if s, err = subscribe(t, c, arn, child, latest); err != nil {
			t.Fatal(err)
		}
		// The consumer is DELETING for half a second.
		prompt("a deregistration", 500*time.Millisecond, func() error {
			_, err := c.DeregisterStreamConsumer(t.Context(), &kinesis.DeregisterStreamConsumerInput{ConsumerARN: arn})
			return err
		}, func() { next(t, s) })
		arn = register(t, srv, c, "billing")
		if s, err = subscribe(t, c, arn, child, latest); err != nil {
			t.Fatal(err)
		}
		prompt("a split over the wire", 500*time.Millisecond, func() error {
			_, err := c.SplitShard(t.Context(), &kinesis.SplitShardInput{StreamName: orders, ShardToSplit: aws.String(child), NewStartingHashKey: aws.String("1000")})
			return err
		}, func() { next(t, s) })
		if s, err = subscribe(t, c, arn, "shardId-000000000003", latest); err != nil {
			t.Fatal(err)
		}
		var third *kinesis.SubscribeToShardEventStream
		if err := srv.CreateStream("bills", 1); err != nil {
			t.Fatal(err)
		}
		bills, err := c.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: aws.String("arn:aws:kinesis:us-east-1:123456789012:stream/bills"), ConsumerName: aws.String("billing")})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if third, err = subscribe(t, c, bills.Consumer.ConsumerARN, first, latest); err != nil {
			t.Fatal(err)
		}
		prompt("the end of a stream by Go", 0, func() error { return srv.DeleteStream("bills") }, func() { next(t, third) })
		prompt("the end of the stream", 500*time.Millisecond, func() error {
			_, err := c.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: orders, EnforceConsumerDeletion: aws.Bool(true)})
			return err
		}, func() { next(t, s) })
		if _, ok := errors.AsType[*types.ResourceNotFoundException](s.Err()); !ok {
			t.Errorf("the end of the stream is %v", s.Err())
		}
	})
}

func TestSubscriptionIsRefused(t *testing.T) {
	both(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		st, err := srv.Stream("orders")
		if err != nil {
			t.Fatal(err)
		}
		try := func(arn *string, shard string) error {
			s, err := subscribe(t, c, arn, shard, latest)
			if err == nil {
				_ = s.Close()
			}
			return err
		}
		out, err := c.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: &st.ARN, ConsumerName: aws.String("billing")})
		if err != nil {
			t.Fatal(err)
		}
		arn := out.Consumer.ConsumerARN
		expect(t, "a consumer that is CREATING", try(arn, first), "ResourceInUseException")
		time.Sleep(time.Second)
		expect(t, "no such shard", try(arn, "shardId-000000000007"), "ResourceNotFoundException")
		expect(t, "no such consumer", try(aws.String(*arn+"0"), first), "ResourceNotFoundException")
		if _, err := c.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: orders, EnforceConsumerDeletion: aws.Bool(true)}); err != nil {
			t.Fatal(err)
		}
		expect(t, "a stream that is DELETING", try(arn, first), "ResourceInUseException")
		_, err = c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: orders, PartitionKey: aws.String("a"), Data: []byte("x")})
		expect(t, "a put to a stream that is DELETING", err, "ResourceNotFoundException")
	})
}

// TestFiveAtATime: five streams and five consumers may be CREATING.
func TestFiveAtATime(t *testing.T) {
	both(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		st, err := srv.Stream("orders")
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{"", "", "", "", "", "LimitExceededException"} {
			name := aws.String(string(rune('a' + i)))
			if i == 5 {
				time.Sleep(250 * time.Millisecond) // less than they take, enough for the rate of calls
			}
			_, err := c.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: name, ShardCount: aws.Int32(1)})
			expect(t, "stream "+*name, err, want)
			_, err = c.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: &st.ARN, ConsumerName: name})
			expect(t, "consumer "+*name, err, want)
		}
	})
}
