package send

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/internal/wire"
	"github.com/libvegas/vegas/record"
)

// sink is a service of one shard that keeps nothing.
type sink struct{ put func() }

func (s sink) PutRecords(_ context.Context, entries []types.PutRecordsRequestEntry) (*wire.PutAnswer, error) {
	s.put()
	out := make([]wire.PutResult, len(entries))
	for i := range out {
		out[i] = wire.PutResult{Shard: "shardId-000000000000", Sequence: "49"}
	}
	return &wire.PutAnswer{Results: out}, nil
}

func (sink) ListShards(context.Context, *types.ShardFilter) ([]types.Shard, error) {
	return []types.Shard{{ShardId: aws.String("shardId-000000000000"), HashKeyRange: &types.HashKeyRange{
		StartingHashKey: aws.String("0"), EndingHashKey: aws.String(keyspace.Max.String()),
	}}}, nil
}

func (sink) Describe(context.Context) (kinesisapi.Summary, error) {
	return kinesisapi.Summary{Status: types.StreamStatusActive, RecordBytes: 1 << 20}, nil
}

// split is a service of that many shards which keeps nothing.
type split []keyspace.Range

func (s split) name(i int) string { return fmt.Sprintf("shardId-%012d", i) }

func (s split) PutRecords(_ context.Context, entries []types.PutRecordsRequestEntry) (*wire.PutAnswer, error) {
	out := make([]wire.PutResult, len(entries))
	for i := range entries {
		h, _ := keyspace.Effective(*entries[i].PartitionKey, aws.ToString(entries[i].ExplicitHashKey))
		for j := range s {
			if s[j].Has(h) {
				out[i] = wire.PutResult{Shard: s.name(j), Sequence: "49"}
			}
		}
	}
	return &wire.PutAnswer{Results: out}, nil
}

func (s split) ListShards(context.Context, *types.ShardFilter) ([]types.Shard, error) {
	out := make([]types.Shard, len(s))
	for i, r := range s {
		out[i] = types.Shard{ShardId: aws.String(s.name(i)), HashKeyRange: &types.HashKeyRange{
			StartingHashKey: aws.String(r.First.String()), EndingHashKey: aws.String(r.Last.String()),
		}}
	}
	return out, nil
}

func (s split) Describe(context.Context) (kinesisapi.Summary, error) {
	return kinesisapi.Summary{Status: types.StreamStatusActive, RecordBytes: 1 << 20}, nil
}

// SendAll of more than fits into the buffer holds no more than the buffer.
func TestSendAllHoldsNoMoreThanTheBound(t *testing.T) {
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	const records, size = 640, 32 << 10 // 20 MB
	var before, most int64
	puts, measured := 0, 0
	e := New(Config{
		API: sink{func() {
			if puts++; puts%20 == 0 {
				measured++
				most = max(most, heap()-before)
			}
		}},
		Stream: "orders", BufferBytes: 1 << 20, MaxRequests: 1, RequestTimeout: time.Second, Logger: slog.New(slog.DiscardHandler),
	})
	data := make([]byte, size)
	rs := make([]*record.Record, records)
	for i := range rs {
		rs[i] = &record.Record{PartitionKey: "k", Data: data}
	}
	before = heap()
	receipts, errs := e.SendAll(t.Context(), rs)
	if errs != nil || len(receipts) != records || receipts[records-1].Position.Sequence != "49" {
		t.Errorf("%d receipts, %v", len(receipts), errs)
	}
	if err := e.Close(t.Context()); err != nil {
		t.Error(err)
	}
	// Less than before is possible: other tests' memory goes meanwhile.
	if measured == 0 || most > 8<<20 {
		t.Errorf("%d MB were held of %d MB, measured %d times", most>>20, records*size>>20, measured)
	}
}
