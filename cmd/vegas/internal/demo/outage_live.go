package demo

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/libvegas/vegas/cmd/vegas/internal/terminal"
)

// OutageLive is the view for a terminal: one picture, painted over and over.
type OutageLive struct {
	screen *terminal.Screen
	size   func() (width, height int)
	style  terminal.Style
	last   *OutagePicture
}

// NewOutageLive paints on w, a terminal.
func NewOutageLive(w io.Writer) *OutageLive {
	return &OutageLive{
		screen: terminal.NewScreen(w), style: terminal.StyleFor(w),
		size: func() (int, int) { return terminal.Size(w) },
	}
}

// Start is OutageView's.
func (l *OutageLive) Start() {}

// Event is OutageView's: the picture shows events.
func (l *OutageLive) Event(Event) {}

// Frame is OutageView's.
func (l *OutageLive) Frame(p *OutagePicture) {
	l.last = p
	width, height := l.size()
	l.screen.Paint(l.draw(p, min(width, 110), height-1))
}

// End is OutageView's. The sums follow below the last picture.
func (l *OutageLive) End() {
	if l.last != nil {
		width, height := l.size()
		l.screen.Paint(append(l.draw(l.last, min(width, 110), height-2), ""))
	}
	l.screen.Done()
}

// draw fills at most height lines; events that do not fit are left out.
func (l *OutageLive) draw(p *OutagePicture, width, height int) []string {
	s := l.style
	title := s.Bold("vegas demo --outage")
	clock := "over"
	if left := p.Duration - p.At; left > 0 && !p.Over {
		clock = clockTime(left+time.Second-1) + " left"
	}
	if more := title + "   a producer in a process of its own, a consumer, Kinesis itself"; terminal.Width(more)+len(clock) < width {
		title = more
	}
	process := s.Dim(fmt.Sprintf("process %d", p.PID))
	switch {
	case p.Over:
		process = s.Dim("has sent everything and ended")
	case p.PID == 0:
		process = s.Bad("no process")
	}
	row := func(name, total, rate, extra string) string {
		return fmt.Sprintf("%s %s %s  %s", terminal.Pad(name, 20), right(total, 10), right(rate, 9), extra)
	}
	removed := ""
	if p.Removed > 0 {
		removed = s.Dim(plural(int(p.Removed), "duplicate") + " removed")
	}
	verdict := func(n int64, what string) string {
		if n == 0 {
			return s.Good("0 " + what)
		}
		return s.Bad(count(n) + " " + what)
	}
	lines := []string{
		title + strings.Repeat(" ", max(width-terminal.Width(title)-len(clock), 1)) + clock, "",
		s.Dim(row("", "records", "a second", "")),
		row(s.Accent("producer")+s.Dim(" accepted"), count(p.Sent.Acknowledged), count(int64(p.Rate)), process),
		row(s.Accent("consumer")+s.Dim(" got"), count(p.Got.Delivered), count(int64(p.GotRate)), removed),
		terminal.Pad(s.Accent("auditor"), 21) + strings.Join([]string{verdict(p.Got.OutOfOrder, "out of order"), verdict(p.Got.Duplicated, "duplicated"),
			verdict(p.Got.Corrupt, "changed")}, "   "),
		"", s.Bold("waiting") + s.Dim("   "+plural(int(p.Waiting), "record")+" accepted and not yet delivered"),
	}
	const below = 3 + 2 // lines of the chart, a line between and a title
	events := min(max(height-len(lines)-below-6, 2), 10)
	lines = append(lines, p.Chart.draw(s, width, min(max(height-len(lines)-below-events, 2), 12))...)
	lines = append(lines, "", s.Bold("what happens"))
	for i := len(p.Events) - 1; i >= max(len(p.Events)-events, 0); i-- {
		lines = append(lines, drawEvent(s, p.Events[i], p.At))
	}
	return lines[:min(len(lines), max(height, 0))]
}
