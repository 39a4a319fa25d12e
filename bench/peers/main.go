// Command peers measures vegas beside everything else that moves records through
// Kinesis, in one run on one machine:
//
//	go run ./bench/peers            # make bench-peers, which also writes docs/benchmarks.md
//	go run ./bench/peers -only 'vegas|SDK' -rounds 1
//	go run ./bench/peers -short     # does everybody still do all of the work?
//	go run ./bench/peers latency    # parts that vegas is alone in: latency, scale, idle
//
// A contender is one file here and one line in contenders.go; package contest says
// what it has to do. It runs in a process of its own, against one server, a third
// process: main starts itself anew as either. What is measured is the CPU time of
// the contender's process and its children, as the system counts it. All
// contenders of a table take turns, so that what the machine does besides strikes
// all of them, and figures are compared within a round.
//
//	main.go        the command
//	table.go       rounds of turns
//	run.go         one turn: a process is watched
//	client.go      a contender's process
//	java.go        contenders in a JVM
//	tasks.go       what is to be done
//	contenders.go  by whom; produce_*.go, consume_*.go
//	report.go      what is said of it; goals.go; quote.go, in the README
//	parts.go       what vegas is measured alone in: latency*.go, scale.go, idle.go
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"

	"github.com/libvegas/vegas/bench/figures"
	"github.com/libvegas/vegas/bench/server"
)

// commands are what the first argument may name; "" is the contest.
var commands = map[string]func(ctx context.Context, args []string) error{
	"":       contestCommand,
	"serve":  server.Serve,
	"client": client,

	"latency": partCommand("latency"),
	"scale":   partCommand("scale"),
	"idle":    partCommand("idle"),
}

func main() { figures.Main("peers", commands) }

// settings of a contest.
type settings struct {
	only    *regexp.Regexp
	rounds  int
	records int
	short   bool
	write   bool
	profile string
}

func contestCommand(ctx context.Context, args []string) error {
	var s settings
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	only := flags.String("only", "", "only rows whose \"SIDE TASK NAME\" match this `regexp`, and the floors")
	flags.IntVar(&s.rounds, "rounds", 5, "how many turns each contender has")
	flags.IntVar(&s.records, "records", 1_500_000, "records of 100 bytes that a turn moves; larger ones are fewer")
	flags.BoolVar(&s.short, "short", false, "few records, one round, no Java: whether everybody does all of the work")
	flags.BoolVar(&s.write, "write", false, "write docs/benchmarks.md and its pictures")
	flags.StringVar(&s.profile, "profile", "", "write CPU profiles of contenders in Go to this `directory`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var err error
	if s.only, err = regexp.Compile(*only); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("no command %q", flags.Arg(0))
	case s.write && (s.short || *only != ""):
		return errWriteWhole
	case s.short:
		s.rounds, s.records = 1, 40_000
	}
	if !slices.ContainsFunc(tasks(s.records), func(t *task) bool { return len(s.chosen(t)) > 0 }) {
		return fmt.Errorf("-only %s: there is no such row", *only)
	}
	root, err := figures.Root()
	if err != nil {
		return err
	}
	t, err := measureAll(ctx, root, &s)
	if err != nil {
		return err
	}
	return t.tell(os.Stdout)
}

// errWriteWhole: half a section would stand for all of it.
var errWriteWhole = errors.New("-write writes a whole section: it goes neither with -short nor with -only")

// chosen are the contenders of a task that the settings name, and its floors.
func (s *settings) chosen(t *task) []int {
	var is []int
	for i := range contenders {
		c := &contenders[i]
		if t.takes(c) && !(s.short && c.Java != "") && s.only.MatchString(fmt.Sprintf("%s %s %s", t.side, t.name, c.Name)) {
			is = append(is, i)
		}
	}
	if len(is) == 0 {
		return nil
	}
	for i := range contenders {
		if c := &contenders[i]; c.Floor && t.takes(c) && !slices.Contains(is, i) {
			is = append(is, i)
		}
	}
	slices.Sort(is)
	return is
}
