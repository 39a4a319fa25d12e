package send

import (
	"sync/atomic"
	"time"

	"github.com/libvegas/vegas/internal/lane"
	"github.com/libvegas/vegas/observe"
)

// sums are counted since the engine was made.
type sums struct {
	sent, bytes, failed, unknown, resent      atomic.Int64
	requests, requestErrors, throttles, looks atomic.Int64
}

// Stats is a snapshot.
type Stats struct {
	Sent, Bytes, Failed, Unknown, Resent             int64
	Requests, RequestErrors, Throttles, MapRefreshes int64
	Entries, Misplaced                               int64

	InFlight    int   // requests without an answer
	Open        int   // accepted and not ended
	BufferBytes int64 // of the memory bound
	Lanes       []Lane
}

// Lane is the state of one shard's lane.
type Lane struct {
	Shard    string
	Records  int
	Bytes    int
	InFlight int
	Oldest   time.Duration // age of the oldest record; 0: none
	Pace     int           // bytes a second
	Draining bool
}

// Stats takes a snapshot.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.now()
	c := e.machine.Counts()
	s := Stats{
		Sent: e.sums.sent.Load(), Bytes: e.sums.bytes.Load(), Failed: e.sums.failed.Load(),
		Unknown: e.sums.unknown.Load(), Resent: e.sums.resent.Load(),
		Requests: e.sums.requests.Load(), RequestErrors: e.sums.requestErrors.Load(),
		Throttles: e.sums.throttles.Load(), MapRefreshes: e.sums.looks.Load(),
		Entries: int64(c.Entries), Misplaced: int64(c.Misplaced),
		InFlight: e.machine.Requests(), Open: e.machine.Open(), BufferBytes: e.room.size - e.room.free,
	}
	e.machine.Lanes(func(d lane.Depth) {
		l := Lane{Shard: d.Shard, Records: d.Records, Bytes: d.Bytes, InFlight: d.InFlight, Pace: d.PaceBytes, Draining: d.Draining}
		if d.Oldest != lane.Never {
			l.Oldest = now - d.Oldest
		}
		s.Lanes = append(s.Lanes, l)
	})
	return s
}

// Why is what keeps records from being stored at present, as far as it is known:
// nil if nothing does, or nothing was tried.
func (e *Engine) Why() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	why := e.refusal
	if why == nil {
		why = e.lastLook
	}
	e.machine.Lanes(func(d lane.Depth) {
		if why == nil && d.Records > 0 {
			why = d.Cause
		}
	})
	return why
}

// gaugeEvery is how often gauges are reported while there is something to do.
const gaugeEvery = time.Second

// gauged is what the loop reported last.
type gauged struct {
	at        time.Duration
	misplaced uint64
	idle      bool // nothing was open then
	shards    map[string]bool
}

// gauges reports depths and sizes, and says when to do so again.
func (e *Engine) gauges(now time.Duration, open int) (next time.Duration) {
	o, g := e.cfg.Observer, &e.gauged
	if o == nil || open == 0 && g.idle {
		return lane.Never
	}
	if now < g.at+gaugeEvery && open > 0 {
		return g.at + gaugeEvery
	}
	g.at, g.idle = now, open == 0
	s := e.Stats()
	o.Gauge(observe.BufferBytes, e.at, s.BufferBytes)
	report := func(l *Lane) {
		at := e.at
		at.Shard = l.Shard
		o.Gauge(observe.LaneDepth, at, int64(l.Records))
		o.Gauge(observe.PaceBytes, at, int64(l.Pace))
		o.Gauge(observe.OldestUnackAge, at, l.Oldest.Milliseconds())
	}
	before := g.shards
	g.shards = make(map[string]bool, len(s.Lanes))
	for i := range s.Lanes {
		report(&s.Lanes[i])
		g.shards[s.Lanes[i].Shard] = true
	}
	for shard := range before { // a gauge keeps its last value: lanes that are gone end at 0
		if !g.shards[shard] {
			report(&Lane{Shard: shard})
		}
	}
	o.Gauge(observe.InFlight, e.at, int64(s.InFlight))
	if n := uint64(s.Misplaced); n > g.misplaced {
		o.Count(observe.EntriesMisplaced, e.at, int64(n-g.misplaced))
		g.misplaced = n
	}
	return now + gaugeEvery
}
