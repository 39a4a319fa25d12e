package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/libvegas/vegas/bench/contest"
	"github.com/libvegas/vegas/bench/figures"
	"github.com/libvegas/vegas/bench/server"
)

// part is a table that vegas stands in alone, with a section of its own on the page.
type part struct {
	rounds  int // by default
	server  []string
	measure func(ctx context.Context, r *runner, s *partSettings) (text string, goals []figures.Goal, err error)
}

// partSettings of one run.
type partSettings struct {
	rounds int
	short  bool
	only   *regexp.Regexp // of what idle measures
}

var parts = map[string]part{
	"latency": {5, []string{server.WithLimits}, measureLatency},
	"scale":   {5, nil, measureScale},
	"idle":    {5, nil, measureIdle},
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
		write := flags.Bool("write", false, "write the section into docs/benchmarks.md")
		if err := flags.Parse(args); err != nil {
			return err
		}
		if s.only, err = regexp.Compile(*only); err != nil {
			return err
		}
		if *write && (s.short || *only != "") {
			return errWriteWhole
		}
		if s.short {
			s.rounds = 1
		}
		root, err := figures.Root()
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
		section := fmt.Sprintf("%s, by `go run ./bench/peers %s -rounds %d`. %s\n\n%s",
			m.measured(began), name, s.rounds, strings.TrimSpace(text), figures.Goals(goals).Markdown())
		fmt.Println(section)
		if !*write {
			return nil
		}
		return figures.Write(root, figures.Page, pageSection+"-"+name, section)
	}
}

// whole is a number of things that are counted.
func whole(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return figures.Number(float64(n))
}
