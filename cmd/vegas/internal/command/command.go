// Package command is the vegas command line: one file per command, each a thin
// user of the public packages. No command ends the process; Main returns the
// exit code.
package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/libvegas/vegas/cmd/vegas/internal/terminal"
)

// Exit codes, part of the command line's contract (see "vegas help exit-codes").
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitPartly      = 3
	exitLeft        = 4
	exitInterrupted = 130
	exitPipe        = 141
)

// env is what a run of the command line has at hand: its streams and the flags
// that all commands share.
type env struct {
	in       io.Reader
	out, err io.Writer
	told     *told // what is said goes there, and from there to err
	warnings *warnings

	endpoint, region, profile string
	output                    string
	verbose                   bool
}

// Main runs the command line and returns its exit code. A ctx that ends asks
// commands to finish in order.
func Main(ctx context.Context, args []string, in io.Reader, out, errw io.Writer) int {
	e := &env{in: in, out: out, err: errw, told: &told{out: errw}}
	e.warnings = newWarnings(e.told)
	root := newRoot(e)
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errw)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	return e.report(cmd, err)
}

func newRoot(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:   "vegas",
		Short: "Send and receive records of Amazon Kinesis Data Streams",
		Long: `vegas sends and receives records of Amazon Kinesis Data Streams, in order and
without loss, through splits, merges, throttling and failures.

Start here, without an account:
  vegas demo                    watch it work for 45 seconds (or --outage, for 25)

Then, in two terminals:
  vegas dev --stream orders:2   an embedded Kinesis; it prints what to export
  vegas produce orders          type lines, each becomes a record
  vegas consume orders          and see them arrive

Against AWS the same commands use the usual environment and configuration files
of every AWS tool: see "vegas help environment".`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
		Version:           version().String(),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			err := usagef("unknown command %q", args[0])
			if s := cmd.SuggestionsFor(args[0]); len(s) > 0 {
				err = usagef("unknown command %q: did you mean %q?", args[0], s[0])
			}
			return err
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error {
			switch e.output {
			case "text", "json":
				return nil
			}
			return usagef("--output %q: want text or json", e.output)
		},
	}
	root.SuggestionsMinimumDistance = 2
	root.SetVersionTemplate("{{.Version}}\n")
	f := root.PersistentFlags()
	f.StringVar(&e.endpoint, "endpoint", "", "URL of the Kinesis `endpoint`, such as http://localhost:4567")
	f.StringVar(&e.region, "region", "", "AWS `region`, such as eu-central-1")
	f.StringVar(&e.profile, "profile", "", "`name` of a profile in ~/.aws")
	f.StringVarP(&e.output, "output", "o", "text", "text for people or json for programs")
	f.BoolVarP(&e.verbose, "verbose", "v", false, "log what the library does to standard error")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	must(root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp)))

	root.AddGroup(
		&cobra.Group{ID: "try", Title: "Try it without an account:"},
		&cobra.Group{ID: "records", Title: "Records:"},
		&cobra.Group{ID: "streams", Title: "Streams:"},
	)
	for _, c := range commands {
		root.AddCommand(c(e))
	}
	root.AddCommand(newVersion(e))
	root.AddCommand(topics()...)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "completion":
			c.Short = "Print the completion script for bash, zsh, fish or powershell"
			c.Args = func(_ *cobra.Command, args []string) error {
				if len(args) > 0 {
					return usagef("unknown shell %q: want bash, zsh, fish or powershell", args[0])
				}
				return nil
			}
			c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
		case "help":
			c.Args = func(_ *cobra.Command, args []string) error {
				if found, rest, err := root.Find(args); err != nil || len(rest) > 0 && (found == root || found.HasSubCommands()) {
					return usagef("no help on %q", strings.Join(args, " "))
				}
				return nil
			}
		}
	}
	return root
}

// commands are the constructors of the first level, in the order of the help.
var commands = []func(*env) *cobra.Command{newDemo, newDemoWorker, newDev, newBridge, newProduce, newConsume, newLeases, newBuffer, newStreams}

// must is for errors that only a mistake in this package's own flags can cause;
// every test would meet it.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// usageError is a mistake in the call, found before anything was done.
type usageError struct{ err error }

func (u *usageError) Error() string { return u.err.Error() }
func (u *usageError) Unwrap() error { return u.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// partlyError is the failure of a part of the work, while the rest was done.
type partlyError struct{ err error }

func (p *partlyError) Error() string { return p.err.Error() }
func (p *partlyError) Unwrap() error { return p.err }

// exitError ends with the exit code of a command that was run, silently.
type exitError struct{ code int }

func (x *exitError) Error() string { return fmt.Sprintf("exit status %d", x.code) }

// report prints an error as "vegas COMMAND: what happened" with the remedy on a
// line of its own, and chooses the exit code.
func (e *env) report(cmd *cobra.Command, err error) int {
	if exit, ok := errors.AsType[*exitError](err); ok {
		return exit.code
	}
	path := "vegas"
	if cmd != nil {
		path = cmd.CommandPath()
	}
	style := terminal.StyleFor(e.err)
	text, more := explain(err)
	fmt.Fprintf(e.err, "%s %s\n", style.Bad(path+":"), text)
	var usage *usageError
	isUsage := errors.As(err, &usage)
	if isUsage && len(more) == 0 {
		more = []string{fmt.Sprintf("See %q.", path+" --help")}
	}
	for _, line := range more {
		fmt.Fprintf(e.err, "%s\n", indent(line))
	}
	var partly *partlyError
	var left *leftError
	switch {
	case isUsage:
		return exitUsage
	case errors.As(err, &partly):
		return exitPartly
	case errors.As(err, &left):
		return exitLeft
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	return exitFailure
}

func indent(s string) string { return "  " + strings.ReplaceAll(s, "\n", "\n  ") }

// json tells that output is for programs.
func (e *env) json() bool { return e.output == "json" }

// printJSON writes one value to standard output.
func (e *env) printJSON(v any) error { return e.writeJSON(e.out, v) }

// writeJSON writes one value, indented on a terminal for the eye.
func (e *env) writeJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	if terminal.Is(out) {
		enc.SetIndent("", "  ")
	}
	return enc.Encode(v)
}

// say prints a line about what is going on, to standard error.
func (e *env) say(format string, args ...any) { fmt.Fprintf(e.told, format+"\n", args...) }

// logger is where the library logs: warnings, and with --verbose everything.
func (e *env) logger() *slog.Logger {
	if e.verbose {
		return slog.New(slog.NewTextHandler(e.told, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(e.warnings)
}

// exactArgs wants the arguments that the names say; it tells which is missing.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usagef("%s is missing", names[len(args)])
		}
		if len(args) > len(names) {
			return usagef("unexpected argument %q", args[len(names)])
		}
		return nil
	}
}

// onlyCommands is for a command that does nothing without one below it.
func onlyCommands(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("unknown command %q", args[0])
	}
	return nil
}
