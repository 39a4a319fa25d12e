package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/libvegas/vegas/bench/contest"
	"github.com/libvegas/vegas/bench/figures"
	"github.com/libvegas/vegas/bench/server"
	"github.com/libvegas/vegas/bench/usage"
)

// table is all that a session has measured.
type table struct {
	root     string
	settings *settings
	began    time.Time
	machine  machine
	tasks    []*task
	results  []*result
	noJava   error // why there are no rows of Java
}

// row is a contender in a task.
type row struct {
	contender *contest.Contender
	results   []*result // that arrived whole, by round
	failures  []error
}

// measureAll has all contenders take their turns.
func measureAll(ctx context.Context, root string, s *settings) (_ *table, err error) {
	t := &table{root: root, settings: s, began: time.Now(), tasks: tasks(s.records), machine: thisMachine()}
	r, err := newRunner(ctx, root, s)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	if r.java, t.noJava = findJava(ctx, root, s); t.noJava != nil && !errors.Is(t.noJava, errNotWanted) {
		fmt.Fprintln(os.Stderr, "NOT RUN: Java:", t.noJava)
	}
	plan := t.plan(r.java != nil)
	p := figures.NewProgress(len(plan))
	for _, next := range plan {
		if t.isLate(next) {
			p.All--
			continue
		}
		res := r.run(ctx, next.contender, next.task, next.round)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		t.results = append(t.results, res)
		fmt.Fprintln(os.Stderr, p.Next(), res.line(s.rounds))
	}
	return t, nil
}

// turn of a contender.
type turn struct {
	contender *contest.Contender
	task      *task
	round     int
}

// plan is all turns, one after the other.
func (t *table) plan(java bool) []turn {
	var plan []turn
	for round := range t.settings.rounds {
		for _, k := range t.tasks {
			order := t.settings.chosen(k)
			for n := range order {
				// Each round begins with another one, so that nobody is always the first.
				c := &contenders[order[(n+round)%len(order)]]
				if java || c.Java == "" && !c.DynamoDB {
					plan = append(plan, turn{c, k, round})
				}
			}
		}
	}
	return plan
}

// isLate tells whether a contender was not done in time with its task before: the
// others do not wait for it again.
func (t *table) isLate(next turn) bool {
	return slices.ContainsFunc(t.results, func(r *result) bool {
		return r.contender == next.contender && r.task == next.task && errors.Is(r.err, errLate)
	})
}

// newRunner starts a server. What contenders write goes to the cache of the tree, not
// to the directory for temporary files, which is memory on some machines: a durable
// producer has to have a disk.
func newRunner(ctx context.Context, root string, s *settings, args ...string) (*runner, error) {
	if _, err := usage.CPU(os.Getpid()); err != nil {
		return nil, err
	}
	if s.profile != "" {
		if err := os.MkdirAll(s.profile, 0o755); err != nil {
			return nil, err
		}
	}
	cache := filepath.Join(root, ".cache", "bench")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(cache, "peers-")
	if err != nil {
		return nil, err
	}
	srv, err := server.Start(ctx, args...)
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return &runner{
		server: srv, dir: dir, profile: s.profile, filled: map[string]bool{},
		aws: kinesis.NewFromConfig(cured(&contest.Work{Endpoint: srv.Endpoint})),
	}, nil
}

func (r *runner) close() error {
	r.java.stop()
	os.RemoveAll(r.dir)
	var exit *exec.ExitError
	if err := r.server.Stop(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return nil
}

// line tells of a turn as it ends.
func (r *result) line(rounds int) string {
	head := fmt.Sprintf("%d/%d %-7s %-21s %-26s", r.round+1, rounds, r.task.side, r.task.name, r.contender.Name)
	if r.err != nil {
		return fmt.Sprintf("%s FAILED: %v", head, r.err)
	}
	allocated := "      –"
	if r.done.Allocated >= 0 {
		allocated = fmt.Sprintf("%7.0f", r.allocated())
	}
	return fmt.Sprintf("%s %7.3f us CPU %s B %5.0f MiB %9.0f/s server %6.3f us%s",
		head, r.cpuMicros(), allocated, float64(r.resident)/(1<<20), r.rate(), r.serverMicros(), r.remark())
}

// remark tells what of the records is not as it was sent, "" when all is.
func (r *result) remark() string {
	var said []string
	for _, of := range []struct {
		n    int
		what string
	}{
		{r.stored.Twice, "stored twice"},
		{r.stored.Behind, "behind a newer one of their key"},
		{r.stored.Rekeyed, "stored under another's key"},
		{r.stored.Astray, "in another shard than their key's"},
		{r.done.Twice, "handled twice"},
	} {
		if of.n > 0 {
			said = append(said, whole(of.n)+" "+of.what)
		}
	}
	if len(said) == 0 {
		return ""
	}
	return ", " + strings.Join(said, ", ")
}

// rows of a task, in the order of contenders.
func (t *table) rows(k *task) []*row {
	var rows []*row
	for i := range contenders {
		r := &row{contender: &contenders[i]}
		for _, res := range t.results {
			switch {
			case res.task != k || res.contender != r.contender:
			case res.err != nil:
				r.failures = append(r.failures, res.err)
			default:
				r.results = append(r.results, res)
			}
		}
		if len(r.results)+len(r.failures) > 0 {
			rows = append(rows, r)
		}
	}
	return rows
}

// spread of one figure over the rounds.
func (r *row) spread(figure func(*result) float64) figures.Spread {
	var all []float64
	for _, res := range r.results {
		all = append(all, figure(res))
	}
	return figures.Of(all)
}

// beside gives r's CPU a record as multiples of another row's, each within a round.
func (r *row) beside(other *row) figures.Spread {
	var all []float64
	if other != nil {
		for _, a := range r.results {
			for _, b := range other.results {
				if a.round == b.round {
					all = append(all, a.cpuMicros()/b.cpuMicros())
				}
			}
		}
	}
	return figures.Of(all)
}

func (r *row) cpu() figures.Spread { return r.spread((*result).cpuMicros) }

// protocol that a contender speaks.
func protocol(c *contest.Contender) string {
	if c.Protocol == "" {
		return "JSON"
	}
	return c.Protocol
}

// floorOf gives the floor that a contender's row is a multiple of, or nil. One of
// them remembers hashes of keys.
func floorOf(rows []*row, c *contest.Contender, remembers bool) *row {
	for _, r := range rows {
		if r.contender.Floor && r.contender.Remembers == remembers && protocol(r.contender) == protocol(c) && r.contender.FanOut == c.FanOut {
			return r
		}
	}
	return nil
}

func (t *table) failures() int {
	n := 0
	for _, r := range t.results {
		if r.err != nil {
			n++
		}
	}
	return n
}

func (t *table) oursFailed() bool {
	for _, r := range t.results {
		if r.err != nil && ours(r.contender) {
			return true
		}
	}
	return false
}
