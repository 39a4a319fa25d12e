package vegas

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/libvegas/vegas/internal/shard"
	"github.com/libvegas/vegas/observe"
)

// ConsumerStats are the sums of a Consumer since it was made, and the state of
// its shards at this moment.
type ConsumerStats struct {
	Records       int64 // handed out
	Bytes         int64 // payload bytes of these
	Duplicates    int64 // removed by their producer's numbers
	Misplaced     int64 // ignored: their producer sends them again elsewhere
	Foreign       int64 // of other producers, in a shard that does not own their hash
	Malformed     int64 // aggregates that did not decode, delivered as they are
	HandlerErrors int64 // errors and panics
	Skipped       int64 // given up, or given to the dead letters
	Deduplicated  int64 // passed over by package dedupe
	Checkpoints   int64 // written
	Throttles     int64 // reads refused for a shard's rate

	// PrefetchBytes are read and not done with.
	PrefetchBytes int64
	// Shards are those being read, by ID.
	Shards []ShardStats
	// Waiting is how many shards wait for their parents to be finished, or to be
	// leased.
	Waiting int
}

// ShardStats is the state of one shard.
type ShardStats struct {
	Shard string
	// Checkpoint is what was written last, Delivered the last position handed
	// out.
	Checkpoint, Delivered Position
	// Read tells that the service has answered at least once.
	Read bool
	// Behind is how far the last answer lay behind the tip of the shard; 0 at
	// the tip.
	Behind time.Duration
	// Records were handed out since the lease was taken, and Unhandled of them
	// are not done with: so many records the handlers are behind what was read.
	// How many records lie behind that the service does not tell, only the time.
	Records, Unhandled int64
}

// Stats is a snapshot. It may be called at any time.
func (c *Consumer) Stats() ConsumerStats {
	t := c.tally
	s := ConsumerStats{
		Records: t.records.Load(), Bytes: t.bytes.Load(), Duplicates: t.duplicates.Load(), Misplaced: t.misplaced.Load(),
		Foreign: t.foreign.Load(), Malformed: t.malformed.Load(), HandlerErrors: t.handlerErrors.Load(), Skipped: t.skipped.Load(),
		Deduplicated: t.deduplicated.Load(), Checkpoints: t.checkpoints.Load(), Throttles: t.throttles.Load(),
	}
	cur := c.current.Load()
	if cur == nil {
		return s
	}
	s.PrefetchBytes = cur.budget.Used()
	lives, waiting := cur.group.Lives()
	s.Waiting = waiting
	for _, l := range lives {
		s.Shards = append(s.Shards, shardStats(l))
	}
	slices.SortFunc(s.Shards, func(a, b ShardStats) int { return cmp.Compare(a.Shard, b.Shard) })
	return s
}

func shardStats(l shard.Snapshot) ShardStats {
	return ShardStats{Shard: l.Shard, Checkpoint: l.Checkpoint, Delivered: l.Delivered, Read: l.Read, Behind: l.Behind, Records: l.Records, Unhandled: l.Unhandled}
}

// tally counts what Stats tells, and passes everything on.
type tally struct {
	observe.Observer
	records, bytes, duplicates, misplaced, foreign, malformed, handlerErrors, skipped, deduplicated, checkpoints, throttles atomic.Int64
}

func newTally(next observe.Observer) *tally { return &tally{Observer: next} }

// Count counts, and passes on.
func (t *tally) Count(c observe.Counter, at observe.Where, n int64) {
	switch c {
	case observe.RecordsReceived:
		t.records.Add(n)
	case observe.BytesReceived:
		t.bytes.Add(n)
	case observe.Duplicates:
		t.duplicates.Add(n)
	case observe.Misplaced:
		t.misplaced.Add(n)
	case observe.Foreign:
		t.foreign.Add(n)
	case observe.Malformed:
		t.malformed.Add(n)
	case observe.HandlerErrors:
		t.handlerErrors.Add(n)
	case observe.RecordsSkipped:
		t.skipped.Add(n)
	case observe.Deduplicated:
		t.deduplicated.Add(n)
	case observe.Checkpoints:
		t.checkpoints.Add(n)
	case observe.Throttles:
		t.throttles.Add(n)
	}
	t.Observer.Count(c, at, n)
}
