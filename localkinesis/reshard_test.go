package localkinesis_test

import (
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/localkinesis"
)

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
		page := &kinesis.ListShardsInput{MaxResults: aws.Int32(2), ShardFilter: &types.ShardFilter{Type: types.ShardFilterTypeFromTimestamp, Timestamp: aws.Time(time.Unix(0, 0))}}
		pages := ids(page)
		page.StreamName, page.ShardFilter = nil, nil
		if pages += ids(page); pages != "0x1x+2x3" {
			t.Errorf("pages from 1970 on are %s", pages)
		}
		page = &kinesis.ListShardsInput{MaxResults: aws.Int32(2)}
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
		if _, _, err := srv.Split("orders", "shardId-000000000002", ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(25 * time.Hour)
		expect(t, "increase after a shard expired", retain(48, true), "")
		if st, err := srv.Stream("orders"); err != nil || len(st.Shards) != 3 || st.Shards[1].ID != "shardId-000000000003" {
			t.Errorf("an expired shard came back: %+v, %v", st.Shards, err)
		}
		if got := stored(t, srv); got != "" || srv.BytesStored() != 0 {
			t.Errorf("stored is %q after a decrease, %d bytes", got, srv.BytesStored())
		}
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
		// However often and fast the shard of a key changes, its numbers rise.
		for i := range 40 {
			id := ""
			st, _ := srv.Stream("orders")
			for _, sh := range st.Shards {
				if sh.Open {
					id = sh.ID
				}
			}
			lower, upper, err := srv.Split("orders", id, "")
			if err != nil {
				t.Fatal(err)
			}
			if i%2 == 0 {
				next, err := ordered(last)
				if err != nil || next <= last {
					t.Fatalf("split %d: %s after %s, %v", i, next, last, err)
				}
				last = next
			}
			if _, err := srv.Merge("orders", lower, upper); err != nil {
				t.Fatal(err)
			}
			next, err := ordered(last)
			if err != nil || next <= last {
				t.Fatalf("merge %d: %s after %s, %v", i, next, last, err)
			}
			last = next
		}
		_, err := ordered("49" + strings.Repeat("9", 54))
		expect(t, "a number from nowhere", err, "InvalidArgumentException")
		n, _ := new(big.Int).SetString(last, 10)
		_, err = ordered(n.Add(n, new(big.Int).Lsh(big.NewInt(1), 80)).String()) // the counter is above bit 80
		expect(t, "a number not given yet", err, "InvalidArgumentException")
		if err := srv.SetAuto("orders", true); err != nil {
			t.Fatal(err)
		}
		_, err = ordered(last)
		expect(t, "on an AUTO stream", err, "InvalidArgumentException")
	})
}
