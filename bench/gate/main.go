// Gate counts what a record costs, in instructions of the processor and in memory
// allocated, and fails when that is more than the baseline that is kept beside it:
//
//	go run ./bench/gate            # compare
//	go run ./bench/gate -update    # write the baseline
//	go run ./bench/gate -write     # compare, and write what order costs into docs/benchmarks.md
//
// Times on shared machines are noise below a tenth; instructions are the same
// twice. Each load runs in processes of its own (TestLoad), with few records and
// with many; the difference is a record's. What the service would answer is in
// memory, time is a bubble's, there is one thread for Go code and no collector: so
// little depends on who runs when.
//
// Processes run under valgrind, which counts the instructions of every function.
// With GODEBUG=cpu.all=off Go takes the code that runs on every processor, so that
// the counts do not depend on which one it is (SHA-256 takes two and a half times
// as many as with AVX2).
//
// Instructions are told in three groups: those of vegas; those that grow with the
// bytes, in hashes, checksums and base64; and those of all other packages, the
// SDK's and Go's. The runtime is in none but for its maps: what the scheduler has
// to do is not the same twice, nor what a copy takes, which depends on where it
// begins. What it allocates is counted instead, in processes without valgrind: the
// least that several of them do, for what is more is buffers that somebody else had
// just then.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
)

func main() {
	if err := command(context.Background(), os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "gate:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("gate", flag.ContinueOnError)
	var s settings
	flags.BoolVar(&s.update, "update", false, "write the baseline in place of comparing with it")
	flags.BoolVar(&s.write, "write", false, "write what order costs into docs/benchmarks.md, where it can be counted")
	run := flags.String("run", "", "only loads whose names match this `regexp`")
	flags.StringVar(&s.file, "baseline", "bench/gate/baseline.txt", "where the baseline is")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var err error
	if s.only, err = regexp.Compile(*run); err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	if !slices.ContainsFunc(loads, func(l load) bool { return s.only.MatchString(l.name) }) {
		return fmt.Errorf("-run %s: there is no such load", *run)
	}
	return gate(ctx, &s)
}
