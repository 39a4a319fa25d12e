package command

import (
	"cmp"
	"errors"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/spf13/cobra"

	"github.com/libvegas/vegas/cmd/vegas/internal/demo"
	"github.com/libvegas/vegas/cmd/vegas/internal/terminal"
)

func newDemo(e *env) *cobra.Command {
	o := demo.Defaults()
	var outage bool
	c := &cobra.Command{
		Use:     "demo",
		Short:   "Watch a fleet lose workers, or a producer its stream, and no record",
		GroupID: "try",
		Long: `Watch a fleet lose workers, and no record; with --outage, a producer lose its
stream.

An embedded Kinesis and a producer run in this process, the workers of a consumer
group in processes of their own; no account and no network are needed. While
records flow, workers are started, stopped and killed with -9, shards split and
merge, and the server loses answers. The picture shows who reads which shard, and
for how long each has been silent.

An auditor gives every record a number within its key and adds up at the end: how
many were lost, out of order or delivered twice (which only a kill may cause),
and for how long each incident silenced a shard, against the goal: lease time and
a second for a kill, half a second where workers hand shards over.

With --outage it is a producer that has a hard time: "vegas produce --durable" in a
process of its own keeps accepting lines while its network is gone, Kinesis
answers with errors and throttles it, and while it is killed with -9 and started
again on the same directory. The picture shows how many records wait in that
directory; the auditor wants each that was said to be safe, once, in order.

Exit code 0 says that the auditor found nothing wrong, 3 that it did.`,
		Example: `  vegas demo
  vegas demo --outage
  vegas demo --duration 5m --rate 8000 --workers 5 --shards 12
  vegas demo --output json`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case o.Duration < 5*time.Second:
				return usagef("--duration %v: want at least 5s", o.Duration)
			case o.Rate < 1 || o.Rate > 200_000:
				return usagef("--rate %d: want 1 to 200000 records a second", o.Rate)
			case o.Shards < 1 || o.Shards > 100:
				return usagef("--shards %d: want 1 to 100", o.Shards)
			case o.Workers < 1 || o.Workers > 20:
				return usagef("--workers %d: want 1 to 20", o.Workers)
			case o.LeaseTime < time.Second || o.LeaseTime > time.Minute:
				return usagef("--lease-time %v: want 1s to 1m", o.LeaseTime)
			case o.Size < 1 || o.Size > 1<<19:
				return usagef("--size %d: want 1 to %d bytes", o.Size, 1<<19)
			}
			if outage {
				return e.runOutage(cmd.Context(), cmd.Flags(), o)
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			o.Command = func(w demo.Worker) []string {
				return []string{self, os.Args[0], workerCommand, "--endpoint", w.Endpoint, "--store", w.Store, "--name", w.Name, "--lease-time", w.LeaseTime.String()}
			}
			out, live := e.demoOutput()
			if o.View = demo.NewLines(out); live {
				o.View = demo.NewLive(out)
			}
			if e.verbose {
				o.Log, o.Errors = e.logger(), e.told
			}
			r, err := demo.Run(cmd.Context(), o)
			if r == nil {
				return err
			}
			return cmp.Or(e.audited(r, r.Clean), err)
		},
	}
	f := c.Flags()
	f.BoolVar(&outage, "outage", false, "the stream goes away, and the producer is killed; 25s, 2000 records a second and 3 shards by default")
	f.DurationVar(&o.Duration, "duration", o.Duration, "how `long`, from the first line to the sums")
	f.IntVar(&o.Rate, "rate", o.Rate, "`records` a second to send")
	f.IntVar(&o.Size, "size", o.Size, "payload of a record in `bytes`")
	f.IntVar(&o.Shards, "shards", o.Shards, "`number` of shards at the start")
	f.IntVar(&o.Workers, "workers", o.Workers, "`number` of worker processes at the start")
	f.DurationVar(&o.LeaseTime, "lease-time", o.LeaseTime, "how long a worker that was killed keeps its shards")
	f.Uint64Var(&o.Seed, "seed", o.Seed, "`number` that decides which keys, shards and workers are chosen")
	return c
}

// demoOutput is where a demo is shown, and whether that is by a picture that changes.
func (e *env) demoOutput() (out io.Writer, live bool) {
	out = e.out
	if e.json() {
		out = e.err
	}
	// A log on the same terminal would tear the picture.
	return out, terminal.Is(out) && !(e.verbose && terminal.Is(e.err))
}

// audited prints the sums that a demo ends with.
func (e *env) audited(sums interface {
	Write(w io.Writer, style terminal.Style, width int)
}, clean bool) error {
	if !e.json() {
		sums.Write(e.out, terminal.StyleFor(e.out), terminal.Room(e.out))
	} else if err := e.printJSON(sums); err != nil {
		return err
	}
	if !clean {
		return &partlyError{errors.New("the auditor found records lost, out of order, duplicated or changed")}
	}
	return nil
}

// workerCommand runs one worker of a demo. People have no use for it: it speaks to
// the demo through its standard input and output.
const workerCommand = "demo-worker"

func newDemoWorker(e *env) *cobra.Command {
	var w demo.Worker
	c := &cobra.Command{
		Use:    workerCommand,
		Hidden: true,
		Args:   exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			// Ctrl-C on the terminal reaches all its processes; the demo then
			// stops its workers itself.
			signal.Ignore(os.Interrupt)
			w.Endpoint, w.Log = e.endpoint, e.logger()
			return w.Run(cmd.Context(), e.in, e.out)
		},
	}
	f := c.Flags()
	f.StringVar(&w.Store, "store", "", "directory")
	f.StringVar(&w.Name, "name", "", "of the worker")
	f.DurationVar(&w.LeaseTime, "lease-time", time.Second, "of the worker")
	return c
}
