package fetch

import (
	"sync"
	"time"
)

// A beat has some perBeat calls, unless these would be more than beats between two
// calls on a quiet shard.
const (
	perBeat = 100
	beats   = 5
)

// beat is what calls on quiet shards keep time to. A hundred shards, each asked once a
// second, are asked together: a process that wakes up for each of them finds its caches
// cold, and takes twice the CPU time. All at a time take an eighth less than twenty,
// five times a second. More at a time would keep other shards' records waiting.
type beat struct {
	once  sync.Once
	start time.Time
}

// nearest is the time of the beat that is nearest to t, and may be before it.
func (b *beat) nearest(t time.Time, every time.Duration) time.Time {
	b.once.Do(func() { b.start = t })
	d := t.Sub(b.start)
	return t.Add(d.Round(every) - d)
}

// between is the time between two beats, of so many shards.
func between(idle time.Duration, shards int) time.Duration {
	return idle / time.Duration(min(max(shards/perBeat, 1), beats))
}
