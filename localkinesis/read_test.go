package localkinesis_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/localkinesis"
)

// iterateAt tries for an iterator of the first shard of "orders" by number.
func iterateAt(t *testing.T, c *kinesis.Client, shard, number string) (*string, error) {
	t.Helper()
	out, err := c.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{
		StreamName: orders, ShardId: &shard, ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: &number,
	})
	if err != nil {
		return nil, err
	}
	return out.ShardIterator, nil
}

// TestNumbersOfIterators: only a number that the shard has given is one to read from.
func TestNumbersOfIterators(t *testing.T) {
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		old := *put(t, c, "a", "old").SequenceNumber
		if err := srv.DeleteStream("orders"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if err := srv.CreateStream("orders", 1); err != nil {
			t.Fatal(err)
		}
		_, err := iterateAt(t, c, first, old)
		expect(t, "the number of an earlier stream", err, "InvalidArgumentException")
		expect(t, "and for ordering", ordered(t, c, old), "InvalidArgumentException")
		if _, _, err := srv.Split("orders", first, ""); err != nil {
			t.Fatal(err)
		}
		child := put(t, c, "a", "new")
		_, err = iterateAt(t, c, first, *child.SequenceNumber)
		expect(t, "the number of another shard", err, "InvalidArgumentException")
		st, err := srv.Stream("orders")
		if err != nil {
			t.Fatal(err)
		}
		it, err := iterateAt(t, c, first, st.Shards[0].End)
		expect(t, "the end of a closed shard", err, "")
		if out := get(t, c, it); out.NextShardIterator != nil || len(out.ChildShards) != 2 {
			t.Errorf("at the end: %+v", out)
		}
	})
}

// TestNumbersOfTheFuture: a server with the same past has given one more.
func TestNumbersOfTheFuture(t *testing.T) {
	bubble(t, func(t *testing.T, _ *localkinesis.Server, c *kinesis.Client) {
		twin := kinesis.NewFromConfig(localkinesis.Start(t, oneShard).AWS())
		mine, same, future := *put(t, c, "a", "x").SequenceNumber, *put(t, twin, "a", "x").SequenceNumber, *put(t, twin, "a", "x").SequenceNumber
		if mine != same {
			t.Fatalf("the twin gave %s, want %s", same, mine)
		}
		_, err := iterateAt(t, c, first, mine)
		expect(t, "the last number", err, "")
		_, err = iterateAt(t, c, first, future)
		expect(t, "one that was not given yet", err, "InvalidArgumentException")
		expect(t, "and for ordering", ordered(t, c, future), "InvalidArgumentException")
	})
}

func ordered(t *testing.T, c *kinesis.Client, after string) error {
	t.Helper()
	_, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: orders, PartitionKey: aws.String("a"), Data: []byte("x"), SequenceNumberForOrdering: &after})
	return err
}

// TestReadingAClosedShard goes record by record: the end is named with the last
// one, not before.
func TestReadingAClosedShard(t *testing.T) {
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		for i := range 3 {
			put(t, c, "a", fmt.Sprint(i))
			time.Sleep(time.Second)
		}
		if _, _, err := srv.Split("orders", first, ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		it := iterate(t, c, first, types.ShardIteratorTypeTrimHorizon)
		for i := range 3 {
			out, err := c.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it, Limit: aws.Int32(1)})
			if err != nil {
				t.Fatal(err)
			}
			// The next record is as old as it is behind: 3 s and 2 s, then none.
			behind := []int64{3000, 2000, 0}[i]
			if fmt.Sprint(texts(out.Records)) != fmt.Sprintf("[%d]", i) || (out.NextShardIterator == nil) != (i == 2) ||
				len(out.ChildShards) != i/2*2 || *out.MillisBehindLatest != behind {
				t.Errorf("answer %d is %+v, %d ms behind", i, out, *out.MillisBehindLatest)
			}
			it = out.NextShardIterator
		}
	})
}

// TestReadingPastRetention: what expires after the iterator was given is gone
// for it, record by record and then the shard.
func TestReadingPastRetention(t *testing.T) {
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		put(t, c, "a", "one")
		time.Sleep(time.Minute)
		put(t, c, "a", "two")
		if _, _, err := srv.Split("orders", first, ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(24*time.Hour - 2*time.Minute)
		it := iterate(t, c, first, types.ShardIteratorTypeTrimHorizon)
		time.Sleep(90 * time.Second)
		if out := get(t, c, it); fmt.Sprint(texts(out.Records)) != "[two]" {
			t.Errorf("after the first record expired: %v", texts(out.Records))
		}
		time.Sleep(time.Minute)
		_, err := c.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it})
		expect(t, "after the shard expired", err, "ResourceNotFoundException")
	})
}

func TestReadRequestsAreChecked(t *testing.T) {
	bubble(t, func(t *testing.T, _ *localkinesis.Server, c *kinesis.Client) {
		it := iterate(t, c, first, types.ShardIteratorTypeLatest)
		_, err := c.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it, StreamARN: aws.String("arn:aws:kinesis:us-east-1:123456789012:stream/bills")})
		expect(t, "the ARN of another stream", err, "InvalidArgumentException")
		list, err := c.ListStreams(t.Context(), &kinesis.ListStreamsInput{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it, StreamARN: list.StreamSummaries[0].StreamARN})
		expect(t, "its own ARN", err, "")
		page, err := c.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: orders, MaxResults: aws.Int32(1)})
		if err != nil || page.NextToken != nil {
			t.Fatalf("one shard is %+v, %v", page, err)
		}
		_, err = c.ListShards(t.Context(), &kinesis.ListShardsInput{NextToken: it})
		expect(t, "an iterator for a page", err, "InvalidArgumentException")
		for range 4 { // one was given above
			iterate(t, c, first, types.ShardIteratorTypeLatest)
		}
		_, err = c.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{StreamName: orders, ShardId: aws.String(first), ShardIteratorType: "LATEST"})
		expect(t, "a sixth iterator in a second", err, "ProvisionedThroughputExceededException")
	})
}

// TestLargeRecordsAreRead: a record above what one event is to hold still comes,
// alone.
func TestLargeRecordsAreRead(t *testing.T) {
	both(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		arn := register(t, srv, c, "billing")
		sizes := []int{1<<20 + 1, 1}
		for _, n := range sizes {
			if _, err := srv.Put("orders", "a", "", make([]byte, n)); err != nil {
				t.Fatal(err)
			}
		}
		s, err := subscribe(t, c, arn, first, trim)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for _, n := range sizes {
			if e := next(t, s); len(e.Records) != 1 || len(e.Records[0].Data) != n {
				t.Errorf("pushed %d records", len(e.Records))
			}
		}
	})
}
