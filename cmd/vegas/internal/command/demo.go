package command

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/libvegas/vegas/cmd/vegas/internal/demo"
	"github.com/libvegas/vegas/cmd/vegas/internal/terminal"
)

func newDemo(e *env) *cobra.Command {
	o := demo.Defaults()
	c := &cobra.Command{
		Use:     "demo",
		Short:   "Watch records flow through splits, merges and faults",
		GroupID: "try",
		Long: `Watch records flow through splits, merges and faults.

An embedded Kinesis, a producer and consumers run in this process; no account and
no network are needed. While records flow, shards are split and merged, requests
are throttled, their answers are dropped or come late, streams are cut. An
auditor gives every record a number within its key and adds up at the end: how
many were sent, acknowledged and delivered, and how many of them were lost, out
of order or delivered twice.

Exit code 0 says that the auditor found nothing wrong, 3 that it did.`,
		Example: `  vegas demo
  vegas demo --duration 5m --rate 8000
  vegas demo --output json`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case o.Duration < 2*time.Second:
				return usagef("--duration %v: want at least 2s", o.Duration)
			case o.Rate < 1 || o.Rate > 200_000:
				return usagef("--rate %d: want 1 to 200000 records a second", o.Rate)
			case o.Shards < 1 || o.Shards > 100:
				return usagef("--shards %d: want 1 to 100", o.Shards)
			case o.Size < 1 || o.Size > 1<<19:
				return usagef("--size %d: want 1 to %d bytes", o.Size, 1<<19)
			}
			out := e.out
			if e.json() {
				out = e.err
			}
			// A log on the same terminal would tear the picture.
			if terminal.Is(out) && !(e.verbose && terminal.Is(e.err)) {
				o.View = demo.NewLive(out)
			} else {
				o.View = demo.NewLines(out)
			}
			if e.verbose {
				o.Log = e.logger()
			}
			r, err := demo.Run(cmd.Context(), o)
			if r == nil {
				return err
			}
			if e.json() {
				if err := e.printJSON(r); err != nil {
					return err
				}
			} else {
				width := 1 << 10 // files have room
				if terminal.Is(out) {
					width, _ = terminal.Size(out)
				}
				r.Write(out, terminal.StyleFor(out), width)
			}
			if !r.Clean {
				return &partlyError{errors.New("the auditor found records lost, out of order, duplicated or changed")}
			}
			return err
		},
	}
	f := c.Flags()
	f.DurationVar(&o.Duration, "duration", o.Duration, "how `long`, from the first line to the sums")
	f.IntVar(&o.Rate, "rate", o.Rate, "`records` a second to send")
	f.IntVar(&o.Size, "size", o.Size, "payload of a record in `bytes`")
	f.IntVar(&o.Shards, "shards", o.Shards, "`number` of shards at the start")
	f.Uint64Var(&o.Seed, "seed", o.Seed, "`number` that decides which shards are chosen")
	return c
}
