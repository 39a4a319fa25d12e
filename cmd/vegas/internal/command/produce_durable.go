package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/cmd/vegas/internal/terminal"
)

const durableHelp = `With --durable DIR lines are kept in a directory until the stream has them. Outages,
missing permissions, a missing stream, kill -9 and power cuts then lose none: the
next run sends what it finds there, first, in order, and under the identities
that consumers recognise what was sent twice by. There is no deadline. At the end
of the input it goes on until everything is stored, or for the time that
--leave-after says; Ctrl-C gives what is under way two seconds and leaves the rest.
"vegas buffer" looks into the directory and empties it. The exit code is 0 if
everything was stored, 4 if all lines are safe but some still have to be sent, 3 if
lines were not accepted or became dead letters, and 130 after Ctrl-C.

--report-accepted is for scripts that must not lose a line: standard output then
has nothing but the number of lines, from the first of this run, that need not be
kept any more, since they are safe in DIR (or were told to be unfit: without a
key, too large); a few times a second while it rises, and at the end. Whatever
happens, run it again from the line after the last number. Lines behind it may be
safe as well, so that they are then stored twice. Lines that the disk failed to
take end the run, and are not counted.`

// durable is what --durable adds: a line is done with when it is safe in a
// directory.
type durable struct {
	dir        string
	bytes      sizeFlag
	age        time.Duration
	leaveAfter time.Duration
	leaves     bool // --leave-after is set
	report     bool

	stop context.CancelCauseFunc // of sending
	dead int64                   // letters that were there before

	mu    sync.Mutex
	safe  int64              // the lines up to this one are settled
	ahead map[int64]struct{} // and these
}

func (d *durable) add(c *cobra.Command) {
	d.bytes = 1 << 30
	f := c.Flags()
	f.StringVar(&d.dir, "durable", "", "`directory` that keeps lines until the stream has them")
	f.Var(&d.bytes, "durable-bytes", "`size` up to which the directory grows; then lines wait")
	f.DurationVar(&d.age, "durable-age", 0, "age at which a line becomes a dead letter; 0: never")
	f.DurationVar(&d.leaveAfter, "leave-after", 0, "how `long` after the end of the input to go on sending; default: until all is stored")
	f.BoolVar(&d.report, "report-accepted", false, "print how many lines are safe in the directory, see above")
	must(c.MarkFlagDirname("durable"))
}

func (d *durable) check(f *pflag.FlagSet) error {
	d.leaves = f.Changed("leave-after")
	if d.dir == "" {
		for _, name := range []string{"durable-bytes", "durable-age", "leave-after", "report-accepted"} {
			if f.Changed(name) {
				return usagef("--%s is for --durable, which is missing", name)
			}
		}
		if f.Changed("durable") {
			return usagef("--durable is empty: want a directory")
		}
		return nil
	}
	switch {
	case f.Changed("deadline"):
		return usagef("--deadline and --durable exclude each other: lines are kept until the stream has them, or for --durable-age")
	case d.age < 0:
		return usagef("--durable-age %v: want 0 or more", d.age)
	case d.leaveAfter < 0:
		return usagef("--leave-after %v: want 0 or more", d.leaveAfter)
	}
	return nil
}

// done is the word for what has become of accepted lines.
func (d *durable) done() string {
	if d.dir != "" {
		return "safe"
	}
	return "stored"
}

// settled says that the n-th line need not be kept by whoever wrote it.
func (d *durable) settled(n int64) {
	if !d.report {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if n != d.safe+1 {
		if d.ahead == nil {
			d.ahead = map[int64]struct{}{}
		}
		d.ahead[n] = struct{}{}
		return
	}
	for d.safe = n; ; d.safe++ {
		if _, ok := d.ahead[d.safe+1]; !ok {
			return
		}
		delete(d.ahead, d.safe+1)
	}
}

// refused says that the n-th line was not accepted: because nobody ever would, which
// settles it, or because the directory did not take it.
func (d *durable) refused(n int64, err error) {
	if errors.Is(err, vegas.ErrBufferFull) || errors.Is(err, buffer.ErrNotBuffered) || errors.Is(err, buffer.ErrUnknown) {
		d.failed(err)
		return
	}
	d.settled(n)
}

// failed ends a run whose lines are counted: the count cannot pass this one.
func (d *durable) failed(err error) {
	if d.report {
		d.stop(err)
	}
}

func (d *durable) settledUpTo() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.safe
}

const reportEvery = 200 * time.Millisecond

// reportSafe prints how many lines are safe, until stop.
func (d *durable) reportSafe(out io.Writer) (stop func() error) {
	if !d.report {
		return func() error { return nil }
	}
	quit, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		tick := time.NewTicker(reportEvery)
		defer tick.Stop()
		told := int64(-1)
		for last := false; ; {
			if n := d.settledUpTo(); n > told && (n > 0 || last) {
				if _, err := fmt.Fprintln(out, n); err != nil {
					d.stop(err)
					ended <- err
					return
				}
				told = n
			}
			if last {
				ended <- nil
				return
			}
			select {
			case <-quit:
				last = true
			case <-tick.C:
			}
		}
	}()
	return func() error { close(quit); return <-ended }
}

// leave sends what is in the directory, for as long as it is to, and leaves the
// rest there.
func (p *produce) leave(ctx context.Context) error {
	closing, cancel := p.leaveTime(ctx)
	defer cancel()
	err := p.producer.Close(closing)
	if ended := closing.Err(); ended != nil && errors.Is(err, ended) {
		return nil // the summary tells what is left
	}
	return err
}

// leaveTime is for how long to go on sending.
func (p *produce) leaveTime(ctx context.Context) (context.Context, context.CancelFunc) {
	switch {
	case ctx.Err() != nil: // what is under way may still arrive
		return context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	case p.durable.leaves:
		return context.WithTimeout(ctx, p.durable.leaveAfter)
	}
	return context.WithCancel(ctx)
}

type durableSummary struct {
	Stream     string  `json:"stream"`
	Directory  string  `json:"directory"`
	Lines      int64   `json:"lines"`
	Accepted   int64   `json:"accepted"`
	Bytes      int64   `json:"bytes"`
	NotStored  int64   `json:"not_accepted"`
	Unknown    int64   `json:"unknown"`
	Stored     int64   `json:"stored"` // those of earlier runs as well
	Left       int64   `json:"left"`
	DeadLetter int64   `json:"dead_letters"` // all that are there
	Seconds    float64 `json:"seconds"`
	Failed     string  `json:"failed_file,omitempty"`
}

// leftError says that all is well and not all is done: records wait in a directory.
type leftError struct {
	dir  string
	left int64
}

func (l *leftError) Error() string {
	return fmt.Sprintf("%s left in %s: the next run sends them, or \"vegas buffer drain\"", plural(int(l.left), "record"), l.dir)
}

// keptLines is the summary of a run with a directory, and how it ended.
func (p *produce) keptLines(ctx context.Context, stream string, failure error) error {
	stats, style := p.producer.Stats(), terminal.StyleFor(p.e.out)
	kept := stats.Durable
	s := durableSummary{
		Stream: stream, Directory: p.durable.dir, Lines: p.read.Load(), Accepted: p.accepted.Load(), Bytes: p.bytes.Load(),
		NotStored: p.notStored.Load(), Unknown: p.unknown.Load(), Stored: stats.Sent, Left: kept.Items, DeadLetter: kept.Dead,
		Seconds: time.Since(p.started).Seconds(), Failed: p.failedFile,
	}
	out := p.e.out
	if p.durable.report {
		out, style = p.e.err, terminal.StyleFor(p.e.err)
	}
	var err error
	if p.e.json() {
		err = p.e.writeJSON(out, s)
	} else {
		_, err = fmt.Fprintln(out, s.text(style))
	}
	if err != nil {
		return err
	}
	if err := p.verdict(ctx, stream, failure); err != nil {
		return err
	}
	if dead := s.DeadLetter - p.durable.dead; dead > 0 {
		return &partlyError{fmt.Errorf("stream %q: %s could not be stored: \"vegas buffer inspect --dead %s\" tells why", stream, plural(int(dead), "record"), s.Directory)}
	}
	if s.Left > 0 {
		return &leftError{s.Directory, s.Left}
	}
	return nil
}

func (s *durableSummary) text(style terminal.Style) string {
	text := fmt.Sprintf("%s: %s of %s safe in %s, %s in %.1f s; %s stored, %s left",
		s.Stream, style.Bold(thousands(s.Accepted)), plural(int(s.Lines), "line"), s.Directory, size(float64(s.Bytes)), s.Seconds,
		style.Bold(thousands(s.Stored)), style.Bold(thousands(s.Left)))
	if s.NotStored > 0 {
		text += style.Bad(fmt.Sprintf("; %s not accepted", thousands(s.NotStored)))
	}
	if s.Unknown > 0 {
		text += style.Bad(fmt.Sprintf("; %s of unknown outcome: sending them again may store them twice", thousands(s.Unknown)))
	}
	if s.DeadLetter > 0 {
		text += style.Bad(fmt.Sprintf("; %s: \"vegas buffer inspect --dead\" tells why", plural(int(s.DeadLetter), "dead letter")))
	}
	return text
}
