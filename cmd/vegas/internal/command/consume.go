package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/cmd/vegas/internal/format"
	"github.com/libvegas/vegas/cmd/vegas/internal/stores"
	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/memory"
)

func newConsume(e *env) *cobra.Command {
	c := &consume{e: e}
	cmd := &cobra.Command{
		Use:     "consume STREAM",
		Aliases: []string{"get"},
		Short:   "Write records as lines of text",
		GroupID: "records",
		Long: `Write records as lines of text, those of one partition key in the order in which
they were sent.

With --group the position is remembered in a store, and the next call goes on
from there; a record's line is written before any position behind it is, so that
nothing is lost when this process or the reader of its output is killed. Without
--group positions are forgotten at the end.

Several processes of one group and store are a fleet: they share the shards, take
over from one that died when --lease-time is over, and from one that is stopped
at once. "vegas leases GROUP" shows who reads what.

It reads until Ctrl-C, or until --count records were written, or with
--until-tip until everything was read that was in the stream at the start, by
this process alone.

The store is what --store names, else VEGAS_STORE, else dynamodb:
` + stores.Help + `

What a line looks like:
  default           the payload
  --format FORMAT   see below
  --output json     an object with stream, shard, sequence, sub_sequence,
                    partition_key, data (data_base64 if it is not UTF-8),
                    arrival in milliseconds, and headers if there are any
  --events          JSON as well, and lines for the life of shards in between:
                    event (acquired, handed_over, ended, lost, checkpoint,
                    stopping, stopped), time in milliseconds, shard, worker (this
                    one), where it starts or what was checkpointed in sequence
                    and sub_sequence; with acquired how (free, dead, handoff,
                    again), former_owner, and start in milliseconds where a new
                    group starts at a time; with handed_over new_owner

FORMAT is text with
` + format.Help,
		Example: `  vegas consume orders --until-tip
  vegas consume orders --group billing --format '%k\t%v\n'
  vegas consume orders --group billing --store sqlite:positions.db --events
  vegas consume orders --from -15m --output json | jq .data`,
		Args:              exactArgs("STREAM"),
		ValidArgsFunction: e.completeFirst,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, name := range ofGroups {
				if c.group == "" && cmd.Flags().Changed(name) {
					return usagef("--%s: of use with --group only, the name of a group", name)
				}
			}
			return c.run(cmd.Context(), args[0])
		},
	}
	f := cmd.Flags()
	f.StringVarP(&c.group, "group", "g", "", "`name` under which the position is remembered, or the ARN of a fan-out consumer")
	f.StringVar(&c.from, "from", "trim_horizon", "where a new group starts: trim_horizon, latest, a `time` (RFC 3339) or an age such as -15m")
	f.StringVar(&c.efo, "efo", "", "read by enhanced fan-out as the consumer of that `name`")
	f.Int64VarP(&c.count, "count", "n", 0, "stop after that `number` of records; 0: no limit")
	f.BoolVar(&c.untilTip, "until-tip", false, "stop when everything was read that was there at the start")
	f.StringVarP(&c.format, "format", "f", "", "`format` of a line, see above")
	f.BoolVar(&c.events, "events", false, "JSON lines for records and for the life of shards")
	c.store.add(f)
	f.StringVar(&c.worker, "worker-id", "", "`name` of this worker of the group; default: host, process and a random part")
	f.DurationVar(&c.leaseTime, "lease-time", leaseTimeDefault(), "how long this process keeps its shards when it has crashed")
	f.IntVar(&c.maxShards, "max-shards", 0, "read at most that `number` of shards and leave others to the group; 0: no limit")
	f.DurationVar(&c.saveEvery, "save-every", 5*time.Second, "how often the position of a shard is saved at most")
	must(cmd.RegisterFlagCompletionFunc("from", cobra.FixedCompletions([]string{"trim_horizon", "latest"}, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

// ofGroups are the flags that say nothing without --group.
var ofGroups = []string{"store", "worker-id", "lease-time", "max-shards"}

// leaseTimeDefault is the library's.
func leaseTimeDefault() (d time.Duration) {
	_, _ = vegas.NewConsumer("any", "any", func(o *vegas.ConsumerOptions) { o.Store, d = memory.New(), o.LeaseTime })
	return d
}

type consume struct {
	e         *env
	group     string
	store     storeFlag
	worker    string
	leaseTime time.Duration
	maxShards int
	from      string
	efo       string
	count     int64
	untilTip  bool
	format    string
	events    bool

	saveEvery time.Duration

	out  *lineWriter
	tips *tips // nil without --until-tip
	stop context.CancelFunc
}

func (c *consume) run(ctx context.Context, stream string) error {
	name, err := parseStream(stream)
	if err != nil {
		return err
	}
	start, err := parseFrom("from", c.from, time.Now())
	if err != nil {
		return err
	}
	line, err := c.line()
	if err != nil {
		return err
	}
	if c.count < 0 {
		return usagef("--count %d: want 0 or more", c.count)
	}
	if c.untilTip && c.maxShards > 0 {
		return usagef("--until-tip and --max-shards exclude each other: what others read, this process does not wait for")
	}
	if c.saveEvery <= 0 {
		return usagef("--save-every %v: want more than 0", c.saveEvery)
	}
	cfg, err := c.e.awsConfig(ctx, name)
	if err != nil {
		return err
	}
	var rows store.Store
	group := c.group
	if group == "" {
		group, rows = fmt.Sprintf("vegas-consume-%d", os.Getpid()), memory.New()
		c.e.say("No --group: positions are kept in memory and forgotten at the end.")
	} else if rows, err = c.store.open(ctx, c.e, name); err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // every row is written, or told about
	c.out = newLineWriter(c.e.out, line, c.count)
	consumer, err := vegas.NewConsumer(stream, group, func(o *vegas.ConsumerOptions) {
		o.AWS, o.Start, o.Logger, o.OnError = cfg, start, c.e.logger(), vegas.Stop
		o.MaxAttempts = 1 // what fails here is the output
		o.Store, o.LeaseTime, o.MaxShards = rows, c.leaseTime, c.maxShards
		if c.worker != "" {
			o.Worker = c.worker
		}
		if c.efo != "" {
			o.FanOut, o.FanOutName = true, c.efo
		}
		if c.events {
			o.Observer = &eventObserver{out: c.out}
		}
	})
	if err != nil {
		return &usageError{err}
	}
	runCtx, stop := context.WithCancel(ctx)
	defer stop()
	c.stop = stop
	// When the reader of the output ends, as head does, the signal would kill
	// this process without a word to the group's next consumer, which would
	// then wait to see whether it lives. The error of the write ends it in order.
	signal.Ignore(syscall.SIGPIPE)
	if c.untilTip {
		if c.tips, err = c.findTips(ctx, name, cfg); err != nil {
			return err
		}
	}
	ended := make(chan struct{})
	watched := make(chan struct{})
	go func() { defer close(watched); c.watch(consumer, ended) }()
	err = consumer.RunShards(runCtx, c.shard)
	if errors.Is(err, vegas.ErrGraceOver) {
		return err // nobody reads the output: what is left of it would hang as well
	}
	close(ended)
	<-watched
	// The last event is the consumer's end.
	switch werr := c.out.flush(); {
	case errors.Is(werr, syscall.EPIPE):
		return &exitError{exitPipe} // its reader has enough, which is no failure to tell of
	case werr != nil:
		return errors.Join(fmt.Errorf("write the output: %w", werr), err)
	}
	return err
}

// line chooses the form of a record's line.
func (c *consume) line() (format.Line, error) {
	asJSON := c.events || c.e.json()
	switch {
	case asJSON && c.format != "":
		return nil, usagef("--format excludes --output json and --events")
	case asJSON:
		return format.JSON, nil
	case c.format != "":
		line, err := format.Parse(c.format)
		if err != nil {
			return nil, usagef("--%w", err)
		}
		return line, nil
	}
	return format.Value, nil
}

// parseFrom reads where to start, as the flag says.
func parseFrom(flag, s string, now time.Time) (vegas.Start, error) {
	switch strings.ToLower(s) {
	case "trim_horizon":
		return vegas.TrimHorizon(), nil
	case "latest":
		return vegas.Latest(), nil
	}
	if age, err := time.ParseDuration(s); err == nil && age < 0 {
		return vegas.AtTime(now.Add(age)), nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			if t.After(now) {
				return vegas.Start{}, usagef("--%s %s: that is in the future, and records do not come from there: want latest for those that are still to come", flag, s)
			}
			return vegas.AtTime(t), nil
		}
	}
	return vegas.Start{}, usagef("--%s %q: want trim_horizon, latest, a time such as 2026-01-31T12:00:00Z, or an age such as -15m", flag, s)
}

// partRecords is how many records are written before other shards have a turn
// and the position may be saved.
const partRecords = 1000

// shard writes the records of one shard. Positions go to the saver once their
// lines are out.
func (c *consume) shard(ctx context.Context, s *vegas.Shard) error {
	saver := newSaver(ctx, s, c.saveEvery)
	for batch, err := range s.Batches() {
		if err != nil {
			return errors.Join(err, saver.close())
		}
		for records := batch.Records; ; {
			part, end := records, batch.End
			if len(part) > partRecords {
				part = part[:partRecords]
				end = part[partRecords-1].Position
			}
			records = records[len(part):]
			done, end, err := c.out.write(part, end)
			if err != nil {
				c.stop()
				saver.drop() // who knows what of it was read
				return nil   // run meets the error
			}
			if !end.IsStart() {
				saver.save(end)
			}
			if done {
				c.stop()
				return saver.close()
			}
			if len(records) == 0 {
				break
			}
		}
		if c.tips != nil {
			c.tips.written(s.ID(), batch.End, batch.Behind)
		}
	}
	if err := saver.close(); err != nil {
		return err
	}
	if c.tips != nil && s.Ending() == vegas.ShardEnd {
		c.tips.reached(s.ID())
	}
	return nil
}

// saver writes the positions of one shard, not more often than it was told, and
// the last one always. Its goroutine ends at close.
type saver struct {
	latest  chan vegas.Position // the newest position not taken yet
	ended   chan error
	dropped atomic.Bool // nothing is written any more
}

func newSaver(ctx context.Context, s *vegas.Shard, every time.Duration) *saver {
	v := &saver{latest: make(chan vegas.Position, 1), ended: make(chan error, 1)}
	go func() {
		var due <-chan time.Time // of the next write
		var at *vegas.Position   // to be written
		var last time.Time
		for {
			select {
			case p, ok := <-v.latest:
				if !ok {
					var err error
					if at != nil && !v.dropped.Load() {
						err = s.Checkpoint(ctx, *at)
					}
					v.ended <- err
					return
				}
				if at = &p; due == nil {
					due = time.After(every - time.Since(last))
				}
			case <-due:
				due, last = nil, time.Now()
				// What fails here is tried again with the next position, and
				// told if that is the last.
				if s.Checkpoint(ctx, *at) == nil {
					at = nil
				}
			}
		}
	}()
	return v
}

// save hands over a position, in place of one that was not taken yet.
func (v *saver) save(p vegas.Position) {
	select {
	case <-v.latest:
	default:
	}
	v.latest <- p
}

// close writes what is left to write, and ends the saver.
func (v *saver) close() error {
	close(v.latest)
	return <-v.ended
}

// drop ends the saver without that.
func (v *saver) drop() {
	v.dropped.Store(true)
	_ = v.close()
}
