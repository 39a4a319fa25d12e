package main

import (
	"context"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/bench/contest"
)

// sdkSenders is how many goroutines call PutRecords at once.
const sdkSenders = 8

var produceSDK = contest.Contender{
	Name: "AWS SDK, PutRecords", Side: contest.Produce, Module: "github.com/aws/aws-sdk-go-v2/service/kinesis",
	Settings: "500 records a call, 8 goroutines (4 and 16 cost the same, and so did larger buffers of the connection); one record of the stream for each",
	Not: func(w *contest.Work) string {
		if w.Aggregated && w.Size > 100 {
			return "does not aggregate"
		}
		return ""
	},
	Run: func(ctx context.Context, w *contest.Work, m *contest.Meter) error {
		client, keys := kinesis.NewFromConfig(cured(w)), w.AllKeys()
		payloads := make([]*contest.Payloads, sdkSenders)
		for n := range payloads {
			payloads[n] = m.Payloads()
		}
		if err := sdkSend(ctx, w, client, keys, payloads, 0, w.Warm); err != nil {
			return err
		}
		m.Begin()
		return sdkSend(ctx, w, client, keys, payloads, w.Warm, w.Records)
	},
}

// sdkSend stores the records from one number up to another.
func sdkSend(ctx context.Context, w *contest.Work, client *kinesis.Client, keys []string, payloads []*contest.Payloads, from, to int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	const most = 500
	calls := make(chan int)
	var senders sync.WaitGroup
	for n := range sdkSenders {
		senders.Go(func() {
			entries := make([]types.PutRecordsRequestEntry, 0, most)
			for first := range calls {
				entries = entries[:0]
				for i := first; i < min(first+most, to); i++ {
					entries = append(entries, types.PutRecordsRequestEntry{PartitionKey: &keys[w.KeyIndex(i)], Data: payloads[n].Of(i)})
				}
				if err := sdkPut(ctx, client, &w.Stream, entries); err != nil {
					cancel(err)
				}
			}
		})
	}
	for first := from; first < to && ctx.Err() == nil; first += most {
		calls <- first
	}
	close(calls)
	senders.Wait()
	return context.Cause(ctx)
}

// sdkPut calls until all entries are stored. It overwrites them.
func sdkPut(ctx context.Context, client *kinesis.Client, stream *string, entries []types.PutRecordsRequestEntry) error {
	for len(entries) > 0 {
		out, err := client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: stream, Records: entries})
		if err != nil {
			return err
		}
		failed := entries[:0]
		for i, r := range out.Records {
			if r.ErrorCode != nil {
				failed = append(failed, entries[i])
			}
		}
		entries = failed
	}
	return nil
}
