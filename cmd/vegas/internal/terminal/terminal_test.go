package terminal

import (
	"bytes"
	"strings"
	"testing"
)

func TestWidthIgnoresColours(t *testing.T) {
	s := Coloured()
	line := s.Bold("ab") + "─" + s.Good("c")
	if n := Width(line); n != 4 {
		t.Errorf("width %d of %q", n, line)
	}
	for width := range 6 {
		cut := Cut(line, width)
		if n := Width(cut); n != min(width, 4) {
			t.Errorf("cut to %d: %d columns: %q", width, n, cut)
		}
		if width > 0 && width < 4 && !strings.HasSuffix(cut, "\x1b[0m") {
			t.Errorf("cut to %d: the colour stays on: %q", width, cut)
		}
	}
	if p := Pad(s.Dim("x"), 3); Width(p) != 3 {
		t.Errorf("padded: %q", p)
	}
}

func TestNoColour(t *testing.T) {
	var b bytes.Buffer
	if got := StyleFor(&b).Bad("x"); got != "x" {
		t.Errorf("a buffer is no terminal, yet: %q", got)
	}
}

func TestScreenReplacesItsPicture(t *testing.T) {
	var b bytes.Buffer
	s := NewScreen(&b)
	s.size = func() (int, int) { return 4, 3 }
	s.Paint([]string{"12345", "b", "does not fit"})
	if out := b.String(); !strings.Contains(out, "1234\x1b[K\nb\x1b[K\n") || strings.Contains(out, "12345") || strings.Contains(out, "does") {
		t.Errorf("%q", out)
	}
	b.Reset()
	s.Paint([]string{"c"})
	if out := b.String(); !strings.Contains(out, "\x1b[2A\rc\x1b[K\n\x1b[J") {
		t.Errorf("not painted over two lines: %q", out)
	}
}

// What is said while a picture is shown stays above it, and the picture stays the
// last.
func TestScreenKeepsWhatIsWritten(t *testing.T) {
	var b bytes.Buffer
	s := NewScreen(&b)
	s.size = func() (int, int) { return 20, 10 }
	if _, err := s.Write([]byte("before\n")); err != nil || b.String() != "before\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
	s.Paint([]string{"bar 1"})
	b.Reset()
	if n, err := s.Write([]byte("a line\n")); n != 7 || err != nil {
		t.Error(n, err)
	}
	if out := b.String(); !strings.Contains(out, "\x1b[1A\r\x1b[Ja line\nbar 1\x1b[K\n") {
		t.Errorf("not above the picture: %q", out)
	}
	b.Reset()
	s.Paint([]string{"bar 2"})
	if out := b.String(); !strings.Contains(out, "\x1b[1A\rbar 2") {
		t.Errorf("not over the picture alone: %q", out)
	}
}
