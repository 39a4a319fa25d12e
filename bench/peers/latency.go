package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/libvegas/vegas/bench/contest"
	"github.com/libvegas/vegas/bench/figures"
	"github.com/libvegas/vegas/bench/server"
)

// shardRate is what a shard takes of records of 1 KiB, in records a second, which is
// 1 MiB a second as well.
const shardRate = 1000

var (
	latencyLoads   = []int{1, 50, 90} // per cent of shardRate
	latencyLingers = []time.Duration{0, 10 * time.Millisecond, 100 * time.Millisecond}
)

const (
	latencyTime = 25 // seconds of one load in one round
	latencyWarm = 3  // of them, at the beginning, are not counted
)

// latencies are those of one load and one linger.
type latencies struct {
	load   int
	linger time.Duration
	took   [legs][]time.Duration // of all rounds
	added  []time.Duration       // what a handler had later than the bare subscription
}

// measureLatency takes the time that records take at several loads. The lingers of
// a load run side by side, each on a shard of its own, in this process; the server is
// another one.
func measureLatency(ctx context.Context, r *runner, s *partSettings) (string, []figures.Goal, error) {
	var all []*latencies
	for _, load := range latencyLoads {
		for _, linger := range latencyLingers {
			all = append(all, &latencies{load: load, linger: linger})
		}
	}
	worst := map[float64]map[*latencies][]float64{0.5: {}, 0.99: {}} // what is added, by round
	p := figures.NewProgress(s.rounds * len(latencyLoads))
	for round := range s.rounds {
		for _, load := range latencyLoads {
			tracks, err := r.tracks(ctx, load, s)
			if err != nil {
				return "", nil, fmt.Errorf("latency at %d %%: %w", load, err)
			}
			head := p.Next()
			for n, t := range tracks {
				for _, l := range all {
					if l.load != load || l.linger != latencyLingers[n] {
						continue
					}
					added := l.add(t)
					for q, by := range worst {
						by[l] = append(by[l], float64(quantile(added, q))/float64(time.Millisecond))
					}
					fmt.Fprintf(os.Stderr, "%s %d/%d %s\n", head, round+1, s.rounds, strings.Join(l.cells(), "  "))
				}
			}
		}
	}
	return latencyText(all), []figures.Goal{
		{What: "fan-out latency added to the server's own, ms, p50 at the worst load and linger", Most: 2, Measured: worstOf(worst[0.5]), Account: "latency"},
		{What: "the same, p99", Most: 10, Measured: worstOf(worst[0.99]), Account: "latency"},
	}, nil
}

// tracks sends and reads at a load with each linger.
func (r *runner) tracks(ctx context.Context, load int, s *partSettings) (tracks []*track, err error) {
	seconds, warm := latencyTime, latencyWarm
	if s.short {
		seconds, warm = 2, 1
	}
	rate := load * shardRate / 100
	g, gctx := errgroup.WithContext(ctx)
	for _, linger := range latencyLingers {
		r.runs++
		w := contest.Work{
			Stream: fmt.Sprintf("latency-%d", r.runs), Shards: 1, Endpoint: r.server.Endpoint, TLS: r.server.TLS,
			Size: 1 << 10, Aggregated: true, Records: rate * seconds, Warm: rate * warm, Keys: keys,
		}
		if _, err := r.server.Tell(server.Create, &w); err != nil {
			return nil, err
		}
		defer func() {
			_, gone := r.server.Tell(server.Delete, &w)
			err = errors.Join(err, gone)
		}()
		var arns [2]string
		for i := range arns {
			arn, leave, err := r.register(ctx, w.Stream)
			if err != nil {
				return nil, err
			}
			defer leave()
			arns[i] = arn
			r.runs++ // which names it
		}
		w.ConsumerARN = arns[0]
		tracks = append(tracks, newTrack(w, arns[1], linger, time.Second/time.Duration(rate)))
	}
	for _, t := range tracks {
		g.Go(func() error { return t.run(gctx) })
	}
	return tracks, g.Wait()
}

// add takes in what a track has measured, and gives what fan-out has added in it.
func (l *latencies) add(t *track) []time.Duration {
	var added []time.Duration
	for i := t.work.Warm; i < t.work.Records; i++ {
		for leg := range legs {
			l.took[leg] = append(l.took[leg], t.took[leg][i])
		}
		added = append(added, t.took[toPushed][i]-t.took[toBare][i])
	}
	l.added = append(l.added, added...)
	return added
}

// quantile q of what was measured; some are sorted.
func quantile(some []time.Duration, q float64) time.Duration {
	if len(some) == 0 {
		return 0
	}
	slices.Sort(some)
	return some[min(len(some)-1, int(math.Ceil(q*float64(len(some))))-1)]
}

// cells of the table.
func (l *latencies) cells() []string {
	text := func(some []time.Duration) string {
		var parts []string
		for _, q := range []float64{0.5, 0.99, 0.999} {
			parts = append(parts, figures.Number(float64(quantile(some, q))/float64(time.Millisecond)))
		}
		return strings.Join(parts, " / ")
	}
	return []string{
		fmt.Sprintf("%d %%", l.load), fmt.Sprintf("%d ms", l.linger.Milliseconds()),
		text(l.took[toStored]), text(l.took[toPolled]), text(l.took[toPushed]), text(l.took[toBare]), text(l.added),
	}
}

func latencyText(all []*latencies) string {
	t := figures.Table{Head: []string{"load of the shard", "linger", "sent → stored", "→ handled, polling", "→ handled, fan-out", "→ bare subscription", "added by vegas"}}
	for _, l := range all {
		t.Add(l.cells()...)
	}
	return fmt.Sprintf("Milliseconds from when a record was due, p50 / p99 / p99.9 of %s to %s records. "+
		"Records of 1 KiB are due at a steady rate, whether or not those before them are through; "+
		"100 %% are %s a second, about 1 MiB. The server keeps a shard's limits, and is reached over TLS and HTTP/2. "+
		"In the process that is measured there are, for each of the three lingers at a time, "+
		"a producer, a consumer that polls, one by fan-out (all with the defaults), "+
		"and a bare subscription over HTTP/2, which does nothing but decode, and has its record whenever the server has sent it. "+
		"The last column is, record by record, how much later the handler had it than that.\n\n%s",
		whole(len(all[0].added)), whole(len(all[len(all)-1].added)), figures.Number(shardRate), t.Markdown())
}

// worstOf loads and lingers is the one whose middle is the largest.
func worstOf(by map[*latencies][]float64) figures.Spread {
	var worst figures.Spread
	for _, of := range by {
		if s := figures.Of(of); worst.N == 0 || s.Median > worst.Median {
			worst = s
		}
	}
	return worst
}
