package vegastest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/libvegas/vegas/internal/shard"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/vegastest"
)

func orders(n int) []*record.Record {
	var rs []*record.Record
	for i := range n {
		rs = append(rs, &record.Record{PartitionKey: fmt.Sprint("customer-", i), Data: fmt.Append(nil, i)})
	}
	return rs
}

func TestAHandlerGetsEveryRecord(t *testing.T) {
	for _, open := range []bool{false, true} {
		in := orders(10)
		in[3].Headers = []record.Header{{Key: "trace", Value: "7"}}
		var got []string
		res := vegastest.Run(t.Context(), vegastest.Shard{Records: in, Batch: 3, Open: open}, func(_ context.Context, r *record.Record) error {
			got = append(got, r.PartitionKey+"="+string(r.Data)+r.Header("trace"))
			if r.Shard != "shardId-000000000000" || r.Stream != "test" || r.ArrivalTime.IsZero() || r.Position.Sequence == "" {
				t.Errorf("%+v", r)
			}
			return nil
		})
		if res.Err != nil || res.Ended == open || len(got) != 10 || got[3] != "customer-3=37" || got[9] != "customer-9=9" {
			t.Errorf("open %v: %+v, got %v", open, res, got)
		}
		if !strings.HasSuffix(res.Checkpoint.Sequence, "10") {
			t.Errorf("open %v: checkpoint %v", open, res.Checkpoint)
		}
	}
}

func TestTheFirstErrorEndsTheRunBehindWhatWasFinished(t *testing.T) {
	boom := errors.New("boom")
	n := 0
	res := vegastest.Run(t.Context(), vegastest.Shard{Records: orders(5)}, func(context.Context, *record.Record) error {
		if n++; n == 3 {
			return boom
		}
		return nil
	})
	if !errors.Is(res.Err, boom) || res.Ended || n != 3 || !strings.HasSuffix(res.Checkpoint.Sequence, "0002") {
		t.Errorf("%+v after %d records", res, n)
	}
	res = vegastest.Run(t.Context(), vegastest.Shard{Records: orders(1)}, func(context.Context, *record.Record) error { panic("ouch") })
	if res.Err == nil || !strings.Contains(res.Err.Error(), "ouch") || !strings.Contains(res.Err.Error(), "vegastest_test.go") {
		t.Errorf("a panic without its stack: %v", res.Err)
	}
}

func TestAShardFunctionCheckpointsItself(t *testing.T) {
	in := orders(6)
	var endings []shard.Ending
	f := func(ctx context.Context, s *shard.Shard) error {
		for b, err := range s.Batches() {
			if err != nil {
				return err
			}
			if err := s.Checkpoint(ctx, b.End); err != nil {
				return err
			}
		}
		endings = append(endings, s.Ending())
		return nil
	}
	res := vegastest.RunShard(t.Context(), vegastest.Shard{Records: in, Batch: 2, Possession: 7}, f)
	if res.Err != nil || !res.Ended || len(res.Checkpoints) != 3 {
		t.Errorf("%+v", res)
	}
	from := res.Checkpoints[0]
	res = vegastest.RunShard(t.Context(), vegastest.Shard{Records: in, Batch: 2, From: from, Open: true}, f)
	if res.Err != nil || res.Ended || len(res.Checkpoints) != 2 {
		t.Errorf("from %v: %+v", from, res)
	}
	if len(endings) != 2 || endings[0] != shard.ShardEnd || endings[1] != shard.Shutdown {
		t.Errorf("endings %v", endings)
	}
}

func TestABatchHandler(t *testing.T) {
	var sizes []int
	res := vegastest.RunBatches(t.Context(), vegastest.Shard{Records: orders(7), Batch: 3}, func(_ context.Context, b *record.Batch) error {
		sizes = append(sizes, len(b.Records))
		return nil
	})
	if res.Err != nil || !res.Ended || fmt.Sprint(sizes) != "[3 3 1]" {
		t.Errorf("%+v, %v", res, sizes)
	}
}

func TestWhatCannotBeIsSaid(t *testing.T) {
	in := orders(2)
	in[0].Position.Sequence, in[1].Position.Sequence = "5", "4"
	if res := vegastest.Run(t.Context(), vegastest.Shard{Records: in}, func(context.Context, *record.Record) error { return nil }); res.Err == nil {
		t.Error("falling sequence numbers were taken")
	}
	in[1].Position.Sequence = "five"
	if res := vegastest.Run(t.Context(), vegastest.Shard{Records: in}, func(context.Context, *record.Record) error { return nil }); res.Err == nil {
		t.Error("a sequence number that is none was taken")
	}
}

func ExampleRun() {
	var total int
	handler := func(_ context.Context, r *record.Record) error {
		_, err := fmt.Sscan(string(r.Data), &total)
		return err
	}
	res := vegastest.Run(context.Background(), vegastest.Shard{
		Records: []*record.Record{ // vegas.Record
			{PartitionKey: "customer-42", Data: []byte("12")},
			{PartitionKey: "customer-42", Data: []byte("much")},
		},
	}, handler)
	fmt.Println(total, res.Err != nil, res.Ended)
	// Output: 12 true false
}
