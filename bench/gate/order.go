package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/libvegas/vegas/bench/figures"
)

// orderPercent is what keeping order may cost in instructions.
const orderPercent = 3

// orders is what keeping the records of a key in order costs, by load, in per cent of
// the instructions of the same engine that keeps none.
func (b *baseline) orders() (goals []figures.Goal) {
	for i := range loads {
		name, loose := strings.CutSuffix(loads[i].name, unordered)
		on, counted := b.costs[name]
		off, compared := b.costs[loads[i].name]
		if !loose || !counted || !compared {
			continue
		}
		percent := 100 * (on.instructions()/off.instructions() - 1)
		goals = append(goals, figures.Goal{
			What: "strict order, " + name + ": % of the instructions", Most: orderPercent, Measured: figures.Of([]float64{percent}),
		})
	}
	return goals
}

// order tells what order costs, and when that is too much.
func (b *baseline) order() (failures []string) {
	for _, g := range b.orders() {
		fmt.Printf("%s: %.2f\n", g.What, g.Measured.Median)
		if g.Measured.Median > g.Most {
			failures = append(failures, fmt.Sprintf("%s: %.2f: at most %d are let through", g.What, g.Measured.Median, orderPercent))
		}
	}
	return failures
}

// writeOrder writes what order costs into the documentation.
func (b *baseline) writeOrder(now time.Time) error {
	root, err := figures.Root()
	if err != nil {
		return err
	}
	text := fmt.Sprintf("Counted on %s by `go run ./bench/gate -run send -write`, %s.\n\n%s",
		now.Format("2 January 2006"), b.toolchain, figures.Goals(b.orders()).Markdown())
	return figures.Write(root, figures.Page, "gate-order", text)
}
