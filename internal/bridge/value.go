package bridge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"unicode/utf8"
)

// Tags of values.
const (
	tagNothing = iota
	tagFalse
	tagTrue
	tagNumber
	tagReal
	tagText
	tagBytes
	tagList
	tagMap
)

// results are a map on its way to the host; arguments one that came from there.
type (
	results   map[string]any
	arguments map[string]any
)

// appendValue appends a value: nil, bool, int, int64, uint32, float64, string,
// []byte, []any, []string, results or a map[string]any. Keys are sorted, so that
// equal values have equal bytes. Text that is not UTF-8 is mended.
func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, tagNothing)
	case bool:
		if v {
			return append(b, tagTrue)
		}
		return append(b, tagFalse)
	case int:
		return appendNumber(b, int64(v))
	case int64:
		return appendNumber(b, v)
	case uint32:
		return appendNumber(b, int64(v))
	case float64:
		return binary.LittleEndian.AppendUint64(append(b, tagReal), math.Float64bits(v))
	case string:
		return appendText(append(b, tagText), v)
	case []byte:
		b = binary.LittleEndian.AppendUint32(append(b, tagBytes), uint32(len(v)))
		return append(b, v...)
	case []any:
		return appendList(b, v)
	case []string:
		return appendList(b, v)
	case []results:
		return appendList(b, v)
	case results:
		return appendMap(b, v)
	case arguments:
		return appendMap(b, v)
	case map[string]any:
		return appendMap(b, v)
	case map[string]string:
		return appendMap(b, v)
	}
	return appendText(append(b, tagText), fmt.Sprint(v))
}

func appendNumber(b []byte, n int64) []byte {
	return binary.LittleEndian.AppendUint64(append(b, tagNumber), uint64(n))
}

// appendText appends a text without its tag.
func appendText(b []byte, s string) []byte {
	if !utf8.ValidString(s) {
		s = string([]rune(s)) // what is not UTF-8 becomes U+FFFD
	}
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
}

func appendList[T any](b []byte, list []T) []byte {
	b = binary.LittleEndian.AppendUint32(append(b, tagList), uint32(len(list)))
	for _, v := range list {
		b = appendValue(b, v)
	}
	return b
}

func appendMap[T any](b []byte, m map[string]T) []byte {
	b = binary.LittleEndian.AppendUint32(append(b, tagMap), uint32(len(m)))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		b = appendValue(appendText(b, k), m[k])
	}
	return b
}

// Errors of parseValue.
var (
	errCut   = errors.New("cut off, or a length that does not fit")
	errDeep  = errors.New("nested too deep")
	errLarge = errors.New("too large for a value")
)

// parseValue is the value that a whole body is: nil, bool, int64, float64, string,
// []byte, []any or map[string]any. Nothing of it is part of b.
func parseValue(b []byte) (any, error) {
	if len(b) > valueBytes {
		return nil, errLarge
	}
	p := parser{b}
	v, err := p.value(valueDepth)
	if err == nil && len(p.left) > 0 {
		err = fmt.Errorf("%d bytes behind the value", len(p.left))
	}
	return v, err
}

type parser struct{ left []byte }

// take is the next n bytes.
func (p *parser) take(n int) ([]byte, error) {
	if n > len(p.left) {
		return nil, errCut
	}
	b := p.left[:n]
	p.left = p.left[n:]
	return b, nil
}

// size is a length or count of things that take so many bytes at least.
func (p *parser) size(each int) (int, error) {
	b, err := p.take(4)
	if err != nil {
		return 0, err
	}
	n := int64(binary.LittleEndian.Uint32(b))
	if n*int64(each) > int64(len(p.left)) {
		return 0, errCut
	}
	return int(n), nil
}

func (p *parser) text() (string, error) {
	b, err := p.bytes()
	if err != nil {
		return "", err
	}
	if !utf8.Valid(b) {
		return "", errors.New("text is not UTF-8")
	}
	return string(b), nil
}

func (p *parser) bytes() ([]byte, error) {
	n, err := p.size(1)
	if err != nil {
		return nil, err
	}
	return p.take(n)
}

func (p *parser) value(depth int) (any, error) {
	if depth == 0 {
		return nil, errDeep
	}
	tag, err := p.take(1)
	if err != nil {
		return nil, err
	}
	switch tag[0] {
	case tagNothing:
		return nil, nil
	case tagFalse, tagTrue:
		return tag[0] == tagTrue, nil
	case tagNumber, tagReal:
		b, err := p.take(8)
		if err != nil {
			return nil, err
		}
		n := binary.LittleEndian.Uint64(b)
		if tag[0] == tagReal {
			return math.Float64frombits(n), nil
		}
		return int64(n), nil
	case tagText:
		return p.text()
	case tagBytes:
		b, err := p.bytes()
		return slices.Clone(b), err
	case tagList:
		return p.list(depth)
	case tagMap:
		return p.mapping(depth)
	}
	return nil, fmt.Errorf("there is no tag %d", tag[0])
}

func (p *parser) list(depth int) ([]any, error) {
	n, err := p.size(1)
	if err != nil {
		return nil, err
	}
	list := make([]any, 0, n)
	for range n {
		v, err := p.value(depth - 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

func (p *parser) mapping(depth int) (map[string]any, error) {
	n, err := p.size(5)
	if err != nil {
		return nil, err
	}
	m := make(map[string]any, n)
	for range n {
		k, err := p.text()
		if err != nil {
			return nil, err
		}
		if _, twice := m[k]; twice {
			return nil, fmt.Errorf("the key %.40q is there twice", k)
		}
		if m[k], err = p.value(depth - 1); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// parseMap is a body that is a map.
func parseMap(b []byte) (arguments, error) {
	v, err := parseValue(b)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("a map was expected, not %T", v)
	}
	return m, nil
}
