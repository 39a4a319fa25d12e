package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/buffer/disk"
	"github.com/libvegas/vegas/cmd/vegas/internal/terminal"
)

func newBufferDrain(e *env) *cobra.Command {
	d := &drain{e: e}
	c := &cobra.Command{
		Use:   "drain DIR",
		Short: "Send all that waits in a buffer",
		Long: `Send all records that wait in a buffer, to the stream whose name the buffer bears,
in their order and under their identities, and end when it is empty.

What keeps it from sending at the start (no such stream, no permission, no network)
ends it at once, with nothing changed. Later it waits for better times, without a
deadline; Ctrl-C, or --leave-after, leaves the rest in the buffer. The exit code is
0 if everything was stored, 4 if --leave-after left something, 3 if records became
dead letters, and 130 after Ctrl-C.`,
		Example: `  vegas buffer drain /var/spool/orders
  vegas buffer drain /var/spool/orders --leave-after 1m --output json`,
		Args: exactArgs("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			d.leaves = cmd.Flags().Changed("leave-after")
			if d.leaveAfter < 0 {
				return usagef("--leave-after %v: want 0 or more", d.leaveAfter)
			}
			return d.run(cmd.Context(), args[0])
		},
	}
	f := c.Flags()
	f.StringVar(&d.stream, "stream", "", "`ARN` of the stream, where it is of another account or region; its name must be the buffer's")
	f.DurationVar(&d.leaveAfter, "leave-after", 0, "how `long` to send; default: until the buffer is empty")
	return c
}

type drain struct {
	e          *env
	stream     string
	leaveAfter time.Duration
	leaves     bool

	producer *vegas.Producer
	started  time.Time
	total    int64 // records at the start
}

// target is the stream of the records in a directory.
func (d *drain) target(dir string) (string, error) {
	label, err := disk.Label(dir)
	switch {
	case err != nil:
		return "", err
	case d.stream == "" && label == "":
		return "", usagef("the buffer %s does not say which stream its records are for: name it with --stream", dir)
	case d.stream == "":
		return label, nil
	}
	name, err := parseStream(d.stream)
	if err == nil && label != "" && name.Stream != label {
		err = usagef("--stream %s: the records in %s are for %q", d.stream, dir, label)
	}
	return d.stream, err
}

func (d *drain) run(ctx context.Context, dir string) error {
	stream, err := d.target(dir)
	if err != nil {
		return err
	}
	name, err := parseStream(stream)
	if err != nil {
		return err
	}
	cfg, err := d.e.awsConfig(ctx, name)
	if err != nil {
		return err
	}
	if err := d.check(ctx, stream, cfg); err != nil {
		return err
	}
	dead := deadLetters(dir)
	d.producer, err = vegas.NewProducer(stream, func(o *vegas.ProducerOptions) {
		o.AWS, o.Logger, o.Durable = cfg, d.e.logger(), dir
	})
	if err != nil {
		return err
	}
	start := d.producer.Stats()
	d.started, d.total = time.Now(), start.Durable.Items+start.Sent
	stopProgress := d.e.showWhile(func() string { return d.bar(time.Now()) })
	sending, cancel := context.WithCancel(ctx)
	if d.leaves {
		sending, cancel = context.WithTimeout(ctx, d.leaveAfter)
	}
	defer cancel()
	err = d.producer.Close(sending)
	stopProgress()
	if ended := sending.Err(); ended != nil && errors.Is(err, ended) {
		err = nil // the summary tells what is left
	}
	if err != nil {
		return err
	}
	return d.summary(ctx, dir, name.Stream, dead)
}

// check finds what cannot work, before the buffer is touched.
func (d *drain) check(ctx context.Context, stream string, cfg aws.Config) error {
	p, err := vegas.NewProducer(stream, func(o *vegas.ProducerOptions) { o.AWS, o.Logger = cfg, d.e.logger() })
	if err != nil {
		return err
	}
	return errors.Join(p.Check(ctx), closeNow(p))
}

func (d *drain) bar(now time.Time) string {
	s := d.producer.Stats()
	left, took := s.Durable.Items, now.Sub(d.started).Seconds()
	rate := float64(s.Sent) / max(took, 0.001)
	text := fmt.Sprintf("%s left, %s/s", thousands(left), thousands(int64(rate)))
	if left > 0 && rate > 0 {
		text += ", " + brief(time.Duration(float64(left)/rate*float64(time.Second))) + " to go"
	}
	if !s.Durable.Oldest.IsZero() {
		text += ", the oldest " + brief(max(now.Sub(s.Durable.Oldest), 0)) + " old"
	}
	return gauge(1-float64(left)/float64(max(d.total, 1))) + "  " + text
}

type drainSummary struct {
	Directory  string  `json:"directory"`
	Stream     string  `json:"stream"`
	Stored     int64   `json:"stored"`
	Left       int64   `json:"left"`
	DeadLetter int64   `json:"dead_letters"` // all that are there
	Seconds    float64 `json:"seconds"`
}

func (d *drain) summary(ctx context.Context, dir, stream string, deadBefore int64) error {
	stats, style := d.producer.Stats(), terminal.StyleFor(d.e.out)
	s := drainSummary{dir, stream, stats.Sent, stats.Durable.Items, stats.Durable.Dead, time.Since(d.started).Seconds()}
	if d.e.json() {
		if err := d.e.printJSON(s); err != nil {
			return err
		}
	} else {
		text := fmt.Sprintf("%s: %s stored in %s in %.1f s, %s/s; %s left", dir, style.Bold(plural(int(s.Stored), "record")), stream, s.Seconds,
			thousands(int64(float64(s.Stored)/s.Seconds)), style.Bold(thousands(s.Left)))
		if s.DeadLetter > 0 {
			text += style.Bad(fmt.Sprintf("; %s", plural(int(s.DeadLetter), "dead letter")))
		}
		if _, err := fmt.Fprintln(d.e.out, text); err != nil {
			return err
		}
	}
	switch dead := s.DeadLetter - deadBefore; {
	case ctx.Err() != nil && s.Left > 0:
		return ctx.Err()
	case dead > 0:
		return &partlyError{fmt.Errorf("stream %q: %s could not be stored: \"vegas buffer inspect --dead %s\" tells why", stream, plural(int(dead), "record"), dir)}
	case s.Left > 0:
		return &leftError{dir, s.Left}
	}
	return nil
}
