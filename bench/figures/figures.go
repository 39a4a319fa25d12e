// Package figures is what becomes of measurements: medians with their spread,
// tables of Markdown, and pictures.
package figures

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Spread is what several turns of one measurement have given.
type Spread struct {
	Median, Min, Max float64
	N                int // turns
}

// Of gives the spread of turns; without any it is not a number.
func Of(turns []float64) Spread {
	n := len(turns)
	if n == 0 {
		return Spread{math.NaN(), math.NaN(), math.NaN(), 0}
	}
	s := slices.Sorted(slices.Values(turns))
	return Spread{(s[(n-1)/2] + s[n/2]) / 2, s[0], s[n-1], n}
}

// Text is the median and, where there were several turns, the least and the most.
func (s Spread) Text() string {
	switch s.N {
	case 0:
		return "–"
	case 1:
		return Number(s.Median)
	}
	return fmt.Sprintf("%s (%s–%s)", Number(s.Median), Number(s.Min), Number(s.Max))
}

// Number has three significant digits, two where it is below one, and a comma between
// thousands.
func Number(x float64) string {
	switch abs := math.Abs(x); {
	case math.IsNaN(x), math.IsInf(x, 0):
		return "–"
	case abs >= 999.5:
		scale := math.Pow(10, math.Floor(math.Log10(abs))-2)
		return thousands(int64(math.Round(math.Round(x/scale) * scale)))
	case abs >= 99.95:
		return strconv.FormatFloat(x, 'f', 0, 64)
	case abs >= 9.995:
		return strconv.FormatFloat(x, 'f', 1, 64)
	case abs > 0 && abs < 0.0995:
		return strconv.FormatFloat(x, 'f', 3, 64)
	default:
		return strconv.FormatFloat(x, 'f', 2, 64)
	}
}

func thousands(n int64) string {
	if n < 0 {
		return "-" + thousands(-n)
	}
	if n < 1000 {
		return strconv.FormatInt(n, 10)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}

// Table of Markdown. The first column is text, the others are figures.
type Table struct {
	Head []string
	Rows [][]string
	Text bool // so are the others
}

// Add a row.
func (t *Table) Add(cells ...string) { t.Rows = append(t.Rows, cells) }

// Markdown is the table.
func (t *Table) Markdown() string {
	var b strings.Builder
	row := func(cells []string) {
		b.WriteString("|")
		for _, cell := range cells {
			b.WriteString(" " + strings.ReplaceAll(cell, "|", `\|`) + " |")
		}
		b.WriteString("\n")
	}
	row(t.Head)
	rule := "---:|"
	if t.Text {
		rule = "---|"
	}
	b.WriteString("|---|" + strings.Repeat(rule, len(t.Head)-1) + "\n")
	for _, cells := range t.Rows {
		row(cells)
	}
	return b.String()
}
