package demo

import (
	"fmt"
	"io"
	"slices"
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

// draw fills at most height lines. What does not fit is left out: workers that are
// gone and closed shards first, then events.
func (l *Live) draw(p *Picture, width, height int) []string {
	lines := l.header(p, width)
	lines = append(lines, l.flow(p)...)
	lines = append(lines, l.verdict(p, width)...)
	const headings = 5 // an empty line above each part, and two titles
	room := max(height-len(lines)-headings, 3)
	events := min(max(room/3, 1), 8)
	workers := l.workers(p, min(max((room-events)/2, 1), 8))
	lines = append(lines, workers...)
	lines = append(lines, l.tree(p, width, max(room-events-len(workers)+1, 1))...)
	lines = append(lines, "", l.style.Bold("what happens"))
	events = max(min(height-len(lines), 12), 1)
	for i := len(p.Events) - 1; i >= max(len(p.Events)-events, 0); i-- {
		lines = append(lines, drawEvent(l.style, p.Events[i], p.At))
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
	alive := 0
	for _, w := range p.Workers {
		if w.State.lives() {
			alive++
		}
	}
	if more := title + "   " + plural(alive, "worker") + ", each a process, a producer and Kinesis itself"; terminal.Width(more)+len(clock) < width {
		title = more
	}
	gap := max(width-terminal.Width(title)-len(clock), 1)
	done := int(float64(width) * min(p.At.Seconds()/p.Duration.Seconds(), 1))
	return []string{
		title + strings.Repeat(" ", gap) + clock,
		s.Accent(strings.Repeat("━", done)) + s.Dim(strings.Repeat("─", max(width-done, 0))),
	}
}

// flow is the table of what flows.
func (l *Live) flow(p *Picture) []string {
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
	coming := max(p.Sent.Acknowledged-p.Got.Delivered, 0)
	lag := s.Dim(count(coming) + " under way")
	if float64(coming) > p.Rate {
		lag = s.Warn(count(coming) + " under way")
	}
	return []string{
		s.Dim(row("", "records", "a second", "median", "99 %", "")),
		row(s.Accent("producer")+s.Dim(" acked"), count(p.Sent.Acknowledged), count(int64(p.Rate)), cell(p.Send, 0), cell(p.Send, 1), s.Accent(p.Spark)),
		row(s.Accent("group "+Group)+s.Dim(" got"), count(p.Got.Delivered), count(int64(p.GotRate)), cell(p.Delay, 0), cell(p.Delay, 1), lag),
	}
}

// workers is a line for each worker, those that are gone last to be seen.
func (l *Live) workers(p *Picture, rows int) []string {
	s := l.style
	all := p.Workers
	for len(all) > rows {
		i := slices.IndexFunc(all, func(w WorkerPicture) bool { return !w.State.lives() })
		if i < 0 {
			all = all[:rows]
			break
		}
		all = slices.Delete(slices.Clone(all), i, i+1)
	}
	lines := []string{""}
	for _, w := range all {
		state := w.State.String()
		switch w.State {
		case running:
			state = s.Good(state)
		case starting, stopping:
			state = s.Warn(state)
		case killed:
			state = s.Bad(state)
		default:
			state = s.Dim(state)
		}
		line := terminal.Pad(s.Bold(w.Name), 4) + " " + terminal.Pad(state, 9)
		if w.State.lives() {
			line += right(plural(w.Shards, "shard"), 9) + right(count(int64(w.Rate))+"/s", 9) + s.Dim(fmt.Sprintf("   process %d", w.PID))
		} else {
			line += s.Dim(right(short(w.Since)+" ago", 18))
		}
		lines = append(lines, line)
	}
	return lines
}

func (l *Live) tree(p *Picture, width, rows int) []string {
	s := l.style
	var shards []shardtree.Shard
	open := 0
	for _, sh := range p.Shards {
		t := shardtree.Shard{ID: sh.ID, Range: sh.Range, Closed: !sh.Open}
		for _, parent := range []string{sh.Parent, sh.AdjacentParent} {
			if parent != "" {
				t.Parents = append(t.Parents, parent)
			}
		}
		owner := terminal.Pad(s.Accent(sh.Owner), 3)
		if sh.Owner == "" {
			owner = terminal.Pad(s.Dim("—"), 3)
		}
		switch {
		case sh.Open:
			open++
			t.Note = owner + " " + l.meter(sh.Silent, p.LeaseTime) + right(count(int64(sh.Rate))+"/s", 8)
		case sh.Silent > 0:
			t.Note = owner + " " + l.meter(sh.Silent, p.LeaseTime) + s.Dim(right("closed", 8))
		default:
			t.Note = s.Dim(right("closed", 3+1+meterWidth+7+8))
		}
		shards = append(shards, t)
	}
	lines, left := shardtree.Draw(shards, shardtree.Options{Width: width, Rows: rows, Style: s})
	head := s.Bold("shards") + s.Dim(fmt.Sprintf("   %d open, %d closed", open, len(shards)-open))
	if left > 0 {
		head += s.Dim(fmt.Sprintf(", %d not shown", left))
	}
	if columns := "read by, silent for"; terminal.Width(head)+len(columns)+12 <= width {
		gap := width - terminal.Width(head) - 3 - 1 - meterWidth - 7 - 8
		head += strings.Repeat(" ", max(gap, 3)) + s.Dim(columns)
	}
	return append([]string{"", head}, lines...)
}

const meterWidth = 8

// meter shows for how long a shard has been silent: all of it stands for the time
// in which the shards of a dead worker have to flow again.
func (l *Live) meter(silent, lease time.Duration) string {
	full := min(int(silent*meterWidth/(lease+time.Second)), meterWidth)
	bar := strings.Repeat("━", full) + l.style.Dim(strings.Repeat("─", meterWidth-full))
	text := right(fmt.Sprintf("%.1f s", silent.Seconds()), 7)
	switch {
	case silent <= handover:
		return l.style.Good(strings.Repeat("━", full)) + l.style.Dim(strings.Repeat("─", meterWidth-full)) + l.style.Dim(text)
	case silent <= lease+time.Second:
		return l.style.Warn(strings.Repeat("━", full)) + l.style.Dim(strings.Repeat("─", meterWidth-full)) + l.style.Warn(text)
	}
	return l.style.Bad(bar + text)
}

func drawEvent(style terminal.Style, e Event, now time.Duration) string {
	mark, text := " ", e.Text
	switch {
	case e.Note:
	case e.Kind == Split, e.Kind == Merge:
		mark = style.Accent("◆")
	case e.Kind == Kill:
		mark = style.Bad("✗")
	case e.Kind == Fault:
		mark = style.Warn("✗")
	default:
		mark = style.Good("●")
	}
	if now-e.At > 6*time.Second {
		text = style.Dim(text)
	}
	return style.Dim(seconds(e.At)) + " " + mark + " " + text
}

// verdict is the auditor's account so far.
func (l *Live) verdict(p *Picture, width int) []string {
	s := l.style
	line := terminal.Pad(s.Accent("auditor"), 21)
	if width < 90 {
		line = s.Accent("auditor") + "  "
	}
	paint := func(n int64, what string) string {
		text := count(n) + " " + what
		if n == 0 {
			return s.Good(text)
		}
		return s.Bad(text)
	}
	line += paint(p.Got.OutOfOrder, "out of order") + "   " + paint(p.Got.Duplicated-p.Repeated, "duplicated")
	line += "   " + paint(p.Got.Corrupt, "changed")
	if p.Repeated > 0 {
		line += "   " + s.Warn(count(p.Repeated)+" again after kill -9")
	}
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
