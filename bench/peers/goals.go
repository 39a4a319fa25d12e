package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/libvegas/vegas/bench/contest"
	"github.com/libvegas/vegas/bench/figures"
)

// goals are those of CPU time and of memory allocated, which this run measures.
func (t *table) goals() []figures.Goal {
	small, packed, plain := t.rowsOf(contest.Produce, 100, true), t.rowsOf(contest.Produce, 1<<10, true), t.rowsOf(contest.Produce, 1<<10, false)
	large := append(append([]*row{}, packed...), plain...) // of 1 KiB, however they are sent
	goals := []figures.Goal{
		ofFloor("send 100 B, aggregated", 1.1, small, "vegas", false),
		ofFloor("send 100 B, aggregated", 1.1, small, "vegas", true),
		ofFloor("send 100 B, aggregated, by SendAll", 1.1, small, "vegas, SendAll", false),
		ofPeers("send 100 B, aggregated, of a8m/kinesis-producer", 1, named(small, "vegas"), all(small, "a8m/kinesis-producer")),
		ofPeers("send 100 B, aggregated, by SendAll, of a8m/kinesis-producer", 1, named(small, "vegas, SendAll"), all(small, "a8m/kinesis-producer")),
		ofFloor("send 1 KiB, aggregated", 1.25, packed, "vegas", false),
		ofFloor("send 1 KiB, aggregated", 1.25, packed, "vegas", true),
		ofFloor("send 1 KiB, not aggregated", 1.25, plain, "vegas", false),
		ofPeers("send 1 KiB, aggregated, of the best peer in Go", 0.6, named(packed, "vegas"), inGo(large)),
		ofPeers("send 1 KiB, not aggregated, of the best peer in Go", 0.6, named(plain, "vegas"), inGo(large)),
		ofPeers("send 100 B, aggregated, of the KPL", 0.03, named(small, "vegas"), inJava(small, false)),
		ofPeers("send 1 KiB, aggregated, of the KPL", 0.12, named(packed, "vegas"), inJava(packed, false)),
	}
	for _, k := range []struct {
		name                 string
		rows                 []*row
		ofFloor, ofGo, ofJVM float64
	}{
		{"100 B, aggregated", t.rowsOf(contest.Consume, 100, true), 1.3, 0.33, 0.16},
		{"1 KiB", t.rowsOf(contest.Consume, 1<<10, false), 1.6, 0.15, 0.1},
	} {
		for _, name := range []string{"vegas, polling", "vegas, fan-out"} {
			own := named(k.rows, name)
			what := fmt.Sprintf("receive %s, %s", k.name, name[len("vegas, "):])
			goals = append(goals,
				ofFloor(what, k.ofFloor, k.rows, name, false),
				ofPeers(what+", of the best peer in Go", k.ofGo, own, inGo(k.rows)),
				ofPeers(what+", of the Java KCL", k.ofJVM, own, inJava(k.rows, own != nil && own.contender.FanOut)))
		}
	}
	for _, r := range []struct {
		what string
		row  *row
	}{
		{"allocated to send 1 KiB, aggregated", named(packed, "vegas")},
		{"allocated to send 1 KiB, not aggregated", named(plain, "vegas")},
		{"allocated to receive 1 KiB, polling", named(t.rowsOf(contest.Consume, 1<<10, false), "vegas, polling")},
		{"allocated to receive 1 KiB, fan-out", named(t.rowsOf(contest.Consume, 1<<10, false), "vegas, fan-out")},
	} {
		g := figures.Goal{What: r.what + ", of the payload", Most: 1.2}
		if r.row != nil {
			g.Measured = r.row.spread(func(res *result) float64 { return res.allocated() / (1 << 10) })
		}
		goals = append(goals, g)
	}
	for i := range goals {
		goals[i].Account = "sending"
		if strings.Contains(goals[i].What, "receive") {
			goals[i].Account = "receiving"
		}
	}
	return goals
}

// rowsOf a task.
func (t *table) rowsOf(side contest.Side, size int, aggregated bool) []*row {
	for _, k := range t.tasks {
		if k.side == side && k.size == size && k.aggregated == aggregated {
			return t.rows(k)
		}
	}
	return nil
}

func named(rows []*row, name string) *row {
	for _, r := range rows {
		if r.contender.Name == name {
			return r
		}
	}
	return nil
}

// all rows of that name.
func all(rows []*row, name string) []*row {
	return only(rows, func(c *contest.Contender) bool { return c.Name == name })
}

func inGo(rows []*row) []*row {
	return only(rows, func(c *contest.Contender) bool { return c.Module != "" && c.Java == "" })
}

func inJava(rows []*row, fanOut bool) []*row {
	return only(rows, func(c *contest.Contender) bool { return c.Java != "" && c.FanOut == fanOut })
}

func only(rows []*row, which func(*contest.Contender) bool) []*row {
	var found []*row
	for _, r := range rows {
		if which(r.contender) {
			found = append(found, r)
		}
	}
	return found
}

// ofFloor is a goal beside the wire floor, or the one that remembers hashes of keys.
func ofFloor(what string, most float64, rows []*row, name string, remembers bool) figures.Goal {
	g := figures.Goal{What: what + ", of the wire floor", Most: most}
	if remembers {
		g.What += " with hashes of keys cached"
	}
	if r := named(rows, name); r != nil {
		g.Measured = r.beside(floorOf(rows, r.contender, remembers))
	}
	return g
}

// ofPeers is a goal beside the best of peers.
func ofPeers(what string, most float64, own *row, peers []*row) figures.Goal {
	g := figures.Goal{What: what, Most: most}
	if own != nil {
		g.Measured = own.besideBest(peers)
	}
	return g
}

// besideBest gives r's CPU a record as multiples of the best of other rows, each
// within a round.
func (r *row) besideBest(others []*row) figures.Spread {
	var found []float64
	for _, own := range r.results {
		best := math.Inf(1)
		for _, o := range others {
			for _, res := range o.results {
				if res.round == own.round {
					best = min(best, res.cpuMicros())
				}
			}
		}
		if !math.IsInf(best, 1) {
			found = append(found, own.cpuMicros()/best)
		}
	}
	return figures.Of(found)
}

// The wire floor in JSON and the AWS SDK, measured on another day on such a
// machine, in microseconds of CPU a record. A run whose floor is another part of
// the SDK's cost does not measure the same thing.
var calibrations = []struct {
	what       string
	side       contest.Side
	size       int
	aggregated bool
	floor, sdk float64
}{
	{"send 100 B, aggregated", contest.Produce, 100, true, 0.60, 2.2},
	{"send 1 KiB, aggregated", contest.Produce, 1 << 10, true, 3.15, 6.4},
	{"send 1 KiB, not aggregated", contest.Produce, 1 << 10, false, 1.66, 6.4},
	{"receive 100 B, aggregated", contest.Consume, 100, true, 0.34, 1.5},
	{"receive 1 KiB", contest.Consume, 1 << 10, false, 0.59, 7.1},
}

// countsWithin is how far a run's ratio may be from the one of then.
const countsWithin = 0.15

func (t *table) calibration() *figures.Table {
	out := &figures.Table{Head: []string{"floor / SDK", "then", "in this run", "within 15 %", "floor, us: then", "now", "SDK, us: then", "now"}}
	for _, c := range calibrations {
		rows := t.rowsOf(c.side, c.size, c.aggregated)
		floors := only(rows, func(c *contest.Contender) bool { return c.Floor && !c.Remembers && !c.FanOut && protocol(c) == "JSON" })
		// The SDK does not aggregate: its 1 KiB are those of the other table.
		sdks := only(append(rows, t.rowsOf(c.side, c.size, false)...), func(c *contest.Contender) bool { return c.Module == sdkModule })
		then, counts := c.floor/c.sdk, "not measured"
		var now, floor, sdk figures.Spread
		if len(floors) > 0 {
			now, floor = floors[0].besideBest(sdks), floors[0].cpu()
		}
		if len(sdks) > 0 {
			sdk = sdks[0].cpu()
		}
		if now.N > 0 {
			counts = "no"
			if math.Abs(now.Median/then-1) <= countsWithin {
				counts = "yes"
			}
		}
		out.Add(c.what, figures.Number(then), now.Text(), counts,
			figures.Number(c.floor), median(floor), figures.Number(c.sdk), median(sdk))
	}
	return out
}

func median(s figures.Spread) string {
	if s.N == 0 {
		return s.Text()
	}
	return figures.Number(s.Median)
}

const sdkModule = "github.com/aws/aws-sdk-go-v2/service/kinesis"
