package figures

import (
	"encoding/xml"
	"fmt"
	"math"
	"strings"
)

// Bars is a picture of horizontal bars in groups, each with its spread.
type Bars struct {
	Title, Unit string
	Groups      []Group
}

// Group has a scale of its own.
type Group struct {
	Title string
	Bars  []Bar
	// Line is a value that is drawn through all bars, such as a floor; 0: none.
	Line      float64
	LineLabel string
}

// Bar is a value by its name.
type Bar struct {
	Label string
	Value Spread
	Kind  Kind
}

// Kind is how a bar is coloured.
type Kind string

// Kinds of bars.
const (
	Other Kind = "other"
	Own   Kind = "own"   // what the picture is about
	Floor Kind = "floor" // what nothing can be below
)

// Sizes in pixels.
const (
	pictureWidth = 760
	labelWidth   = 196
	valueWidth   = 128 // right of the longest bar
	barHeight    = 16
	rowHeight    = 25
	margin       = 16
	titleHeight  = 34
	groupTitle   = 36
	groupGap     = 14
)

// longest is how many times the middle of a group's bars may be the longest that
// is drawn whole: with a single one far beyond, the others would be too short to
// be told apart.
const longest = 3

// The colours stand against white and against GitHub's dark background.
const style = `
    text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: #1f2328 }
    .title { font-size: 15px; font-weight: 600 }
    .group { font-weight: 600 }
    .faint { fill: #59636e; font-size: 12px }
    .own { fill: #1a7f37 } .other { fill: #8c959f } .floor { fill: #d0d7de }
    text.own { fill: #1a7f37; font-weight: 600 }
    .spread { stroke: #1f2328; stroke-width: 1.5 }
    .line { stroke: #cf222e; stroke-width: 1.5; stroke-dasharray: 4 3 }
    text.mark { fill: #cf222e; font-size: 12px }
    .cut { stroke: #ffffff; stroke-width: 3 }
    .value { paint-order: stroke; stroke: #ffffff; stroke-width: 4 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 } .faint { fill: #9198a1 }
      .own { fill: #3fb950 } .other { fill: #656c76 } .floor { fill: #3d444d }
      text.own { fill: #3fb950 }
      .spread { stroke: #e6edf3 }
      .line { stroke: #ff7b72 } text.mark { fill: #ff7b72 }
      .cut, .value { stroke: #0d1117 }
    }`

// SVG is the picture, readable on light and on dark pages.
func (p *Bars) SVG() string {
	height := titleHeight + margin
	for _, g := range p.Groups {
		height += groupTitle + rowHeight*len(g.Bars) + groupGap
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="%s">
  <style>%s
  </style>
  <text class="title" x="%d" y="24">%s</text>
  <text class="faint" x="%d" y="24" text-anchor="end">%s</text>
`, pictureWidth, height, pictureWidth, height, escape(p.Title), style, margin, escape(p.Title), pictureWidth-margin, escape(p.Unit))
	y := titleHeight
	for _, g := range p.Groups {
		g.draw(&b, y)
		y += groupTitle + rowHeight*len(g.Bars) + groupGap
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (g *Group) draw(b *strings.Builder, y int) {
	most := g.scale()
	room := float64(pictureWidth - margin - labelWidth - valueWidth - margin)
	at := func(value float64) float64 { return margin + labelWidth + room*math.Min(value, most)/most }
	fmt.Fprintf(b, `  <text class="group" x="%d" y="%d">%s</text>`+"\n", margin, y+22, escape(g.Title))
	top := y + groupTitle
	var values strings.Builder // in front of the line
	for i, bar := range g.Bars {
		middle := top + i*rowHeight + rowHeight/2
		class := ""
		if bar.Kind == Own {
			class = ` class="own"`
		}
		fmt.Fprintf(b, `  <text%s x="%d" y="%d" text-anchor="end">%s</text>`+"\n", class, margin+labelWidth-8, middle+4, escape(bar.Label))
		if bar.Value.N == 0 {
			fmt.Fprintf(b, `  <text class="faint" x="%d" y="%d">did not arrive whole</text>`+"\n", margin+labelWidth+6, middle+4)
			continue
		}
		end := at(bar.Value.Median)
		fmt.Fprintf(b, `  <rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>`+"\n",
			bar.Kind, margin+labelWidth, middle-barHeight/2, end-margin-labelWidth, barHeight)
		text := end
		if bar.Value.Median > most { // cut off: its figure says how long it is
			for _, cut := range []float64{end - 26, end - 20} {
				fmt.Fprintf(b, `  <path class="cut" d="M%.1f %d l-5 %d"/>`+"\n", cut, middle-barHeight/2-2, barHeight+4)
			}
		} else if bar.Value.N > 1 {
			from, to := at(bar.Value.Min), at(bar.Value.Max)
			fmt.Fprintf(b, `  <path class="spread" d="M%.1f %d H%.1f M%.1f %d v6 M%.1f %d v6"/>`+"\n", from, middle, to, from, middle-3, to, middle-3)
			text = math.Max(text, to)
		}
		fmt.Fprintf(&values, `  <g class="value"><text%s x="%.1f" y="%d">%s</text></g>`+"\n", class, text+7, middle+4, escape(Number(bar.Value.Median)))
	}
	if g.Line > 0 {
		bottom := top + rowHeight*len(g.Bars)
		fmt.Fprintf(b, `  <path class="line" d="M%.1f %d V%d"/>`+"\n", at(g.Line), top-6, bottom)
		fmt.Fprintf(b, `  <text class="mark" x="%.1f" y="%d">%s</text>`+"\n", at(g.Line)+5, top-4, escape(g.LineLabel))
	}
	b.WriteString(values.String())
}

// scale is the largest value that is drawn whole.
func (g *Group) scale() float64 {
	var all []float64
	for _, bar := range g.Bars {
		if bar.Value.N > 0 {
			all = append(all, bar.Value.Max)
		}
	}
	spread := Of(all)
	limit, most := spread.Median*longest, g.Line
	for _, x := range all {
		if x <= limit {
			most = math.Max(most, x)
		}
	}
	if most <= 0 {
		return 1
	}
	return most
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes all
	return b.String()
}
