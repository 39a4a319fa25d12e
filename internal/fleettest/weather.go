package fleettest

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/libvegas/vegas/internal/keyspace"
	lk "github.com/libvegas/vegas/localkinesis"
)

// weather is what happens to a fleet: faults, splits and merges, until it is
// told to stop.
type weather struct {
	*fleet
	rnd     *rand.Rand
	control *kinesis.Client
}

// run makes weather until ctx is over.
func (w *weather) run(ctx context.Context) {
	if w.plan.slow {
		w.slowShard()
	}
	nextFault, nextShape := w.after(w.plan.faults), w.after(w.plan.reshards)
	for {
		timer := time.NewTimer(min(time.Until(nextFault), time.Until(nextShape)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		now := time.Now()
		if !now.Before(nextFault) {
			nextFault = w.after(w.plan.faults)
			w.fault()
		}
		if !now.Before(nextShape) {
			nextShape = w.after(w.plan.reshards)
			w.reshape(ctx)
		}
	}
}

// after is the next time of something that happens with a mean time between.
func (w *weather) after(mean time.Duration) time.Time {
	if mean == 0 {
		return time.Now().Add(24 * time.Hour)
	}
	return time.Now().Add(time.Duration(w.rnd.Int64N(2*int64(mean)) + 1))
}

// end takes every fault away and checks that those that had to happen did.
func (w *weather) end() {
	for _, i := range w.injected {
		i.Remove()
	}
	for _, f := range w.server.Faults() {
		want := max(0, f.Seen-f.Fault.After)
		if f.Fault.Count > 0 {
			want = min(want, f.Fault.Count)
		}
		always := f.Fault.Rate == 0 && f.Fault.Do != lk.Split && f.Fault.Do != lk.Merge // they cannot happen to every shape
		if always && f.Fired != want {
			w.audit.fail("fault %+v was matched with %d requests and happened %d times, not %d", f.Fault, f.Seen, f.Fired, want)
		}
	}
}

func (w *weather) inject(f lk.Fault) {
	f.Stream = streamName
	if f.Op == "DescribeStreamConsumer" || f.Op == "RegisterStreamConsumer" || f.Op == "SubscribeToShard" {
		f.Stream = "" // they name the consumer
	}
	w.trace.add("fault: %+v", f)
	w.injected = append(w.injected, w.server.Inject(f))
}

func (w *weather) millis(most int) time.Duration {
	return time.Duration(1+w.rnd.IntN(most)) * time.Millisecond
}

// fault sets one to work.
func (w *weather) fault() {
	f := lk.Fault{Count: 1 + w.rnd.IntN(3), After: w.rnd.IntN(4)}
	if w.rnd.IntN(8) == 0 {
		f.Rate, f.Count = 0.3, 1+w.rnd.IntN(10)
	}
	switch x := w.rnd.IntN(20); {
	case x < 10:
		f.Op = "PutRecords"
		w.write(&f)
	case x < 14:
		f.Op = "GetRecords"
		w.read(&f)
	case x < 17:
		f.Op = "SubscribeToShard"
		w.subscription(&f)
	default:
		f.Op = []string{"ListShards", "ListShards", "ListShards", "GetShardIterator", "GetShardIterator", "DescribeStreamSummary", "DescribeStreamConsumer", "RegisterStreamConsumer"}[w.rnd.IntN(8)]
		w.ask(&f)
	}
	w.inject(f)
}

func (w *weather) write(f *lk.Fault) {
	switch w.rnd.IntN(14) {
	case 0:
		f.Do = lk.Throttle
	case 1:
		f.Do, f.EntryRate = lk.Throttle, 0.5
	case 2:
		f.Do, f.Shard = lk.Throttle, w.anyShard()
	case 3:
		f.Do, f.EntryRate = lk.FailEntries, 0.5
	case 4:
		f.Do, f.Code, f.EntryRate = lk.FailEntries, "ProvisionedThroughputExceededException", 0.5
	case 5, 6:
		f.Do = lk.DropAnswer
	case 7, 8:
		f.Do, f.Requests = lk.StoreLate, 1+w.rnd.IntN(4)
	case 9:
		f.Do, f.EntryRate = lk.StoreSome, 0.5
	case 10:
		f.Do, f.Delay = lk.Delay, w.millis(12000)
	case 11:
		f.Do = lk.Fail
	case 12:
		f.Do, f.Count = lk.Split, 1
	case 13:
		f.Do, f.Count = lk.Merge, 1
	}
}

func (w *weather) read(f *lk.Fault) {
	switch w.rnd.IntN(8) {
	case 0:
		f.Do = lk.Throttle
	case 1:
		f.Do = lk.Fail
	case 2:
		f.Do = lk.DropAnswer
	case 3:
		f.Do, f.Delay = lk.Delay, w.millis(8000)
	case 4, 5:
		f.Do = lk.ExpireIterators
	case 6:
		f.Do, f.Count = lk.Split, 1
	case 7:
		f.Do, f.Count = lk.Merge, 1
	}
}

func (w *weather) subscription(f *lk.Fault) {
	f.After *= w.rnd.IntN(5)
	switch w.rnd.IntN(8) {
	case 0:
		f.Do = lk.Throttle
	case 1:
		f.Do = lk.Fail
	case 2:
		f.Do, f.Delay = lk.Delay, w.millis(8000)
	case 3, 4:
		f.Do = lk.CutStream
	case 5, 6:
		f.Do = lk.RepeatEvent
	case 7:
		f.Do = lk.EndSubscription
	}
}

func (w *weather) ask(f *lk.Fault) {
	if f.Op == "ListShards" && w.rnd.IntN(2) == 0 {
		f.Do, f.Delay = lk.StaleShards, w.millis(5000)
		if w.rnd.IntN(2) == 0 {
			f.Delay = 0
		}
		return
	}
	switch w.rnd.IntN(4) {
	case 0:
		f.Do = lk.Throttle
	case 1:
		f.Do = lk.Fail
	case 2:
		f.Do = lk.DropAnswer
	case 3:
		f.Do, f.Delay = lk.Delay, w.millis(5000)
	}
}

// slowShard makes every call that names one shard slow.
func (w *weather) slowShard() {
	w.inject(lk.Fault{Do: lk.Delay, Shard: w.anyShard(), Delay: w.millis(2000)})
}

func (w *weather) open() []lk.Shard {
	s, err := w.server.Stream(streamName)
	if err != nil {
		w.audit.fail("the server's stream: %v", err)
		return nil
	}
	var out []lk.Shard
	for _, sh := range s.Shards {
		if sh.Open {
			out = append(out, sh)
		}
	}
	return out
}

func (w *weather) anyShard() string {
	open := w.open()
	if len(open) == 0 {
		return ""
	}
	return open[w.rnd.IntN(len(open))].ID
}

// shardsMost bounds how wide a stream gets: each shard costs polls.
const shardsMost = 8

// reshape splits a shard at any point, or merges two neighbours, whatever their
// ages, by the service's own calls, which may be refused.
func (w *weather) reshape(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	open := w.open()
	if len(open) == 0 {
		return
	}
	name := aws.String(streamName)
	one := open[w.rnd.IntN(len(open))]
	if len(open) > 1 && (len(open) >= shardsMost || w.rnd.IntN(2) == 0) {
		other := neighbour(open, one)
		if other == "" {
			return
		}
		_, err := w.control.MergeShards(ctx, &kinesis.MergeShardsInput{StreamName: name, ShardToMerge: &one.ID, AdjacentShardToMerge: &other})
		w.trace.add("merge %s and %s: %v", one.ID, other, err)
		return
	}
	r, err := keyspace.ParseRange(one.First, one.Last)
	if err != nil {
		w.audit.fail("%s: %v", one.ID, err)
		return
	}
	at := r.Middle()
	if h := (keyspace.Hash{Hi: w.rnd.Uint64(), Lo: w.rnd.Uint64()}); r.First.Next().Less(h) && h.Less(r.Last) {
		at = h
	}
	text := at.String()
	_, err = w.control.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: name, ShardToSplit: &one.ID, NewStartingHashKey: &text})
	w.trace.add("split %s at %s: %v", one.ID, text, err)
}

// neighbour is the open shard right above one, if there is any.
func neighbour(open []lk.Shard, one lk.Shard) string {
	last, err := keyspace.Parse(one.Last)
	if err != nil || last == keyspace.Max {
		return ""
	}
	for _, s := range open {
		if s.First == last.Next().String() {
			return s.ID
		}
	}
	return ""
}

// fired are the faults that happened, by kind.
func (w *weather) fired(by map[string]int) {
	for _, f := range w.server.Faults() {
		by[string(f.Fault.Do)] += f.Fired
	}
}

// shape tells the stream's shards as they ended up, and what is stored.
func (w *weather) shape() (splits, merges int) {
	s, err := w.server.Stream(streamName)
	if err != nil {
		w.audit.fail("the server's stream: %v", err)
		return 0, 0
	}
	for _, sh := range s.Shards {
		switch {
		case len(sh.Children) > 1:
			splits++
		case sh.AdjacentParent != "":
			merges++
		}
		w.trace.add("finally: %s %s to %s, parents %q %q, open %v, %d records", sh.ID, sh.First, sh.Last, sh.Parent, sh.AdjacentParent, sh.Open, sh.Records)
	}
	return splits, merges
}

// contents writes into the trace what every shard holds.
func (f *fleet) contents() {
	all, err := f.server.Records(streamName, "")
	if err != nil {
		return
	}
	for _, r := range all {
		f.trace.add("finally: %s %s arrived at %.3f: %s", r.Shard, r.Sequence, r.Arrival.Sub(f.trace.began).Seconds(), describe(r.Data))
	}
}

// flip switches the stream's record distribution to AUTO and back.
func (w *weather) flip(ctx context.Context) {
	rnd := source(w.plan.seed, 3)
	for n := 0; ; n++ {
		wait(ctx, time.Duration(1+rnd.IntN(5000))*time.Millisecond)
		if ctx.Err() != nil {
			return
		}
		f := lk.Fault{Stream: streamName, Do: lk.SwitchToAuto, Count: 1}
		if n%2 > 0 {
			f.Do = lk.SwitchToKeys
		}
		w.trace.add("fault: %+v", f)
		w.server.Inject(f)
	}
}
