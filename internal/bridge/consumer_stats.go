package bridge

import (
	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/observe"
)

// stats are what the library counts, by the names of docs/metrics.md.
func (w *worker) stats() results {
	s := w.c.Stats()
	w.mu.Lock()
	used := w.used
	w.mu.Unlock()
	r := results{
		string(observe.RecordsReceived): s.Records, string(observe.BytesReceived): s.Bytes,
		string(observe.Duplicates): s.Duplicates, string(observe.Misplaced): s.Misplaced, string(observe.Foreign): s.Foreign,
		string(observe.Malformed): s.Malformed, string(observe.HandlerErrors): s.HandlerErrors, string(observe.RecordsSkipped): s.Skipped, string(observe.Deduplicated): s.Deduplicated,
		string(observe.Checkpoints): s.Checkpoints, string(observe.Throttles): s.Throttles,
		string(observe.PrefetchBytes): s.PrefetchBytes, "window_bytes": used, "shards_waiting": s.Waiting,
	}
	shards := []results{}
	for _, one := range worst(s.Shards, func(one *vegas.ShardStats) int64 { return int64(one.Behind) }) {
		shards = append(shards, results{
			"shard": one.Shard, "checkpoint": one.Checkpoint.String(), "delivered": one.Delivered.String(),
			"read": one.Read, string(observe.BehindMillis): one.Behind.Milliseconds(),
			string(observe.RecordsReceived): one.Records, string(observe.Unhandled): one.Unhandled,
		})
	}
	r["shards"] = shards
	return r
}
