package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// cost is what a record costs, by column.
type cost [columns]float64

const (
	allocs  = int(groups) + iota // bytes allocated
	objects                      // allocated
	columns
)

// rules are the columns of the baseline.
var rules = [columns]struct {
	name, what string
	// percent and slack are how much more is let through: whatever is more.
	percent, slack float64
}{
	{"vegas", "instructions of vegas", 2, 3},
	{"bulk", "instructions of hashes, checksums and base64", 2, 3},
	{"others", "instructions of other packages", 2, 10},
	{"bytes", "bytes allocated", 1, 3},
	{"objects", "objects allocated", 1, 0.03},
}

// fallen is by how many percent a figure has to have fallen for the baseline to
// be out of date.
const fallen = 5

// baseline is what records cost when it was written.
type baseline struct {
	toolchain string // that made the instructions
	costs     map[string]cost
}

// toolchain is what the number of instructions depends on besides the source.
func toolchain() string { return runtime.Version() + " " + runtime.GOARCH }

const head = `# What a record costs: instructions by group, and what is allocated. The program
# beside this file says how they are counted; make gate-update writes them anew.
`

func (b *baseline) String() string {
	var out bytes.Buffer
	out.WriteString(head)
	t := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "toolchain\t%s\nload", b.toolchain)
	for _, r := range rules {
		fmt.Fprintf(t, "\t%s", r.name)
	}
	for i := range loads {
		if c, ok := b.costs[loads[i].name]; ok {
			fmt.Fprintf(t, "\n%s", loads[i].name)
			for at, n := range c {
				decimals := 0
				if at >= allocs {
					decimals = 2
				}
				fmt.Fprintf(t, "\t%.*f", decimals, n)
			}
		}
	}
	fmt.Fprintln(t)
	_ = t.Flush() // to memory
	return out.String()
}

func readBaseline(file string) (*baseline, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return &baseline{costs: map[string]cost{}}, nil
	}
	if err != nil {
		return nil, err
	}
	return parseBaseline(string(text))
}

func parseBaseline(text string) (*baseline, error) {
	b := &baseline{costs: map[string]cost{}}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0, strings.HasPrefix(line, "#"), fields[0] == "load":
		case fields[0] == "toolchain":
			b.toolchain = strings.Join(fields[1:], " ")
		case len(fields) != 1+columns:
			return nil, fmt.Errorf("the baseline has a line %q: want a load and %d figures", line, columns)
		default:
			var c cost
			for i := range c {
				var err error
				if c[i], err = strconv.ParseFloat(fields[1+i], 64); err != nil {
					return nil, fmt.Errorf("the baseline has a line %q: %w", line, err)
				}
			}
			b.costs[fields[0]] = c
		}
	}
	return b, nil
}

// settings of one run.
type settings struct {
	file   string         // of the baseline
	only   *regexp.Regexp // these loads
	update bool           // the baseline, in place of comparing with it
	write  bool           // what order costs into the documentation
}

// gate compares what records cost with the baseline, or writes it.
func gate(ctx context.Context, s *settings) error {
	dir, err := os.MkdirTemp("", "vegas-gate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	old, err := readBaseline(s.file)
	if err != nil {
		return err
	}
	c, err := newCounter(ctx, dir)
	if err != nil {
		return err
	}
	if s.update {
		if err := old.mayChange(s.only, c.valgrind != ""); err != nil {
			return err
		}
	}
	now, err := c.all(ctx, s.only)
	if err != nil {
		return err
	}
	from := 0 // the first column that is compared
	switch {
	case c.valgrind == "":
		fmt.Println("NOT RUN: instruction counts need valgrind")
		from = allocs
	case !s.update && old.toolchain != toolchain():
		fmt.Printf("NOT COMPARED: instruction counts of %q, this is %q: run make gate-update\n", old.toolchain, toolchain())
		from = allocs
	}
	fmt.Print(now)
	if s.update {
		for name, c := range old.costs {
			if !s.only.MatchString(name) {
				now.costs[name] = c
			}
		}
		return os.WriteFile(s.file, []byte(now.String()), 0o644)
	}
	failures, notes := compare(old, now, from)
	if c.valgrind != "" {
		failures = append(failures, now.order()...)
	}
	for _, text := range notes {
		fmt.Println(text)
	}
	if s.write && c.valgrind != "" {
		if err := now.writeOrder(time.Now()); err != nil {
			return err
		}
	}
	if len(failures) > 0 {
		return errors.New(strings.Join(failures, "\n"))
	}
	return nil
}

// mayChange tells why the lines of some loads cannot be written anew.
func (b *baseline) mayChange(only *regexp.Regexp, instructions bool) error {
	if !instructions {
		return errors.New("the baseline has instruction counts, which need valgrind: install it")
	}
	if b.toolchain == toolchain() {
		return nil
	}
	for name := range b.costs {
		if !only.MatchString(name) {
			return fmt.Errorf("the baseline is of %q, this is %q, which would hold for %s too: update all loads", b.toolchain, toolchain(), name)
		}
	}
	return nil
}

// all counts all loads, two at a time: counts do not depend on how fast it goes.
func (c *counter) all(ctx context.Context, only *regexp.Regexp) (*baseline, error) {
	b := &baseline{toolchain: toolchain(), costs: map[string]cost{}}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	turns := make(chan struct{}, 2)
	for i := range loads {
		l := &loads[i]
		if !only.MatchString(l.name) {
			continue
		}
		wg.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			k, err := c.count(ctx, l)
			mu.Lock()
			defer mu.Unlock()
			failed = errors.Join(failed, err)
			b.costs[l.name] = k
		})
	}
	wg.Wait()
	return b, failed
}

// compare tells what has risen, and what has fallen so far that the baseline would
// hide the next rise; from is the first column to look at.
func compare(old, now *baseline, from int) (failures, notes []string) {
	for i := range loads {
		name := loads[i].name
		is, counted := now.costs[name]
		was, known := old.costs[name]
		switch {
		case !counted:
		case !known:
			failures = append(failures, name+" has no baseline: run make gate-update")
		default:
			for at := from; at < columns; at++ {
				r := &rules[at]
				percent := 100 * (is[at] - was[at]) / was[at]
				switch {
				case is[at] > was[at]+max(r.slack, was[at]*r.percent/100):
					failures = append(failures, fmt.Sprintf("%s: %s: %.2f a record, %.1f %% above the baseline of %.2f: "+
						"find out why; if it is worth that, run make gate-update and say so in the commit", name, r.what, is[at], percent, was[at]))
				case percent < -fallen && was[at]-is[at] > r.slack:
					notes = append(notes, fmt.Sprintf("%s: %s: %.2f a record, %.1f %% below the baseline of %.2f: "+
						"run make gate-update, so that it stays so", name, r.what, is[at], -percent, was[at]))
				}
			}
		}
	}
	return failures, notes
}

// instructions are those of all groups.
func (c *cost) instructions() (sum float64) {
	for g := range groups {
		sum += c[g]
	}
	return sum
}
