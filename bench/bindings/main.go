// Command bindings measures vegas in every language, in one run against one server:
//
//	go run ./bench/bindings -write             # make bench-bindings: the section of docs/benchmarks.md
//	go run ./bench/bindings -short             # does everybody still do all of the work?
//	go run ./bench/bindings -languages go,ruby -rounds 1
//
// Each language has one program in programs/, all of the same shape, and with the same
// arguments:
//
//	PROGRAM ROLE STREAM GROUP WARM-STREAM WARM-GROUP SIZE RECORDS WARM KEYS AGGREGATED
//
// It says "begin" when it is warm and "end" when what is measured is done, each time
// waits for a line, and says "done" with what it has counted; then it waits for the end
// of its input. What it cost is the CPU time of its process and of all that it has
// started, the engine, too, between the first two. What it sent is counted in the
// stream, what it was handed in its handler.
//
// Beside it are the language's own SDK (role sdk), where there is one to be had, and the
// same handler behind the protocol of the MultiLangDaemon (role lines, see daemon.go).
//
//	main.go        the command
//	languages.go   who takes part, and how programs are made
//	plan.go        what is done in which order, and how much of it
//	run.go         one turn
//	client.go      Go's own program
//	daemon.go      the stand-in for the MultiLangDaemon
//	start.go       how long an engine takes to start
//	report.go      tables; goals.go
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"

	"github.com/libvegas/vegas/bench/figures"
	"github.com/libvegas/vegas/bench/server"
)

// commands are what the first argument may name; "" is the contest.
var commands = map[string]func(ctx context.Context, args []string) error{
	"":       compete,
	"serve":  server.Serve,
	"client": client,
	"daemon": daemon,
}

func main() { figures.Main("bindings", commands) }

// settings of a contest.
type settings struct {
	languages []string // empty: all
	rounds    int
	short     bool
	write     bool
}

func compete(ctx context.Context, args []string) error {
	var s settings
	flags := flag.NewFlagSet("bindings", flag.ContinueOnError)
	languages := flags.String("languages", "", "only these `names`, with commas between them, and go: "+names())
	flags.IntVar(&s.rounds, "rounds", 3, "how many turns each language has")
	flags.BoolVar(&s.short, "short", false, "few records, one round: whether everybody does all of the work")
	flags.BoolVar(&s.write, "write", false, "write the section into docs/benchmarks.md")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("no command %q", flags.Arg(0))
	case s.write && (s.short || *languages != ""):
		return errors.New("-write writes a whole section: it goes neither with -short nor with -languages")
	case s.short:
		s.rounds = 1
	case s.rounds < 1:
		return fmt.Errorf("-rounds %d: there has to be one at least", s.rounds)
	}
	if *languages != "" {
		s.languages = strings.Split(*languages, ",")
		for _, name := range s.languages {
			if find(name) == nil {
				return fmt.Errorf("-languages: no language %q; there are %s", name, names())
			}
		}
	}
	root, err := figures.Root()
	if err != nil {
		return err
	}
	m, err := measure(ctx, root, &s)
	if err != nil {
		return err
	}
	section := m.section()
	fmt.Println(section)
	if err := m.failures(); err != nil || !s.write {
		return err
	}
	return figures.Write(root, figures.Page, "bench-bindings", section)
}
