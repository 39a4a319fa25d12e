package demo

import (
	"fmt"
	"io"
	"time"
)

// Lines is the view for files and pipes: a short line now and then, and one for
// each event.
type Lines struct {
	w    io.Writer
	next time.Duration
}

// NewLines writes to w.
func NewLines(w io.Writer) *Lines { return &Lines{w: w} }

// Start is View's.
func (l *Lines) Start(endpoint string) {
	fmt.Fprintf(l.w, "  0.0s  an embedded Kinesis serves the stream %q at %s\n", Stream, endpoint)
}

// Event is View's.
func (l *Lines) Event(e Event) {
	indent := ""
	if e.Note {
		indent = "  "
	}
	fmt.Fprintf(l.w, "%s  %s%s\n", seconds(e.At), indent, e.Text)
}

// Frame is View's.
func (l *Lines) Frame(p *Picture) {
	if p.At < l.next {
		return
	}
	if l.next > 0 {
		open := 0
		for _, s := range p.Shards {
			if s.Open {
				open++
			}
		}
		b := fmt.Sprintf("%s  sent %s, %s/s", seconds(p.At), count(p.Sent.Acknowledged), count(int64(p.Rate)))
		if len(p.Send) > 0 {
			b += fmt.Sprintf(", p99 %s", short(p.Send[1]))
		}
		alive := 0
		for _, w := range p.Workers {
			if w.State.lives() {
				alive++
			}
		}
		fmt.Fprintf(l.w, "%s; %s handled %s; %s, %s\n", b, Group, count(p.Got.Delivered), plural(open, "open shard"), plural(alive, "worker"))
	}
	l.next = p.At + min(max(p.Duration/9, time.Second), 10*time.Second)
}

// End is View's.
func (l *Lines) End() { fmt.Fprintln(l.w) }

func seconds(d time.Duration) string { return fmt.Sprintf("%5.1fs", d.Seconds()) }

// short writes a duration with two or three digits.
func short(d time.Duration) string {
	return millis(float64(d.Microseconds()) / 1000)
}
