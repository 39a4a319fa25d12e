package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/libvegas/vegas/bench/contest"
	"github.com/libvegas/vegas/bench/figures"
)

// axis is one thing that grows, while everything else is as in the contest.
type axis struct {
	what    string
	sizes   []int
	shape   func(n int) shape
	records int // what is sent, or read, at each size
	columns []string
}

// The contenders of columns, by their head.
var scaleColumns = map[string]*contest.Contender{
	"send": &produceVegas, "receive, polling": &consumeVegas, "receive, fan-out": &consumeFanOut,
}

const (
	scaleRecords = 1_000_000
	steadyRate   = 20_000 // records a second
	steadyTime   = 8      // seconds
)

var axes = []axis{
	{
		"shards", []int{1, 10, 100, 1000}, func(n int) shape { return shape{n, keys, 1, 0, true} },
		scaleRecords, []string{"send", "receive, polling", "receive, fan-out"},
	},
	{
		"shards, " + figures.Number(steadyRate) + " records a second", []int{1, 10, 100, 1000},
		func(n int) shape { return shape{n, keys, 1, steadyTime, false} }, steadyRate * steadyTime * 10 / 9, []string{"send"},
	},
	{
		// Their number divides that of keys.
		"producers in one process", []int{1, 8, 64}, func(n int) shape { return shape{shards, 64 * 150, n, 0, false} },
		scaleRecords, []string{"send"},
	},
	{
		"keys", []int{10, 1000, 100_000, 1_000_000}, func(n int) shape { return shape{shards, n, 1, 0, false} },
		scaleRecords, []string{"send"},
	},
}

// cell is a column's figure at one size of an axis.
type cell struct {
	axis      *axis
	size      int
	column    string
	task      *task
	contender *contest.Contender
	results   []*result
}

// cells of all axes.
func cells(s *partSettings) []*cell {
	var all []*cell
	for i := range axes {
		a := &axes[i]
		for k, n := range a.sizes {
			if s.short && k > 1 {
				break
			}
			for _, column := range a.columns {
				c := scaleColumns[column]
				of := &task{c.Side, fmt.Sprintf("%d %s", n, a.what), 100, true, a.records, a.shape(n)}
				if s.short {
					of.records, of.seconds = 20_000, min(of.seconds, 1)
				}
				all = append(all, &cell{a, n, column, of, c, nil})
			}
		}
	}
	return all
}

// measureScale finds what a record costs as a stream, a process, and the set of keys
// grow.
func measureScale(ctx context.Context, r *runner, s *partSettings) (string, []figures.Goal, error) {
	all := cells(s)
	p := figures.NewProgress(s.rounds * len(all))
	var again []string // turns that were taken twice
	for round := range s.rounds {
		for _, c := range all {
			res := r.run(ctx, c.contender, c.task, round)
			fmt.Fprintln(os.Stderr, p.Next(), res.line(s.rounds))
			if res.err != nil && ctx.Err() == nil {
				again = append(again, fmt.Sprintf("%s, %s: %s", c.task.name, c.column, firstLine(res.err)))
				res = r.run(ctx, c.contender, c.task, round)
			}
			if res.err != nil {
				return "", nil, fmt.Errorf("%s, %s: %w", c.task.name, c.column, res.err)
			}
			c.results = append(c.results, res)
		}
	}
	if s.short {
		return fmt.Sprintf("%d streams were sent, or read, whole.\n", len(all)), nil, nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "CPU time of a record of 100 bytes, aggregated, in microseconds: the middle of %d rounds (least–most). "+
		"Everything but what grows is as above: %d shards, %s keys, one producer, as fast as it goes. "+
		"Of what receives, all is counted from its start on, where a stream of that many records is there already.\n", s.rounds, shards, figures.Number(keys))
	for _, what := range again {
		fmt.Fprintf(&b, "\nA turn failed and was taken again: %s.\n", what)
	}
	for i := range axes {
		a := &axes[i]
		t := figures.Table{Head: append([]string{a.what}, a.columns...)}
		for _, n := range a.sizes {
			row := []string{whole(n)}
			for _, column := range a.columns {
				row = append(row, cellOf(all, a, n, column).spread((*result).cpuMicros).Text())
			}
			t.Add(row...)
		}
		b.WriteString("\n" + t.Markdown())
	}
	return b.String(), scaleGoals(all), nil
}

// scaleGoals are for shards: what a record costs with the most beside one.
func scaleGoals(all []*cell) []figures.Goal {
	var goals []figures.Goal
	for i := range axes {
		a := &axes[i]
		if !strings.HasPrefix(a.what, "shards") {
			continue
		}
		for _, column := range a.columns {
			one, most := cellOf(all, a, a.sizes[0], column), cellOf(all, a, slices.Max(a.sizes), column)
			goals = append(goals, figures.Goal{
				What: fmt.Sprintf("CPU a record, %s, 1 → 1,000 %s", column, a.what), Most: 1.5,
				Measured: most.row().beside(one.row()), Account: "what-grows-with-the-stream",
			})
		}
	}
	return goals
}

func cellOf(all []*cell, a *axis, size int, column string) *cell {
	for _, c := range all {
		if c.axis == a && c.size == size && c.column == column {
			return c
		}
	}
	return nil
}

func (c *cell) row() *row { return &row{contender: c.contender, results: c.results} }

func (c *cell) spread(figure func(*result) float64) figures.Spread { return c.row().spread(figure) }
