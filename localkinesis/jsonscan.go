package localkinesis

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/emmansun/base64" // as encoding/base64, by vector instructions
)

// jsonReader reads the JSON of the hot requests without reflection. Everything
// it gives points into the document; what is kept must be copied.
type jsonReader struct {
	b     []byte
	i     int
	depth int
}

var errJSON = errors.New("the request is not well-formed JSON")

const jsonDepthMax = 64

func (r *jsonReader) space() {
	for r.i < len(r.b) {
		switch r.b[r.i] {
		case ' ', '\t', '\r', '\n':
			r.i++
		default:
			return
		}
	}
}

// peek gives the first byte of the next token, 0 at the end.
func (r *jsonReader) peek() byte {
	if r.space(); r.i < len(r.b) {
		return r.b[r.i]
	}
	return 0
}

func (r *jsonReader) token(c byte) bool {
	if r.peek() != c {
		return false
	}
	r.i++
	return true
}

func (r *jsonReader) word(w string) bool {
	if r.peek() == w[0] && bytes.HasPrefix(r.b[r.i:], []byte(w)) {
		r.i += len(w)
		return true
	}
	return false
}

// null takes a null if it is next.
func (r *jsonReader) null() bool { return r.word("null") }

// object calls member for each member, which reads its value.
func (r *jsonReader) object(at string, member func(name []byte) error) error {
	if !r.token('{') {
		return r.mismatch("an object", at)
	}
	return r.list('}', func() error {
		name, err := r.text(at)
		if err != nil {
			return err
		}
		if !r.token(':') {
			return errJSON
		}
		return member(name)
	})
}

// array calls item for each item, which reads it.
func (r *jsonReader) array(at string, item func() error) error {
	if !r.token('[') {
		return r.mismatch("a list", at)
	}
	return r.list(']', item)
}

func (r *jsonReader) list(end byte, item func() error) error {
	if r.depth++; r.depth > jsonDepthMax {
		return errJSON
	}
	defer func() { r.depth-- }()
	if r.token(end) {
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		if r.token(end) {
			return nil
		}
		if !r.token(',') {
			return errJSON
		}
	}
}

func (r *jsonReader) mismatch(want, at string) error {
	if r.peek() == 0 {
		return errJSON
	}
	return fmt.Errorf("the value of %s is not %s", at, want)
}

// text reads a string.
func (r *jsonReader) text(at string) ([]byte, error) {
	if !r.token('"') {
		return nil, r.mismatch("a string", at)
	}
	start := r.i
	n := bytes.IndexByte(r.b[start:], '"')
	if n < 0 {
		return nil, errJSON
	}
	s := r.b[start : start+n]
	if plain(s) {
		r.i = start + n + 1
		return s, nil
	}
	// Escapes, bytes of other scripts, or errors: the library knows them all.
	end := start
	for ; end < len(r.b) && r.b[end] != '"'; end++ {
		if r.b[end] == '\\' {
			end++
		}
	}
	if end >= len(r.b) {
		return nil, errJSON
	}
	r.i = end + 1
	if raw := r.b[start:end]; !utf8.Valid(raw) {
		return nil, errJSON
	}
	var out string
	if err := json.Unmarshal(r.b[start-1:end+1], &out); err != nil {
		return nil, errJSON
	}
	return []byte(out), nil
}

// plain tells whether a string is its own value: printable ASCII without
// escapes. Eight bytes at a time, for the data is long.
func plain(s []byte) bool {
	for len(s) >= 8 {
		w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		const ones, high = 0x0101010101010101, 0x8080808080808080
		slash := w ^ '\\'*ones
		if w&high != 0 || (w-0x20*ones)&^w&high != 0 || (slash-ones)&^slash&high != 0 {
			return false
		}
		s = s[8:]
	}
	for _, c := range s {
		if c < 0x20 || c == '\\' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// skip reads a value of any kind and forgets it.
func (r *jsonReader) skip() error {
	switch c := r.peek(); {
	case c == '{':
		return r.object("", func([]byte) error { return r.skip() })
	case c == '[':
		return r.array("", r.skip)
	case c == '"':
		_, err := r.text("")
		return err
	case r.word("true"), r.word("false"), r.word("null"):
		return nil
	}
	start := r.i
	for r.i < len(r.b) && bytes.IndexByte([]byte("+-.0123456789eE"), r.b[r.i]) >= 0 {
		r.i++
	}
	if !json.Valid(r.b[start:r.i]) {
		return errJSON
	}
	return nil
}

func (r *jsonReader) string(to *string, at string) error {
	if r.null() {
		return nil
	}
	s, err := r.text(at)
	*to = string(s)
	return err
}

func (r *jsonReader) bool(to **bool, at string) error {
	v := r.word("true")
	switch {
	case v, r.word("false"):
		*to = &v
		return nil
	case r.null():
		return nil
	}
	return r.mismatch("true or false", at)
}

// document reads the one object that a request is.
func (r *jsonReader) document(member func(name []byte) error) error {
	if r.peek() == 0 {
		return errors.New("the request has no body")
	}
	if err := r.object("request", member); err != nil {
		return err
	}
	if r.peek() != 0 || r.i < len(r.b) {
		return fmt.Errorf("%w: something follows its end", errJSON)
	}
	return nil
}

// scan reads the members that name a stream and tells whether this was one.
func (r *streamRef) scan(from *jsonReader, name []byte) (bool, error) {
	switch string(name) {
	case "StreamName":
		return true, from.string(&r.StreamName, "StreamName")
	case "StreamARN":
		return true, from.string(&r.StreamARN, "StreamARN")
	case "StreamId":
		return true, from.string(&r.StreamId, "StreamId")
	}
	return false, nil
}

func (in *putRecordInput) scanJSON(body []byte) error {
	r := &jsonReader{b: body}
	return r.document(func(name []byte) error {
		if known, err := in.scan(r, name); known {
			return err
		}
		switch string(name) {
		case "Data":
			if r.null() {
				return nil
			}
			s, err := r.text("Data")
			if err != nil {
				return err
			}
			in.Data, err = appendDecoded(make([]byte, 0, base64.StdEncoding.DecodedLen(len(s))), s)
			return blobError(err, "Data")
		case "DryRun":
			return r.bool(&in.DryRun, "DryRun")
		case "ExplicitHashKey":
			return r.string(&in.ExplicitHashKey, "ExplicitHashKey")
		case "PartitionKey":
			if r.null() {
				return nil
			}
			in.PartitionKey = new(string)
			return r.string(in.PartitionKey, "PartitionKey")
		case "SequenceNumberForOrdering":
			return r.string(&in.SequenceNumberForOrdering, "SequenceNumberForOrdering")
		}
		return r.skip()
	})
}

// appendDecoded appends what src stands for. b has room for DecodedLen of src,
// however much of it is base64: vector instructions write there before they know,
// and AppendDecode does not grow for padding where none belongs.
func appendDecoded(b, src []byte) ([]byte, error) {
	n, err := base64.StdEncoding.Decode(b[len(b):len(b)+base64.StdEncoding.DecodedLen(len(src))], src)
	return b[:len(b)+n], err
}

func blobError(err error, at string) error {
	if err != nil {
		return fmt.Errorf("the value of %s is not base64: %w", at, err)
	}
	return nil
}

// scanJSON reads a PutRecords request in two steps: first it finds the strings,
// then it copies all data into one array of the right size and all keys into
// one string, so that 500 records are a handful of allocations.
func (in *putRecordsInput) scanJSON(body []byte) error {
	r := &jsonReader{b: body}
	type found struct{ data, key []byte }
	var entries []found
	size, keys := 0, 0
	err := r.document(func(name []byte) error {
		if known, err := in.scan(r, name); known {
			return err
		}
		switch string(name) {
		case "DryRun":
			return r.bool(&in.DryRun, "DryRun")
		case "Records":
			if r.null() {
				return nil
			}
			in.Records, entries, size, keys = make([]putRecordsEntry, 0, 64), make([]found, 0, 64), 0, 0
			return r.array("Records", func() error {
				var e putRecordsEntry
				var f found
				err := r.object("Records", func(name []byte) (err error) {
					switch string(name) {
					case "Data":
						if !r.null() {
							f.data, err = r.text("Data")
						}
						return err
					case "PartitionKey":
						if !r.null() {
							f.key, err = r.text("PartitionKey")
						}
						return err
					case "ExplicitHashKey":
						return r.string(&e.ExplicitHashKey, "ExplicitHashKey")
					}
					return r.skip()
				})
				size += base64.StdEncoding.DecodedLen(len(f.data))
				keys += len(f.key)
				in.Records, entries = append(in.Records, e), append(entries, f)
				return err
			})
		}
		return r.skip()
	})
	if err != nil {
		return err
	}
	all, text := make([]byte, 0, size), make([]byte, 0, keys)
	for _, f := range entries {
		text = append(text, f.key...)
	}
	joined, split := string(text), make([]string, len(entries))
	for i := range entries {
		f, e := &entries[i], &in.Records[i]
		if f.key != nil {
			split[i], joined = joined[:len(f.key)], joined[len(f.key):]
			e.PartitionKey = &split[i]
		}
		if f.data == nil {
			continue
		}
		before := len(all)
		if all, err = appendDecoded(all, f.data); err != nil {
			return blobError(err, "Records["+strconv.Itoa(i)+"].Data")
		}
		e.Data = all[before:len(all):len(all)]
	}
	return nil
}
