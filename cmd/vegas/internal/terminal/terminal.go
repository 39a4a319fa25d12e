// Package terminal knows what the commands' output ends at: a person's
// terminal, with a width and colours, or a file or pipe, with neither.
package terminal

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Is tells whether f is a terminal that understands cursor movements.
func Is(f any) bool {
	file, ok := f.(*os.File)
	return ok && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb"
}

// Size is the terminal's width and height in characters, or 80 and 24 where
// that cannot be told.
func Size(f any) (width, height int) {
	if file, ok := f.(*os.File); ok {
		if w, h, err := term.GetSize(int(file.Fd())); err == nil && w > 0 && h > 0 {
			return w, h
		}
	}
	return 80, 24
}

// Room is how long a line to w may be: as long as the terminal is wide; files have
// all the room there is.
func Room(w any) int {
	if !Is(w) {
		return 1 << 10
	}
	width, _ := Size(w)
	return width
}

// Style writes text in colours, or leaves it as it is.
type Style struct{ on bool }

// StyleFor is the style for output to w: coloured on a terminal, unless
// NO_COLOR is set to anything (https://no-color.org).
func StyleFor(w io.Writer) Style { return Style{on: Is(w) && os.Getenv("NO_COLOR") == ""} }

// Coloured is a style that is always on.
func Coloured() Style { return Style{on: true} }

func (s Style) paint(code, text string) string {
	if !s.on || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Bold is for headings and for the sums that count.
func (s Style) Bold(t string) string { return s.paint("1", t) }

// Dim is for what is over or beside the point.
func (s Style) Dim(t string) string { return s.paint("2", t) }

// Good is for what went well.
func (s Style) Good(t string) string { return s.paint("32", t) }

// Bad is for what went wrong.
func (s Style) Bad(t string) string { return s.paint("1;31", t) }

// Warn is for what deserves a look.
func (s Style) Warn(t string) string { return s.paint("33", t) }

// Accent is for names and for what is alive.
func (s Style) Accent(t string) string { return s.paint("36", t) }

// Hue paints by number, for telling neighbours apart.
func (s Style) Hue(n int, t string) string {
	return s.paint([]string{"36", "35", "34", "32", "33", "96", "95", "94"}[n%8], t)
}
