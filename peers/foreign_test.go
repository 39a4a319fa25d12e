//go:build peers && unix

package peers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/store/memory"
)

// A foreignServer is somebody else's Kinesis, and what it lacks: each lack has
// the reason why a test has to go around it, and is logged when it does.
type foreignServer struct {
	name  string
	long  bool
	start func(t *testing.T) (endpoint string)
	http2 bool // speak HTTP/2 to it

	// noReshards: what it does at a split or a merge is not what the service
	// does, so there are none.
	noReshards string
}

var foreignServers = []foreignServer{
	{
		name: "moto",
		start: func(t *testing.T) string {
			p := program{argv: []string{filepath.Join(need(t, pythonParts), "bin", "moto_server"), "-H", "127.0.0.1", "-p", "0"}}
			return address(t, p.serve(t, "Running on"))
		},
		noReshards: "it stores records in closed shards, moves the stored ones at a split and at a merge, and a reader never comes to a closed shard's end",
	},
	{
		name: "kinesis-local", long: true, http2: true,
		start: func(t *testing.T) string {
			dir := filepath.Join(need(t, nodeParts), "node_modules", "kinesis-local")
			plain := freePort(t)
			p := program{
				argv: []string{"node", "-r", "./js/loopback.js", filepath.Join(dir, "main.js")},
				env: []string{
					"KINESIS_MOCK_PLAIN_PORT=" + plain, "KINESIS_MOCK_TLS_PORT=" + freePort(t),
					"KINESIS_MOCK_CERT_PATH=" + filepath.Join(dir, "server.json"), // without it, it does not start
					"SHARD_LIMIT=100",
				},
			}
			p.serve(t, "listening on 127.0.0.1:"+plain)
			return "http://127.0.0.1:" + plain
		},
	},
	{
		name: "ferrokinesis", long: true,
		start: func(t *testing.T) string {
			p := program{argv: []string{filepath.Join(need(t, ferrokinesisParts), "debug", "vegas-peers")}}
			return address(t, p.serve(t, "listening on"))
		},
	},
}

func address(t *testing.T, line string) string {
	t.Helper()
	a := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(line)
	if a == "" {
		t.Fatalf("no address in %q", line)
	}
	return a
}

// freePort is for servers that cannot choose one and say so.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

func TestForeign(t *testing.T) {
	t.Parallel()
	for _, f := range foreignServers {
		t.Run(f.name, func(t *testing.T) {
			if f.long {
				long(t)
			}
			t.Parallel()
			client := goClient(f.start(t), f.http2)
			if f.noReshards != "" {
				t.Logf("%s: without splits and merges: %s", f.name, f.noReshards)
			}
			t.Run("aggregated", func(t *testing.T) { f.roundTrip(t, client, "aggregated", true) })
			t.Run("single", func(t *testing.T) { f.roundTrip(t, client, "single", false) })
		})
	}
}

// roundTrip sends records while the stream splits and merges, checks what is
// stored by the SDK alone, and then what a consumer gets.
func (f foreignServer) roundTrip(t *testing.T, client *kinesis.Client, stream string, aggregated bool) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	g := goSDK{client: client, stream: &stream}
	if _, err := client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: &stream, ShardCount: aws.Int32(2)}); err != nil {
		t.Fatal(err)
	}
	if _, err := g.active(ctx); err != nil {
		t.Fatal(err)
	}
	p, err := vegas.NewProducer(stream, func(o *vegas.ProducerOptions) {
		o.Kinesis = client
		o.Aggregate = aggregated
		o.Deadline = time.Minute
		o.Logger = slog.New(slog.DiscardHandler)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Check(ctx); err != nil {
		t.Fatal(err)
	}
	shards := 2
	var before map[int]func() error
	if f.noReshards == "" {
		shards = 5
		before = map[int]func() error{
			100: func() error { return p.Flush(ctx) },
			200: func() error { return g.split(ctx) },
			300: func() error { return p.Flush(ctx) }, // after the split, by a stale map
			400: func() error { return g.merge(ctx) },
		}
	}
	sent := send(ctx, t, p, records(aggregated), before)
	if err := p.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if t.Failed() {
		return
	}
	consume(ctx, t, g, sent, audit(ctx, t, g, sent, aggregated, shards))
}

// records are 600 of 40 keys, of all kinds that a producer sends.
func records(aggregated bool) (rs []*vegas.Record) {
	for i := range 600 {
		r := &vegas.Record{PartitionKey: fmt.Sprintf("key-%d", i%40), Data: fmt.Appendf(nil, "%d of %d ☃", i, i%40)}
		if i%40 < 4 {
			r.ExplicitHashKey = new(big.Int).Mul(quarter, big.NewInt(int64(i%40))).String()
		}
		if aggregated && i%5 == 0 {
			r.Headers = []vegas.Header{{Key: "n", Value: strconv.Itoa(i)}}
		}
		rs = append(rs, r)
	}
	return rs
}

// sent is a record and where the producer says it is.
type sent struct {
	*vegas.Record
	at vegas.Receipt
}

// send sends records one after the other, and does what is to be done before
// the n-th of them while those before it are under way.
func send(ctx context.Context, t *testing.T, p *vegas.Producer, rs []*vegas.Record, before map[int]func() error) []sent {
	t.Helper()
	out := make([]sent, len(rs))
	var open sync.WaitGroup
	for i, r := range rs {
		if act := before[i]; act != nil {
			if err := act(); err != nil {
				t.Errorf("before record %d: %v", i, err)
			}
		}
		open.Add(1)
		err := p.SendAsync(ctx, r, func(receipt vegas.Receipt, err error) {
			defer open.Done()
			out[i] = sent{r, receipt}
			if err != nil {
				t.Errorf("record %d: %v", i, err)
			}
		})
		if err != nil {
			t.Fatalf("record %d is not accepted: %v", i, err)
		}
	}
	open.Wait()
	return out
}

// split splits the first open shard in the middle.
func (g goSDK) split(ctx context.Context) error {
	shards, err := g.shards(ctx)
	if err != nil {
		return err
	}
	at := quarter.String() // of two shards that is the middle of the first
	if _, err := g.client.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: g.stream, ShardToSplit: &shards[0].ID, NewStartingHashKey: &at}); err != nil {
		return err
	}
	_, err = g.active(ctx)
	return err
}

// merge merges the children that split has made.
func (g goSDK) merge(ctx context.Context) error {
	shards, err := g.shards(ctx)
	if err != nil {
		return err
	}
	var halves []string
	for _, s := range shards {
		if slices.Contains(s.Parents, shards[0].ID) {
			halves = append(halves, s.ID)
		}
	}
	if len(halves) != 2 {
		return fmt.Errorf("children of %s in %v", shards[0].ID, shards)
	}
	if _, err := g.client.MergeShards(ctx, &kinesis.MergeShardsInput{StreamName: g.stream, ShardToMerge: &halves[0], AdjacentShardToMerge: &halves[1]}); err != nil {
		return err
	}
	_, err = g.active(ctx)
	return err
}

// audit reads the stream by the SDK alone: every record is where its receipt
// says, and in each shard those of a key are in order. It gives how many more
// there are: of aggregates that landed in another shard than predicted.
func audit(ctx context.Context, t *testing.T, g goSDK, all []sent, aggregated bool, want int) (leftover int) {
	t.Helper()
	shards, err := g.shards(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(shards) != want {
		t.Errorf("%d shards, want %d: %v", len(shards), want, shards)
	}
	type spot struct {
		shard string
		vegas.Position
	}
	stored, aggregates := map[spot]vegas.Record{}, 0
	for _, s := range shards {
		raw, err := g.drain(ctx, s.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range raw {
			at := spot{s.ID, vegas.Position{Sequence: *r.SequenceNumber}}
			a, err := aggregate.DecodeBytes(r.Data)
			if errors.Is(err, aggregate.ErrNotAggregate) && !aggregated {
				stored[at] = vegas.Record{PartitionKey: *r.PartitionKey, Data: r.Data}
				continue
			}
			if err != nil || !aggregated || !a.HasIdentity {
				t.Errorf("%v: aggregated %t, identity %v, %v", at, aggregated, a.IdentityError, err)
				continue
			}
			aggregates++
			for i, sub := range a.Subs {
				at.SubSequence = int64(i)
				stored[at] = vegas.Record{PartitionKey: sub.Key, ExplicitHashKey: sub.ExplicitHashKey, Data: sub.Data, Headers: sub.Headers}
			}
		}
	}
	last := map[[2]string]vegas.Position{}
	for i, s := range all {
		at := spot{s.at.Shard, s.at.Position}
		r, ok := stored[at]
		if !aggregated {
			r.ExplicitHashKey = s.ExplicitHashKey // the service does not give it back
		}
		if !ok || r.PartitionKey != s.PartitionKey || string(r.Data) != string(s.Data) || r.ExplicitHashKey != s.ExplicitHashKey || !slices.Equal(r.Headers, s.Headers) {
			t.Errorf("record %d (%q %q) is not at %v: there is %q %q (%t)", i, s.PartitionKey, s.Data, at, r.PartitionKey, r.Data, ok)
		}
		delete(stored, at)
		key := [2]string{s.at.Shard, s.PartitionKey}
		if before, ok := last[key]; ok && before.Compare(s.at.Position) >= 0 {
			t.Errorf("record %d of key %q in %s is at %v, not after %v", i, s.PartitionKey, s.at.Shard, s.at.Position, before)
		}
		last[key] = s.at.Position
	}
	// What was misplaced by a stale map is sent again, and stays behind: told by
	// its identity. Nothing else may be left.
	for at, r := range stored {
		if !aggregated {
			t.Errorf("%v holds %q %q a second time", at, r.PartitionKey, r.Data)
		}
	}
	t.Logf("%d records in %d aggregates, %d left by misplacements", len(all), aggregates, len(stored))
	return len(stored)
}

// consume reads the stream by consumers: every record once, those of a key in
// the order in which they were sent. leftover is how many records are stored
// besides, in aggregates that landed in another shard than predicted.
func consume(ctx context.Context, t *testing.T, g goSDK, all []sent, leftover int) {
	t.Helper()
	got, resent := receive(ctx, t, g, len(all))
	next := map[string][]sent{} // by key, in the order of sending
	for _, s := range all {
		next[s.PartitionKey] = append(next[s.PartitionKey], s)
	}
	from, elsewhere := map[string]int{}, 0
	for i, r := range got {
		from[r.Shard]++
		want := next[r.PartitionKey]
		if len(want) == 0 {
			t.Errorf("delivery %d, %q %q at %s %v: no more of that key were sent", i, r.PartitionKey, r.Data, r.Shard, r.Position)
			continue
		}
		w := want[0]
		next[r.PartitionKey] = want[1:]
		if string(r.Data) != string(w.Data) || r.ExplicitHashKey != w.ExplicitHashKey && r.Aggregated || !slices.Equal(r.Headers, w.Headers) || r.Stream != *g.stream {
			t.Errorf("delivery %d of key %q (%q) is %q (%q) %v of %s, want %q (%q) %v",
				i, r.PartitionKey, r.ExplicitHashKey, r.Data, r.ExplicitHashKey, r.Headers, r.Stream, w.Data, w.ExplicitHashKey, w.Headers)
		}
		// A record of a misplaced aggregate that belongs where that landed is
		// delivered there, and its resend is the duplicate.
		if r.Shard != w.at.Shard || r.Position != w.at.Position {
			elsewhere++
		}
	}
	if leftover == 0 && elsewhere > 0 || int64(elsewhere) > resent {
		t.Errorf("%d records do not come from where their receipts say, with %d resent", elsewhere, resent)
	}
	if resent != int64(leftover) {
		t.Errorf("%d records of misplaced aggregates were left out, want %d", resent, leftover)
	}
	for key, rest := range next {
		if len(rest) > 0 {
			t.Errorf("%d records of key %q were not delivered, first %q at %v", len(rest), key, rest[0].Data, rest[0].at)
		}
	}
	t.Logf("%d deliveries: %v", len(got), from)
}

// receive gives the first n records that a group gets, whose first consumer is
// stopped halfway, and how many were left out because they came before or come
// again.
func receive(ctx context.Context, t *testing.T, g goSDK, n int) (got []*vegas.Record, resent int64) {
	t.Helper()
	positions := memory.New()
	var mu sync.Mutex
	for _, enough := range []int{n / 2, n} {
		if len(got) == n {
			break // the first one did not stop before it had everything at hand
		}
		c, err := vegas.NewConsumer(*g.stream, "readers", func(o *vegas.ConsumerOptions) {
			o.Kinesis = g.client
			o.Store = positions
			o.PollIdle = 250 * time.Millisecond
			o.Logger = slog.New(slog.DiscardHandler)
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Check(ctx); err != nil {
			t.Fatal(err)
		}
		run, stop := context.WithCancel(ctx)
		err = c.Run(run, func(_ context.Context, r *vegas.Record) error {
			mu.Lock()
			defer mu.Unlock()
			if got = append(got, r); len(got) >= enough {
				stop()
			}
			return nil
		})
		stop()
		if err != nil {
			t.Fatal(err)
		}
		s := c.Stats()
		if s.Malformed+s.Skipped+s.Foreign+s.HandlerErrors > 0 {
			t.Errorf("consumer: %+v", s)
		}
		resent += s.Duplicates + s.Misplaced
	}
	if ctx.Err() != nil {
		t.Errorf("%d records of %d came: %v", len(got), n, context.Cause(ctx))
	}
	return got, resent
}

// drain reads a shard up to its tip or end.
func (g goSDK) drain(ctx context.Context, shardID string) (to []types.Record, err error) {
	it, err := g.client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{StreamName: g.stream, ShardId: &shardID, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
	if err != nil {
		return nil, err
	}
	next := it.ShardIterator
	return to, until(ctx, "read "+shardID, func() (bool, error) {
		a, err := g.client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: next})
		if err != nil {
			return false, err
		}
		to, next = append(to, a.Records...), a.NextShardIterator
		return next == nil || len(a.Records) == 0, nil
	})
}
