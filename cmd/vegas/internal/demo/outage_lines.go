package demo

import (
	"fmt"
	"io"
	"time"
)

// OutageLines is the view for files and pipes: a short line now and then, and one
// for each event.
type OutageLines struct {
	w    io.Writer
	next time.Duration
}

// NewOutageLines writes to w.
func NewOutageLines(w io.Writer) *OutageLines { return &OutageLines{w: w} }

// Start is OutageView's.
func (l *OutageLines) Start() {
	fmt.Fprintf(l.w, "  0.0s  a process sends lines: vegas produce %s --durable DIR --report-accepted\n", Stream)
}

// Event is OutageView's.
func (l *OutageLines) Event(e Event) {
	indent := ""
	if e.Note {
		indent = "  "
	}
	fmt.Fprintf(l.w, "%s  %s%s\n", seconds(e.At), indent, e.Text)
}

// Frame is OutageView's.
func (l *OutageLines) Frame(p *OutagePicture) {
	if p.At < l.next {
		return
	}
	if l.next > 0 {
		fmt.Fprintf(l.w, "%s    %s accepted, %s delivered, %s waiting\n",
			seconds(p.At), count(p.Sent.Acknowledged), count(p.Got.Delivered), count(p.Waiting))
	}
	l.next = p.At + min(max(p.Duration/9, time.Second), 10*time.Second)
}

// End is OutageView's.
func (l *OutageLines) End() { fmt.Fprintln(l.w) }
