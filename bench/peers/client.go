package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/pprof"

	"github.com/libvegas/vegas/bench/contest"
	"github.com/libvegas/vegas/bench/usage"
)

// client is the process of a contender written in Go: client SIDE NAME WORK.
func client(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("client", flag.ContinueOnError)
	profile := flags.String("profile", "", "write a CPU profile of the whole process to this `file`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 3 {
		return errors.New("client: want SIDE NAME WORK")
	}
	c := find(contest.Side(flags.Arg(0)), flags.Arg(1))
	if c == nil || c.Run == nil {
		return fmt.Errorf("client: nobody is called %q to %s", flags.Arg(1), flags.Arg(0))
	}
	var w contest.Work
	if err := json.Unmarshal([]byte(flags.Arg(2)), &w); err != nil {
		return fmt.Errorf("client: work: %w", err)
	}
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	m := contest.NewMeter(&w, os.Stdout)
	m.Look = func() (contest.Reading, error) { return usage.OfSelf(w.ServerPID) }
	if err := c.Run(ctx, &w, m); err != nil {
		return err
	}
	if err := m.End(); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, os.Stdin) // until the runner has looked at what this process cost
	return err
}

// find gives the contender of that name, or nil.
func find(side contest.Side, name string) *contest.Contender {
	for _, list := range [][]contest.Contender{contenders, alone} {
		for i := range list {
			if c := &list[i]; c.Side == side && c.Name == name {
				return c
			}
		}
	}
	return nil
}
