//go:build linux

// Command scenarios tells the scenarios of scenarios.json in every language that vegas
// has a package for. A driver in each does what steps say, by commands and answers that
// are JSON lines; what a language cannot do, or must not be trusted with, is done here:
// the server with its faults, splits and merges, the killing of processes, and the
// audit of what was sent against what arrived. It looks for engines in /proc and makes first
// processes, so it runs on Linux.
//
//	go run ./bindings/scenarios                      # the short ones
//	go run ./bindings/scenarios -all -write          # all, and the table of docs/languages.md
//	go run ./bindings/scenarios -all -languages ruby -run 'fork|close'
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	if kind := os.Getenv(playing); kind != "" {
		if err := play(kind, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.StringVar(&o.root, "root", ".", "root of the repository")
	flag.StringVar(&o.engine, "engine", os.Getenv("VEGAS_ENGINE"), "the engine (default VEGAS_ENGINE, or one that is built)")
	flag.StringVar(&o.installed, "installed", "", "folder with installed packages to use in place of the tree (go run ./internal/packages install)")
	flag.StringVar(&o.languages, "languages", "", "tell in these only, separated by commas")
	flag.StringVar(&o.pattern, "run", "", "tell scenarios whose name matches")
	flag.BoolVar(&o.all, "all", false, "all scenarios, not the short ones only")
	flag.BoolVar(&o.write, "write", false, "write the table of docs/languages.md, which takes all languages and scenarios")
	flag.IntVar(&o.jobs, "jobs", 2, "how many at a time")
	flag.BoolVar(&o.verbose, "v", false, "say what passes, too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := tell(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "scenarios:", err)
		os.Exit(1)
	}
}

type options struct {
	root, engine, languages, pattern string
	installed                        string
	all, write, verbose              bool
	jobs                             int
}

// runner is what all scenarios of a run share.
type runner struct {
	root, engine, tools string
	own                 string // an engine with an extension of a user's own
	installed           bool   // packages bring their own engines
	protocol            *protocol
}

// cell is one scenario in one language.
type cell struct {
	scenario *scenario
	language *language
	other    *language
	outcomes []string // of steps; nil until the scenario is told
	err      error
	took     time.Duration
}

func tell(ctx context.Context, o options) error {
	root, err := filepath.Abs(o.root)
	if err != nil {
		return err
	}
	s, err := readSet(root)
	if err != nil {
		return err
	}
	tools, err := os.MkdirTemp("", "vegas-scenarios-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tools)
	r := &runner{root: root, engine: o.engine, tools: tools}
	if o.installed != "" {
		if o.installed, err = filepath.Abs(o.installed); err != nil {
			return err
		}
		useInstalled(o.installed)
		r.installed = true
	}
	if r.protocol, err = readProtocol(root); err != nil {
		return err
	}
	if r.engine == "" {
		r.engine = filepath.Join(tools, "vegas-engine")
		if err := run(ctx, root, "go", "build", "-o", r.engine, "./cmd/vegas/vegas-engine"); err != nil {
			return err
		}
	}
	if r.engine, err = filepath.Abs(r.engine); err != nil {
		return err
	}
	ls, missing, err := r.languages(ctx, o)
	if err != nil {
		return err
	}
	pattern, err := regexp.Compile(o.pattern)
	if err != nil {
		return err
	}
	var cells []*cell
	for i := range s.Scenarios {
		sc := &s.Scenarios[i]
		if !pattern.MatchString(sc.Name) || !o.all && !sc.Short {
			continue
		}
		if len(ls) == 1 && sc.two() {
			fmt.Printf("left out: %s: it takes two languages\n", sc.Name)
			continue
		}
		for n, l := range ls {
			if sc.Except[l.name] == "" {
				cells = append(cells, &cell{scenario: sc, language: l, other: ls[(n+1)%len(ls)]})
			}
		}
	}
	if err := r.buildOwn(ctx, cells); err != nil {
		return err
	}
	if len(cells) == 0 {
		return fmt.Errorf("there is no scenario like %q among them", o.pattern)
	}
	began := time.Now()
	r.tellAll(ctx, cells, o)
	compareAll(s, cells)
	failed := 0
	for _, c := range cells {
		if c.err != nil {
			failed++
		}
	}
	fmt.Printf("%d scenarios of bindings told in %.0f s, %d failed\n", len(cells), time.Since(began).Seconds(), failed)
	if o.write {
		if missing > 0 || o.languages != "" || o.pattern != "" || !o.all {
			return errors.New("the table is of all languages and scenarios: it was left as it is")
		}
		if err := writeTable(root, s, cells, r.installed); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d failed", failed, len(cells))
	}
	return nil
}

// languages are those that this machine has what they need for.
func (r *runner) languages(ctx context.Context, o options) (ls []*language, missing int, err error) {
	only := strings.Split(o.languages, ",")
	for _, name := range only {
		if o.languages != "" && !slices.ContainsFunc(all, func(l *language) bool { return l.name == name }) {
			return nil, 0, fmt.Errorf("there is no language %q", name)
		}
	}
	for _, l := range all {
		if o.languages != "" && !slices.Contains(only, l.name) {
			continue
		}
		why, err := l.ready(ctx, r.root, r.tools)
		switch {
		case err != nil:
			return nil, 0, err
		case why != nil:
			missing++
			fmt.Printf("left out: %s: %v\n", l.title, why)
		default:
			ls = append(ls, l)
		}
	}
	if len(ls) == 0 {
		return nil, missing, errors.New("there is no language to tell anything in")
	}
	return ls, missing, nil
}

// tellAll tells several at a time.
func (r *runner) tellAll(ctx context.Context, cells []*cell, o options) {
	todo := make(chan *cell)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range max(o.jobs, 1) {
		wg.Go(func() {
			for c := range todo {
				began := time.Now()
				c.outcomes, c.err = c.scenario.tell(ctx, r, c.language, c.other)
				c.took = time.Since(began)
				mu.Lock()
				switch {
				case c.err != nil:
					fmt.Printf("FAIL %s in %s (%.1f s): %v\n", c.scenario.Name, c.language.title, c.took.Seconds(), c.err)
				case o.verbose:
					fmt.Printf("ok   %s in %s (%.1f s)\n", c.scenario.Name, c.language.title, c.took.Seconds())
				}
				mu.Unlock()
			}
		})
	}
	for _, c := range cells {
		todo <- c
	}
	close(todo)
	wg.Wait()
}
