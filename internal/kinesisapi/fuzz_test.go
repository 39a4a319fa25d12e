package kinesisapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// FuzzEventStream answers a subscription with arbitrary bytes behind the first
// frame. Whatever they are, the subscription ends, at most by an error that says
// what it belongs to, and every event it gave is one that a reader can use.
func FuzzEventStream(f *testing.F) {
	event := eventFrame(f, "event", "SubscribeToShardEvent",
		`{"ContinuationSequenceNumber":"101","MillisBehindLatest":0,"Records":[{"SequenceNumber":"100","PartitionKey":"k","Data":"MQ==","ApproximateArrivalTimestamp":1.5}]}`)
	end := eventFrame(f, "event", "SubscribeToShardEvent",
		`{"ContinuationSequenceNumber":"101","MillisBehindLatest":0,"Records":[],"ChildShards":[{"ShardId":"shardId-000000000001","ParentShards":["shardId-000000000000"],"HashKeyRange":{"StartingHashKey":"0","EndingHashKey":"9"}}]}`)
	exception := eventFrame(f, "exception", "ResourceInUseException", `{"message":"taken"}`)
	f.Add([]byte{})
	f.Add(event)
	f.Add(append(bytes.Clone(event), end...))
	f.Add(append(bytes.Clone(event), exception...))
	f.Add(event[:len(event)-3])                                                // cut in the body
	f.Add(event[:7])                                                           // cut in the prelude
	f.Add(append(bytes.Clone(event[:20]), event[24:]...))                      // too short for its length
	f.Add(eventFrame(f, "event", "SubscribeToShardEvent", `{"Records":null}`)) // nothing in it
	f.Add(eventFrame(f, "event", "SubscribeToShardEvent", `{"Records":[{}]}`))
	f.Add(eventFrame(f, "event", "SubscribeToShardEvent", `{"Records":[{"Data":"?"}]}`))
	f.Add(eventFrame(f, "event", "SubscribeToShardEvent", `{"Records":[{"ApproximateArrivalTimestamp":"NaN"}]}`)) // the SDK panics
	f.Add(eventFrame(f, "event", "SomethingNew", `[]`))
	f.Add(eventFrame(f, "error", "", ``))
	f.Add(append(eventFrame(f, "event", "SubscribeToShardEvent", `{"Records":[],"Records":[{"Data":"\u004dQ=="}],"ContinuationSequenceNumber":"7"} x`), event...)) // the SDK's
	flipped := bytes.Clone(event)
	flipped[len(flipped)/2] ^= 1
	f.Add(flipped)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}) // 4 GiB, it says

	first := eventFrame(f, "event", "initial-response", "{}")
	name, err := ParseName("orders")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, tail []byte) {
		cfg := configFor("http://kinesis.invalid")
		cfg.HTTPClient = doFunc(func(*http.Request) (*http.Response, error) {
			return &http.Response{
				StatusCode: http.StatusOK, Proto: "HTTP/2.0", ProtoMajor: 2,
				Header: http.Header{"Content-Type": {"application/vnd.amazon.eventstream"}},
				Body:   io.NopCloser(bytes.NewReader(append(bytes.Clone(first), tail...))),
			}, nil
		})
		c := New(name, Options{AWS: cfg})
		defer c.Close()
		sub, err := c.Subscribe(t.Context(), "arn:aws:kinesis:us-east-1:123456789012:stream/orders/consumer/c:1", "shardId-000000000000",
			types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon})
		if err != nil {
			return
		}
		defer sub.Close()
		hangs := time.After(4 * time.Second)
		for events := 0; ; events++ {
			select {
			case _, more := <-sub.Events():
				if !more {
					if e := (*Error)(nil); sub.Err() != nil && (!errors.As(sub.Err(), &e) || e.Stream != "orders" || e.Shard == "") {
						t.Errorf("the error does not say what it belongs to: %v", sub.Err())
					}
					return
				}
				if events > len(tail) {
					t.Fatalf("%d events out of %d bytes", events, len(tail))
				}
			case <-hangs:
				t.Fatal("the subscription does not end")
			}
		}
	})
}

func eventFrame(f testing.TB, message, kind, payload string) []byte {
	f.Helper()
	m := eventstream.Message{Payload: []byte(payload)}
	m.Headers.Set(":message-type", eventstream.StringValue(message))
	m.Headers.Set(":"+message+"-type", eventstream.StringValue(kind))
	m.Headers.Set(":content-type", eventstream.StringValue("application/json"))
	var out bytes.Buffer
	if err := eventstream.NewEncoder().Encode(&out, m); err != nil {
		f.Fatal(err)
	}
	return out.Bytes()
}
