package kinesisapi

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// An answer that the SDK's decoder panics at, or that it would need more stack for
// than there is, is an error of its call.
func TestAnAnswerCannotEndTheProcess(t *testing.T) {
	const (
		panicked = "the AWS SDK's decoder panicked"
		consumer = "arn:aws:kinesis:us-east-1:123456789012:stream/orders/consumer/c:1"
	)
	deep := "{" + strings.Repeat(`"":0,`, 3<<20) + `"Records":[],"Records":[]}`
	for name, c := range map[string]struct {
		body, want string
		call       func(context.Context, *Client) error
	}{
		"get records": {`{"Records":[{"ApproximateArrivalTimestamp":"NaN"}]}`, panicked, func(ctx context.Context, c *Client) error {
			_, err := c.GetRecords(ctx, "shardId-000000000000", "it", 0)
			return err
		}},
		"describe": {`{"StreamDescriptionSummary":{"StreamCreationTimestamp":"nan"}}`, panicked, func(ctx context.Context, c *Client) error {
			_, err := c.Describe(ctx)
			return err
		}},
		"describe consumer": {`{"ConsumerDescription":{"ConsumerCreationTimestamp":"NaN"}}`, panicked, func(ctx context.Context, c *Client) error {
			_, err := c.DescribeConsumer(ctx, consumer, "", "")
			return err
		}},
		"of the command line": {`{"StreamSummaries":[{"StreamCreationTimestamp":"NaN"}]}`, panicked, func(ctx context.Context, c *Client) error {
			_, err := Control(ctx, c, "list streams", "ListStreams", "", func(ctx context.Context, c *kinesis.Client) (*kinesis.ListStreamsOutput, error) {
				return c.ListStreams(ctx, nil)
			})
			return err
		}},
		"put records, deep": {deep, errMembers.Error(), func(ctx context.Context, c *Client) error {
			_, err := put(ctx, c)
			return err
		}},
		"list shards, deep": {deep, errMembers.Error(), func(ctx context.Context, c *Client) error {
			_, err := c.ListShards(ctx, nil)
			return err
		}},
		"subscribe, refused": {`{"__type":"ResourceNotFoundException",` + deep[1:], errMembers.Error(), func(ctx context.Context, c *Client) error {
			_, err := c.Subscribe(ctx, consumer, "shardId-000000000000", types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon})
			return err
		}},
	} {
		cl := client(t, server(t, func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", contentType)
			if strings.Contains(c.body, "__type") {
				w.WriteHeader(http.StatusBadRequest)
			}
			io.WriteString(w, c.body)
		}))
		err := c.call(t.Context(), cl)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "(see docs/troubleshooting.md#not-kinesis)") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// So is an event, which the SDK reads in a goroutine of its own.
func TestAnEventCannotEndTheProcess(t *testing.T) {
	event := strings.Replace(oneRecord, "NextShardIterator", "ContinuationSequenceNumber", 1)
	for payload, want := range map[string]string{
		strings.Replace(event, ":1.5", `:"NaN"`, 1):                "the AWS SDK's decoder panicked",
		"{" + strings.Repeat(`"":0,`, 3<<20) + `"Records":[]} end`: errMembers.Error(),
	} {
		stream := slices.Concat(
			eventFrame(t, "event", "initial-response", "{}"),
			eventFrame(t, "event", "SubscribeToShardEvent", event),
			eventFrame(t, "event", "SubscribeToShardEvent", payload),
			eventFrame(t, "event", "SubscribeToShardEvent", event),
		)
		sub := subscribed(t, stream)
		n := 0
		for range sub.Events() {
			n++
		}
		if n != 1 || sub.Err() == nil || !strings.Contains(sub.Err().Error(), want) {
			t.Errorf("%.60s: %d events, then %v", payload, n, sub.Err())
		}
	}
}

// There is stack for what is let through, on 32-bit platforms too.
func TestTheDeepestAnswerIsDecoded(t *testing.T) {
	body := "{" + strings.Repeat(`"":0,`, membersRead-1) + `"Shards":[]}`
	cl := client(t, server(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, body)
	}))
	if _, err := cl.ListShards(t.Context(), nil); err != nil {
		t.Error(err)
	}
}
