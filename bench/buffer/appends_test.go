package buffer

import (
	"context"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	long   = flag.Bool("long", false, "measure, for minutes, and print a table")
	rounds = flag.Int("rounds", 5, "with -long: how often everything is measured")
	period = flag.Duration("period", time.Second, "with -long: of one measurement")
	many   = flag.Int("writers", 0, "with -long: only so many writers at once; 0: 1, 16, 64 and 256")
	only   = flag.String("contenders", ".", "with -long: a regular expression of those beside the bare loop")
)

// turns are what a measurement is cut into, so that what the machine does
// besides strikes all contenders: they take turns.
const turns = 10

// TestDurableAppends lets all contenders append, audits what they kept, and, with
// -long, prints medians: records a second, and their ratio to the bare loop that
// took turns with them.
func TestDurableAppends(t *testing.T) {
	writers := []int{1, 16, 64, 256}
	if !*long {
		for _, w := range writers {
			for _, r := range race(t, w, 1, func() func() bool {
				var n atomic.Int64
				return func() bool { return n.Add(1) <= int64(2*w) }
			}) {
				if r.n != uint64(2*w) {
					t.Errorf("%s, %d writers: %d records, want %d", r.name, w, r.n, 2*w)
				}
			}
		}
		return
	}
	if *many > 0 {
		writers = []int{*many}
	}
	chosen, bare := regexp.MustCompile(*only), contenders[0].name
	contenders = slices.DeleteFunc(contenders, func(c contender) bool { return c.name != bare && !chosen.MatchString(c.name) })
	var text strings.Builder
	fmt.Fprintf(&text, "durable appends of 1 KB a second (beside the bare loop); medians of %d\n\n| |", *rounds)
	rows := make([]string, len(contenders))
	for _, w := range writers {
		fmt.Fprintf(&text, " %d writers |", w)
		rates, ratios := make([][]float64, len(contenders)), make([][]float64, len(contenders))
		for range *rounds {
			runs := race(t, w, turns, func() func() bool {
				end := time.Now().Add(*period / turns)
				return func() bool { return time.Now().Before(end) }
			})
			for i, r := range runs {
				rates[i] = append(rates[i], r.rate())
				ratios[i] = append(ratios[i], r.rate()/runs[0].rate())
			}
		}
		for i := range rows {
			rows[i] += fmt.Sprintf(" %.0f (%.2f) |", median(rates[i]), median(ratios[i]))
		}
	}
	text.WriteString("\n|---|" + strings.Repeat("---:|", len(writers)) + "\n")
	for i, c := range contenders {
		text.WriteString("| " + c.name + " |" + rows[i] + "\n")
	}
	fmt.Println(text.String())
}

func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	return all[len(all)/2]
}

// run is a contender at work.
type run struct {
	contender
	dir  string
	to   appender
	n    uint64 // records kept
	took time.Duration
}

func (r *run) rate() float64 { return float64(r.n) / r.took.Seconds() }

// race lets all contenders append in turns, each as long as a fresh more says so,
// and makes sure that all is there when they are opened again.
func race(t *testing.T, writers, turns int, more func() func() bool) []*run {
	ctx := context.WithoutCancel(t.Context()) // nobody gives up waiting: most could not
	var runs []*run
	for _, c := range contenders {
		r := &run{contender: c, dir: t.TempDir()}
		var err error
		if r.to, err = c.open(ctx, r.dir); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		runs = append(runs, r)
	}
	for turn := range turns {
		for i := range runs {
			if err := runs[(i+turn)%len(runs)].append(ctx, writers, more()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, r := range runs {
		err := r.to.close()
		if err == nil {
			err = audit(ctx, r.contender, r.dir, r.n)
		}
		if err != nil {
			t.Errorf("%s, %d writers: %v", r.name, writers, err)
		}
		os.RemoveAll(r.dir)
	}
	return runs
}

// append lets writers append.
func (r *run) append(ctx context.Context, writers int, more func() bool) error {
	n := atomic.Uint64{}
	n.Store(r.n)
	errs := make(chan error, writers)
	began := time.Now()
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for more() {
				if err := r.to.append(ctx, numbered(n.Add(1)-1)); err != nil {
					errs <- fmt.Errorf("%s: append: %w", r.name, err)
					return
				}
			}
		})
	}
	all.Wait()
	r.took += time.Since(began)
	r.n = n.Load()
	close(errs)
	return <-errs
}
