package dedupe

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/libvegas/vegas/layer"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store/memory"
)

// sample is one record of many: of the i-th key, at the i-th millisecond.
func sample(r *record.Record, i int, sequences []string) {
	r.Headers[0].Value = sequences[i%len(sequences)][20:]
	r.Position.Sequence, r.Position.SubSequence = sequences[i%len(sequences)], int64(i/len(sequences))
	r.ArrivalTime = time.UnixMilli(1_700_000_000_000 + int64(i))
}

func sequences() (all []string) {
	for i := range 100_000 {
		all = append(all, fmt.Sprintf("496%053d", i))
	}
	return all
}

// BenchmarkHandle is what the layer adds to a record: one with a new key, which also is
// written to the store, one that is passed over, and one without a key.
func BenchmarkHandle(b *testing.B) {
	all := sequences()
	next := func(context.Context, *record.Record) error { return nil }
	for _, c := range []struct {
		name string
		key  Key
		same bool
	}{
		{"new", Header("order-id"), false}, {"passed", Header("order-id"), true}, {"none", Header("other"), false},
		{"new data 1KiB", Data(), false}, {"new json", JSON("order.id"), false},
	} {
		b.Run(c.name, func(b *testing.B) {
			d := newDedupe(c.key, 10*time.Second, nil)
			s := possession(memory.New(), 1)
			ctx, cancel := context.WithCancel(layer.With(context.Background(), s))
			defer cancel()
			r := &record.Record{Shard: "shardId-000000000009", PartitionKey: "customer-42", Headers: []record.Header{{Key: "order-id"}}}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				sample(r, i, all)
				switch {
				case c.same:
					r.Headers[0].Value, r.ArrivalTime = "the same", time.UnixMilli(1)
				case c.key.kind == kindData:
					if r.Data == nil {
						r.Data = make([]byte, 1<<10)
					}
					copy(r.Data, r.Position.Sequence)
				case c.key.kind == kindJSON:
					r.Data = append(r.Data[:0], `{"order":{"id":"`...)
					r.Data = append(append(r.Data, r.Position.Sequence...), `"},"total":12}`...)
				}
				if err := d.handle(ctx, r, next); err != nil {
					b.Fatal(err)
				}
				i++
			}
			s.End(context.Background())
		})
	}
}

// BenchmarkMemory is what a million keys take.
func BenchmarkMemory(b *testing.B) {
	const keys = 1_000_000
	for b.Loop() {
		before := heap()
		t := &table{window: keys, limit: keys}
		for i := range 2 * keys { // as it is after a while
			var e entry
			copy(e.key[:], strconv.Itoa(i))
			e.origin, e.at = uint64(i+1), int64(i)
			t.put(e)
		}
		b.ReportMetric(float64(heap()-before)/float64(len(t.index)), "B/key")
		runtime.KeepAlive(t)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// What the layer adds to a record costs no allocation but for the rooms of many.
func TestRecordsAreHandledWithoutAllocations(t *testing.T) {
	all := sequences()[:1000]
	d := newDedupe(Header("order-id"), time.Second, []func(*Options){func(o *Options) { o.InMemory = true }})
	ctx := layer.With(t.Context(), possession(memory.New(), 1))
	r := &record.Record{Shard: "shardId-000000000009", Headers: []record.Header{{Key: "order-id"}}}
	next := func(context.Context, *record.Record) error { return nil }
	i := 0
	got := testing.AllocsPerRun(20_000, func() {
		sample(r, i, all)
		if err := d.handle(ctx, r, next); err != nil {
			t.Fatal(err)
		}
		i++
	})
	if got >= 1 {
		t.Errorf("%v allocations a record", got)
	}
}
