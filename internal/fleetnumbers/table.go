//go:build unix

package fleetnumbers

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

// Number is one line of the table.
type Number struct {
	Rank     int // where it stands
	What     string
	Goal     string
	Measured string
	Met      bool
}

// Table gathers numbers.
type Table struct {
	mu   sync.Mutex
	rows []Number
}

// Add adds one.
func (t *Table) Add(n Number) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, n)
}

// Print writes the table.
func (t *Table) Print(w io.Writer) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	slices.SortStableFunc(t.rows, func(a, b Number) int { return cmp.Compare(a.Rank, b.Rank) })
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "what\tgoal\tmeasured\tmet")
	for _, n := range t.rows {
		met := "yes"
		if !n.Met {
			met = "NO"
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", n.What, n.Goal, n.Measured, met)
	}
	return out.Flush()
}

// Times are measured durations, the shortest first once sorted.
type Times []time.Duration

// Of is the p-th part of them, from 0 to 1: 0.5 the median, 1 the longest.
func (t Times) Of(p float64) time.Duration {
	if len(t) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(t))
	return sorted[min(int(p*float64(len(sorted))), len(sorted)-1)]
}

// String tells the median, the 99th percentile and the longest.
func (t Times) String() string {
	ms := func(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
	return fmt.Sprintf("p50 %s, p99 %s, max %s of %d", ms(t.Of(0.5)), ms(t.Of(0.99)), ms(t.Of(1)), len(t))
}
