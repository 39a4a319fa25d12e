package terminal

import "unicode/utf8"

// Width is how many columns a line takes, escape sequences not counted. Every
// character the commands draw is one column wide.
func Width(line string) int {
	n := 0
	for i := 0; i < len(line); {
		if end := escape(line[i:]); end > 0 {
			i += end
			continue
		}
		_, size := utf8.DecodeRuneInString(line[i:])
		i += size
		n++
	}
	return n
}

// Cut shortens a line to width columns; colours that were on are switched off
// at the cut.
func Cut(line string, width int) string {
	n, styled := 0, false
	for i := 0; i < len(line); {
		if end := escape(line[i:]); end > 0 {
			styled = true
			i += end
			continue
		}
		if n == width {
			if line = line[:i]; styled {
				line += "\x1b[0m"
			}
			return line
		}
		_, size := utf8.DecodeRuneInString(line[i:])
		i += size
		n++
	}
	return line
}

// Pad makes a line at least width columns wide.
func Pad(line string, width int) string {
	for n := Width(line); n < width; n++ {
		line += " "
	}
	return line
}

// escape is the length of the colour sequence that s starts with, or 0.
func escape(s string) int {
	if len(s) < 2 || s[0] != 0x1b || s[1] != '[' {
		return 0
	}
	for i := 2; i < len(s); i++ {
		if s[i] >= 0x40 && s[i] <= 0x7e {
			return i + 1
		}
	}
	return len(s)
}
