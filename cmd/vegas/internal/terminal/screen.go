package terminal

import (
	"io"
	"strconv"
	"strings"
)

// Screen repaints a block of lines in place at the end of what was printed
// before. The last picture stays when it is done, and scrolls away like any
// other output. One goroutine uses it.
type Screen struct {
	w      io.Writer
	size   func() (width, height int)
	lines  []string // as they were given
	height int      // lines of the picture on the screen
	width  int      // of the terminal when it was painted
}

// NewScreen paints on w, a terminal.
func NewScreen(w io.Writer) *Screen {
	return &Screen{w: w, size: func() (int, int) { return Size(w) }}
}

// Paint replaces the last picture. Lines that do not fit are cut; lines above
// the terminal's height are left out from the bottom.
func (s *Screen) Paint(lines []string) {
	width, height := s.size()
	if len(lines) > height-1 {
		lines = lines[:max(height-1, 0)]
	}
	s.lines = lines
	s.replace("", lines, width)
}

// Write writes whole lines above the picture, where they stay.
func (s *Screen) Write(p []byte) (int, error) {
	if s.height == 0 {
		return s.w.Write(p)
	}
	width, _ := s.size()
	s.replace(string(p), s.lines, width)
	return len(p), nil
}

// replace puts text, and below it other lines, in the place of the picture.
func (s *Screen) replace(text string, lines []string, width int) {
	var b strings.Builder
	// A synchronized update, where the terminal knows it, and no cursor.
	b.WriteString("\x1b[?2026h\x1b[?25l")
	switch {
	case s.height > 0 && s.width != width:
		// The terminal has wrapped the old picture in its own way.
		b.WriteString("\x1b[2J\x1b[H")
	case s.height > 0:
		b.WriteString("\x1b[" + strconv.Itoa(s.height) + "A\r")
	}
	if text != "" {
		b.WriteString("\x1b[J" + text)
	}
	for _, line := range lines {
		b.WriteString(Cut(line, width))
		b.WriteString("\x1b[K\n")
	}
	b.WriteString("\x1b[J\x1b[?2026l")
	s.height, s.width = len(lines), width
	_, _ = io.WriteString(s.w, b.String())
}

// Done gives the terminal back, the last picture left on it.
func (s *Screen) Done() {
	s.height = 0
	_, _ = io.WriteString(s.w, "\x1b[?25h")
}

// Clear takes the last picture away.
func (s *Screen) Clear() {
	s.Paint(nil)
	s.Done()
}
