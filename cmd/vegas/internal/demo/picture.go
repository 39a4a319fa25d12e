package demo

import (
	"maps"
	"slices"
	"time"

	"github.com/libvegas/vegas/cmd/vegas/internal/audit"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/localkinesis"
)

// Picture is the demo at one moment, for a View.
type Picture struct {
	At, Duration time.Duration
	LeaseTime    time.Duration
	Shards       []ShardPicture
	Workers      []WorkerPicture
	Sent         audit.Sums // the sender's part
	Rate         float64    // acknowledged a second
	Spark        string     // the rate of the last seconds
	Send         []time.Duration
	Got          audit.Sums // the fleet's part
	GotRate      float64
	Delay        []time.Duration // from sending to the handler
	Repeated     int64           // of what Got.Duplicated counts, after kills
	Events       []Event         // the newest last
}

// ShardPicture is one shard.
type ShardPicture struct {
	localkinesis.Shard
	Range  keyspace.Range
	Rate   float64 // acknowledged records a second
	Owner  string
	Silent time.Duration
}

// WorkerPicture is one worker.
type WorkerPicture struct {
	Name   string
	PID    int
	State  memberState
	Since  time.Duration // it has been in that state
	Shards int
	Rate   float64 // records handled a second
}

var shown = []float64{50, 99}

func (w *world) picture() *Picture {
	at := w.now()
	f := w.fleet
	p := &Picture{
		At: at, Duration: w.Duration, LeaseTime: w.LeaseTime, Sent: w.auditor.Sent(),
		Rate: w.traffic.sent.rate(at), Spark: w.traffic.sent.spark(at, 60), Send: w.traffic.send.percentiles(at, shown...),
		Got: f.audit.Live(), GotRate: f.rate.rate(at), Delay: f.delay.percentiles(at, shown...),
		Events: slices.Clone(w.events),
	}
	for _, i := range f.incidents() {
		if i.Kind == Kill {
			p.Repeated += i.Repeated
		}
	}
	heard := at
	if w.sentAll {
		heard = 0 // nothing is sent any more that could be heard
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	rates := w.traffic.byShard(at)
	for _, shard := range w.shards() {
		sp := ShardPicture{Shard: shard, Rate: rates[shard.ID], Owner: f.owners[shard.ID], Silent: f.silence.now(shard.ID, heard)}
		sp.Range, _ = keyspace.ParseRange(shard.First, shard.Last)
		p.Shards = append(p.Shards, sp)
	}
	owned := map[string]int{}
	for owner := range maps.Values(f.owners) {
		owned[owner]++
	}
	for _, m := range f.members {
		wp := WorkerPicture{Name: m.name, PID: m.cmd.Process.Pid, State: m.state, Since: at - m.since, Rate: m.rate.rate(at)}
		if m.state.lives() {
			wp.Shards = owned[m.name]
		}
		p.Workers = append(p.Workers, wp)
	}
	return p
}
