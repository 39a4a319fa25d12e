package lane

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/limits"
	"github.com/libvegas/vegas/internal/shardmap"
)

// mapped is a machine that knows n shards, and their ranges.
func mapped(n int, c Config) (*Machine, []keyspace.Range) {
	c.Rand = rand.New(rand.NewPCG(1, 1))
	m := New(c)
	m.Poll(0)
	ranges := keyspace.Split(n)
	listing := make([]shardmap.Shard, n)
	for i := range listing {
		listing[i] = shardmap.Shard{ID: strconv.Itoa(i), Range: ranges[i]}
	}
	m.Learn(0, listing)
	return m, ranges
}

func TestRequestsStayWithinTheirBounds(t *testing.T) {
	for _, c := range []struct{ shards, size, requests int }{
		{64, 200_000, 3}, // 5 MiB take 26
		{1200, 10, 3},    // 500 entries
		{3, 6 << 20, 3},  // larger than a request: alone
	} {
		m, ranges := mapped(c.shards, Config{RecordBytes: limits.RecordBytesMax})
		for _, r := range ranges {
			m.Accept(0, &Item{Key: "k", Hash: r.First, Data: make([]byte, c.size)})
		}
		requests := m.Poll(time.Second).Requests
		if len(requests) != c.requests {
			t.Errorf("%d requests for %+v", len(requests), c)
		}
		for _, r := range requests {
			if n := len(r.Entries); n > limits.PutRecordsEntries || r.Bytes > 5<<20 && n > 1 {
				t.Errorf("a request of %d entries and %d bytes", n, r.Bytes)
			}
		}
	}
}

// Many entries that fail together are one failure: without aggregation a lane
// has many under way.
func TestFailuresTogetherBackOffOnce(t *testing.T) {
	m, ranges := mapped(1, Config{Raw: true})
	for i := range 200 {
		m.Accept(0, &Item{Key: "k", Hash: keyspace.Hash{Hi: ranges[0].First.Hi + uint64(i)}})
	}
	r := m.Poll(0).Requests[0]
	m.Fail(0, r, NotStored, errors.New("away"))
	if wake := m.Poll(0).Wake; wake > 2*retry.Min {
		t.Errorf("the next attempt comes after %v", wake)
	}
}
