package demo

import (
	"time"

	"github.com/libvegas/vegas/cmd/vegas/internal/shardtree"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/localkinesis"
)

// step is one thing that happens to the stream. It tells false if it cannot
// happen now and is to be tried again.
type step struct {
	at time.Duration
	do func(*world) bool
}

// mishaps is what happens, in the order in which a short demo shows them.
var mishaps = []func(*world) bool{
	(*world).split,
	fault("PutRecords", 6, "drop the answers of the next 6 PutRecords, after storing them",
		localkinesis.Fault{Do: localkinesis.DropAnswer}),
	(*world).throttle,
	(*world).merge,
	fault("SubscribeToShard", 2, "cut 2 event streams in the middle of a frame",
		localkinesis.Fault{Do: localkinesis.CutStream}),
	fault("PutRecords", 2, "answer nothing to 2 PutRecords, and store them after 3 later ones",
		localkinesis.Fault{Do: localkinesis.StoreLate, Requests: 3}),
	(*world).split,
	fault("PutRecords", 10, "fail a third of the entries of 10 PutRecords",
		localkinesis.Fault{Do: localkinesis.FailEntries, EntryRate: 0.33}),
	fault("PutRecords", 4, "store half of the entries of 4 PutRecords and drop the answers",
		localkinesis.Fault{Do: localkinesis.StoreSome, EntryRate: 0.5}),
	(*world).splitUnseen,
	fault("GetRecords", 2, "let all shard iterators expire, twice",
		localkinesis.Fault{Do: localkinesis.ExpireIterators}),
	fault("PutRecords", 5, "answer 5 PutRecords with 500 InternalFailure",
		localkinesis.Fault{Do: localkinesis.Fail}),
	(*world).merge,
	fault("SubscribeToShard", 3, "deliver 3 fan-out events twice",
		localkinesis.Fault{Do: localkinesis.RepeatEvent}),
	fault("PutRecords", 4, "hold 4 PutRecords back for 400 ms",
		localkinesis.Fault{Do: localkinesis.Delay, Delay: 400 * time.Millisecond}),
	fault("SubscribeToShard", 2, "end 2 subscriptions early",
		localkinesis.Fault{Do: localkinesis.EndSubscription}),
	fault("GetRecords", 5, "throttle 5 GetRecords",
		localkinesis.Fault{Do: localkinesis.Throttle}),
}

// plan spreads the mishaps over the time of sending, at least 700 ms apart.
func (w *world) plan(sending time.Duration) []step {
	first, last := sending/12, sending*11/12
	n := min(max(int((last-first)/(700*time.Millisecond)), 1), max(len(mishaps), int(sending/(2500*time.Millisecond))))
	var steps []step
	for i := range n {
		steps = append(steps, step{first + (last-first)*time.Duration(i)/time.Duration(n), mishaps[i%len(mishaps)]})
	}
	return steps
}

// follow does what is due and gives what is left.
func (w *world) follow(plan []step, now time.Duration) []step {
	for len(plan) > 0 && plan[0].at <= now && plan[0].do(w) {
		plan = plan[1:]
	}
	return plan
}

// fault is a mishap that the server is told to make.
func fault(op string, count int, text string, f localkinesis.Fault) func(*world) bool {
	f.Op, f.Count, f.Stream = op, count, Stream
	return func(w *world) bool {
		w.inject(f)
		w.tell(Fault, "%s", text)
		return true
	}
}

func (w *world) inject(f localkinesis.Fault) *localkinesis.Injected {
	i := w.server.Inject(f)
	w.faults = append(w.faults, i)
	return i
}

// passing is a fault that ends at a time.
type passing struct {
	at    time.Duration
	fault *localkinesis.Injected
}

// pass ends faults whose time has come.
func (w *world) pass(now time.Duration) {
	for _, p := range w.passing {
		if p.at <= now {
			p.fault.Remove()
		}
	}
}

// throttle makes one shard refuse for a while, as a hot shard does.
func (w *world) throttle() bool {
	open := w.open()
	if len(open) == 0 {
		return false
	}
	shard := open[w.random.IntN(len(open))].ID
	i := w.inject(localkinesis.Fault{Do: localkinesis.Throttle, Op: "PutRecords", Stream: Stream, Shard: shard})
	w.passing = append(w.passing, passing{w.now() + time.Second, i})
	w.tell(Fault, "throttle shard %s for a second", shardtree.Short(shard))
	return true
}

// split splits the widest open shard.
func (w *world) split() bool {
	var widest localkinesis.Shard
	var width float64
	for _, s := range w.open() {
		if n := width01(s); n > width*1.01 || n > width*0.99 && w.random.IntN(2) == 0 {
			widest, width = s, max(n, width)
		}
	}
	if widest.ID == "" {
		return false
	}
	lower, upper, err := w.server.Split(Stream, widest.ID, "")
	if err != nil {
		return false
	}
	w.splits++
	w.tell(Reshard, "split shard %s into %s and %s", shardtree.Short(widest.ID), shardtree.Short(lower), shardtree.Short(upper))
	return true
}

// splitUnseen splits a shard while listings still show the time before.
func (w *world) splitUnseen() bool {
	if !w.split() {
		return false
	}
	w.inject(localkinesis.Fault{Do: localkinesis.StaleShards, Stream: Stream, Count: 2})
	w.tell(Fault, "answer 2 ListShards as if that had not happened")
	return true
}

// merge merges the narrowest pair of neighbours.
func (w *world) merge() bool {
	open := w.open() // by range, so that neighbours are next to each other
	best, width := -1, 2.0
	for i := range len(open) - 1 {
		if n := width01(open[i]) + width01(open[i+1]); n < width {
			best, width = i, n
		}
	}
	if best < 0 || len(open) < 3 {
		return true // nothing worth merging
	}
	a, b := open[best].ID, open[best+1].ID
	child, err := w.server.Merge(Stream, a, b)
	if err != nil {
		return false
	}
	w.merges++
	w.tell(Reshard, "merge shards %s and %s into %s", shardtree.Short(a), shardtree.Short(b), shardtree.Short(child))
	return true
}

// open lists the open shards by their ranges.
func (w *world) open() []localkinesis.Shard {
	s, err := w.server.Stream(Stream)
	if err != nil {
		return nil
	}
	var open []localkinesis.Shard
	for _, shard := range s.Shards {
		if shard.Open {
			open = append(open, shard)
		}
	}
	sortByRange(open)
	return open
}

// width01 is a shard's part of the hash key space.
func width01(s localkinesis.Shard) float64 {
	r, err := keyspace.ParseRange(s.First, s.Last)
	if err != nil {
		return 0
	}
	return r.Last.Fraction() - r.First.Fraction()
}
