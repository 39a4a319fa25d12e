package command

import (
	"cmp"
	"context"
	"os"

	"github.com/spf13/pflag"

	"github.com/libvegas/vegas/cmd/vegas/internal/demo"
)

// runOutage runs the demo of a durable producer, with the flags that concern it.
func (e *env) runOutage(ctx context.Context, f *pflag.FlagSet, given demo.Options) error {
	for _, name := range []string{"workers", "lease-time"} {
		if f.Changed(name) {
			return usagef("--%s is for the demo of a fleet, not for --outage", name)
		}
	}
	o := demo.OutageDefaults()
	if f.Changed("duration") {
		o.Duration = given.Duration
	}
	if f.Changed("rate") {
		o.Rate = given.Rate
	}
	if f.Changed("shards") {
		o.Shards = given.Shards
	}
	o.Size, o.Seed = given.Size, given.Seed
	self, err := os.Executable()
	if err != nil {
		return err
	}
	o.Command = func(endpoint, dir string) []string {
		return []string{self, os.Args[0], "produce", demo.Stream, "--endpoint", endpoint, "--region", "us-east-1",
			"--durable", dir, "--report-accepted", "--key-json", "key"}
	}
	o.Environment = append(os.Environ(), "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local")
	out, live := e.demoOutput()
	if o.View = demo.NewOutageLines(out); live {
		o.View = demo.NewOutageLive(out)
	}
	if e.verbose {
		o.Log, o.Errors = e.logger(), e.told
	}
	r, err := demo.RunOutage(ctx, o)
	if r == nil {
		return err
	}
	return cmp.Or(e.audited(r, r.Clean), err)
}
