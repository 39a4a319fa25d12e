package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/libvegas/vegas/bench/contest"
	"github.com/libvegas/vegas/bench/figures"
)

// quoted is what the README tells of the contest, a line each.
var quoted = []struct {
	side             contest.Side
	task, say        string
	vegas, wireFloor string
}{
	{contest.Produce, "100 B, aggregated", "send 100 B, aggregated", "vegas", "wire floor, JSON"},
	{contest.Produce, "1 KiB, aggregated", "send 1 KiB, aggregated", "vegas", "wire floor, JSON"},
	{contest.Consume, "100 B, aggregated", "receive 100 B, aggregated", "vegas, polling", "wire floor, JSON, polling"},
	{contest.Consume, "1 KiB, not aggregated", "receive 1 KiB", "vegas, polling", "wire floor, JSON, polling"},
}

const (
	quoteFile = "README.md"
	noRun     = "No run of full length is recorded" // begins the section before there is one
)

// quote makes the README's lines of the page's section, so that they have its figures
// and no others.
func quote(section string) (string, error) {
	if strings.HasPrefix(section, noRun) {
		return noRun + " yet.", nil
	}
	found := cpuTimes(section)
	if len(found) == 0 {
		return "", errors.New("the section has no figures to quote")
	}
	t := figures.Table{Head: []string{"CPU time of the client a record, us", "vegas", "the least possible", "best other in Go", "best of KPL, KCL"}}
	for _, q := range quoted {
		of := found[q.side][q.task]
		figure := func(name string) string {
			if us, ok := of[name]; ok {
				return figures.Number(us)
			}
			return figures.Number(math.NaN())
		}
		t.Add(q.say, figure(q.vegas), figure(q.wireFloor),
			best(of, q.side, func(c *contest.Contender) bool { return c.Module != "" && c.Java == "" }),
			best(of, q.side, func(c *contest.Contender) bool { return c.Java != "" }))
	}
	return t.Markdown(), nil
}

// best of some, with its name.
func best(of map[string]float64, side contest.Side, some func(*contest.Contender) bool) string {
	name, least := "", math.Inf(1)
	for i := range contenders {
		c := &contenders[i]
		if us := of[c.Name]; us > 0 && us < least && c.Side == side && some(c) {
			name, least = c.Name, us
		}
	}
	if name == "" {
		return "–"
	}
	return fmt.Sprintf("%s (%s)", figures.Number(least), name)
}

// cpuTimes are the medians of a section's tables, by side, task and contender.
func cpuTimes(section string) map[contest.Side]map[string]map[string]float64 {
	all := map[contest.Side]map[string]map[string]float64{}
	var side contest.Side
	var task string
	for line := range strings.Lines(section) {
		if heading, ok := strings.CutPrefix(line, "### "); ok {
			side, task = "", ""
			if i := slices.IndexFunc(sides, func(s sideOfPage) bool { return strings.HasPrefix(heading, s.title+",") }); i >= 0 {
				side = sides[i].side
				all[side] = map[string]map[string]float64{}
			}
		}
		if side == "" {
			continue
		}
		if name, _, ok := strings.Cut(strings.TrimPrefix(line, "**"), "**, "); ok && strings.HasPrefix(line, "**") {
			task = name
			all[side][task] = map[string]float64{}
		}
		cells := strings.Split(line, " | ")
		if task == "" || len(cells) < 2 || !strings.HasPrefix(line, "| ") {
			continue
		}
		median, _, _ := strings.Cut(cells[1], " ")
		if us, err := strconv.ParseFloat(strings.ReplaceAll(median, ",", ""), 64); err == nil {
			all[side][task][strings.Trim(cells[0], "| *")] = us
		}
	}
	return all
}
