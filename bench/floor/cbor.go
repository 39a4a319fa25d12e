package floor

import (
	"encoding/binary"
	"math"
)

const contentCBOR = "application/x-amz-cbor-1.1"

// CBOR has payloads as they are.
var CBOR = &Protocol{
	content:       contentCBOR,
	appendPut:     appendPutCBOR,
	appendGet:     appendGetCBOR,
	nothingFailed: appendInt(appendText(nil, "FailedRecordCount"), 0),
	read:          readCBOR,
}

// Major types of https://www.rfc-editor.org/rfc/rfc8949#section-3.1.
const (
	majorInt   = 0 << 5
	majorBytes = 2 << 5
	majorText  = 3 << 5
	majorArray = 4 << 5
	majorMap   = 5 << 5
	majorTag   = 6 << 5
	majorOther = 7 << 5
	majorMask  = 7 << 5
)

func appendHead(b []byte, major byte, n int) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
}

func appendInt(b []byte, n int) []byte     { return appendHead(b, majorInt, n) }
func appendText(b []byte, s string) []byte { return append(appendHead(b, majorText, len(s)), s...) }

func appendPutCBOR(b []byte, stream string, entries []entry) []byte {
	b = appendHead(b, majorMap, 2)
	b = appendText(appendText(b, "StreamName"), stream)
	b = appendHead(appendText(b, "Records"), majorArray, len(entries))
	for i := range entries {
		e := &entries[i]
		members := 2
		if e.hash != "" {
			members = 3
		}
		b = appendHead(b, majorMap, members)
		b = append(appendHead(appendText(b, "Data"), majorBytes, len(e.data)), e.data...)
		b = appendText(appendText(b, "PartitionKey"), e.key)
		if e.hash != "" {
			b = appendText(appendText(b, "ExplicitHashKey"), e.hash)
		}
	}
	return b
}

func appendGetCBOR(b []byte, iterator string) []byte {
	return appendText(appendText(appendHead(b, majorMap, 1), "ShardIterator"), iterator)
}

// readCBOR reads an answer whose lengths are all told.
func readCBOR(b []byte, next string, f func(data []byte) error) (position, error) {
	var p position
	s := cborReader{b: b}
	for range s.expect(majorMap) {
		switch string(s.text()) {
		case "Records":
			for range s.expect(majorArray) {
				var data []byte
				for range s.expect(majorMap) {
					if name := s.text(); string(name) == "Data" {
						data = s.cut(s.expect(majorBytes))
					} else {
						s.scalar()
					}
				}
				if s.bad {
					return p, errUnexpected
				}
				if err := f(data); err != nil {
					return p, err
				}
			}
		case next:
			p.next = string(s.scalar())
		case "MillisBehindLatest":
			p.behind = int64(s.expect(majorInt))
		default: // ChildShards, at the end
			return p, nil
		}
	}
	if s.bad {
		return p, errUnexpected
	}
	return p, nil
}

// cborReader cuts the parts of an answer off. bad tells that something was not as
// it was expected.
type cborReader struct {
	b   []byte
	bad bool
}

// head is the next item's type and number.
func (s *cborReader) head() (byte, int) {
	if s.bad || len(s.b) == 0 {
		s.bad = true
		return 0, 0
	}
	c := s.b[0]
	n := int(c &^ majorMask)
	s.b = s.b[1:]
	if n < 24 {
		return c & majorMask, n
	}
	width := 1 << (n - 24)
	if n > 27 || len(s.b) < width {
		s.bad = true
		return 0, 0
	}
	n = 0
	for _, d := range s.b[:width] {
		n = n<<8 | int(d)
	}
	s.b = s.b[width:]
	return c & majorMask, n
}

// expect is the number of the next item, which is of a type.
func (s *cborReader) expect(major byte) int {
	got, n := s.head()
	if got != major || s.bad {
		s.bad = true
		return 0
	}
	return n
}

func (s *cborReader) text() []byte { return s.cut(s.expect(majorText)) }

func (s *cborReader) cut(n int) []byte {
	if n < 0 || n > len(s.b) {
		s.bad = true
		return nil
	}
	text := s.b[:n:n]
	s.b = s.b[n:]
	return text
}

// scalar steps over a text, a number, a timestamp or a null.
func (s *cborReader) scalar() []byte {
	switch major, n := s.head(); major {
	case majorBytes, majorText:
		return s.cut(n)
	case majorTag:
		s.head()
	case majorInt, majorOther:
	default:
		s.bad = true
	}
	return nil
}
