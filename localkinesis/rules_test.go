package localkinesis_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"github.com/libvegas/vegas/localkinesis"
)

// bubble runs a test against a server with one stream "orders" of one shard
// and states that pass at once; the client does not retry.
func bubble(t *testing.T, run func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client), options ...func(*localkinesis.Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		options = append([]func(*localkinesis.Options){oneShard, func(o *localkinesis.Options) { o.StateDelay = 0 }}, options...)
		srv := localkinesis.Start(t, options...)
		run(t, srv, kinesis.NewFromConfig(srv.AWS(), func(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} }))
	})
}

// code is the error code of the service, "" for none.
func code(err error) string {
	var e smithy.APIError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.ErrorCode()
	}
	return err.Error()
}

func expect(t *testing.T, what string, err error, want string) {
	t.Helper()
	if got := code(err); got != want {
		t.Errorf("%s: %q (%v), want %q", what, got, err, want)
	}
}

var orders = aws.String("orders")

const first = "shardId-000000000000"

func TestIterators(t *testing.T) {
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		at := make([]time.Time, 3)
		numbers := make([]string, 3)
		for i := range 3 {
			at[i] = time.Now()
			numbers[i] = *put(t, c, "a", fmt.Sprint(i)).SequenceNumber
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		for name, tc := range map[string]struct {
			kind   types.ShardIteratorType
			number string
			at     time.Time
			want   string
		}{
			"trim horizon":               {kind: types.ShardIteratorTypeTrimHorizon, want: "[0 1 2]"},
			"latest":                     {kind: types.ShardIteratorTypeLatest, want: "[]"},
			"at a number":                {kind: types.ShardIteratorTypeAtSequenceNumber, number: numbers[1], want: "[1 2]"},
			"after a number":             {kind: types.ShardIteratorTypeAfterSequenceNumber, number: numbers[1], want: "[2]"},
			"at the shard's start":       {kind: types.ShardIteratorTypeAtSequenceNumber, number: start(t, srv), want: "[0 1 2]"},
			"at a time":                  {kind: types.ShardIteratorTypeAtTimestamp, at: at[1], want: "[1 2]"},
			"a millisecond after":        {kind: types.ShardIteratorTypeAtTimestamp, at: at[1].Add(time.Millisecond), want: "[2]"},
			"long before":                {kind: types.ShardIteratorTypeAtTimestamp, at: at[0].Add(-time.Hour), want: "[0 1 2]"},
			"now":                        {kind: types.ShardIteratorTypeAtTimestamp, at: time.Now(), want: "[]"},
			"in the future":              {kind: types.ShardIteratorTypeAtTimestamp, at: time.Now().Add(time.Hour), want: "InvalidArgumentException"},
			"a number too much":          {kind: types.ShardIteratorTypeLatest, number: numbers[0], want: "InvalidArgumentException"},
			"no number":                  {kind: types.ShardIteratorTypeAtSequenceNumber, want: "InvalidArgumentException"},
			"no time":                    {kind: types.ShardIteratorTypeAtTimestamp, want: "InvalidArgumentException"},
			"not a number of the server": {kind: types.ShardIteratorTypeAtSequenceNumber, number: "1", want: "InvalidArgumentException"},
			"no such type":               {kind: "NOWHERE", want: "ValidationException"},
		} {
			time.Sleep(300 * time.Millisecond) // five iterators a second
			in := &kinesis.GetShardIteratorInput{StreamName: orders, ShardId: aws.String(first), ShardIteratorType: tc.kind}
			if tc.number != "" {
				in.StartingSequenceNumber = &tc.number
			}
			if !tc.at.IsZero() {
				in.Timestamp = &tc.at
			}
			if name == "now" {
				in.Timestamp = aws.Time(time.Now())
			}
			it, err := c.GetShardIterator(t.Context(), in)
			if err != nil {
				expect(t, name, err, tc.want)
				continue
			}
			if got := fmt.Sprint(texts(get(t, c, it.ShardIterator).Records)); got != tc.want {
				t.Errorf("%s: %s, want %s", name, got, tc.want)
			}
		}
	})
}

func start(t *testing.T, srv *localkinesis.Server) string {
	t.Helper()
	st, err := srv.Stream("orders")
	if err != nil {
		t.Fatal(err)
	}
	return st.Shards[0].Start
}

func TestIteratorsExpire(t *testing.T) {
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		read := func(it *string) error {
			_, err := c.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it})
			return err
		}
		it := iterate(t, c, first, types.ShardIteratorTypeLatest)
		time.Sleep(5 * time.Minute)
		expect(t, "after five minutes", read(it), "")
		time.Sleep(time.Millisecond)
		expect(t, "after more", read(it), "ExpiredIteratorException")
		it = iterate(t, c, first, types.ShardIteratorTypeLatest)
		f := srv.Inject(localkinesis.Fault{Do: localkinesis.ExpireIterators, Op: "GetRecords", Count: 1})
		expect(t, "when a fault says so", read(it), "ExpiredIteratorException")
		expect(t, "a new one", read(iterate(t, c, first, types.ShardIteratorTypeLatest)), "")
		if f.Fired() != 1 {
			t.Errorf("it happened %d times", f.Fired())
		}
		expect(t, "a forged one", read(aws.String("BBBB"+(*it)[4:])), "InvalidArgumentException")
		it = iterate(t, c, first, types.ShardIteratorTypeLatest)
		if err := errors.Join(srv.DeleteStream("orders"), srv.CreateStream("orders", 1)); err != nil {
			t.Fatal(err)
		}
		expect(t, "of an earlier stream", read(it), "ResourceNotFoundException")
	})
}

func TestAutoDistribution(t *testing.T) {
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		st, _ := srv.Stream("orders")
		strategy := func(s types.RecordDistributionStrategy) error {
			_, err := c.UpdateStreamRecordDistributionStrategy(t.Context(), &kinesis.UpdateStreamRecordDistributionStrategyInput{StreamARN: &st.ARN, RecordDistributionStrategy: s})
			return err
		}
		expect(t, "AUTO on a provisioned stream", strategy("AUTO"), "InvalidArgumentException")
		if _, err := c.UpdateStreamMode(t.Context(), &kinesis.UpdateStreamModeInput{StreamARN: &st.ARN, StreamModeDetails: &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand}}); err != nil {
			t.Fatal(err)
		}
		if err := srv.Scale("orders", 4); err != nil {
			t.Fatal(err)
		}
		_, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: orders, Data: []byte("x")})
		expect(t, "no key", err, "ValidationException")
		expect(t, "AUTO on an on-demand stream", strategy("AUTO"), "")
		shards := map[string]int{}
		for i := range 8 {
			in := &kinesis.PutRecordInput{StreamName: orders, Data: []byte("x"), PartitionKey: aws.String("always the same")}
			if i < 4 {
				in.PartitionKey = nil
			}
			out, err := c.PutRecord(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			shards[*out.ShardId]++
		}
		for id, n := range shards {
			if n != 2 || len(shards) != 4 {
				t.Errorf("records are spread %v", shards)
			}
			out := get(t, c, iterate(t, c, id, types.ShardIteratorTypeTrimHorizon))
			if out.Records[0].PartitionKey != nil || *out.Records[1].PartitionKey != "always the same" {
				t.Errorf("keys are %v and %v", out.Records[0].PartitionKey, out.Records[1].PartitionKey)
			}
		}
		d, err := c.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: orders})
		if err != nil || d.StreamDescriptionSummary.RecordDistributionStrategy != "AUTO" {
			t.Errorf("summary is %+v, %v", d, err)
		}
		_, err = c.SplitShard(t.Context(), &kinesis.SplitShardInput{StreamName: orders, ShardToSplit: aws.String(first), NewStartingHashKey: aws.String("10")})
		expect(t, "split an on-demand stream", err, "ValidationException")
	})
}

func TestDryRun(t *testing.T) {
	both(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		arn := register(t, srv, c, "billing")
		dry := aws.Bool(true)
		it := iterate(t, c, first, types.ShardIteratorTypeLatest)
		_, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: orders, PartitionKey: aws.String("a"), Data: []byte("x"), DryRun: dry})
		expect(t, "PutRecord", err, "DryRunOperationException")
		_, err = c.PutRecords(t.Context(), &kinesis.PutRecordsInput{StreamName: orders, Records: []types.PutRecordsRequestEntry{{PartitionKey: aws.String("a"), Data: []byte("x")}}, DryRun: dry})
		expect(t, "PutRecords", err, "DryRunOperationException")
		_, err = c.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: it, DryRun: dry})
		expect(t, "GetRecords", err, "DryRunOperationException")
		_, err = c.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{StreamName: orders, ShardId: aws.String(first), ShardIteratorType: "LATEST", DryRun: dry})
		expect(t, "GetShardIterator", err, "DryRunOperationException")
		_, err = c.SubscribeToShard(t.Context(), &kinesis.SubscribeToShardInput{ConsumerARN: arn, ShardId: aws.String(first), StartingPosition: &latest, DryRun: dry})
		expect(t, "SubscribeToShard", err, "DryRunOperationException")
		_, err = c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("bills"), PartitionKey: aws.String("a"), Data: []byte("x"), DryRun: dry})
		expect(t, "no such stream", err, "ResourceNotFoundException")
		if got := stored(t, srv); got != "" {
			t.Errorf("stored is %q", got)
		}
	})
}

func TestRoutingOfExplicitHashKeys(t *testing.T) {
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		if err := srv.Scale("orders", 2); err != nil {
			t.Fatal(err)
		}
		for key, want := range map[string]string{
			"0": "shardId-000000000001", "170141183460469231731687303715884105727": "shardId-000000000001",
			"170141183460469231731687303715884105728": "shardId-000000000002", "340282366920938463463374607431768211455": "shardId-000000000002",
			"340282366920938463463374607431768211456": "InvalidArgumentException", "-1": "ValidationException", "01": "ValidationException",
		} {
			out, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: orders, PartitionKey: aws.String("a"), ExplicitHashKey: &key, Data: []byte("x")})
			if err != nil {
				expect(t, key, err, want)
			} else if *out.ShardId != want {
				t.Errorf("%s went to %s, want %s", key, *out.ShardId, want)
			}
		}
		for key, ok := range map[string]bool{strings.Repeat("ü", 256): true, strings.Repeat("ü", 257): false, "": false} {
			_, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: orders, PartitionKey: &key, Data: []byte{}})
			if (err == nil) != ok {
				t.Errorf("key of %d bytes: %v", len(key), err)
			}
		}
	})
}
