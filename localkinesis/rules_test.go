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

func TestWriteLimits(t *testing.T) {
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		batch := func(n, size int) (failed int) {
			in := &kinesis.PutRecordsInput{StreamName: orders}
			for range n {
				in.Records = append(in.Records, types.PutRecordsRequestEntry{PartitionKey: aws.String("k"), Data: make([]byte, size-1)})
			}
			out, err := c.PutRecords(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range out.Records {
				if (r.ErrorCode != nil) == (r.SequenceNumber != nil) || r.ErrorCode != nil && (*r.ErrorCode != "ProvisionedThroughputExceededException" || !strings.Contains(*r.ErrorMessage, first)) {
					t.Fatalf("entry is %+v", r)
				}
			}
			return int(*out.FailedRecordCount)
		}
		if n := batch(500, 10) + batch(500, 10); n != 0 {
			t.Errorf("%d of the first 1,000 records failed", n)
		}
		if n := batch(500, 10); n != 500 {
			t.Errorf("%d of 500 more failed", n)
		}
		time.Sleep(100 * time.Millisecond)
		if n := batch(500, 10); n != 400 {
			t.Errorf("%d of 500 failed 100 ms later, want 400", n)
		}
		time.Sleep(time.Second)
		if n := batch(100, 1<<14); n != 36 {
			t.Errorf("%d of 100 x 16 KiB failed, want 36", n)
		}
		time.Sleep(time.Second)
		// Large records: refused until allowed, then from the tank.
		large := func(size int) error {
			_, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: orders, PartitionKey: aws.String("k"), Data: make([]byte, size-1)})
			return err
		}
		expect(t, "a record over MaxRecordSize", large(1<<20+1), "ValidationException")
		st, _ := srv.Stream("orders")
		if _, err := c.UpdateMaxRecordSize(t.Context(), &kinesis.UpdateMaxRecordSizeInput{StreamARN: &st.ARN, MaxRecordSizeInKiB: aws.Int32(10240)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		expect(t, "10 MiB from a full tank", large(10<<20), "")
		expect(t, "2 MiB from an empty tank", large(2<<20), "ProvisionedThroughputExceededException")
		time.Sleep(500 * time.Millisecond)
		expect(t, "256 KiB half a second later", large(1<<18), "")
		time.Sleep(2500 * time.Millisecond)
		expect(t, "2 MiB three seconds later", large(2<<20), "")
		expect(t, "a record over 10 MiB", large(10<<20+1), "ValidationException")
	})
	bubble(t, func(t *testing.T, _ *localkinesis.Server, c *kinesis.Client) {
		for i := range 3 {
			in := &kinesis.PutRecordsInput{StreamName: orders}
			for range 500 {
				in.Records = append(in.Records, types.PutRecordsRequestEntry{PartitionKey: aws.String("k"), Data: make([]byte, 10)})
			}
			if out, err := c.PutRecords(t.Context(), in); err != nil || *out.FailedRecordCount != 0 {
				t.Errorf("request %d without limits: %+v, %v", i, out, err)
			}
		}
	}, func(o *localkinesis.Options) { o.NoLimits = true })
}

func TestReadLimits(t *testing.T) {
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		for range 12 {
			if _, err := srv.Put("orders", "k", "", make([]byte, 1<<20-1)); err != nil {
				t.Fatal(err)
			}
		}
		it := iterate(t, c, first, types.ShardIteratorTypeTrimHorizon)
		out := get(t, c, it)
		if len(out.Records) != 10 {
			t.Errorf("%d records of 1 MiB in one answer, want 10", len(out.Records))
		}
		again := func() error {
			_, err := c.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: out.NextShardIterator, Limit: aws.Int32(1)})
			return err
		}
		time.Sleep(3900 * time.Millisecond)
		expect(t, "after 10 MiB", again(), "ProvisionedThroughputExceededException")
		time.Sleep(1100 * time.Millisecond)
		for range 2 {
			expect(t, "5 s after 10 MiB", again(), "")
		}
		time.Sleep(time.Second)
		empty := iterate(t, c, first, types.ShardIteratorTypeLatest)
		for range 5 {
			get(t, c, empty)
		}
		_, err := c.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: empty})
		expect(t, "a sixth call in a second", err, "ProvisionedThroughputExceededException")
		_, err = c.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: empty, Limit: aws.Int32(10001)})
		expect(t, "a limit of 10,001", err, "InvalidArgumentException")
		for range 3 { // two were given above
			iterate(t, c, first, types.ShardIteratorTypeLatest)
		}
	})
}

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

func TestOrdering(t *testing.T) {
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		ordered := func(after string) (string, error) {
			out, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{
				StreamName: orders, PartitionKey: aws.String("a"), Data: []byte("x"), SequenceNumberForOrdering: &after,
			})
			if err != nil {
				return "", err
			}
			return *out.SequenceNumber, nil
		}
		last := *put(t, c, "a", "x").SequenceNumber
		for i := range 6 {
			switch i { // the number of a parent is as good, at once
			case 2:
				if _, _, err := srv.Split("orders", first, ""); err != nil {
					t.Fatal(err)
				}
			case 4:
				if _, err := srv.Merge("orders", "shardId-000000000002", "shardId-000000000001"); err != nil {
					t.Fatal(err)
				}
			}
			next, err := ordered(last)
			if err != nil || next <= last {
				t.Fatalf("%d: %s after %s, %v", i, next, last, err)
			}
			last = next
		}
		_, err := ordered("49" + strings.Repeat("9", 54))
		expect(t, "a number from nowhere", err, "InvalidArgumentException")
		if err := srv.SetAuto("orders", true); err != nil {
			t.Fatal(err)
		}
		_, err = ordered(last)
		expect(t, "on an AUTO stream", err, "InvalidArgumentException")
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

func TestRetention(t *testing.T) {
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		put(t, c, "a", "old")
		if _, _, err := srv.Split("orders", first, ""); err != nil {
			t.Fatal(err)
		}
		retain := func(hours int32, up bool) error {
			var err error
			if up {
				_, err = c.IncreaseStreamRetentionPeriod(t.Context(), &kinesis.IncreaseStreamRetentionPeriodInput{StreamName: orders, RetentionPeriodHours: &hours})
			} else {
				_, err = c.DecreaseStreamRetentionPeriod(t.Context(), &kinesis.DecreaseStreamRetentionPeriodInput{StreamName: orders, RetentionPeriodHours: &hours})
			}
			return err
		}
		expect(t, "decrease below a day", retain(23, false), "InvalidArgumentException")
		expect(t, "increase above a year", retain(8761, true), "InvalidArgumentException")
		expect(t, "increase downwards", retain(24, true), "")
		expect(t, "increase", retain(48, true), "")
		time.Sleep(47 * time.Hour)
		put(t, c, "a", "new")
		if got := stored(t, srv); got != "oldnew" {
			t.Errorf("stored is %q", got)
		}
		time.Sleep(time.Hour + time.Millisecond)
		if got := stored(t, srv); got != "new" {
			t.Errorf("stored is %q after two days", got)
		}
		list, err := c.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: orders})
		if err != nil || len(list.Shards) != 2 || *list.Shards[0].ShardId != "shardId-000000000001" || *list.Shards[0].ParentShardId != first {
			t.Errorf("shards are %+v, %v", list, err)
		}
		_, err = c.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{StreamName: orders, ShardId: aws.String(first), ShardIteratorType: "TRIM_HORIZON"})
		expect(t, "an expired shard", err, "ResourceNotFoundException")
		time.Sleep(26 * time.Hour)
		expect(t, "decrease", retain(24, false), "")
		if got := stored(t, srv); got != "" || srv.BytesStored() != 0 {
			t.Errorf("stored is %q after a decrease, %d bytes", got, srv.BytesStored())
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		put(t, c, "a", strings.Repeat("x", 900))
		_, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: orders, PartitionKey: aws.String("a"), Data: make([]byte, 100)})
		expect(t, "above the bound", err, "LimitExceededException")
		if !strings.Contains(err.Error(), "Options.MemoryBytes") {
			t.Errorf("the error does not name the remedy: %v", err)
		}
		time.Sleep(25 * time.Hour)
		put(t, c, "a", strings.Repeat("x", 900))
		if err := srv.DeleteStream("orders"); err != nil || srv.BytesStored() != 0 {
			t.Errorf("%d bytes after the stream, %v", srv.BytesStored(), err)
		}
	}, func(o *localkinesis.Options) { o.MemoryBytes = 1000 })
}

func TestListShards(t *testing.T) {
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		ids := func(in *kinesis.ListShardsInput) string {
			t.Helper()
			if in.NextToken == nil {
				in.StreamName = orders
			}
			out, err := c.ListShards(t.Context(), in)
			if err != nil {
				return code(err)
			}
			s := ""
			for _, sh := range out.Shards {
				s += (*sh.ShardId)[len(*sh.ShardId)-1:]
				if sh.SequenceNumberRange.EndingSequenceNumber != nil {
					s += "x"
				}
			}
			if out.NextToken != nil {
				s += "+"
				in.NextToken = out.NextToken
			}
			return s
		}
		created := time.Now()
		time.Sleep(time.Hour)
		if _, _, err := srv.Split("orders", first, ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if _, err := srv.Merge("orders", "shardId-000000000001", "shardId-000000000002"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		filter := func(kind types.ShardFilterType, at time.Duration) *kinesis.ListShardsInput {
			f := &types.ShardFilter{Type: kind}
			if at >= 0 {
				f.Timestamp = aws.Time(created.Add(at))
			}
			return &kinesis.ListShardsInput{ShardFilter: f}
		}
		for want, in := range map[string]*kinesis.ListShardsInput{
			"0x1x2x3":         {},
			"1x2x3":           {ExclusiveStartShardId: aws.String(first)},
			"2x3":             {ShardFilter: &types.ShardFilter{Type: types.ShardFilterTypeAfterShardId, ShardId: aws.String("shardId-000000000001")}},
			"3":               filter(types.ShardFilterTypeAtLatest, -1),
			"0x":              filter(types.ShardFilterTypeAtTrimHorizon, -1),
			"1x2x":            filter(types.ShardFilterTypeAtTimestamp, 90*time.Minute),
			"0x1x2x":          filter(types.ShardFilterTypeAtTimestamp, time.Hour), // both ends belong
			"1x2x3 from":      filter(types.ShardFilterTypeFromTimestamp, 90*time.Minute),
			"0x1x2x3 horizon": filter(types.ShardFilterTypeFromTrimHorizon, -1),
		} {
			if got := ids(in); got != strings.Fields(want)[0] {
				t.Errorf("%+v %+v: %s, want %s", *in, in.ShardFilter, got, want)
			}
		}
		page := &kinesis.ListShardsInput{MaxResults: aws.Int32(2)}
		if got := ids(page); got != "0x1x+" {
			t.Errorf("first page %s", got)
		}
		page.StreamName = nil
		token := page.NextToken
		if got := ids(page); got != "2x3" {
			t.Errorf("second page %s", got)
		}
		page.StreamName = orders
		if got := ids(page); got != "InvalidArgumentException" {
			t.Errorf("token and name: %s", got)
		}
		time.Sleep(301 * time.Second)
		if got := ids(&kinesis.ListShardsInput{NextToken: token}); got != "ExpiredNextTokenException" {
			t.Errorf("an old token: %s", got)
		}
		if got := ids(filter(types.ShardFilterTypeAtTimestamp, -1)); got != "InvalidArgumentException" {
			t.Errorf("no timestamp: %s", got)
		}
		stale := srv.Inject(localkinesis.Fault{Do: localkinesis.StaleShards, Count: 1})
		if got := ids(&kinesis.ListShardsInput{}); got != "0x12" || stale.Fired() != 1 {
			t.Errorf("a stale answer: %s", got)
		}
		srv.Inject(localkinesis.Fault{Do: localkinesis.StaleShards, Count: 1, Delay: 3 * time.Hour})
		if got := ids(&kinesis.ListShardsInput{}); got != "0" {
			t.Errorf("a very stale answer: %s", got)
		}
		time.Sleep(22 * time.Hour) // the split is more than a day ago, the merge is not
		if got := ids(filter(types.ShardFilterTypeAtTrimHorizon, -1)); got != "1x2x" {
			t.Errorf("at trim horizon, a day later: %s", got)
		}
	})
}

func TestReshardingIsChecked(t *testing.T) {
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		split := func(shard, at string) error {
			_, err := c.SplitShard(t.Context(), &kinesis.SplitShardInput{StreamName: orders, ShardToSplit: &shard, NewStartingHashKey: &at})
			time.Sleep(time.Second)
			return err
		}
		merge := func(x, y string) error {
			_, err := c.MergeShards(t.Context(), &kinesis.MergeShardsInput{StreamName: orders, ShardToMerge: &x, AdjacentShardToMerge: &y})
			time.Sleep(time.Second)
			return err
		}
		const two, three = "shardId-000000000001", "shardId-000000000002"
		expect(t, "split at the start", split(first, "0"), "InvalidArgumentException")
		expect(t, "split after the start", split(first, "1"), "InvalidArgumentException")
		expect(t, "split at the end", split(first, "340282366920938463463374607431768211455"), "InvalidArgumentException")
		expect(t, "split at no number", split(first, "x"), "ValidationException")
		expect(t, "split beyond the space", split(first, "340282366920938463463374607431768211456"), "InvalidArgumentException")
		expect(t, "split no shard", split("shardId-000000000009", "10"), "ResourceNotFoundException")
		expect(t, "split", split(first, "100"), "")
		expect(t, "split again", split(first, "100"), "InvalidArgumentException")
		expect(t, "merge in the wrong order", merge(three, two), "InvalidArgumentException")
		expect(t, "merge with itself", merge(two, two), "InvalidArgumentException")
		expect(t, "merge a closed one", merge(first, two), "InvalidArgumentException")
		expect(t, "merge", merge(two, three), "")
		scale := func(n int32) error {
			_, err := c.UpdateShardCount(t.Context(), &kinesis.UpdateShardCountInput{StreamName: orders, TargetShardCount: &n, ScalingType: "UNIFORM_SCALING"})
			time.Sleep(time.Second)
			return err
		}
		expect(t, "scale to triple", scale(3), "LimitExceededException")
		for _, n := range []int32{2, 4, 3, 6, 5, 7, 14, 7, 4, 2} {
			expect(t, fmt.Sprint("scale to ", n), scale(n), "")
			st, _ := srv.Stream("orders")
			open := 0
			for _, sh := range st.Shards {
				if sh.Open {
					open++
				}
			}
			if open != int(n) {
				t.Errorf("%d shards are open, want %d", open, n)
			}
		}
		expect(t, "an eleventh time", scale(1), "LimitExceededException")
		time.Sleep(24 * time.Hour)
		expect(t, "a day later", scale(1), "")
	})
}

func TestControlPlaneRates(t *testing.T) {
	bubble(t, func(t *testing.T, _ *localkinesis.Server, c *kinesis.Client) {
		describe := func() error {
			_, err := c.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: orders})
			return err
		}
		for range 20 {
			expect(t, "twenty at once", describe(), "")
		}
		expect(t, "one more", describe(), "LimitExceededException")
		time.Sleep(50 * time.Millisecond)
		expect(t, "a twentieth of a second later", describe(), "")
	})
}

func TestConsumers(t *testing.T) {
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		st, _ := srv.Stream("orders")
		add := func(name string) error {
			_, err := c.RegisterStreamConsumer(t.Context(), &kinesis.RegisterStreamConsumerInput{StreamARN: &st.ARN, ConsumerName: &name, Tags: map[string]string{"for": name}})
			time.Sleep(time.Second)
			return err
		}
		for i := range 20 {
			expect(t, "one of twenty", add(fmt.Sprintf("c%02d", i)), "")
		}
		expect(t, "the same name", add("c00"), "ResourceInUseException")
		expect(t, "a twenty-first", add("c20"), "LimitExceededException")
		list, err := c.ListStreamConsumers(t.Context(), &kinesis.ListStreamConsumersInput{StreamARN: &st.ARN, MaxResults: aws.Int32(15)})
		if err != nil || len(list.Consumers) != 15 {
			t.Fatalf("%+v, %v", list, err)
		}
		list, err = c.ListStreamConsumers(t.Context(), &kinesis.ListStreamConsumersInput{StreamARN: &st.ARN, NextToken: list.NextToken})
		if err != nil || len(list.Consumers) != 5 || *list.Consumers[0].ConsumerName != "c15" || list.NextToken != nil {
			t.Fatalf("%+v, %v", list, err)
		}
		d, err := c.DescribeStreamConsumer(t.Context(), &kinesis.DescribeStreamConsumerInput{StreamARN: &st.ARN, ConsumerName: aws.String("c15")})
		if err != nil || *d.ConsumerDescription.ConsumerARN != *list.Consumers[0].ConsumerARN || d.ConsumerDescription.ConsumerStatus != "ACTIVE" {
			t.Errorf("%+v, %v", d, err)
		}
		tags, err := c.ListTagsForResource(t.Context(), &kinesis.ListTagsForResourceInput{ResourceARN: list.Consumers[0].ConsumerARN})
		if err != nil || len(tags.Tags) != 1 || *tags.Tags[0].Value != "c15" {
			t.Errorf("%+v, %v", tags, err)
		}
		_, err = c.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: orders})
		expect(t, "delete a stream with consumers", err, "ResourceInUseException")
		_, err = c.DeregisterStreamConsumer(t.Context(), &kinesis.DeregisterStreamConsumerInput{ConsumerARN: list.Consumers[0].ConsumerARN})
		expect(t, "deregister", err, "")
		_, err = c.DescribeStreamConsumer(t.Context(), &kinesis.DescribeStreamConsumerInput{ConsumerARN: list.Consumers[0].ConsumerARN})
		expect(t, "describe a deregistered one", err, "ResourceNotFoundException")
		_, err = c.DeleteStream(t.Context(), &kinesis.DeleteStreamInput{StreamName: orders, EnforceConsumerDeletion: aws.Bool(true)})
		expect(t, "delete by force", err, "")
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

// TestKept: what is set is given back.
func TestKept(t *testing.T) {
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		st, _ := srv.Stream("orders")
		ctx := t.Context()
		check := func(err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
		}
		_, err := c.AddTagsToStream(ctx, &kinesis.AddTagsToStreamInput{StreamName: orders, Tags: map[string]string{"a": "1", "b": "2", "c": ""}})
		check(err)
		_, err = c.RemoveTagsFromStream(ctx, &kinesis.RemoveTagsFromStreamInput{StreamName: orders, TagKeys: []string{"a", "z"}})
		check(err)
		_, err = c.TagResource(ctx, &kinesis.TagResourceInput{ResourceARN: &st.ARN, Tags: map[string]string{"d": "4"}})
		check(err)
		_, err = c.UntagResource(ctx, &kinesis.UntagResourceInput{ResourceARN: &st.ARN, TagKeys: []string{"c"}})
		check(err)
		tags, err := c.ListTagsForStream(ctx, &kinesis.ListTagsForStreamInput{StreamName: orders, Limit: aws.Int32(1)})
		if err != nil || len(tags.Tags) != 1 || *tags.Tags[0].Key != "b" || !*tags.HasMoreTags {
			t.Errorf("tags are %+v, %v", tags, err)
		}
		tags, err = c.ListTagsForStream(ctx, &kinesis.ListTagsForStreamInput{StreamName: orders, ExclusiveStartTagKey: aws.String("b")})
		if err != nil || len(tags.Tags) != 1 || *tags.Tags[0].Value != "4" || *tags.HasMoreTags {
			t.Errorf("tags are %+v, %v", tags, err)
		}
		many := map[string]string{}
		for i := range 49 {
			many[fmt.Sprint(i)] = ""
		}
		_, err = c.AddTagsToStream(ctx, &kinesis.AddTagsToStreamInput{StreamName: orders, Tags: many})
		expect(t, "51 tags", err, "InvalidArgumentException")

		_, err = c.StartStreamEncryption(ctx, &kinesis.StartStreamEncryptionInput{StreamName: orders, EncryptionType: "KMS", KeyId: aws.String("alias/aws/kinesis")})
		check(err)
		if out := put(t, c, "a", "x"); out.EncryptionType != "KMS" {
			t.Errorf("put says %+v", out)
		}
		if out := get(t, c, iterate(t, c, first, "TRIM_HORIZON")); out.Records[0].EncryptionType != "KMS" {
			t.Errorf("get says %+v", out.Records[0])
		}
		_, err = c.EnableEnhancedMonitoring(ctx, &kinesis.EnableEnhancedMonitoringInput{StreamName: orders, ShardLevelMetrics: []types.MetricsName{"ALL"}})
		check(err)
		m, err := c.DisableEnhancedMonitoring(ctx, &kinesis.DisableEnhancedMonitoringInput{StreamName: orders, ShardLevelMetrics: []types.MetricsName{"IncomingBytes"}})
		if err != nil || len(m.CurrentShardLevelMetrics) != 7 || len(m.DesiredShardLevelMetrics) != 6 {
			t.Errorf("metrics are %+v, %v", m, err)
		}
		d, err := c.DescribeStream(ctx, &kinesis.DescribeStreamInput{StreamARN: &st.ARN})
		if err != nil || d.StreamDescription.EncryptionType != "KMS" || *d.StreamDescription.KeyId != "alias/aws/kinesis" || len(d.StreamDescription.EnhancedMonitoring[0].ShardLevelMetrics) != 6 {
			t.Errorf("description is %+v, %v", d, err)
		}
		_, err = c.StopStreamEncryption(ctx, &kinesis.StopStreamEncryptionInput{StreamName: orders, EncryptionType: "KMS", KeyId: aws.String("alias/aws/kinesis")})
		check(err)

		_, err = c.GetResourcePolicy(ctx, &kinesis.GetResourcePolicyInput{ResourceARN: &st.ARN})
		expect(t, "no policy yet", err, "ResourceNotFoundException")
		_, err = c.PutResourcePolicy(ctx, &kinesis.PutResourcePolicyInput{ResourceARN: &st.ARN, Policy: aws.String(`{"Version":"2012-10-17"}`)})
		check(err)
		policy, err := c.GetResourcePolicy(ctx, &kinesis.GetResourcePolicyInput{ResourceARN: &st.ARN})
		if err != nil || *policy.Policy != `{"Version":"2012-10-17"}` {
			t.Errorf("policy is %+v, %v", policy, err)
		}
		_, err = c.DeleteResourcePolicy(ctx, &kinesis.DeleteResourcePolicyInput{ResourceARN: &st.ARN})
		check(err)

		warm := &kinesis.UpdateStreamWarmThroughputInput{StreamARN: &st.ARN, WarmThroughputMiBps: aws.Int32(100)}
		_, err = c.UpdateStreamWarmThroughput(ctx, warm)
		expect(t, "warm a provisioned stream", err, "ValidationException")
		_, err = c.UpdateStreamMode(ctx, &kinesis.UpdateStreamModeInput{StreamARN: &st.ARN, StreamModeDetails: &types.StreamModeDetails{StreamMode: "ON_DEMAND"}})
		check(err)
		_, err = c.UpdateStreamWarmThroughput(ctx, warm)
		expect(t, "warm without a commitment", err, "ValidationException")
		commit := func(s types.MinimumThroughputBillingCommitmentInputStatus) string {
			t.Helper()
			out, err := c.UpdateAccountSettings(ctx, &kinesis.UpdateAccountSettingsInput{MinimumThroughputBillingCommitment: &types.MinimumThroughputBillingCommitmentInput{Status: s}})
			check(err)
			return string(out.MinimumThroughputBillingCommitment.Status)
		}
		if got := commit("ENABLED"); got != "ENABLED" {
			t.Errorf("commitment is %s", got)
		}
		_, err = c.UpdateStreamWarmThroughput(ctx, warm)
		check(err)
		if got := commit("DISABLED"); got != "ENABLED_UNTIL_EARLIEST_ALLOWED_END" {
			t.Errorf("commitment is %s", got)
		}
		time.Sleep(24 * time.Hour)
		settings, err := c.DescribeAccountSettings(ctx, &kinesis.DescribeAccountSettingsInput{})
		if err != nil || settings.MinimumThroughputBillingCommitment.Status != "DISABLED" {
			t.Errorf("settings are %+v, %v", settings, err)
		}
		limits, err := c.DescribeLimits(ctx, &kinesis.DescribeLimitsInput{})
		if err != nil || *limits.OpenShardCount != 1 || *limits.OnDemandStreamCount != 1 {
			t.Errorf("limits are %+v, %v", limits, err)
		}
		_, err = c.ListChannels(ctx, &kinesis.ListChannelsInput{})
		if code(err) != "UnknownOperationException" || !strings.Contains(err.Error(), "ListChannels") {
			t.Errorf("channels: %v", err)
		}
	})
}

func TestCreateStreamIsChecked(t *testing.T) {
	bubble(t, func(t *testing.T, srv *localkinesis.Server, c *kinesis.Client) {
		create := func(in kinesis.CreateStreamInput) error {
			_, err := c.CreateStream(t.Context(), &in)
			time.Sleep(200 * time.Millisecond)
			return err
		}
		onDemand := &types.StreamModeDetails{StreamMode: "ON_DEMAND"}
		for want, in := range map[string]kinesis.CreateStreamInput{
			"ResourceInUseException":            {StreamName: orders, ShardCount: aws.Int32(1)},
			"ValidationException bad name":      {StreamName: aws.String("no spaces"), ShardCount: aws.Int32(1)},
			"ValidationException long name":     {StreamName: aws.String(strings.Repeat("x", 129)), ShardCount: aws.Int32(1)},
			"ValidationException no shards":     {StreamName: aws.String("a")},
			"ValidationException zero shards":   {StreamName: aws.String("a"), ShardCount: aws.Int32(0)},
			"ValidationException both":          {StreamName: aws.String("a"), ShardCount: aws.Int32(1), StreamModeDetails: onDemand},
			"ValidationException small records": {StreamName: aws.String("a"), ShardCount: aws.Int32(1), MaxRecordSizeInKiB: aws.Int32(1)},
			"ValidationException warm":          {StreamName: aws.String("a"), StreamModeDetails: onDemand, WarmThroughputMiBps: aws.Int32(10)},
			"InvalidArgumentException auto":     {StreamName: aws.String("a"), ShardCount: aws.Int32(1), RecordDistributionStrategy: "AUTO"},
		} {
			expect(t, want, create(in), strings.Fields(want)[0])
		}
		expect(t, "on demand", create(kinesis.CreateStreamInput{StreamName: aws.String("auto"), StreamModeDetails: onDemand, RecordDistributionStrategy: "AUTO", MaxRecordSizeInKiB: aws.Int32(2048), Tags: map[string]string{"a": "b"}}), "")
		st, err := srv.Stream("auto")
		if err != nil || len(st.Shards) != 4 || !st.Auto || !st.OnDemand {
			t.Errorf("stream is %+v, %v", st, err)
		}
		list, err := c.ListStreams(t.Context(), &kinesis.ListStreamsInput{Limit: aws.Int32(1)})
		if err != nil || fmt.Sprint(list.StreamNames) != "[auto]" || !*list.HasMoreStreams {
			t.Errorf("streams are %+v, %v", list, err)
		}
		list, err = c.ListStreams(t.Context(), &kinesis.ListStreamsInput{NextToken: list.NextToken})
		if err != nil || fmt.Sprint(list.StreamNames) != "[orders]" || *list.HasMoreStreams {
			t.Errorf("streams are %+v, %v", list, err)
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
