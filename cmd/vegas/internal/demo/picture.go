package demo

import (
	"slices"
	"time"

	"github.com/libvegas/vegas/cmd/vegas/internal/audit"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/localkinesis"
)

// Picture is the demo at one moment, for a View.
type Picture struct {
	At, Duration time.Duration
	Shards       []ShardPicture
	Sent         audit.Sums // the sender's part
	Rate, Bytes  float64    // acknowledged a second
	Spark        string     // the rate of the last seconds
	Send         []time.Duration
	Groups       []GroupPicture
	Events       []Event // the newest last
	Splits       int
	Merges       int
	Faults       int
}

// ShardPicture is one shard.
type ShardPicture struct {
	localkinesis.Shard
	Range  keyspace.Range
	Rate   float64                  // acknowledged records a second
	Behind map[string]time.Duration // by group
}

// GroupPicture is one consumer group.
type GroupPicture struct {
	Name, Way string
	Sums      audit.Sums // the reader's part
	Rate      float64
	Delay     []time.Duration // from sending to the handler
	Behind    time.Duration   // of the shard that is furthest behind
}

var shown = []float64{50, 99}

func (w *world) picture() *Picture {
	at := w.now()
	p := &Picture{
		At: at, Duration: w.Duration, Sent: w.auditor.Sent(),
		Rate: w.traffic.sent.rate(at), Bytes: w.traffic.bytes.rate(at), Spark: w.traffic.sent.spark(at, 60),
		Send: w.traffic.send.percentiles(at, shown...), Events: slices.Clone(w.events), Splits: w.splits, Merges: w.merges,
	}
	for _, f := range w.faults {
		p.Faults += f.Fired()
	}
	rates := w.traffic.byShard(at)
	if s, err := w.server.Stream(Stream); err == nil {
		for _, shard := range s.Shards {
			sp := ShardPicture{Shard: shard, Rate: rates[shard.ID], Behind: map[string]time.Duration{}}
			sp.Range, _ = keyspace.ParseRange(shard.First, shard.Last)
			p.Shards = append(p.Shards, sp)
		}
	}
	for _, r := range w.readers {
		g := GroupPicture{Name: r.name, Way: r.way, Sums: r.audit.Live(), Rate: r.rate.rate(at), Delay: r.delay.percentiles(at, shown...)}
		var by map[string]time.Duration
		by, g.Behind = r.lag()
		for i := range p.Shards {
			if d, ok := by[p.Shards[i].ID]; ok {
				p.Shards[i].Behind[r.name] = d
			}
		}
		p.Groups = append(p.Groups, g)
	}
	return p
}
