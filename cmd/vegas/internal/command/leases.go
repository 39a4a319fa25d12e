package command

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/admin"
	"github.com/libvegas/vegas/cmd/vegas/internal/stores"
	"github.com/libvegas/vegas/cmd/vegas/internal/terminal"
	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/store"
)

func newLeases(e *env) *cobra.Command {
	l := &leases{e: e}
	c := &cobra.Command{
		Use:     "leases GROUP",
		Short:   "Show who reads what in a group, and how far it is",
		GroupID: "records",
		Long: `Show the workers of a consumer group and the leases of its shards: who reads each
shard, how far it came, how far that is behind the tip, and when it was saved.
Looking disturbs nobody: the rows are listed once, and each shard is asked for
its lag with one of the five reads a second that it has (not with --no-lag).

A group may read several streams; all that the store knows are shown, or the one
that --stream names.

A shard is reading, handing over, waiting (for its parents to be read to their
end), unowned or ended. The lag is that of the saved position: while records
flow it is behind the handlers by up to the time between two saves. A worker that
has been silent for longer than its lease time has died or is cut off; others
declare it dead and take its shards. Workers that stopped or were declared dead
are gone, and shown for a minute or two.

The store is what --store names, else VEGAS_STORE, else dynamodb:
` + stores.Help,
		Example: `  vegas leases billing
  vegas leases billing --watch
  vegas leases billing --output json | jq '.streams[].shards[] | select(.state != "ended")'
  vegas leases release billing 3
  vegas leases reset billing --to -15m`,
		Args: exactArgs("GROUP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return l.show(cmd.Context(), args[0])
		},
	}
	f := c.PersistentFlags()
	l.store.add(c.PersistentFlags())
	f.StringVar(&l.stream, "stream", "", "`name` or ARN of the stream; default: all that the group reads")
	must(c.RegisterFlagCompletionFunc("stream", func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		return e.completeStreams(cmd.Context(), prefix), cobra.ShellCompDirectiveNoFileComp
	}))
	c.Flags().BoolVarP(&l.watch, "watch", "w", false, "look again and again, until Ctrl-C")
	c.Flags().DurationVar(&l.every, "every", time.Second, "how `long` to wait between two looks with --watch")
	c.Flags().BoolVar(&l.noLag, "no-lag", false, "do not ask the stream how far positions are behind")
	c.AddCommand(newLeasesRelease(l), newLeasesReset(l), newLeasesDelete(l))
	return c
}

// leases is what the commands about a group share.
type leases struct {
	e      *env
	store  storeFlag
	stream string
	watch  bool
	every  time.Duration
	noLag  bool
}

// group is a group with the store of its rows.
type group struct {
	e    *env
	name string
	cfg  aws.Config
	rows store.Store
}

func (l *leases) open(ctx context.Context, name string) (*group, error) {
	if err := kinesisapi.CheckName(name); err != nil {
		return nil, usagef("group %.80q: %w (see docs/troubleshooting.md#group-name)", name, err)
	}
	var stream kinesisapi.Name
	if l.stream != "" {
		var err error
		if stream, err = parseStream(l.stream); err != nil {
			return nil, err
		}
	}
	cfg, err := l.e.awsConfig(ctx, stream)
	if err != nil {
		return nil, err
	}
	if text, _ := l.store.named(); stores.Empty(text) {
		return nil, noGroup(name)
	}
	rows, err := l.store.open(ctx, l.e, stream)
	if err != nil {
		return nil, err
	}
	return &group{l.e, name, cfg, rows}, nil
}

func (g *group) close() { _ = g.rows.Close() }

// of is the group of one of its streams.
func (g *group) of(stream string) (*admin.Group, error) {
	c, err := vegas.NewConsumer(stream, g.name, func(o *vegas.ConsumerOptions) {
		o.AWS, o.Store, o.Logger = g.cfg, g.rows, g.e.logger()
	})
	if err != nil {
		return nil, &usageError{err}
	}
	return c.Admin(), nil
}

// streams are the names of the streams to show.
func (l *leases) streams(ctx context.Context, g *group) ([]string, error) {
	if l.stream != "" {
		return []string{l.stream}, nil
	}
	known, err := admin.Streams(ctx, g.rows, g.name)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, s := range known {
		if !slices.Contains(names, s.Name) {
			names = append(names, s.Name)
		}
	}
	if len(names) == 0 {
		return nil, noGroup(g.name)
	}
	return names, nil
}

func noGroup(name string) error {
	return fmt.Errorf("the store knows no group %q: check the name, and that --store or VEGAS_STORE is that of its workers (see docs/troubleshooting.md#no-group)", name)
}

// one is the stream of a command that changes something.
func (l *leases) one(ctx context.Context, g *group) (string, error) {
	names, err := l.streams(ctx, g)
	if err != nil {
		return "", err
	}
	if len(names) > 1 {
		return "", usagef("group %q reads %s: say which with --stream", g.name, strings.Join(names, ", "))
	}
	return names[0], nil
}

// lagEvery is how often --watch asks for lags: each costs a shard one of the five
// reads a second that it has for all its readers.
const lagEvery = 5 * time.Second

func (l *leases) show(ctx context.Context, name string) error {
	if l.every < 100*time.Millisecond {
		return usagef("--every %v: want at least 100ms", l.every)
	}
	g, err := l.open(ctx, name)
	if err != nil {
		return err
	}
	defer g.close()
	style := terminal.StyleFor(l.e.out)
	if !l.watch {
		v, err := l.look(ctx, g, nil)
		if err != nil {
			return err
		}
		if l.e.json() {
			return l.e.printJSON(v)
		}
		_, err = fmt.Fprintln(l.e.out, strings.Join(v.draw(time.Now(), style), "\n"))
		return err
	}
	var screen *terminal.Screen
	if terminal.Is(l.e.out) && !l.e.json() {
		screen = terminal.NewScreen(l.e.out)
		defer screen.Done()
	}
	lags := &lags{}
	tick := time.NewTicker(l.every)
	defer tick.Stop()
	for {
		v, err := l.look(ctx, g, lags)
		switch {
		case ctx.Err() != nil:
			return nil // it has no end of its own
		case err != nil:
			return err
		case l.e.json():
			err = l.e.printJSON(v)
		case screen != nil:
			screen.Paint(v.draw(time.Now(), style))
		default:
			_, err = fmt.Fprintln(l.e.out, strings.Join(v.draw(time.Now(), style), "\n")+"\n")
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// lags remembers the lags of shards between two questions for them.
type lags struct {
	asked time.Time
	known map[string]time.Duration // by stream and shard
}

// due tells that the lags are to be asked for.
func (a *lags) due(now time.Time) bool {
	if now.Sub(a.asked) < lagEvery {
		return false
	}
	a.asked, a.known = now, map[string]time.Duration{}
	return true
}

// look reads the group's rows. With before, lags are asked for now and then only.
func (l *leases) look(ctx context.Context, g *group, before *lags) (*groupView, error) {
	names, err := l.streams(ctx, g)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	ask := !l.noLag && (before == nil || before.due(now))
	v := &groupView{Group: g.name, Streams: []streamLeases{}}
	for _, name := range names {
		adm, err := g.of(name)
		if err != nil {
			return nil, err
		}
		s, err := adm.Inspect(ctx, ask)
		switch {
		case isCode(err, "ResourceNotFoundException") && l.stream == "":
			v.Streams = append(v.Streams, streamLeases{Stream: name, Gone: true, Workers: []workerView{}, Shards: []leaseView{}})
			continue
		case err != nil:
			return nil, err
		}
		for i := range s.Leases {
			lease := &s.Leases[i]
			key := name + " " + lease.Shard
			switch {
			case before == nil:
			case lease.Known:
				before.known[key] = lease.Behind
			default:
				lease.Behind, lease.Known = before.known[key]
			}
		}
		v.Streams = append(v.Streams, viewLeases(name, s, now))
	}
	return v, nil
}
