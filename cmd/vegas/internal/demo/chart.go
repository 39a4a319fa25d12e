package demo

import (
	"slices"
	"strings"
	"time"

	"github.com/libvegas/vegas/cmd/vegas/internal/terminal"
)

// chart is a picture of something over time, and beneath it of what went on
// meanwhile. Its left edge is the start of the demo.
type chart struct {
	end    time.Duration // its right edge
	values []int64       // one every frameEvery
	phases []phase
	marks  []time.Duration
}

// phase is a time in which the stream was not well.
type phase struct {
	from, to time.Duration // to is 0 as long as it lasts
	name     string
}

const axis = 10 // columns left of the picture

// draw fills width columns and height lines, and three below them.
func (c *chart) draw(style terminal.Style, width, height int) []string {
	columns := max(width-axis-1, 10)
	tops := c.columns(columns)
	top := max(slices.Max(append(slices.Clone(c.values), 0)), 1)
	var lines []string
	for row := height - 1; row >= 0; row-- {
		label := ""
		switch row {
		case height - 1:
			label = count(top)
		case 0:
			label = "0"
		}
		var b strings.Builder
		for _, v := range tops {
			// Eighths of the row that are filled; anything above zero is seen.
			full := (v*int64(height)*8 + top - 1) / top
			b.WriteRune([]rune(" ▁▂▃▄▅▆▇█")[min(max(full-int64(row)*8, 0), 8)])
		}
		lines = append(lines, style.Dim(right(label, axis-2)+" ┤")+style.Accent(strings.TrimRight(b.String(), " ")))
	}
	lines = append(lines, strings.Repeat(" ", axis-1)+style.Dim(c.clock(columns)))
	lines = append(lines, terminal.Pad("stream", axis)+c.health(style, columns))
	return append(lines, terminal.Pad("producer", axis)+c.life(style, columns))
}

// columns are the values by column, the largest of each; as many as have begun.
func (c *chart) columns(n int) []int64 {
	var tops []int64
	for i, v := range c.values {
		at := c.column(time.Duration(i)*frameEvery, n)
		for len(tops) <= at {
			tops = append(tops, 0)
		}
		tops[at] = max(tops[at], v)
	}
	return tops
}

func (c *chart) column(at time.Duration, columns int) int {
	return min(int(int64(at)*int64(columns)/int64(max(c.end, 1))), columns-1)
}

// clock is the time axis, with a label every five seconds or so.
func (c *chart) clock(columns int) string {
	line := []rune("└" + strings.Repeat("─", columns))
	step := 5 * time.Second
	for int64(columns)*int64(step) < 10*int64(c.end) {
		step *= 2
	}
	for at := step; at < c.end; at += step {
		text := []rune(" " + clockTime(at) + " ")
		if from := 1 + c.column(at, columns) - len(text)/2; from > 0 && from+len(text) < len(line) {
			copy(line[from:], text)
		}
	}
	return string(line)
}

// health is the line of phases.
func (c *chart) health(style terminal.Style, columns int) string {
	var b strings.Builder
	at, now := 0, c.column(time.Duration(len(c.values))*frameEvery, columns)
	for _, p := range c.phases {
		from, to := c.column(p.from, columns), now
		if p.to > 0 {
			to = c.column(p.to, columns)
		}
		b.WriteString(style.Good(strings.Repeat("─", max(from-at, 0))))
		b.WriteString(style.Bad(boxed(p.name, max(to-max(from, at), 1))))
		at = max(to, from+1)
	}
	return b.String() + style.Good(strings.Repeat("─", max(now-at, 0)))
}

// boxed is a name in a box of that width, as much of it as fits.
func boxed(name string, width int) string {
	if width < 3 {
		return strings.Repeat("╳", width)
	}
	room := width - 2
	name = terminal.Cut(name, room)
	left := (room - terminal.Width(name)) / 2
	return "[" + terminal.Pad(strings.Repeat(" ", left)+name, room) + "]"
}

// life is the line of the process, with a mark where it was killed.
func (c *chart) life(style terminal.Style, columns int) string {
	now := c.column(time.Duration(len(c.values))*frameEvery, columns)
	var b strings.Builder
	at := 0
	for _, m := range c.marks {
		col := c.column(m, columns)
		b.WriteString(style.Good(strings.Repeat("─", max(col-at, 0))))
		b.WriteString(style.Bad("✗"))
		at = col + 1
	}
	return b.String() + style.Good(strings.Repeat("─", max(now-at, 0)))
}
