package demo

import (
	"fmt"
	"io"
	"time"
)

// lines are what both demos write to files and pipes: a line for each event, and a
// short one about how it stands now and then.
type lines struct {
	w    io.Writer
	next time.Duration
}

// Event is a view's.
func (l *lines) Event(e Event) {
	indent := ""
	if e.Note {
		indent = "  "
	}
	l.printf(e.At, "%s%s", indent, e.Text)
}

// due tells whether it is time for a line about how it stands.
func (l *lines) due(at, duration time.Duration) bool {
	if at < l.next {
		return false
	}
	first := l.next == 0
	l.next = at + min(max(duration/9, time.Second), 10*time.Second)
	return !first
}

func (l *lines) printf(at time.Duration, format string, args ...any) {
	fmt.Fprintf(l.w, "%s  %s\n", seconds(at), fmt.Sprintf(format, args...))
}

// Lines is the view for files and pipes.
type Lines struct{ lines }

// NewLines writes to w.
func NewLines(w io.Writer) *Lines { return &Lines{lines{w: w}} }

// Start is View's.
func (l *Lines) Start(endpoint string) {
	l.printf(0, "an embedded Kinesis serves the stream %q at %s", Stream, endpoint)
}

// Frame is View's.
func (l *Lines) Frame(p *Picture) {
	if !l.due(p.At, p.Duration) {
		return
	}
	open := 0
	for _, s := range p.Shards {
		if s.Open {
			open++
		}
	}
	sent := fmt.Sprintf("sent %s, %s/s", count(p.Sent.Acknowledged), count(int64(p.Rate)))
	if len(p.Send) > 0 {
		sent += fmt.Sprintf(", p99 %s", short(p.Send[1]))
	}
	alive := 0
	for _, w := range p.Workers {
		if w.State.lives() {
			alive++
		}
	}
	l.printf(p.At, "%s; %s handled %s; %s, %s", sent, Group, count(p.Got.Delivered), plural(open, "open shard"), plural(alive, "worker"))
}

// End is View's.
func (l *Lines) End() { fmt.Fprintln(l.w) }

func seconds(d time.Duration) string { return fmt.Sprintf("%5.1fs", d.Seconds()) }

// short writes a duration with two or three digits.
func short(d time.Duration) string {
	return millis(float64(d.Microseconds()) / 1000)
}
