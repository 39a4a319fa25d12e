// Package shardtree draws the shards of a stream: a split grows two branches,
// a merge joins two, and each shard's bar shows which part of the hash key
// space it owns, in proportion.
package shardtree

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/libvegas/vegas/cmd/vegas/internal/terminal"
	"github.com/libvegas/vegas/internal/keyspace"
)

// Shard is one shard to draw.
type Shard struct {
	ID      string
	Parents []string // none, one, or after a merge two
	Range   keyspace.Range
	Closed  bool
	// Note is drawn behind the bar.
	Note string
}

// Short is a shard's number without the service's prefix and zeros, as people
// say it; another id stays as it is.
func Short(id string) string {
	digits, ok := strings.CutPrefix(id, "shardId-")
	if !ok || digits == "" || strings.Trim(digits, "0123456789") != "" {
		return id
	}
	if digits = strings.TrimLeft(digits, "0"); digits == "" {
		return "0"
	}
	return digits
}

// Options of a drawing.
type Options struct {
	// Width of a line in columns; Note may go beyond it.
	Width int
	// Rows is how many shards are drawn at most, 0 for all: closed shards
	// without open relatives above them go first, oldest first.
	Rows  int
	Style terminal.Style
}

const barMin = 16

// hue keeps a shard's colour for as long as it is drawn.
func hue(id string) int {
	n, err := strconv.Atoi(Short(id))
	if err != nil {
		return len(id)
	}
	return n
}

// Draw returns a line per shard, and how many were left out for Rows.
func Draw(shards []Shard, o Options) (lines []string, left int) {
	shards, left = fit(shards, o.Rows)
	rows := layout(shards)
	label, note := 0, 0
	for _, r := range rows {
		label = max(label, terminal.Width(r.prefix+r.name))
		note = max(note, terminal.Width(r.shard.Note))
	}
	width := max(o.Width-label-note-4, barMin)
	for _, r := range rows {
		name := o.Style.Bold(r.name)
		if r.shard.Closed {
			name = o.Style.Dim(r.name)
		}
		line := terminal.Pad(o.Style.Dim(r.prefix)+name, label) + "  " + Bar(r.shard.Range, width, r.shard.Closed, hue(r.shard.ID), o.Style)
		if r.shard.Note != "" {
			line += "  " + r.shard.Note
		}
		lines = append(lines, line)
	}
	return lines, left
}

// Bar draws a range as its part of the whole hash key space: solid for an open
// shard, dotted for a closed one. Ends are drawn to an eighth of a column; a
// range narrower than that still shows. The hue tells neighbours apart.
func Bar(r keyspace.Range, width int, closed bool, hue int, style terminal.Style) string {
	from := r.First.Fraction() * float64(width)
	to := r.Last.Fraction() * float64(width)
	if r.Last == keyspace.Max {
		to = float64(width)
	}
	if closed {
		first, last := int(from), int(math.Ceil(to))
		if last <= first {
			last = first + 1
		}
		return style.Dim(strings.Repeat(" ", first)+strings.Repeat("░", min(last, width)-first)) + strings.Repeat(" ", width-min(last, width))
	}
	var b strings.Builder
	for col := range width {
		lo, hi := max(from, float64(col)), min(to, float64(col+1))
		part := int(math.Round((hi - lo) * 8))
		switch {
		case hi <= lo && !(int(from) == col && to-from < 0.125):
			b.WriteByte(' ')
		case part >= 8:
			b.WriteRune('█')
		case lo > float64(col): // the left end: the column's right part is filled
			if part >= 4 {
				b.WriteRune('▐')
			} else {
				b.WriteRune('▕')
			}
		default: // the right end
			b.WriteRune([]rune("▏▏▎▍▌▋▊▉")[max(part, 0)])
		}
	}
	return paintFilled(b.String(), hue, style)
}

// paintFilled colours the part between the spaces.
func paintFilled(bar string, hue int, style terminal.Style) string {
	left := strings.TrimLeft(bar, " ")
	lead := len(bar) - len(left)
	body := strings.TrimRight(left, " ")
	return bar[:lead] + style.Hue(hue, body) + left[len(body):]
}

// row is a shard with its place in the tree.
type row struct {
	shard  Shard
	prefix string
	name   string
}

// layout orders shards as a tree: each below the first of its parents that is
// there, roots and siblings by hash range.
func layout(shards []Shard) []row {
	known := map[string]bool{}
	for _, s := range shards {
		known[s.ID] = true
	}
	children := map[string][]Shard{}
	for _, s := range shards {
		under := ""
		for _, p := range s.Parents {
			if known[p] && p != s.ID {
				under = p
				break
			}
		}
		children[under] = append(children[under], s)
	}
	for _, c := range children {
		slices.SortFunc(c, func(a, b Shard) int {
			return cmp.Or(a.Range.First.Compare(b.Range.First), strings.Compare(a.ID, b.ID))
		})
	}
	var rows []row
	done := map[string]bool{}
	var walk func(under, indent string)
	walk = func(under, indent string) {
		for i, s := range children[under] {
			if done[s.ID] {
				continue
			}
			done[s.ID] = true
			branch, below := "├─", "│ "
			if i == len(children[under])-1 {
				branch, below = "└─", "  "
			}
			if under == "" {
				branch, below = "", ""
			}
			name := Short(s.ID)
			if len(s.Parents) > 1 {
				// Drawn below one parent: name the other.
				for _, p := range s.Parents {
					if p != under {
						name += "←" + Short(p)
					}
				}
			}
			rows = append(rows, row{shard: s, prefix: indent + branch, name: name})
			walk(s.ID, indent+below)
		}
	}
	walk("", "")
	// What a wrong listing ties into a ring has no root: draw it all the same.
	for _, s := range shards {
		if !done[s.ID] {
			rows = append(rows, row{shard: s, name: Short(s.ID)})
		}
	}
	return rows
}

// fit leaves out closed shards, oldest first, until at most rows are left.
// Shards that stay lose nothing but their link to those.
func fit(shards []Shard, rows int) ([]Shard, int) {
	over := len(shards) - rows
	if rows <= 0 || over <= 0 {
		return shards, 0
	}
	byAge := slices.SortedFunc(slices.Values(shards), func(a, b Shard) int {
		return cmp.Or(cmp.Compare(len(a.ID), len(b.ID)), strings.Compare(a.ID, b.ID))
	})
	drop := map[string]bool{}
	for _, s := range byAge {
		if s.Closed && len(drop) < over {
			drop[s.ID] = true
		}
	}
	kept := slices.DeleteFunc(slices.Clone(shards), func(s Shard) bool { return drop[s.ID] })
	left := len(drop)
	if len(kept) > rows {
		left += len(kept) - rows
		kept = kept[:rows]
	}
	return kept, left
}
