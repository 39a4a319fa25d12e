package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/admin"
	"github.com/libvegas/vegas/cmd/vegas/internal/terminal"
	"github.com/libvegas/vegas/record"
)

func newLeasesRelease(l *leases) *cobra.Command {
	var force, yes bool
	var wait time.Duration
	c := &cobra.Command{
		Use:   "release GROUP SHARD",
		Short: "Have a shard's owner give it to another worker",
		Long: `Have a shard's owner give it to another worker: it finishes what it is at, saves
its position and leaves the shard to the others, for ten seconds at least. No
record is delivered twice. The command returns when the owner has given it up.

--force takes the shard away at once, whatever its owner does: what that has not
saved is delivered again, to the next owner.`,
		Args: exactArgs("GROUP", "SHARD"),
		RunE: func(cmd *cobra.Command, args []string) error {
			shard, err := shardID(args[1])
			if err != nil {
				return err
			}
			return l.change(cmd.Context(), args[0], func(ctx context.Context, stream string, g *admin.Group) (string, error) {
				if force {
					if err := l.e.sure(yes, args[0], fmt.Sprintf("This takes shard %s of %s away from its owner in group %s:\nrecords that it has not saved are delivered again.", args[1], stream, args[0])); err != nil {
						return "", err
					}
				}
				ctx, cancel := context.WithTimeoutCause(ctx, wait, fmt.Errorf("it did not within %v: look at its log, or use --force", wait))
				defer cancel()
				return "shard " + args[1] + " was released", g.Release(ctx, shard, force)
			})
		},
	}
	c.Flags().BoolVar(&force, "force", false, "take it away at once; records are delivered again")
	c.Flags().DurationVar(&wait, "wait", time.Minute, "how `long` to wait for the owner")
	yesFlag(c, &yes)
	return c
}

func newLeasesReset(l *leases) *cobra.Command {
	var force, yes bool
	var to, shard, sequence string
	c := &cobra.Command{
		Use:   "reset GROUP",
		Short: "Move a group, or one shard of it, to another position",
		Long: `Move a group, or one shard of it, to another position.

With --to the group starts anew there, as for the first time: positions of all
shards are forgotten, and what is remembered to tell duplicates. With --shard
and --sequence only that shard is moved: the record that follows is the next.

It is refused while workers of the group run. One that crashed is waited for
until its lease time is over. --force declares all workers dead: they stop
reading as soon as they hear of it, and start again from the new position.

On a terminal you are asked to type the group's name; elsewhere --yes is needed.`,
		Example: `  vegas leases reset billing --to trim_horizon
  vegas leases reset billing --to -15m --yes
  vegas leases reset billing --shard 3 --sequence 49680627624255630421811951506178716916273408427448860706/2`,
		Args: exactArgs("GROUP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case shard == "" && sequence != "":
				return usagef("--sequence: a sequence number is of one shard: say which with --shard")
			case shard != "" && (to == "") == (sequence == ""):
				return usagef("--shard %s: say where to with --sequence, or with --to trim_horizon for its oldest record", shard)
			case shard == "" && to == "":
				return usagef("--to is missing: trim_horizon, latest, a time such as 2026-01-31T12:00:00Z, or an age such as -15m")
			}
			if shard != "" {
				id, err := shardID(shard)
				if err != nil {
					return err
				}
				at, err := parsePosition(to, sequence)
				if err != nil {
					return err
				}
				return l.change(cmd.Context(), args[0], func(ctx context.Context, stream string, g *admin.Group) (string, error) {
					if err := l.e.sure(yes, args[0], fmt.Sprintf("This moves group %s on shard %s of %s to %s.", args[0], shard, stream, at)); err != nil {
						return "", err
					}
					return "shard " + shard + " is at " + at.String(), g.Move(ctx, id, at, force)
				})
			}
			start, err := parseFrom("to", to, time.Now())
			if err != nil {
				return err
			}
			return l.change(cmd.Context(), args[0], func(ctx context.Context, stream string, g *admin.Group) (string, error) {
				if err := l.e.sure(yes, args[0], fmt.Sprintf("This makes group %s forget where it is in %s and start at %s.", args[0], stream, to)); err != nil {
					return "", err
				}
				return "starts at " + to, g.Reset(ctx, start, force)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&to, "to", "", "where to: trim_horizon, latest, a `time` (RFC 3339) or an age such as -15m")
	f.StringVar(&shard, "shard", "", "move this `shard` only")
	f.StringVar(&sequence, "sequence", "", "the `record` after which the shard goes on: NUMBER, or NUMBER/INDEX inside an aggregate")
	f.BoolVar(&force, "force", false, "even if workers run: they are declared dead")
	yesFlag(c, &yes)
	return c
}

func newLeasesDelete(l *leases) *cobra.Command {
	var force, yes bool
	c := &cobra.Command{
		Use:   "delete GROUP",
		Short: "Forget all that a group remembers of a stream",
		Long: `Forget all that a group remembers of a stream. A group that comes back under the
same name starts as a new one.

It is refused while workers of the group run; see "vegas leases reset --help".

On a terminal you are asked to type the group's name; elsewhere --yes is needed.`,
		Args: exactArgs("GROUP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return l.change(cmd.Context(), args[0], func(ctx context.Context, stream string, g *admin.Group) (string, error) {
				if err := l.e.sure(yes, args[0], fmt.Sprintf("This makes group %s forget all of %s.", args[0], stream)); err != nil {
					return "", err
				}
				return "deleted", g.Delete(ctx, force)
			})
		},
	}
	c.Flags().BoolVar(&force, "force", false, "even if workers run: they are declared dead, and those that go on start as a new group")
	yesFlag(c, &yes)
	return c
}

func yesFlag(c *cobra.Command, yes *bool) { c.Flags().BoolVarP(yes, "yes", "y", false, "do not ask") }

// change does something to the group of one stream, and says what.
func (l *leases) change(ctx context.Context, name string, do func(context.Context, string, *admin.Group) (string, error)) error {
	g, err := l.open(ctx, name)
	if err != nil {
		return err
	}
	defer g.close()
	stream, err := l.one(ctx, g)
	if err != nil {
		return err
	}
	adm, err := g.of(stream)
	if err != nil {
		return err
	}
	done, err := do(ctx, stream, adm)
	if err != nil {
		return err
	}
	if l.e.json() {
		return l.e.printJSON(map[string]any{"group": name, "stream": stream, "done": done})
	}
	_, err = fmt.Fprintf(l.e.out, "%s on %s: %s\n", name, stream, done)
	return err
}

// sure has a person confirm what cannot be undone, by typing a name.
func (e *env) sure(yes bool, name, what string) error {
	if yes {
		return nil
	}
	if !terminal.Is(e.in) {
		return usagef("%s Confirm with --yes", strings.ReplaceAll(what, "\n", " "))
	}
	fmt.Fprintf(e.err, "%s\nType the group's name to go on: ", what)
	line, _ := bufio.NewReader(e.in).ReadString('\n')
	if strings.TrimSpace(line) != name {
		return errors.New("nothing was changed: the name was not confirmed")
	}
	return nil
}

// parsePosition reads where a shard is to go on.
func parsePosition(to, sequence string) (vegas.Position, error) {
	if sequence == "" {
		if strings.EqualFold(to, "trim_horizon") {
			return vegas.Position{Sequence: record.SequenceTrimHorizon}, nil
		}
		return vegas.Position{}, usagef("--to %q: a single shard goes to trim_horizon, or behind the record that --sequence names", to)
	}
	number, index, inside := strings.Cut(sequence, "/")
	p := vegas.Position{Sequence: number}
	err := record.CheckSequence(number)
	if err == nil && inside {
		if p.SubSequence, err = strconv.ParseInt(index, 10, 64); err == nil && p.SubSequence < 0 {
			err = errors.New("the index is negative")
		}
	}
	if err != nil {
		return p, usagef("--sequence %.140q: want NUMBER or NUMBER/INDEX, as consume --output json writes them", sequence)
	}
	return p, nil
}
