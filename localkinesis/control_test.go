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

func TestCapacityModes(t *testing.T) {
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		if err := srv.Scale("orders", 2); err != nil {
			t.Fatal(err)
		}
		st, err := srv.Stream("orders")
		if err != nil {
			t.Fatal(err)
		}
		mode := func(m types.StreamMode) error {
			_, err := c.UpdateStreamMode(t.Context(), &kinesis.UpdateStreamModeInput{StreamARN: &st.ARN, StreamModeDetails: &types.StreamModeDetails{StreamMode: m}})
			return err
		}
		expect(t, "on demand", mode("ON_DEMAND"), "")
		_, err = c.MergeShards(t.Context(), &kinesis.MergeShardsInput{StreamName: orders, ShardToMerge: &st.Shards[1].ID, AdjacentShardToMerge: &st.Shards[2].ID})
		expect(t, "merge an on-demand stream", err, "ValidationException")
		_, err = c.UpdateShardCount(t.Context(), &kinesis.UpdateShardCountInput{StreamName: orders, TargetShardCount: aws.Int32(4), ScalingType: "UNIFORM_SCALING"})
		expect(t, "scale an on-demand stream", err, "ValidationException")
		if err := srv.SetAuto("orders", true); err != nil {
			t.Fatal(err)
		}
		expect(t, "ordered on an AUTO stream", ordered(t, c, st.Shards[1].Start), "InvalidArgumentException")
		expect(t, "provisioned", mode("PROVISIONED"), "")
		if st, err := srv.Stream("orders"); err != nil || st.Auto || st.OnDemand {
			t.Errorf("a provisioned stream is %+v, %v", st, err)
		}
		expect(t, "a third time", mode("ON_DEMAND"), "LimitExceededException")
		time.Sleep(24 * time.Hour)
		expect(t, "a day later", mode("ON_DEMAND"), "")
	})
}

func TestPutRecordsIsChecked(t *testing.T) {
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		batch := func(n, size int) error {
			in := &kinesis.PutRecordsInput{StreamName: orders}
			for range n {
				in.Records = append(in.Records, types.PutRecordsRequestEntry{PartitionKey: aws.String("k"), Data: make([]byte, size-1)})
			}
			_, err := c.PutRecords(t.Context(), in)
			return err
		}
		expect(t, "501 records", batch(501, 1), "ValidationException")
		expect(t, "10 MiB", batch(10, 1<<20), "")
		expect(t, "more than 10 MiB", batch(20, 1<<19+1), "InvalidArgumentException")
		expect(t, "a record above 1 MiB", batch(1, 1<<20+1), "ValidationException")
		expect(t, "above Options.MemoryBytes", batch(10, 1<<20), "LimitExceededException")
		if st, err := srv.Stream("orders"); err != nil || st.Shards[0].Records != 10 {
			t.Errorf("stored are %+v, %v", st, err)
		}
	}, func(o *localkinesis.Options) { o.NoLimits, o.MemoryBytes = true, 15<<20 })
}

// TestListingsAreChecked: which stream a listing is of, and in which state.
func TestListingsAreChecked(t *testing.T) {
	both(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		if err := srv.Scale("orders", 2); err != nil {
			t.Fatal(err)
		}
		list := func(in *kinesis.ListShardsInput) (*string, error) {
			out, err := c.ListShards(t.Context(), in)
			if err != nil {
				return nil, err
			}
			return out.NextToken, nil
		}
		created := time.Now()
		token, err := list(&kinesis.ListShardsInput{StreamName: orders, MaxResults: aws.Int32(1), StreamCreationTimestamp: &created})
		if err != nil || token == nil {
			t.Fatalf("first page: %v, %v", token, err)
		}
		_, err = list(&kinesis.ListShardsInput{StreamName: orders, StreamCreationTimestamp: aws.Time(created.Add(-time.Hour))})
		expect(t, "created at another time", err, "ResourceNotFoundException")
		_, err = list(&kinesis.ListShardsInput{StreamName: orders, ShardFilter: &types.ShardFilter{Type: "AT_TIMESTAMP", Timestamp: aws.Time(created.Add(time.Hour))}})
		expect(t, "a filter of the future", err, "InvalidArgumentException")
		_, err = list(&kinesis.ListShardsInput{StreamName: orders, ShardFilter: &types.ShardFilter{Type: "AFTER_SHARD_ID", ShardId: aws.String("no shard")}})
		expect(t, "a filter by no id", err, "ValidationException")
		st, err := srv.Stream("orders")
		if err != nil {
			t.Fatal(err)
		}
		_, err = list(&kinesis.ListShardsInput{StreamName: aws.String("bills"), StreamARN: &st.ARN})
		expect(t, "a name and the ARN of another", err, "InvalidArgumentException")

		ids := ""
		in := &kinesis.DescribeStreamInput{StreamName: orders, Limit: aws.Int32(2)}
		for more := true; more; {
			out, err := c.DescribeStream(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			for _, sh := range out.StreamDescription.Shards {
				in.ExclusiveStartShardId = sh.ShardId
				ids += (*sh.ShardId)[len(*sh.ShardId)-1:]
			}
			ids += " "
			more = *out.StreamDescription.HasMoreShards
		}
		if ids != "01 2 " {
			t.Errorf("pages of DescribeStream are %q", ids)
		}

		if err := srv.DeleteStream("orders"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: orders, ShardCount: aws.Int32(1)}); err != nil {
			t.Fatal(err)
		}
		_, err = list(&kinesis.ListShardsInput{StreamName: orders})
		expect(t, "a stream that is CREATING", err, "ResourceInUseException")
		time.Sleep(time.Second)
		_, err = list(&kinesis.ListShardsInput{NextToken: token})
		expect(t, "the next page of an earlier stream", err, "ResourceNotFoundException")
		for _, f := range []types.ShardFilter{
			{Type: "AT_TIMESTAMP", Timestamp: aws.Time(time.Unix(0, 0))}, {Type: "FROM_TIMESTAMP", Timestamp: aws.Time(time.Unix(0, 0))},
			{Type: "AT_TIMESTAMP", Timestamp: aws.Time(time.Now().Add(-time.Second))}, {Type: "AT_TRIM_HORIZON"},
		} {
			out, err := c.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: orders, ShardFilter: &f})
			if err != nil || len(out.Shards) != 1 {
				t.Errorf("%s of before the first shard: %+v, %v", f.Type, out, err)
			}
		}
	})
}

func TestConsumersAreNamedWell(t *testing.T) {
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		st, err := srv.Stream("orders")
		if err != nil {
			t.Fatal(err)
		}
		arn := register(t, srv, c, "billing")
		describe := func(arn, name, stream *string) error {
			_, err := c.DescribeStreamConsumer(t.Context(), &kinesis.DescribeStreamConsumerInput{ConsumerARN: arn, ConsumerName: name, StreamARN: stream})
			return err
		}
		name := aws.String("billing")
		expect(t, "by all three", describe(arn, name, &st.ARN), "")
		expect(t, "by stream and name", describe(nil, name, &st.ARN), "")
		expect(t, "by another name", describe(arn, aws.String("audit"), nil), "InvalidArgumentException")
		expect(t, "by another stream", describe(arn, nil, aws.String(st.ARN+"s")), "InvalidArgumentException")
		expect(t, "by name alone", describe(nil, name, nil), "InvalidArgumentException")
		_, err = c.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: &st.ARN, ConsumerName: name})
		expect(t, "a second of the name", err, "ResourceInUseException")
	})
}

// TestReshardingByTwo: a fault or the Go API may change a shard that a request
// is about to change.
func TestReshardingByTwo(t *testing.T) {
	both(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		open := func() string {
			out := ""
			st, _ := srv.Stream("orders")
			for _, sh := range st.Shards {
				if sh.Open {
					out += sh.ID[len(sh.ID)-1:]
				}
			}
			return out
		}
		split := srv.Inject(localkinesis.Fault{Do: localkinesis.Split, Op: "PutRecord", Count: 1})
		if _, err := c.SplitShard(t.Context(), &kinesis.SplitShardInput{StreamName: orders, ShardToSplit: aws.String(first), NewStartingHashKey: aws.String("1000")}); err != nil {
			t.Fatal(err)
		}
		put(t, c, "a", "x")
		if time.Sleep(time.Second); open() != "12" || split.Fired() != 1 {
			t.Errorf("shards %s are open", open())
		}
		merge := srv.Inject(localkinesis.Fault{Do: localkinesis.Merge, Op: "PutRecord", Count: 1})
		if _, err := c.MergeShards(t.Context(), &kinesis.MergeShardsInput{StreamName: orders, ShardToMerge: aws.String("shardId-000000000001"), AdjacentShardToMerge: aws.String("shardId-000000000002")}); err != nil {
			t.Fatal(err)
		}
		put(t, c, "a", "x")
		if time.Sleep(time.Second); open() != "3" || merge.Fired() != 1 {
			t.Errorf("shards %s are open", open())
		}
		if err := srv.Scale("orders", 4); err != nil {
			t.Fatal(err)
		}
		_, err := c.UpdateShardCount(t.Context(), &kinesis.UpdateShardCountInput{StreamName: orders, TargetShardCount: aws.Int32(1), ScalingType: "UNIFORM_SCALING"})
		expect(t, "less than half", err, "LimitExceededException")
		before := open()
		child, err := srv.Merge("orders", fmt.Sprintf("shardId-%012s", before[1:2]), fmt.Sprintf("shardId-%012s", before[:1]))
		if err != nil || len(open()) != 3 {
			t.Errorf("merged in the other order: %s, %v", child, err)
		}
	})
}
