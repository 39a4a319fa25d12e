package demo

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/libvegas/vegas/cmd/vegas/internal/shardtree"
	"github.com/libvegas/vegas/cmd/vegas/internal/terminal"
)

// Live is the view for a terminal: one picture, painted over and over.
type Live struct {
	screen   *terminal.Screen
	size     func() (width, height int)
	style    terminal.Style
	endpoint string
	last     *Picture
}

// NewLive paints on w, a terminal.
func NewLive(w io.Writer) *Live {
	return &Live{
		screen: terminal.NewScreen(w), style: terminal.StyleFor(w),
		size: func() (int, int) { return terminal.Size(w) },
	}
}

// Start is View's.
func (l *Live) Start(endpoint string) { l.endpoint = endpoint }

// Event is View's: the picture shows events.
func (l *Live) Event(Event) {}

// End is View's. It leaves a picture that is no higher than it has to be, since
// the sums follow below.
func (l *Live) End() {
	if l.last != nil {
		l.last.Events = l.last.Events[max(len(l.last.Events)-3, 0):]
		width, height := l.size()
		l.screen.Paint(append(l.draw(l.last, min(width, 110), height-2), ""))
	}
	l.screen.Done()
}

// Frame is View's.
func (l *Live) Frame(p *Picture) {
	l.last = p
	width, height := l.size()
	l.screen.Paint(l.draw(p, min(width, 110), height-1))
}

// draw fills at most height lines. What does not fit is left out: closed shards
// first, then events.
func (l *Live) draw(p *Picture, width, height int) []string {
	lines := l.header(p, width)
	lines = append(lines, l.groups(p)...)
	lines = append(lines, l.verdict(p, width)...)
	const headings = 4 // "shards" and "what happens", each after an empty line
	room := height - len(lines) - headings
	lines = append(lines, l.tree(p, width, max(room-min(8, max(room/3, 3)), 3))...)
	if height-len(lines) < 3 {
		return lines
	}
	lines = append(lines, "", l.style.Bold("what happens"))
	events := max(min(height-len(lines), 12), 1)
	for i := len(p.Events) - 1; i >= max(len(p.Events)-events, 0); i-- {
		lines = append(lines, l.event(p.Events[i], p.At))
	}
	return lines
}

func (l *Live) header(p *Picture, width int) []string {
	s := l.style
	left := max(p.Duration-p.At, 0)
	title := s.Bold("vegas demo")
	clock := fmt.Sprintf("%s left", clockTime(left+time.Second-1))
	if left == 0 {
		clock = "over"
	}
	if more := title + "   a producer, " + plural(len(p.Groups), "consumer group") + " and Kinesis itself in one process"; terminal.Width(more)+len(clock) < width {
		title = more
	}
	gap := max(width-terminal.Width(title)-len(clock), 1)
	const barWidth = 110
	done := int(float64(min(width, barWidth)) * min(p.At.Seconds()/p.Duration.Seconds(), 1))
	return []string{
		title + strings.Repeat(" ", gap) + clock,
		s.Accent(strings.Repeat("━", done)) + s.Dim(strings.Repeat("─", max(min(width, barWidth)-done, 0))),
	}
}

// groups is the table of what flows.
func (l *Live) groups(p *Picture) []string {
	s := l.style
	cell := func(d []time.Duration, i int) string {
		if len(d) <= i {
			return "—"
		}
		return short(d[i])
	}
	row := func(name, total, rate, p50, p99, extra string) string {
		return fmt.Sprintf("%s %s %s  %s %s  %s", terminal.Pad(name, 20), right(total, 10), right(rate, 9), right(p50, 8), right(p99, 8), extra)
	}
	lines := []string{
		s.Dim(row("", "records", "a second", "median", "99 %", "")),
		row(s.Accent("producer")+s.Dim(" acked"), count(p.Sent.Acknowledged), count(int64(p.Rate)), cell(p.Send, 0), cell(p.Send, 1), s.Accent(p.Spark)),
	}
	for _, g := range p.Groups {
		coming := max(p.Sent.Acknowledged-g.Sums.Delivered, 0)
		lag := s.Dim(count(coming) + " under way")
		if float64(coming) > p.Rate {
			lag = s.Warn(count(coming) + " under way")
		}
		if g.Behind >= time.Second {
			lag += s.Warn(", " + short(g.Behind) + " behind the tip")
		}
		lines = append(lines, row(s.Accent(g.Name)+s.Dim(" "+g.Way), count(g.Sums.Delivered), count(int64(g.Rate)), cell(g.Delay, 0), cell(g.Delay, 1), lag))
	}
	return lines
}

func (l *Live) tree(p *Picture, width, rows int) []string {
	s := l.style
	var shards []shardtree.Shard
	open := 0
	for _, sh := range p.Shards {
		t := shardtree.Shard{ID: sh.ID, Range: sh.Range, Closed: !sh.Open, Note: s.Dim(right("closed", 9))}
		for _, parent := range []string{sh.Parent, sh.AdjacentParent} {
			if parent != "" {
				t.Parents = append(t.Parents, parent)
			}
		}
		if sh.Open {
			open++
			t.Note = right(count(int64(sh.Rate))+"/s", 9)
		}
		for _, d := range sh.Behind {
			if d >= time.Second && sh.Open {
				t.Note += s.Warn("  " + short(d) + " behind")
				break
			}
		}
		shards = append(shards, t)
	}
	lines, left := shardtree.Draw(shards, shardtree.Options{Width: width, Rows: rows, Style: s})
	head := s.Bold("shards") + s.Dim(fmt.Sprintf("   %d open, %d closed", open, len(shards)-open))
	if left > 0 {
		head += s.Dim(fmt.Sprintf(", %d older ones not shown", left))
	}
	return append([]string{"", head}, lines...)
}

func (l *Live) event(e Event, now time.Duration) string {
	mark, text := " ", e.Text
	switch e.Kind {
	case Reshard:
		mark = l.style.Accent("◆")
	case Fault:
		mark = l.style.Warn("✗")
	}
	if now-e.At > 5*time.Second {
		text = l.style.Dim(text)
	}
	return l.style.Dim(seconds(e.At)) + " " + mark + " " + text
}

// verdict is the auditor's account so far.
func (l *Live) verdict(p *Picture, width int) []string {
	s := l.style
	line := terminal.Pad(s.Accent("auditor"), 21)
	if width < 70 {
		line = s.Accent("auditor") + "  "
	}
	paint := func(n int64, what string) string {
		text := count(n) + " " + what
		if n == 0 {
			return s.Good(text)
		}
		return s.Bad(text)
	}
	var late, twice, bad int64
	for _, g := range p.Groups {
		late, twice, bad = late+g.Sums.OutOfOrder, twice+g.Sums.Duplicated, bad+g.Sums.Corrupt
	}
	line += paint(late, "out of order") + "   " + paint(twice, "duplicated") + "   " + paint(bad, "changed")
	if more := line + s.Dim("   lost: known at the end"); terminal.Width(more) <= width {
		line = more
	}
	return []string{line}
}

func right(s string, width int) string {
	return strings.Repeat(" ", max(width-terminal.Width(s), 0)) + s
}

func clockTime(d time.Duration) string {
	return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}
