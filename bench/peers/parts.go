package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/libvegas/vegas/bench/contest"
	"github.com/libvegas/vegas/bench/figures"
)

// part is a table that vegas stands in alone, with a section of its own on the page.
type part struct {
	rounds  int // by default
	server  []string
	measure func(ctx context.Context, r *runner, s *partSettings) (text string, goals []goal, err error)
}

// partSettings of one run.
type partSettings struct {
	rounds int
	short  bool
	only   *regexp.Regexp // of what idle measures
}

var parts = map[string]part{
	"latency": {3, []string{withLimits}, measureLatency},
	"scale":   {5, nil, measureScale},
	"idle":    {3, nil, measureIdle},
}

// alone are the contenders of parts that no table of the contest has.
var alone = []contest.Contender{attendPolling, attendFanOut}

func partCommand(name string) func(context.Context, []string) error {
	return func(ctx context.Context, args []string) (err error) {
		p, began := parts[name], time.Now()
		var s partSettings
		flags := flag.NewFlagSet("peers "+name, flag.ContinueOnError)
		flags.IntVar(&s.rounds, "rounds", p.rounds, "how many times everything is measured")
		flags.BoolVar(&s.short, "short", false, "as little as shows that everything arrives, one round")
		only := flags.String("only", "", "idle: only processes that match this `regexp`")
		var peers settings
		flags.StringVar(&peers.profile, "profile", "", "write CPU profiles of clients to this `directory`")
		write := flags.Bool("write", false, "write the section into docs/benchmarks.md, if it is whole")
		if err := flags.Parse(args); err != nil {
			return err
		}
		if s.only, err = regexp.Compile(*only); err != nil {
			return err
		}
		if s.short {
			s.rounds = 1
		}
		root, err := findRoot()
		if err != nil {
			return err
		}
		r, err := newRunner(ctx, root, &peers, p.server...)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, r.close()) }()
		text, goals, err := p.measure(ctx, r, &s)
		if err != nil {
			return err
		}
		m := thisMachine()
		section := fmt.Sprintf("Measured on %s on %s, %s, %s, by `go run ./bench/peers %s -rounds %d`. %s\n%s",
			began.Format("2 January 2006"), m.cpu, m.system, m.goVersion, name, s.rounds, strings.TrimSpace(text), "\n"+goalsOf(goals).Markdown())
		fmt.Println(section)
		if !*write || s.short || *only != "" {
			return nil
		}
		return writeSection(root, pageSection+"-"+name, section)
	}
}

// writeSection puts a part into the page.
func writeSection(root, name, text string) error {
	file := filepath.Join(root, filepath.FromSlash(pageFile))
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	changed, err := figures.Insert(string(page), name, text)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(changed), 0o644)
}

// whole is a number of things that are counted.
func whole(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return figures.Number(float64(n))
}
