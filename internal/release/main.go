// Command release tags the modules of this repository in lockstep, rehearses
// that they install, and tidies them.
//
//	go run ./internal/release rehearse
//	go run ./internal/release tidy [--check]
//	go run ./internal/release tag [--dry-run] v0.1.0
//
// The repository holds several modules that require each other. Library modules
// replace the others by folders, which their users never see; command modules
// may not, because `go install module@version` refuses a main module with
// replacements, so go.work carries the replacements for them. Both name in
// their requirements the version of the last release, v0.0.0 before the first.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage: release rehearse | tidy [--check] | tag [--dry-run] VERSION")

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return errUsage
	}
	top, err := command(ctx, ".", nil, "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	tree, err := open(ctx, strings.TrimSpace(top))
	if err != nil {
		return err
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	check := flags.Bool("check", false, "tidy: a copy, and fail if that changes anything")
	dry := flags.Bool("dry-run", false, "tag: in a clone, and show what would be committed and tagged")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch {
	case args[0] == "rehearse" && flags.NArg() == 0:
		return rehearse(ctx, tree, out)
	case args[0] == "tidy" && flags.NArg() == 0 && *check:
		return checkTidy(ctx, tree)
	case args[0] == "tidy" && flags.NArg() == 0:
		return tidy(ctx, tree, out)
	case args[0] == "tag" && flags.NArg() == 1:
		return tag(ctx, tree, flags.Arg(0), *dry, out)
	}
	return errUsage
}

// command runs a program in dir and gives back what it printed; env is added to
// the process's own.
func command(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s (in %s): %w\n%s%s",
			name, strings.Join(args, " "), dir, err, out.String(), errs.String())
	}
	return out.String(), nil
}
