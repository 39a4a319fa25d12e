// Package fleettest is the outer ring of proof: whole producers and fleets of
// consumers, as users have them, through real HTTP against the embedded server,
// in a bubble of time. A seed draws the programs and everything that happens to
// them: splits and merges, throttling, lost and late answers, stale listings, cut
// subscriptions, failing handlers, stores that fail, lag and are late, workers
// that join, stop, crash, are cut off, and start again under their names, and an
// administrator who releases shards.
//
// An auditor checks that nothing acknowledged is lost; that records of a key are
// first delivered in the order of their sending; that none is delivered twice but
// what lay behind the checkpoint of a worker that crashed, lost its lease or ran
// out of its grace time, so never after an orderly stop or a handoff; that no two
// workers are at work on one shard while the first can prove its lease; that what
// was reported as not stored is not stored. A watch over the rows checks that
// checkpoints and possessions never go back, that only the dead are taken from,
// and that they stay dead. At the end of each run the fleet has to come to rest,
// with its shards spread evenly.
//
// Package simulate is the inner ring: the decisions alone, a hundred thousand
// times as many seeds, exactly replayable. A seed of this package draws the same
// fleet and the same weather each time, but goroutines and retries find their
// order anew: a failure comes back in some of its runs.
package fleettest

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/localkinesis"
)

const streamName = "orders"

// fleet is one run.
type fleet struct {
	plan   *plan
	trace  *trace
	audit  *audit
	server *localkinesis.Server
	dir    string // for file stores
	plant  func(n int, r *vegas.Record) []*vegas.Record

	// forever is over only for a run that is stuck.
	forever context.Context

	// produced is closed when nothing more is sent.
	produced chan struct{}

	injected []*localkinesis.Injected

	mu   sync.Mutex
	ends map[string]int // of consumers that ended by themselves, by their errors
	seen map[string]int // how lives ended and shards came
}

// Result is what a run came to.
type Result struct {
	Problems []string

	Sent, Acknowledged, NotStored, Unknown int
	// Delivered counts first deliveries to all groups, Repeated those that
	// crashes explain, or a lack of identities.
	Delivered, Repeated int
	Splits, Merges      int
	// Faults that happened, by kind; how lives of consumers ended and shards came
	// to them; and the errors of those that ended by themselves.
	Faults map[string]int
	Fleets map[string]int
	Ends   map[string]int
	Time   time.Duration // in the bubble

	trace *trace
}

// Trace writes what happened, line by line.
func (r *Result) Trace(w io.Writer) error { return r.trace.write(w) }

// Run runs a seed. It has to be called in a synctest bubble, whose goroutines
// have all ended when the cleanups of t have run. dir is an empty directory.
func Run(t localkinesis.TB, seed uint64, dir string) *Result { return run(t, draw(seed), dir, nil) }

// run runs a plan. plant, for tests of the auditor, changes what it is told of
// the n-th record that a group's handlers of records are done with.
func run(t localkinesis.TB, p *plan, dir string, plant func(n int, r *vegas.Record) []*vegas.Record) *Result {
	seed := p.seed
	tr := &trace{began: time.Now()}
	forever, giveUp := context.WithCancel(context.Background())
	defer giveUp()
	f := &fleet{plan: p, trace: tr, audit: &audit{trace: tr}, dir: dir, plant: plant, forever: forever, produced: make(chan struct{}), ends: map[string]int{}, seen: map[string]int{}}
	tr.add("seed %d: %v", seed, p)
	f.server = localkinesis.Start(t, func(o *localkinesis.Options) {
		o.Streams = map[string]int{streamName: p.shards}
		o.Seed, o.NoLimits, o.StateDelay = seed, !p.limits, p.stateDelay
	})
	_, cfg := connect(f.server, tr, "operator", false)
	w := &weather{fleet: f, rnd: source(seed, 2), control: kinesis.NewFromConfig(cfg)}
	stuck := time.AfterFunc(2*time.Hour, func() {
		f.audit.fail("stuck: nothing has ended after two hours")
		giveUp()
	})

	calm, becalm := context.WithTimeout(forever, p.length)
	defer becalm()
	var producing, consuming, around sync.WaitGroup
	for i := range p.producers {
		producing.Go(func() { newSender(f, i).run(calm) })
	}
	if p.foreign {
		producing.Go(func() { f.foreigner(calm) })
	}
	around.Go(func() { w.run(calm) })
	if p.auto {
		around.Go(func() { w.flip(calm) })
	}
	// Consumers go on with their lives a little longer than producers, and the
	// weather ends before either has to be done.
	drained, drain := context.WithTimeout(forever, p.length+time.Duration(1+seed%20)*time.Second)
	defer drain()
	for i := range p.groups {
		g := newGroup(f, i)
		consuming.Go(func() { g.run(drained) })
	}
	around.Wait()
	w.end()
	tr.add("calm")
	producing.Wait()
	close(f.produced)
	tr.add("nothing more is sent")
	consuming.Wait()
	stuck.Stop()
	wait(context.Background(), time.Minute) // what is applied late is applied now

	r := &Result{Faults: map[string]int{}, Fleets: f.seen, Ends: f.ends, Time: time.Since(tr.began), trace: tr}
	f.audit.look(f.server, streamName)
	n := f.audit.close()
	r.Sent, r.Acknowledged, r.NotStored, r.Unknown, r.Delivered, r.Repeated = n.accepted, n.acked, n.notStored, n.unknown, n.delivered, n.repeated
	w.fired(r.Faults)
	r.Splits, r.Merges = w.shape()
	if len(f.audit.problems) > 0 {
		f.contents()
	}
	r.Problems = f.audit.problems
	return r
}

// count counts what happened to a fleet.
func (f *fleet) count(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen[what]++
}

// ended counts why a consumer ended by itself.
func (f *fleet) ended(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := err.Error()
	text, _, _ = strings.Cut(text, "\n")
	f.ends[numbers.ReplaceAllString(text, "…")]++
}

// numbers of shards, groups, requests: errors that differ only there are the same.
var numbers = regexp.MustCompile(`[0-9][-0-9a-f.]{3,}|[0-9]+`)

// describe tells what a stored record holds.
func describe(data []byte) string {
	var a aggregate.Aggregate
	number := func(b []byte) string {
		n, _, _ := strings.Cut(string(b[:min(len(b), 20)]), ":")
		return n
	}
	if err := aggregate.Decode(data, &a); err != nil {
		return "record " + number(data)
	}
	var s []string
	for i, sub := range a.Subs {
		c := ""
		if a.HasIdentity {
			c = fmt.Sprintf("=%d", a.Identity.Counters[i])
		}
		s = append(s, number(sub.Data)+c)
	}
	return fmt.Sprintf("records %s of %x, laned %v, lane %v", strings.Join(s, " "), a.Identity.Producer[:4], a.Identity.Laned, a.Identity.Range)
}
