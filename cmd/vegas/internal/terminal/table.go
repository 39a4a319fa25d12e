package terminal

import "strings"

// Table gives the lines of a table, its first row dim. align has a letter for
// each column, l for left and r for right; cells may be coloured.
func Table(align string, rows [][]string, style Style) []string {
	widths := make([]int, len(align))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], Width(cell))
		}
	}
	var lines []string
	for n, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			if i > 0 {
				b.WriteString("  ")
			}
			gap := strings.Repeat(" ", widths[i]-Width(cell))
			switch {
			case align[i] == 'r':
				b.WriteString(gap + cell)
			case i == len(row)-1:
				b.WriteString(cell)
			default:
				b.WriteString(cell + gap)
			}
		}
		line := b.String()
		if n == 0 {
			line = style.Dim(line)
		}
		lines = append(lines, line)
	}
	return lines
}

// Turn makes rows of a table's columns, for where it is too wide.
func Turn(rows [][]string) [][]string {
	out := make([][]string, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			out[i] = append(out[i], cell)
		}
	}
	return out
}
