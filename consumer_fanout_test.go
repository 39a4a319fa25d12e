package vegas_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/localkinesis"
)

func TestFanOut(t *testing.T) {
	fanOut := func(o *vegas.ConsumerOptions) { o.FanOut = true }
	consumerBench(t, "hours of subscriptions without a gap", 2, func(b *bench) {
		c := b.consumer("g", fanOut)
		var got deliveries
		stop := startRun(b.T, c, func(_ context.Context, r *vegas.Record) error { got.add(r); return nil })
		const n = 700
		for range n {
			b.put(1)
			time.Sleep(11 * time.Second)
		}
		if err := stop(); err != nil {
			b.Error(err)
		}
		if got.len() != n {
			b.Errorf("%d records, want %d", got.len(), n)
		}
		if s := b.logged(); strings.Contains(s, "level=WARN") {
			b.Errorf("the five minutes of a subscription are no news:\n%s", s)
		}
	})
	consumerBench(t, "a restart within five seconds of the last subscription", 1, func(b *bench) {
		b.put(3)
		if n := b.consume(b.consumer("g", fanOut), 2*time.Second); n != 3 {
			b.Errorf("%d records", n)
		}
		b.put(4)
		if n := b.consume(b.consumer("g", fanOut), 20*time.Second); n != 4 {
			b.Errorf("%d records", n)
		}
	})
	consumerBench(t, "a group that is a consumer's ARN", 1, func(b *bench) {
		if n := b.consume(b.consumer("g", fanOut), 5*time.Second); n != 0 {
			b.Error(n)
		}
		arn := consumerARN(b, "g")
		b.put(2)
		c := b.consumer(arn)
		if n := b.consume(c, 20*time.Second); n != 2 {
			b.Errorf("%d records", n)
		}
		if _, err := vegas.NewConsumer("payments", arn); err == nil || !strings.Contains(err.Error(), "payments") {
			b.Errorf("the ARN of another stream's consumer: %v", err)
		}
	})
	consumerBench(t, "what cannot be registered is an error", 1, func(b *bench) {
		b.srv.Inject(localkinesis.Fault{Do: localkinesis.Fail, Op: "RegisterStreamConsumer", Code: "AccessDeniedException"})
		err := b.consumer("g", fanOut).Run(b.Context(), func(context.Context, *vegas.Record) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "register consumer") || !strings.Contains(err.Error(), "kinesis:RegisterStreamConsumer") {
			b.Error(err)
		}
	})
	consumerBench(t, "what cannot be subscribed is an error", 1, func(b *bench) {
		b.srv.Inject(localkinesis.Fault{Do: localkinesis.Fail, Op: "SubscribeToShard", Code: "AccessDeniedException"})
		err := b.consumer("g", fanOut).Run(b.Context(), func(context.Context, *vegas.Record) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "kinesis:SubscribeToShard") {
			b.Error(err)
		}
	})
	for _, op := range []string{"RegisterStreamConsumer", "SubscribeToShard"} {
		consumerBench(t, "falling back to polling without "+op, 1, func(b *bench) {
			b.put(3)
			b.srv.Inject(localkinesis.Fault{Do: localkinesis.Fail, Op: op, Code: "AccessDeniedException"})
			c := b.consumer("g", fanOut, func(o *vegas.ConsumerOptions) { o.FallBackToPolling = true })
			if n := b.consume(c, 10*time.Second); n != 3 {
				b.Errorf("%d records", n)
			}
			if !strings.Contains(b.logged(), "polling instead") {
				b.Errorf("nothing was said:\n%s", b.logged())
			}
		})
	}
}

// consumerARN asks the server, past the wire, for nothing: ARNs are built from
// the stream's and the consumer's creation.
func consumerARN(b *bench, name string) string {
	b.Helper()
	arn, err := describeConsumer(b.Context(), b.srv, "orders", name)
	if err != nil {
		b.Fatal(err)
	}
	return arn
}

// describeConsumer asks the server for a fan-out consumer's ARN.
func describeConsumer(ctx context.Context, srv *localkinesis.Server, stream, name string) (string, error) {
	s, err := srv.Stream(stream)
	if err != nil {
		return "", err
	}
	out, err := kinesis.NewFromConfig(srv.AWS()).DescribeStreamConsumer(ctx, &kinesis.DescribeStreamConsumerInput{
		StreamARN: &s.ARN, ConsumerName: &name,
	})
	if err != nil {
		return "", err
	}
	return *out.ConsumerDescription.ConsumerARN, nil
}
