package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/bench/contest"
	"github.com/libvegas/vegas/bench/figures"
	"github.com/libvegas/vegas/bench/server"
	"github.com/libvegas/vegas/store/memory"
)

// attendPolling and attendFanOut read a stream for a while, whatever there is in it.
var (
	attendPolling = contest.Contender{
		Name: "vegas, polling, attending", Side: contest.Consume,
		Run: func(ctx context.Context, w *contest.Work, m *contest.Meter) error {
			return attend(ctx, w, m, w.Stream)
		},
	}
	attendFanOut = contest.Contender{
		Name: "vegas, fan-out, attending", Side: contest.Consume, FanOut: true,
		Run: func(ctx context.Context, w *contest.Work, m *contest.Meter) error {
			return attend(ctx, w, m, w.ConsumerARN)
		},
	}
)

// attend reads with the defaults until the work's seconds have passed, in each of
// which the runner puts the work's records into the stream.
func attend(ctx context.Context, w *contest.Work, m *contest.Meter, group string) (err error) {
	c, err := vegas.NewConsumer(w.Stream, group, func(o *vegas.ConsumerOptions) {
		o.AWS, o.Store, o.Logger = local(w), memory.New(), noLog
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- c.Run(ctx, func(context.Context, *vegas.Record) error { return nil })
	}()
	defer func() {
		stop()
		err = errors.Join(err, <-ended)
	}()
	until := func(done func() bool) error {
		look := time.NewTicker(50 * time.Millisecond)
		defer look.Stop()
		for !done() {
			select {
			case <-look.C:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	}
	// A look costs as much as a call: nobody looks while that is measured.
	pass := func(d time.Duration) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if err := until(func() bool { return len(c.Stats().Shards) == w.Shards }); err != nil {
		return err
	}
	measured := time.Duration(w.Seconds) * time.Second
	if err := pass(measured / 4); err != nil { // until what starting took has passed
		return err
	}
	m.Begin()
	if err := pass(measured); err != nil {
		return err
	}
	all := int64(w.Records * w.Seconds)
	return until(func() bool { return c.Stats().Records >= all })
}

// rest is a process that has little to do.
type rest struct {
	what      string
	contender *contest.Contender
	shards    int
	burst     int // records of 1 KiB put into the stream each second
	rate      int // that are sent
	results   []*result
}

func measureIdle(ctx context.Context, r *runner, s *partSettings) (string, []figures.Goal, error) {
	rests := []*rest{
		{what: "idle, polling", contender: &attendPolling, shards: 100},
		{what: "idle, fan-out", contender: &attendFanOut, shards: 100},
		{what: "reading 1 MiB answers, polling", contender: &attendPolling, shards: 4, burst: 4 << 10},
		{what: "reading 1 MiB a second and shard, fan-out", contender: &attendFanOut, shards: 4, burst: 4 << 10},
		{what: "sending 1 MiB a second and shard", contender: &produceVegas, shards: 4, rate: 4 << 10},
	}
	rests = slices.DeleteFunc(rests, func(e *rest) bool { return !s.only.MatchString(e.what) })
	if len(rests) == 0 {
		return "", nil, fmt.Errorf("-only %s: there is no such process", s.only)
	}
	seconds := 10
	if s.short {
		seconds = 1
	}
	p := figures.NewProgress(s.rounds * len(rests))
	for round := range s.rounds {
		for _, e := range rests {
			res, err := r.attend(ctx, e, seconds, round)
			if err != nil {
				return "", nil, fmt.Errorf("%s: %w", e.what, err)
			}
			fmt.Fprintf(os.Stderr, "%s %d/%d %-42s %5.2f %% of a core, %5.1f MiB\n", p.Next(), round+1, s.rounds, e.what, res.share(), res.residentMiB())
			e.results = append(e.results, res)
		}
	}
	return restText(rests, seconds), restGoals(rests), nil
}

// share of a core, in per cent.
func (r *result) share() float64 { return 100 * r.cpu.Seconds() / r.wall.Seconds() }

// attend has one process be there for a while, on a stream of its own.
func (r *runner) attend(ctx context.Context, e *rest, seconds, round int) (res *result, err error) {
	k := &task{e.contender.Side, e.what, 1 << 10, true, e.rate * seconds * 10 / 9, shape{e.shards, keys, 1, seconds, false}}
	if e.contender.Side == contest.Produce {
		res := r.run(ctx, e.contender, k, round)
		return res, res.err
	}
	k.aggregated = false
	w := k.work(e.contender)
	w.Records, w.Warm, w.Last = e.burst, 0, 0
	w.Endpoint, w.TLS, w.Stream = r.server.Endpoint, r.server.TLS, fmt.Sprintf("attend-%d", r.runs)
	r.runs++
	if _, err := r.server.Tell(server.Create, &w); err != nil {
		return nil, err
	}
	defer func() {
		_, gone := r.server.Tell(server.Delete, &w)
		err = errors.Join(err, gone)
	}()
	arn, leave, err := r.register(ctx, w.Stream)
	if err != nil {
		return nil, err
	}
	defer leave()
	w.ConsumerARN = arn
	feeding, stop := context.WithCancel(ctx)
	defer stop()
	var fed errgroup.Group
	r.begun = func() { fed.Go(func() error { return r.feed(feeding, &w) }) }
	res = &result{contender: e.contender, task: k, round: round, records: 1}
	if err = r.watch(ctx, res, &w); err != nil {
		stop()
	}
	r.begun = nil
	return res, cmp.Or(err, fed.Wait())
}

// feed puts the work's records into its stream each second.
func (r *runner) feed(ctx context.Context, w *contest.Work) error {
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for range w.Seconds {
		if w.Records > 0 {
			if _, err := r.server.Tell(server.Fill, w); err != nil {
				return err
			}
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func restText(rests []*rest, seconds int) string {
	t := figures.Table{Head: []string{"", "shards", "CPU, % of a core", "resident at most, MiB"}}
	for _, e := range rests {
		r := row{results: e.results}
		t.Add(e.what, whole(e.shards), r.spread((*result).share).Text(), r.spread((*result).residentMiB).Text())
	}
	return fmt.Sprintf("Processes with the defaults, positions in memory, over %d seconds once they are warm. "+
		"Where something is read each shard is given 1 MiB at once, each second, of records of 1 KiB; what is sent is aggregated, and evenly spread.\n\n%s", seconds, t.Markdown())
}

func restGoals(rests []*rest) []figures.Goal {
	const account = "at-rest"
	var goals []figures.Goal
	for _, e := range rests {
		r := row{results: e.results}
		switch {
		case strings.HasPrefix(e.what, "idle"):
			goals = append(goals, figures.Goal{What: fmt.Sprintf("%s, %d shards: %% of a core", e.what, e.shards), Most: 2, Measured: r.spread((*result).share), Account: account})
		default:
			goals = append(goals, figures.Goal{What: e.what + ": MiB resident", Most: 40, Measured: r.spread((*result).residentMiB), Account: account})
		}
	}
	return goals
}
