package floor

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/emmansun/base64" // as encoding/base64, by vector instructions
)

const contentJSON = "application/x-amz-json-1.1"

// JSON has payloads in base64.
var JSON = &Protocol{
	content:       contentJSON,
	appendPut:     appendPutJSON,
	appendGet:     appendGetJSON,
	nothingFailed: []byte(`"FailedRecordCount":0`),
	read:          readJSON,
}

func appendPutJSON(b []byte, stream string, entries []entry) []byte {
	b = append(append(b, `{"StreamName":"`...), stream...)
	b = append(b, `","Records":[`...)
	for i := range entries {
		e := &entries[i]
		b = append(b, `{"Data":"`...)
		b = slices.Grow(b, base64.StdEncoding.EncodedLen(len(e.data))+256)
		b = base64.StdEncoding.AppendEncode(b, e.data)
		b = append(append(b, `","PartitionKey":"`...), e.key...)
		if e.hash != "" {
			b = append(append(b, `","ExplicitHashKey":"`...), e.hash...)
		}
		b = append(b, `"},`...)
	}
	return append(b[:len(b)-1], `]}`...)
}

func appendGetJSON(b []byte, iterator string) []byte {
	return append(append(append(b, `{"ShardIterator":"`...), iterator...), `"}`...)
}

// readJSON reads an answer without white space, whose strings hold no escapes.
func readJSON(b []byte, next string, f func(data []byte) error) (position, error) {
	var p position
	s := jsonReader{b: b}
	for s.next('{', ',') {
		switch name := s.name(); string(name) {
		case "Records":
			s.expect('[')
			for s.at('{') {
				var data []byte
				for s.next('{', ',') {
					switch string(s.name()) {
					case "Data":
						data = s.string()
					default:
						s.scalar()
					}
				}
				s.expect('}')
				n, err := base64.StdEncoding.Decode(data, data) // in place: it gets shorter
				if err != nil || s.bad {
					return p, errUnexpected
				}
				if err := f(data[:n:n]); err != nil {
					return p, err
				}
				if s.at(',') {
					s.i++
				}
			}
			s.expect(']')
		case next:
			if s.at('"') {
				p.next = string(s.string())
			} else {
				s.scalar()
			}
		case "MillisBehindLatest":
			n, err := strconv.ParseInt(string(s.scalar()), 10, 64)
			if err != nil {
				return p, errUnexpected
			}
			p.behind = n
		default: // ChildShards, at the end
			s.i = len(s.b) - 1
		}
	}
	if s.expect('}'); s.bad {
		return p, errUnexpected
	}
	return p, nil
}

// jsonReader steps over the parts of an answer. bad tells that something was not
// as it was expected.
type jsonReader struct {
	b   []byte
	i   int
	bad bool
}

func (s *jsonReader) at(c byte) bool { return !s.bad && s.i < len(s.b) && s.b[s.i] == c }

func (s *jsonReader) expect(c byte) {
	s.bad = !s.at(c)
	s.i++
}

// next steps over what comes before a member of an object.
func (s *jsonReader) next(first, later byte) bool {
	if !s.at(first) && !s.at(later) {
		return false
	}
	s.i++
	return true
}

func (s *jsonReader) name() []byte {
	name := s.string()
	s.expect(':')
	return name
}

func (s *jsonReader) string() []byte {
	if s.expect('"'); s.bad {
		return nil
	}
	n := bytes.IndexByte(s.b[s.i:], '"')
	if n < 0 {
		s.bad = true
		return nil
	}
	text := s.b[s.i : s.i+n]
	s.i += n + 1
	return text
}

// scalar steps over a string, a number or a null.
func (s *jsonReader) scalar() []byte {
	if s.at('"') {
		return s.string()
	}
	from := s.i
	for s.i < len(s.b) && s.b[s.i] != ',' && s.b[s.i] != '}' {
		s.i++
	}
	return s.b[from:s.i]
}
