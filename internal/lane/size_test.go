package lane

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/record"
)

// TestBoundsHold: what the machine reckons an aggregate to take is never less
// than what it takes, and not much more.
func TestBoundsHold(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	sizes := []int{0, 1, 60, 63, 64, 127, 128, 200, 16_300, 16_383, 16_384, 70_000}
	for range 2000 {
		id := &aggregate.Identity{Laned: true, Range: keyspace.Range{First: keyspace.Hash{Hi: r.Uint64(), Lo: r.Uint64()}, Last: keyspace.Hash{Hi: ^uint64(0), Lo: r.Uint64()}}}
		for i := range id.Producer {
			id.Producer[i] = byte(r.Uint32())
		}
		var b aggregate.Builder
		b.Reset(id)
		bound, counter := aggregateFixed, r.Uint64()>>1
		for i := range 1 + r.IntN(20) {
			it := &Item{Key: strconv.Itoa(i) + strings.Repeat("k", r.IntN(254)), Data: make([]byte, sizes[r.IntN(len(sizes))])}
			if r.IntN(4) == 0 {
				it.ExplicitHashKey = keyspace.Hash{Hi: r.Uint64(), Lo: r.Uint64()}.String()
			}
			for range r.IntN(3) {
				it.Headers = append(it.Headers, record.Header{Key: strings.Repeat("h", r.IntN(200)), Value: strings.Repeat("v", sizes[r.IntN(len(sizes))])})
			}
			counter += 1 + r.Uint64N(1<<30)
			if err := b.Add(aggregate.Sub{Key: it.Key, ExplicitHashKey: it.ExplicitHashKey, Data: it.Data, Headers: it.Headers}, counter); err != nil {
				t.Fatal(err)
			}
			bound += Bound(it.Key, it.ExplicitHashKey, it.Data, it.Headers)
		}
		size := b.Size() + len(aggregate.PartitionKey)
		if size > bound {
			t.Fatalf("%d sub-records take %d bytes, the bound is %d", b.Len(), size, bound)
		}
		if slack := bound - size - aggregateFixed; slack > 60*b.Len() {
			t.Fatalf("%d sub-records take %d bytes, the bound is %d: too far off", b.Len(), size, bound)
		}
	}
}
