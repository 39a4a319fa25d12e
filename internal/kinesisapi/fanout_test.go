package kinesisapi

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/localkinesis"
)

// The SDK's client decodes the events of all its streams into one buffer: with
// one client for all subscriptions this fails, and -race says where.
func TestSubscriptionsSideBySideKeepTheirEventsApart(t *testing.T) {
	const shards, records = 8, 200
	srv := localkinesis.Start(t, func(o *localkinesis.Options) {
		o.Streams, o.StateDelay, o.NoLimits = map[string]int{"orders": shards}, 0, true
	})
	name, err := ParseName("orders")
	if err != nil {
		t.Fatal(err)
	}
	c := New(name, Options{AWS: srv.AWS()})
	defer c.Close()
	stream, err := srv.Stream("orders")
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range stream.Shards {
		for n := range records {
			data := bytes.Repeat([]byte{byte('a' + i)}, 1000+n*37%5000)
			if _, err := srv.Put("orders", "k", s.First, data); err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	consumer, err := c.RegisterConsumer(ctx, stream.ARN, "billing")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i, s := range stream.Shards {
		wg.Go(func() {
			if err := readAll(ctx, c, consumer.ARN, s.ID, byte('a'+i), records); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func readAll(ctx context.Context, c *Client, consumer, shard string, want byte, records int) error {
	sub, err := c.Subscribe(ctx, consumer, shard, types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon})
	if err != nil {
		return err
	}
	defer sub.Close() // read to the end or failed
	n := 0
	for e := range sub.Events() {
		if e.Fallback {
			return fmt.Errorf("%s: an event was left to the SDK", shard)
		}
		for _, r := range e.Records {
			if len(bytes.Trim(r.Data, string(want))) > 0 {
				return fmt.Errorf("%s: record %d holds bytes of another shard", shard, n)
			}
			n++
		}
		if n == records {
			return nil
		}
	}
	return fmt.Errorf("%s: %d records of %d: %w", shard, n, records, sub.Err())
}
