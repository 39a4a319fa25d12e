package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"
)

// scanner reads JSON. Its methods step over what they are named for and tell
// whether it was there; after a false nothing more is to be asked of it.
type scanner struct {
	b     []byte
	i     int
	depth int
}

// deepest is how deep values may nest that nobody asked for.
const deepest = 100

// peek is the next byte that is no white space; 0 at the end.
func (s *scanner) peek() byte {
	for ; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) is(c byte) bool {
	if s.peek() != c || s.i == len(s.b) {
		return false
	}
	s.i++
	return true
}

func (s *scanner) end() bool { return s.peek() == 0 && s.i == len(s.b) }

func (s *scanner) literal(word string) bool {
	s.peek()
	if len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		return false
	}
	s.i += len(word)
	return true
}

func (s *scanner) null() bool { return s.peek() == 'n' && s.literal("null") }

// object calls member behind each name. A name with escapes in it is nobody's.
func (s *scanner) object(member func(name []byte) bool) bool {
	if !s.is('{') {
		return false
	}
	if s.is('}') {
		return true
	}
	for {
		name, ok := s.quoted()
		if !ok || !s.is(':') || !member(s.b[name.from:name.to]) {
			return false
		}
		if s.is('}') {
			return true
		}
		if !s.is(',') {
			return false
		}
	}
}

func (s *scanner) list(item func() bool) bool {
	if !s.is('[') {
		return false
	}
	if s.is(']') {
		return true
	}
	for {
		if !item() {
			return false
		}
		if s.is(']') {
			return true
		}
		if !s.is(',') {
			return false
		}
	}
}

// skip steps over the value of an unknown member, which is to be JSON all the
// same.
func (s *scanner) skip(name []byte) bool { return plain(name) && s.any() }

func (s *scanner) any() bool {
	s.depth++
	defer func() { s.depth-- }()
	if s.depth > deepest {
		return false
	}
	switch s.peek() {
	case '"':
		return s.string(nil)
	case '{':
		return s.object(s.skip)
	case '[':
		return s.list(s.any)
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	}
	_, ok := s.number()
	return ok
}

// quoted is what stands up to the next quote, whatever it is.
func (s *scanner) quoted() (span, bool) {
	if !s.is('"') {
		return span{}, false
	}
	n := bytes.IndexByte(s.b[s.i:], '"')
	if n < 0 {
		return span{}, false
	}
	at := span{s.i, s.i + n}
	s.i += n + 1
	return at, true
}

// string reads a string into v, if that is not nil.
func (s *scanner) string(v *string) bool {
	text, ok := s.content()
	if v != nil {
		*v = string(text)
	}
	return ok
}

// content is what a string says: its own bytes, unless there are escapes in it.
func (s *scanner) content() ([]byte, bool) {
	at, ok := s.quoted()
	if !ok {
		return nil, false
	}
	if text := s.b[at.from:at.to]; plain(text) {
		return text, true
	}
	// The quote may be an escaped one: look for the end again, from the start.
	for i := at.from; i < len(s.b); i++ {
		switch s.b[i] {
		case '\\':
			i++
		case '"':
			s.i = i + 1
			var v string
			quoted := s.b[at.from-1 : s.i]
			// encoding/json and the SDK agree on all but text that is no UTF-8.
			ok := utf8.Valid(quoted) && json.Unmarshal(quoted, &v) == nil
			return []byte(v), ok
		}
	}
	return nil, false
}

// plain tells that a string's text is its content: neither escapes nor control
// characters. It looks at eight bytes at a time, where each byte below 32, and
// each that is a backslash, leaves its highest bit set.
func plain(text []byte) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for ; len(text) >= 8; text = text[8:] {
		v := binary.LittleEndian.Uint64(text)
		x := v ^ ones*'\\'
		if ((v-ones*' ')&^v|(x-ones)&^x)&tops != 0 {
			return false
		}
	}
	for _, c := range text {
		if c < ' ' || c == '\\' {
			return false
		}
	}
	return true
}

// number is the text of a number.
func (s *scanner) number() ([]byte, bool) {
	s.peek()
	start := s.i
	s.at('-')
	first := s.i
	if n := s.digits(); n == 0 || n > 1 && s.b[first] == '0' {
		return nil, false
	}
	if s.at('.') && s.digits() == 0 {
		return nil, false
	}
	if s.at('e') || s.at('E') {
		_ = s.at('+') || s.at('-')
		if s.digits() == 0 {
			return nil, false
		}
	}
	return s.b[start:s.i], true
}

// at steps over c if that is the very next byte.
func (s *scanner) at(c byte) bool {
	if s.i == len(s.b) || s.b[s.i] != c {
		return false
	}
	s.i++
	return true
}

func (s *scanner) digits() (n int) {
	for ; s.i < len(s.b) && '0' <= s.b[s.i] && s.b[s.i] <= '9'; s.i++ {
		n++
	}
	return n
}

func (s *scanner) integer() (int64, bool) {
	text, ok := s.number()
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	return n, err == nil
}

// millis reads a time in seconds, as the SDK does: by way of a float64 to whole
// milliseconds, cut and not rounded.
func (s *scanner) millis() (int64, bool) {
	text, ok := s.number()
	if !ok {
		return 0, false
	}
	v, ok := short(text)
	if !ok {
		var err error
		if v, err = strconv.ParseFloat(string(text), 64); err != nil {
			return 0, false
		}
	}
	v *= 1000
	return int64(v), math.Abs(v) < 1<<53
}

// short is the value of a number that is not negative, has 15 digits or so and a
// small exponent, like all times of this century (1.441215410867E9 is how the
// service writes them). Both operands of its one rounding are exact, so the
// result is the nearest float64.
func short(text []byte) (float64, bool) {
	digits, point, n := int64(0), -1, 0
	for ; n < len(text); n++ {
		if c := text[n]; '0' <= c && c <= '9' {
			digits = digits*10 + int64(c-'0')
		} else if c == '.' {
			point = n
		} else {
			break
		}
	}
	if n == 0 || n > 16 || digits > 1<<53 {
		return 0, false
	}
	exponent := 0
	if n < len(text) {
		var err error
		if exponent, err = strconv.Atoi(string(text[n+1:])); err != nil {
			return 0, false
		}
	}
	if point >= 0 {
		exponent -= n - point - 1
	}
	switch {
	case 0 <= exponent && exponent < len(powers):
		return float64(digits) * powers[exponent], true
	case -len(powers) < exponent && exponent < 0:
		return float64(digits) / powers[-exponent], true
	}
	return 0, false
}

// powers of ten that a float64 holds exactly.
var powers = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}
