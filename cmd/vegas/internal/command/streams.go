package command

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/spf13/cobra"

	"github.com/libvegas/vegas/cmd/vegas/internal/terminal"
	"github.com/libvegas/vegas/internal/kinesisapi"
)

func newStreams(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:     "streams",
		Short:   "Show, create, delete and reshape streams",
		GroupID: "streams",
		Long: `Show, create, delete and reshape streams.

STREAM is a name or an ARN; SHARD a number such as 3 or an id such as
shardId-000000000003. Commands that change a stream return once it is ACTIVE
again, unless told --no-wait.`,
		Args: onlyCommands,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(newStreamsList(e), newStreamsDescribe(e), newStreamsCreate(e), newStreamsDelete(e),
		newStreamsSplit(e), newStreamsMerge(e), newStreamsScale(e))
	for _, sub := range c.Commands() {
		if sub.ValidArgsFunction == nil {
			sub.ValidArgsFunction = e.completeFirst
		}
	}
	return c
}

// completeFirst completes a stream's name as the first argument.
func (e *env) completeFirst(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return e.completeStreams(cmd.Context(), prefix), cobra.ShellCompDirectiveNoFileComp
}

func newStreamsList(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the streams of the account in the region",
		Args:  exactArgs(),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			lines, err := e.listStreams(cmd.Context())
			if err != nil {
				return err
			}
			return e.printStreams(lines)
		},
	}
}

type streamLine struct {
	Name    string `json:"name"`
	ARN     string `json:"arn"`
	Status  string `json:"status"`
	Mode    string `json:"mode,omitempty"`
	Created string `json:"created,omitempty"`
}

// listStreams gives all streams by name.
func (e *env) listStreams(ctx context.Context) ([]streamLine, error) {
	api, err := e.api(ctx, kinesisapi.Name{})
	if err != nil {
		return nil, err
	}
	defer api.Close()
	return kinesisapi.Control(ctx, api, "list streams", "ListStreams", "", func(ctx context.Context, k *kinesis.Client) ([]streamLine, error) {
		lines := []streamLine{}
		pages := kinesis.NewListStreamsPaginator(k, &kinesis.ListStreamsInput{})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, err
			}
			for _, s := range page.StreamSummaries {
				lines = append(lines, streamLine{aws.ToString(s.StreamName), aws.ToString(s.StreamARN),
					string(s.StreamStatus), mode(s.StreamModeDetails), stamp(s.StreamCreationTimestamp)})
			}
			if len(page.StreamSummaries) == 0 { // some emulators give names only
				for _, name := range page.StreamNames {
					lines = append(lines, streamLine{Name: name})
				}
			}
		}
		slices.SortFunc(lines, func(a, b streamLine) int { return strings.Compare(a.Name, b.Name) })
		return lines, nil
	})
}

func (e *env) printStreams(lines []streamLine) error {
	if e.json() {
		return e.printJSON(lines)
	}
	if len(lines) == 0 {
		e.say("There are no streams. Create one with: vegas streams create NAME")
		return nil
	}
	w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tSTATUS\tMODE\tCREATED")
	for _, l := range lines {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", l.Name, l.Status, words(l.Mode), l.Created)
	}
	return w.Flush()
}

// words writes one of the service's constants for people.
func words(constant string) string { return strings.ToLower(strings.ReplaceAll(constant, "_", "-")) }

func mode(d *types.StreamModeDetails) string {
	if d == nil {
		return ""
	}
	return string(d.StreamMode)
}

func stamp(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func newStreamsCreate(e *env) *cobra.Command {
	var shards, recordKiB int32
	var onDemand, noWait bool
	c := &cobra.Command{
		Use:   "create STREAM",
		Short: "Create a stream",
		Example: `  vegas streams create orders --shards 4
  vegas streams create orders --on-demand`,
		Args: exactArgs("STREAM"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := parseNewStream(args[0]); err != nil {
				return err
			}
			in := &kinesis.CreateStreamInput{StreamName: &args[0]}
			switch {
			case onDemand && cmd.Flags().Changed("shards"):
				return usagef("--on-demand and --shards exclude each other: an on-demand stream chooses its shards itself")
			case onDemand:
				in.StreamModeDetails = &types.StreamModeDetails{StreamMode: types.StreamModeOnDemand}
			case shards < 1:
				return usagef("--shards %d: want at least 1", shards)
			default:
				in.ShardCount = &shards
			}
			if recordKiB != 0 {
				in.MaxRecordSizeInKiB = &recordKiB
			}
			s, err := e.stream(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer s.Close()
			if err := change(cmd.Context(), s, "create stream", "CreateStream", "", in, (*kinesis.Client).CreateStream); err != nil {
				return err
			}
			return s.finish(cmd.Context(), noWait, "created")
		},
	}
	c.Flags().Int32Var(&shards, "shards", 1, "`number` of shards")
	c.Flags().BoolVar(&onDemand, "on-demand", false, "let the service choose the number of shards")
	c.Flags().Int32Var(&recordKiB, "max-record-kib", 0, "largest record in `KiB`, 1024 to 10240; 0: the service's default of 1024")
	noWaitFlag(c, &noWait)
	return c
}

func newStreamsDelete(e *env) *cobra.Command {
	var yes, consumers, noWait bool
	c := &cobra.Command{
		Use:   "delete STREAM",
		Short: "Delete a stream and every record in it",
		Long: `Delete a stream and every record in it.

On a terminal you are asked to type the stream's name; elsewhere --yes is needed.`,
		Args: exactArgs("STREAM"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := e.stream(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer s.Close()
			if !yes {
				if err := e.confirm(args[0]); err != nil {
					return err
				}
			}
			in := &kinesis.DeleteStreamInput{}
			in.StreamName, in.StreamARN = s.Name().Ref()
			if consumers {
				in.EnforceConsumerDeletion = &consumers
			}
			if err := change(cmd.Context(), s, "delete stream", "DeleteStream", "", in, (*kinesis.Client).DeleteStream); err != nil {
				return err
			}
			if !noWait {
				if err := s.waitGone(cmd.Context()); err != nil {
					return err
				}
			}
			if e.json() {
				return e.printJSON(map[string]any{"stream": args[0], "deleted": true})
			}
			_, err = fmt.Fprintf(e.out, "%s deleted\n", args[0])
			return err
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	c.Flags().BoolVar(&consumers, "consumers", false, "delete it even if fan-out consumers are registered")
	noWaitFlag(c, &noWait)
	return c
}

// confirm has a person type the stream's name.
func (e *env) confirm(name string) error {
	if !terminal.Is(e.in) {
		return usagef("stream %q would be deleted with all its records: confirm with --yes", name)
	}
	fmt.Fprintf(e.err, "This deletes the stream %q and every record in it.\nType its name to go on: ", name)
	line, _ := bufio.NewReader(e.in).ReadString('\n')
	if strings.TrimSpace(line) != name {
		return fmt.Errorf("stream %q was not deleted: the name was not confirmed", name)
	}
	return nil
}

// streamClient is a stream with the client that reaches it.
type streamClient struct {
	e *env
	*kinesisapi.Client
}

// stream parses the argument and connects; no call is made yet.
func (e *env) stream(ctx context.Context, arg string) (*streamClient, error) {
	name, err := parseStream(arg)
	if err != nil {
		return nil, err
	}
	api, err := e.api(ctx, name)
	if err != nil {
		return nil, err
	}
	return &streamClient{e, api}, nil
}

// change makes a call whose answer is of no interest.
func change[In, Out any](ctx context.Context, s *streamClient, op, action, shard string, in *In,
	do func(*kinesis.Client, context.Context, *In, ...func(*kinesis.Options)) (*Out, error)) error {
	_, err := kinesisapi.Control(ctx, s.Client, op, action, shard, func(ctx context.Context, k *kinesis.Client) (*Out, error) {
		return do(k, ctx, in)
	})
	return err
}

func noWaitFlag(c *cobra.Command, v *bool) {
	c.Flags().BoolVar(v, "no-wait", false, "return at once, not when the stream is ready")
}

// summary describes the stream without its shards.
func (s *streamClient) summary(ctx context.Context) (*types.StreamDescriptionSummary, error) {
	return kinesisapi.Control(ctx, s.Client, "describe stream", "DescribeStreamSummary", "",
		func(ctx context.Context, k *kinesis.Client) (*types.StreamDescriptionSummary, error) {
			in := &kinesis.DescribeStreamSummaryInput{}
			in.StreamName, in.StreamARN = s.Name().Ref()
			out, err := k.DescribeStreamSummary(ctx, in)
			if err != nil {
				return nil, err
			}
			if out.StreamDescriptionSummary == nil {
				return nil, kinesisapi.ErrEmptyAnswer
			}
			return out.StreamDescriptionSummary, nil
		})
}

// shards lists all shards, closed ones included, by their numbers.
func (s *streamClient) shards(ctx context.Context) ([]shardView, error) {
	raw, err := s.ListShards(ctx, nil)
	if err != nil {
		return nil, err
	}
	all := []shardView{}
	for _, shard := range raw {
		v, err := viewShard(shard)
		if err != nil {
			return nil, fmt.Errorf("list shards: stream %q %s: %w", s.Name(), aws.ToString(shard.ShardId), err)
		}
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b shardView) int {
		return cmp.Or(cmp.Compare(len(a.ID), len(b.ID)), strings.Compare(a.ID, b.ID))
	})
	return all, nil
}

// finish waits until the stream is ACTIVE and shows it.
func (s *streamClient) finish(ctx context.Context, noWait bool, what string) error {
	if noWait {
		if s.e.json() {
			return s.e.printJSON(map[string]any{"stream": s.Name().String(), "waited": false})
		}
		_, err := fmt.Fprintf(s.e.out, "%s is being %s\n", s.Name(), what)
		return err
	}
	if err := s.waitActive(ctx); err != nil {
		return err
	}
	return s.show(ctx)
}

const (
	pollEvery = 300 * time.Millisecond
	waitLimit = 15 * time.Minute
)

// waitActive returns when the stream is ACTIVE. On a terminal it tells what it
// waits for.
func (s *streamClient) waitActive(ctx context.Context) error {
	return s.poll(ctx, func() (bool, string, error) {
		d, err := s.summary(ctx)
		if err != nil {
			return false, "", err
		}
		return d.StreamStatus == types.StreamStatusActive,
			fmt.Sprintf("%s is %s, %s open", s.Name(), d.StreamStatus, plural(int(aws.ToInt32(d.OpenShardCount)), "shard")), nil
	})
}

func (s *streamClient) waitGone(ctx context.Context) error {
	return s.poll(ctx, func() (bool, string, error) {
		d, err := s.summary(ctx)
		if isCode(err, "ResourceNotFoundException") {
			return true, "", nil
		} else if err != nil {
			return false, "", err
		}
		return false, fmt.Sprintf("%s is %s", s.Name(), d.StreamStatus), nil
	})
}

func (s *streamClient) poll(ctx context.Context, done func() (bool, string, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, waitLimit,
		fmt.Errorf("stream %q is not ready after %v; it may still become so", s.Name(), waitLimit))
	defer cancel()
	shown := s.e.showProgress()
	if shown != nil {
		defer shown.clear()
	}
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		ok, state, err := done()
		if ok || err != nil {
			return err
		}
		if shown != nil {
			shown.paint(state + " …")
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return thousands(int64(n)) + " " + what + "s"
}
