package demo

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/localkinesis"
)

// traffic is what flows, seen from outside the library.
type traffic struct {
	sent  meter // acknowledged records
	bytes meter // their payload
	send  histogram

	mu     sync.Mutex
	shards map[string]*meter // acknowledged records by shard
}

func (t *traffic) acknowledged(at time.Duration, shard string, bytes int, took time.Duration) {
	t.sent.add(at, 1)
	t.bytes.add(at, int64(bytes))
	t.send.add(at, took)
	t.mu.Lock()
	m := t.shards[shard]
	if m == nil {
		if t.shards == nil {
			t.shards = map[string]*meter{}
		}
		m = &meter{}
		t.shards[shard] = m
	}
	t.mu.Unlock()
	m.add(at, 1)
}

func (t *traffic) byShard(at time.Duration) map[string]float64 {
	t.mu.Lock()
	meters := maps.Clone(t.shards)
	t.mu.Unlock()
	rates := map[string]float64{}
	for id, m := range meters {
		rates[id] = m.rate(at)
	}
	return rates
}

func sortByRange(shards []localkinesis.Shard) {
	slices.SortFunc(shards, func(a, b localkinesis.Shard) int {
		x, _ := keyspace.Parse(a.First)
		y, _ := keyspace.Parse(b.First)
		return cmp.Or(x.Compare(y), cmp.Compare(a.ID, b.ID))
	})
}
