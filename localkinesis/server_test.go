package localkinesis_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/localkinesis"
)

func oneShard(o *localkinesis.Options) { o.Streams = map[string]int{"orders": 1} }

// put stores a record through the SDK.
func put(t *testing.T, c *kinesis.Client, key, data string) *kinesis.PutRecordOutput {
	t.Helper()
	out, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{
		StreamName: aws.String("orders"), PartitionKey: aws.String(key), Data: []byte(data),
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// iterate gives an iterator of the stream "orders".
func iterate(t *testing.T, c *kinesis.Client, shard string, kind types.ShardIteratorType) *string {
	t.Helper()
	out, err := c.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{
		StreamName: aws.String("orders"), ShardId: aws.String(shard), ShardIteratorType: kind,
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.ShardIterator
}

func get(t *testing.T, c *kinesis.Client, iterator *string) *kinesis.GetRecordsOutput {
	t.Helper()
	out, err := c.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: iterator})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func texts(records []types.Record) []string {
	out := []string{}
	for _, r := range records {
		out = append(out, string(r.Data))
	}
	return out
}

func TestPutAndGetInABubble(t *testing.T) {
	for name, adjust := range map[string][]func(*http.Transport){"HTTP/1.1": nil, "HTTP/2": {localkinesis.HTTP2}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := localkinesis.Start(t, oneShard)
				c := kinesis.NewFromConfig(srv.AWS(adjust...))
				started := time.Now()
				first := put(t, c, "a", "one")
				time.Sleep(time.Second)
				put(t, c, "b", "two")
				out := get(t, c, iterate(t, c, "shardId-000000000000", types.ShardIteratorTypeTrimHorizon))
				if got := fmt.Sprint(texts(out.Records)); got != "[one two]" {
					t.Fatalf("got %s", got)
				}
				r := out.Records[0]
				if *r.SequenceNumber != *first.SequenceNumber || *r.PartitionKey != "a" || !r.ApproximateArrivalTimestamp.Equal(started) {
					t.Errorf("first record is %+v", r)
				}
				if *out.MillisBehindLatest != 0 || out.NextShardIterator == nil || out.ChildShards != nil {
					t.Errorf("answer is %+v", out)
				}
				stored, err := srv.Records("orders", "")
				if err != nil || len(stored) != 2 || stored[1].PartitionKey != "b" || string(stored[1].Data) != "two" {
					t.Errorf("stored are %v, %v", stored, err)
				}
			})
		})
	}
}

func TestStatesPassWithTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := localkinesis.Start(t)
		c := kinesis.NewFromConfig(srv.AWS())
		if _, err := c.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String("orders"), ShardCount: aws.Int32(2)}); err != nil {
			t.Fatal(err)
		}
		status := func() string {
			out, err := c.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("orders")})
			if err != nil {
				if _, ok := errors.AsType[*types.ResourceNotFoundException](err); ok {
					return "gone"
				}
				t.Fatal(err)
			}
			return string(out.StreamDescriptionSummary.StreamStatus)
		}
		var notFound *types.ResourceNotFoundException
		if _, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{
			StreamName: aws.String("orders"), PartitionKey: aws.String("a"), Data: []byte("x"),
		}); !errors.As(err, &notFound) {
			t.Errorf("put on a stream that is CREATING: %v", err)
		}
		expect := func(want string) {
			t.Helper()
			if got := status(); got != want {
				t.Errorf("status is %s, want %s", got, want)
			}
		}
		expect("CREATING")
		time.Sleep(499 * time.Millisecond)
		expect("CREATING")
		time.Sleep(time.Millisecond)
		expect("ACTIVE")
		split := &kinesis.SplitShardInput{StreamName: aws.String("orders"), ShardToSplit: aws.String("shardId-000000000000"), NewStartingHashKey: aws.String("1000")}
		if _, err := c.SplitShard(t.Context(), split); err != nil {
			t.Fatal(err)
		}
		expect("UPDATING")
		var inUse *types.ResourceInUseException
		if _, err := c.SplitShard(t.Context(), split); !errors.As(err, &inUse) {
			t.Errorf("split while UPDATING: %v", err)
		}
		put(t, c, "a", "writes go on while UPDATING")
		srv.Advance(500 * time.Millisecond)
		expect("ACTIVE")
		if _, err := c.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: aws.String("orders")}); err != nil {
			t.Fatal(err)
		}
		expect("DELETING")
		time.Sleep(time.Second)
		expect("gone")
	})
}

// TestReshard follows a shard through a split and a merge to its end.
func TestReshard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := localkinesis.Start(t, oneShard, func(o *localkinesis.Options) { o.StateDelay = 0 })
		c := kinesis.NewFromConfig(srv.AWS())
		first := put(t, c, "a", "before")
		if _, err := c.SplitShard(t.Context(), &kinesis.SplitShardInput{
			StreamName: aws.String("orders"), ShardToSplit: aws.String("shardId-000000000000"),
			NewStartingHashKey: aws.String("170141183460469231731687303715884105728"),
		}); err != nil {
			t.Fatal(err)
		}
		second := put(t, c, "a", "after the split")
		if _, err := c.MergeShards(t.Context(), &kinesis.MergeShardsInput{
			StreamName: aws.String("orders"), ShardToMerge: aws.String("shardId-000000000001"), AdjacentShardToMerge: aws.String("shardId-000000000002"),
		}); err != nil {
			t.Fatal(err)
		}
		third, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{
			StreamName: aws.String("orders"), PartitionKey: aws.String("a"), Data: []byte("after the merge"),
			SequenceNumberForOrdering: second.SequenceNumber,
		})
		if err != nil {
			t.Fatal(err)
		}
		if *third.ShardId != "shardId-000000000003" || *first.SequenceNumber >= *second.SequenceNumber || *second.SequenceNumber >= *third.SequenceNumber {
			t.Errorf("numbers do not rise: %s %s %s", *first.SequenceNumber, *second.SequenceNumber, *third.SequenceNumber)
		}
		out := get(t, c, iterate(t, c, "shardId-000000000000", types.ShardIteratorTypeTrimHorizon))
		if out.NextShardIterator != nil || len(out.Records) != 1 || len(out.ChildShards) != 2 || *out.ChildShards[1].ShardId != "shardId-000000000002" ||
			fmt.Sprint(out.ChildShards[0].ParentShards) != "[shardId-000000000000]" {
			t.Errorf("end of the first shard: %+v", out)
		}
		out = get(t, c, iterate(t, c, "shardId-000000000002", types.ShardIteratorTypeTrimHorizon))
		if out.NextShardIterator != nil || len(out.ChildShards) != 1 ||
			fmt.Sprint(out.ChildShards[0].ParentShards) != "[shardId-000000000001 shardId-000000000002]" {
			t.Errorf("end of the merged shard: %+v", out)
		}
		list, err := c.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: aws.String("orders")})
		if err != nil || len(list.Shards) != 4 || *list.Shards[3].ParentShardId != "shardId-000000000001" || *list.Shards[3].AdjacentParentShardId != "shardId-000000000002" ||
			list.Shards[0].SequenceNumberRange.EndingSequenceNumber == nil || list.Shards[3].SequenceNumberRange.EndingSequenceNumber != nil {
			t.Errorf("shards are %+v, %v", list, err)
		}
		if err := srv.Scale("orders", 3); err != nil {
			t.Fatal(err)
		}
		view, _ := srv.Stream("orders")
		open := 0
		for _, sh := range view.Shards {
			if sh.Open {
				open++
			}
		}
		if open != 3 {
			t.Errorf("%d shards are open after scaling to 3: %+v", open, view.Shards)
		}
	})
}

func TestFaultsOfTheWritePath(t *testing.T) {
	entries := func() *kinesis.PutRecordsInput {
		in := &kinesis.PutRecordsInput{StreamName: aws.String("orders")}
		for i := range 4 {
			in.Records = append(in.Records, types.PutRecordsRequestEntry{PartitionKey: aws.String(fmt.Sprint(i)), Data: []byte{byte('0' + i)}})
		}
		return in
	}
	for name, tc := range map[string]struct {
		fault  localkinesis.Fault
		failed int    // entries, -1: the whole request
		stored string // after one request
		retry  string // after a second one
	}{
		"none":             {localkinesis.Fault{Do: localkinesis.Delay, Delay: time.Hour, Count: 1}, 0, "0123", "01230123"},
		"throttle":         {localkinesis.Fault{Do: localkinesis.Throttle, Count: 1}, -1, "", "0123"},
		"throttle entries": {localkinesis.Fault{Do: localkinesis.Throttle, Count: 1, Entries: []int{1, 2}}, 2, "03", "030123"},
		"fail entries":     {localkinesis.Fault{Do: localkinesis.FailEntries, Entries: []int{0}}, 1, "123", "123123"},
		"fail":             {localkinesis.Fault{Do: localkinesis.Fail, Count: 1}, -1, "", "0123"},
		"fail with code":   {localkinesis.Fault{Do: localkinesis.Fail, Count: 1, Code: "AccessDeniedException"}, -1, "", "0123"},
		"drop answer":      {localkinesis.Fault{Do: localkinesis.DropAnswer, Count: 1}, -1, "0123", "01230123"},
		"store some":       {localkinesis.Fault{Do: localkinesis.StoreSome, Count: 1, Entries: []int{3}}, -1, "3", "30123"},
		"store late":       {localkinesis.Fault{Do: localkinesis.StoreLate, Count: 1, Requests: 1}, -1, "", "01230123"},
		"after":            {localkinesis.Fault{Do: localkinesis.Fail, After: 1}, 0, "0123", "0123"},
		"other stream":     {localkinesis.Fault{Do: localkinesis.Fail, Stream: "bills"}, 0, "0123", "01230123"},
		"other operation":  {localkinesis.Fault{Do: localkinesis.Fail, Op: "PutRecord"}, 0, "0123", "01230123"},
		"one shard":        {localkinesis.Fault{Do: localkinesis.Throttle, Shard: "shardId-000000000000"}, 4, "", ""},
		"no such shard":    {localkinesis.Fault{Do: localkinesis.Throttle, Shard: "shardId-000000000001"}, 0, "0123", "01230123"},
		"split":            {localkinesis.Fault{Do: localkinesis.Split, After: 1, Count: 1}, 0, "0123", "01230123"},
	} {
		for _, h2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/h2=%v", name, h2), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := localkinesis.Start(t, oneShard)
					cfg := srv.AWS()
					if h2 {
						cfg = srv.AWS(localkinesis.HTTP2)
					}
					c := kinesis.NewFromConfig(cfg, func(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} })
					i := srv.Inject(tc.fault)
					out, err := c.PutRecords(context.Background(), entries())
					switch {
					case (err != nil) != (tc.failed < 0):
						t.Errorf("put records: %v", err)
					case err == nil && int(*out.FailedRecordCount) != tc.failed:
						t.Errorf("%d entries failed, want %d", *out.FailedRecordCount, tc.failed)
					}
					if got := stored(t, srv); got != tc.stored {
						t.Errorf("stored is %q, want %q", got, tc.stored)
					}
					_, _ = c.PutRecords(context.Background(), entries())
					if got := stored(t, srv); len(got) != len(tc.retry) || name != "split" && got != tc.retry {
						t.Errorf("stored is %q after the second request, want %q", got, tc.retry)
					}
					if want := tc.fault.Stream == "" && tc.fault.Op == "" && tc.fault.Shard != "shardId-000000000001"; (i.Fired() > 0) != want {
						t.Errorf("it happened %d times", i.Fired())
					}
					if st := srv.Faults(); len(st) != 1 || st[0].Fired != i.Fired() {
						t.Errorf("the record says %+v", st)
					}
				})
			})
		}
	}
}

func stored(t *testing.T, srv *localkinesis.Server) string {
	t.Helper()
	records, err := srv.Records("orders", "")
	if err != nil {
		t.Fatal(err)
	}
	s := ""
	for _, r := range records {
		s += string(r.Data)
	}
	return s
}
