package localkinesis

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Requests and answers are plain structs whose field names are the wire's.
// Absent is nil for pointers, slices and maps and "" for strings; absent fields
// are not sent. Both codecs work on the same structs.

// moment is a point in time on the wire: in JSON seconds since 1970 with
// fractions, in CBOR whole milliseconds under tag 1 (what the Java SDKs write
// and read). The service speaks in milliseconds. The zero moment is absent.
type moment struct{ time.Time }

// UnmarshalJSON reads a number of seconds, or the ISO 8601 text that the
// command line of AWS may send.
func (m *moment) UnmarshalJSON(b []byte) error {
	s := string(b)
	if s == "null" {
		return nil
	}
	if strings.HasPrefix(s, `"`) {
		t, err := time.Parse(time.RFC3339Nano, strings.Trim(s, `"`))
		m.Time = t
		return err
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.Abs(f) > 1e12 {
		return errors.New("not a timestamp")
	}
	m.Time = time.UnixMilli(int64(math.Round(f * 1000)))
	return nil
}

// scanner is an input with a decoder of its own for the hot path; it answers
// errors that become SerializationException.
type scanner interface{ scanJSON(body []byte) error }

// appender is an answer with an encoder of its own for the hot path.
type appender interface{ appendJSON(b []byte) []byte }

func (c *call) decode(in any) *failure {
	var err error
	switch {
	case c.cbor:
		err = decodeCBOR(c.body, in)
	default:
		err = decodeJSON(c.body, in)
	}
	if err != nil {
		return refuse(codeSerialization, "%s", err)
	}
	return nil
}

func decodeJSON(b []byte, in any) error {
	if s, ok := in.(scanner); ok {
		return s.scanJSON(b)
	}
	if len(b) == 0 {
		return errors.New("the request has no body")
	}
	var e *json.UnmarshalTypeError
	if err := json.Unmarshal(b, in); errors.As(err, &e) {
		return errors.New(e.Value + " can not be converted to " + e.Type.String() + " at " + e.Field)
	} else if err != nil {
		return err
	}
	if trimmed := strings.TrimLeft(string(b[:min(len(b), 64)]), " \t\r\n"); strings.HasPrefix(trimmed, "null") {
		return errors.New("the request is null")
	}
	return nil
}

func (c *call) encode(b []byte, out any) []byte {
	if c.cbor {
		return appendCBOR(b, reflect.ValueOf(out))
	}
	if a, ok := out.(appender); ok {
		return a.appendJSON(b)
	}
	return appendJSON(b, reflect.ValueOf(out))
}

// member is one field of a struct on the wire.
type member struct {
	name string
	path []int
}

var members sync.Map // reflect.Type to []member

func membersOf(t reflect.Type) []member {
	if m, ok := members.Load(t); ok {
		return m.([]member)
	}
	out := []member{}
	for _, f := range reflect.VisibleFields(t) {
		if !f.Anonymous && f.IsExported() {
			out = append(out, member{f.Name, f.Index})
		}
	}
	members.Store(t, out)
	return out
}

var momentType = reflect.TypeFor[moment]()

// absent tells whether a field is left out.
func absent(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return v.IsNil()
	case reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return v.Type() == momentType && v.IsZero()
	}
	return false
}

func appendJSON(b []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return append(b, "{}"...)
		}
		return appendJSON(b, v.Elem())
	case reflect.String:
		return appendString(b, v.String())
	case reflect.Int, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(b, v.Int(), 10)
	case reflect.Bool:
		return strconv.AppendBool(b, v.Bool())
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			b = append(b, '"')
			b = base64.StdEncoding.AppendEncode(b, v.Bytes())
			return append(b, '"')
		}
		b = append(b, '[')
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, v.Index(i))
		}
		return append(b, ']')
	case reflect.Map:
		b = append(b, '{')
		for i, k := range sortedKeys(v) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendString(b, k), ':')
			b = appendJSON(b, v.MapIndex(reflect.ValueOf(k)))
		}
		return append(b, '}')
	case reflect.Struct:
		if v.Type() == momentType {
			return appendMoment(b, v.Interface().(moment).UnixMilli())
		}
		b = append(b, '{')
		first := true
		for _, m := range membersOf(v.Type()) {
			f := v.FieldByIndex(m.path)
			if absent(f) {
				continue
			}
			if !first {
				b = append(b, ',')
			}
			first = false
			b = append(appendString(b, m.name), ':')
			b = appendJSON(b, f)
		}
		return append(b, '}')
	}
	return append(b, "null"...)
}

func sortedKeys(v reflect.Value) []string {
	keys := make([]string, 0, v.Len())
	for _, k := range v.MapKeys() {
		keys = append(keys, k.String())
	}
	slices.Sort(keys)
	return keys
}

func appendMoment(b []byte, ms int64) []byte {
	b = strconv.AppendInt(b, ms/1000, 10)
	if ms %= 1000; ms > 0 {
		b = append(b, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
	}
	return b
}

const hexDigits = "0123456789abcdef"

func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(append(b, s[start:i]...), "\ufffd"...)
				start = i + 1
			}
			i += n
			continue
		case c == '"' || c == '\\':
			b = append(append(b, s[start:i]...), '\\', c)
			start = i + 1
		case c < 0x20 || c == 0x7f:
			b = append(append(b, s[start:i]...), '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			start = i + 1
		}
		i++
	}
	return append(append(b, s[start:]...), '"')
}

func appendAny(b []byte, v any) []byte { return appendJSON(b, reflect.ValueOf(v)) }
