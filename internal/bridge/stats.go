package bridge

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/observe"
)

// stats are what the library counts, by the names of docs/metrics.md.
func (p *producer) stats() results {
	if p.usable() != nil {
		return results{}
	}
	s := p.sends.Stats()
	r := results{
		string(observe.RecordsSent): s.Sent, string(observe.BytesSent): s.Bytes,
		string(observe.RecordsFailed): s.Failed, string(observe.RecordsUnknown): s.Unknown, string(observe.RecordsResent): s.Resent,
		string(observe.Requests): s.Requests, string(observe.RequestErrors): s.RequestErrors, string(observe.EntriesSent): s.Entries,
		string(observe.Throttles): s.Throttles, string(observe.EntriesMisplaced): s.Misplaced, string(observe.MapRefreshes): s.MapRefreshes,
		"records_open": s.Open, string(observe.BufferBytes): s.BufferBytes,
	}
	if p.durable {
		oldest := int64(0)
		if !s.Durable.Oldest.IsZero() {
			oldest = time.Since(s.Durable.Oldest).Milliseconds()
		}
		r[string(observe.DurableRecords)], r[string(observe.DurableBytes)], r[string(observe.DurableOldest)] = s.Durable.Items, s.Durable.Bytes, oldest
		r[string(observe.RecordsDead)], r[string(observe.RecordsLost)] = s.Durable.Dead, s.Durable.Lost
	}
	lanes := []results{}
	for _, l := range worst(s.Lanes, func(l *vegas.LaneStats) int64 { return int64(l.Oldest) }) {
		lanes = append(lanes, results{
			"shard": l.Shard, string(observe.LaneDepth): l.Records, "lane_bytes": l.Bytes, "entries_in_flight": l.InFlight,
			string(observe.OldestUnackAge): l.Oldest.Milliseconds(), string(observe.PaceBytes): l.PaceBytes, "draining": l.Draining,
		})
	}
	r["lanes"] = lanes
	return r
}

// statsShards is how many shards statistics tell of, so that they stay a value that
// fits.
const statsShards = 1000

// worst are those of a list that statistics tell of: all, or those with the most of
// something.
func worst[T any](list []T, of func(*T) int64) []T {
	if len(list) <= statsShards {
		return list
	}
	slices.SortStableFunc(list, func(a, b T) int { return cmp.Compare(of(&b), of(&a)) })
	return list[:statsShards]
}

// shortestStats is the least time between two events of statistics.
const shortestStats = 100 * time.Millisecond

// tellStats sends statistics in a period until ctx ends. A host that does not read
// misses some.
func (s *session) tellStats(ctx context.Context, kind string, number uint32, every time.Duration, stats func() results) {
	tick := time.NewTicker(max(every, shortestStats))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if !s.out.busy() {
				s.event(results{"event": "stats", kind: number, "stats": stats()})
			}
		case <-ctx.Done():
			return
		}
	}
}
