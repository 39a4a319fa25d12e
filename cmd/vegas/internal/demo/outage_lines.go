package demo

import (
	"fmt"
	"io"
	"strings"

	"github.com/libvegas/vegas/cmd/vegas/internal/terminal"
)

// OutageLines is the view for files and pipes.
type OutageLines struct {
	lines
	style terminal.Style
	width int
	last  *OutagePicture
}

// NewOutageLines writes to w.
func NewOutageLines(w io.Writer) *OutageLines {
	return &OutageLines{lines: lines{w: w}, style: terminal.StyleFor(w), width: min(terminal.Room(w), 90)}
}

// Start is OutageView's.
func (l *OutageLines) Start() {
	l.printf(0, "a process sends lines: vegas produce %s --durable DIR --report-accepted", Stream)
}

// Frame is OutageView's.
func (l *OutageLines) Frame(p *OutagePicture) {
	l.last = p
	if l.due(p.At, p.Duration) {
		l.printf(p.At, "  %s accepted, %s delivered, %s waiting", count(p.Sent.Acknowledged), count(p.Got.Delivered), count(p.Waiting))
	}
}

// End is OutageView's. What waited over time is a picture of its own.
func (l *OutageLines) End() {
	fmt.Fprintln(l.w)
	if l.last != nil {
		fmt.Fprintln(l.w, l.style.Bold("waiting: records accepted and not yet delivered"))
		fmt.Fprintln(l.w, strings.Join(l.last.Chart.draw(l.style, l.width, 6), "\n")+"\n")
	}
}
