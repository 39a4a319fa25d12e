package aggregate

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/record"
)

// scratchKept bounds what a decoder keeps for the next aggregate, in entries. A
// 256 KiB aggregate cannot hold more sub-records.
const scratchKept = 1 << 16

// scratch is what decoding needs on the way and nobody else may point to.
type scratch struct {
	keys, hashes []span // tables
	records      []span
	text         []byte // contents of both tables
	strings      []string
	tags         []tag
}

// span is a place in the message.
type span struct{ from, to uint32 }

// tag is a header of sub-record sub.
type tag struct {
	sub        uint32
	key, value span
}

// Decode reads data into a, replacing what a held. It fails with
// ErrNotAggregate or ErrMalformed and then leaves no sub-records in a.
//
// Decoding takes memory in proportion to len(data), whatever data says. The
// worst that can be made up, headers without content, allocates some 25 times
// as much.
func Decode(data []byte, a *Aggregate) error {
	msg, ok := body(data)
	if !ok {
		a.reset()
		return ErrNotAggregate
	}
	return DecodeMessage(msg, a)
}

// DecodeMessage is Decode of the message of an aggregate (see Parts), for who has
// compared its sum.
func DecodeMessage(msg []byte, a *Aggregate) error {
	a.reset()
	if len(msg) > math.MaxInt32 {
		return malformed("longer than any record")
	}
	identity, err := a.index(msg)
	if err == nil {
		err = a.decodeRecords(msg)
	}
	if err != nil {
		a.reset()
		return err
	}
	if identity.present {
		a.HasIdentity = a.decodeIdentity(msg, identity)
	}
	return nil
}

// DecodeBytes is Decode into a new Aggregate.
func DecodeBytes(data []byte) (*Aggregate, error) {
	a := new(Aggregate)
	if err := Decode(data, a); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *Aggregate) reset() {
	clear(a.Subs)
	a.Subs = a.Subs[:0]
	a.HasIdentity, a.IdentityError = false, nil
	a.Identity = Identity{Counters: a.Identity.Counters[:0]}
	if cap(a.Subs) > scratchKept {
		a.Subs, a.scratch, a.Identity.Counters = nil, scratch{}, nil
	}
	s := &a.scratch
	clear(s.strings)
	s.keys, s.hashes, s.records, s.text, s.tags = s.keys[:0], s.hashes[:0], s.records[:0], s.text[:0], s.tags[:0]
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

// identityField is where the identity stands, if it does.
type identityField struct {
	at       span
	present  bool
	repeated bool
	wire     uint64
}

// recordBytes is the shortest record message: an index and empty data.
const recordBytes = 4

// index finds the parts of the message. Tables may stand behind the records
// that refer to them.
func (a *Aggregate) index(msg []byte) (id identityField, err error) {
	s := &a.scratch
	r := reader{buf: msg}
	for r.more() {
		f, ok := r.brief()
		if !ok {
			f = r.field()
		}
		switch {
		case f.number == fieldIdentity:
			id = identityField{at: f.at, present: true, repeated: id.present, wire: f.wire}
		case f.wire != wireBytes || r.bad:
		case f.number == fieldKey:
			s.keys = append(r.roomFor(s.keys, fieldKey), f.at)
		case f.number == fieldHash:
			s.hashes = append(r.roomFor(s.hashes, fieldHash), f.at)
		case f.number == fieldRecord && f.at.len() < recordBytes:
			return id, malformed("record of %d bytes", f.at.len())
		case f.number == fieldRecord:
			s.records = append(r.roomFor(s.records, fieldRecord), f.at)
		}
	}
	if r.bad {
		return id, malformed("broken field before byte %d of %d", r.pos, len(msg))
	}
	if len(s.records) == 0 {
		return id, malformed("no record in it")
	}
	a.readTables(msg)
	for i, h := range s.strings[len(s.keys):] {
		if h == "" { // what some aggregators write for none
			continue
		}
		if _, err := keyspace.Parse(h); err != nil {
			return id, malformed("explicit hash key %d: %w", i, err)
		}
	}
	return id, nil
}

// roomFor is s with room for the field that was just read, and if there was none
// for all of its number that follow: so they are counted only where the last
// aggregate had fewer.
func (r *reader) roomFor(s []span, number uint64) []span {
	if len(s) < cap(s) {
		return s
	}
	n := 1
	for rest := *r; rest.more(); {
		if f := rest.field(); f.number == number && f.wire == wireBytes {
			n++
		}
	}
	return room(s, n)
}

// room is s with room for n more. It allocates no more than that, which
// slices.Grow does not promise.
func room[T any](s []T, n int) []T {
	if cap(s)-len(s) >= n {
		return s
	}
	return append(make([]T, 0, len(s)+n), s...)
}

// readTables makes strings of both tables, keys first, in one allocation.
func (a *Aggregate) readTables(msg []byte) {
	s := &a.scratch
	size := 0
	for _, k := range s.keys {
		size += k.len()
	}
	for _, h := range s.hashes {
		size += h.len()
	}
	s.text = room(s.text, size)
	for _, k := range s.keys {
		s.text = append(s.text, k.of(msg)...)
	}
	for _, h := range s.hashes {
		s.text = append(s.text, h.of(msg)...)
	}
	all := string(s.text)
	s.strings = room(s.strings[:0], len(s.keys)+len(s.hashes))
	for _, k := range s.keys {
		s.strings = append(s.strings, all[:k.len()])
		all = all[k.len():]
	}
	for _, h := range s.hashes {
		s.strings = append(s.strings, all[:h.len()])
		all = all[h.len():]
	}
}

func (a *Aggregate) decodeRecords(msg []byte) error {
	s := &a.scratch
	if cap(a.Subs) < len(s.records) {
		a.Subs = make([]Sub, 0, len(s.records))
	}
	keys, hashes := s.strings[:len(s.keys)], s.strings[len(s.keys):]
	for i, at := range s.records {
		if key, data, ok := bare(msg, at); ok && key < uint64(len(keys)) {
			a.Subs = append(a.Subs, Sub{Key: keys[key], Data: data})
			continue
		}
		sub, err := a.decodeRecord(msg, at, keys, hashes)
		if err != nil {
			return fmt.Errorf("%w of record %d of %d", err, i, len(s.records))
		}
		a.Subs = append(a.Subs, sub)
	}
	a.attachHeaders(msg)
	clear(s.strings) // the scratch must not hold on to what the sub-records may drop
	return nil
}

// bare reads a record that is a key index and then data, and nothing else, as
// nearly all are: for them the walk over fields in any order was a twelfth of what
// a record of 100 bytes costs its reader.
func bare(msg []byte, at span) (key uint64, data []byte, ok bool) {
	r := reader{buf: msg[:at.to], pos: int(at.from)}
	if !r.byte(recordKeyIndex<<3 | wireVarint) {
		return 0, nil, false
	}
	key = r.varint()
	if r.bad || !r.byte(recordData<<3|wireBytes) {
		return 0, nil, false
	}
	if n := r.varint(); r.bad || n != uint64(len(r.buf)-r.pos) {
		return 0, nil, false
	}
	return key, r.buf[r.pos:len(r.buf):len(r.buf)], true
}

func (a *Aggregate) decodeRecord(msg []byte, at span, keys, hashes []string) (sub Sub, err error) {
	var key, hash uint64
	var hasKey, hasHash, hasData bool
	r := reader{buf: msg[:at.to], pos: int(at.from)}
	for r.more() {
		f := r.field()
		switch {
		case f.number == recordKeyIndex && f.wire == wireVarint:
			key, hasKey = f.value, true
		case f.number == recordHashIndex && f.wire == wireVarint:
			hash, hasHash = f.value, true
		case f.number == recordData && f.wire == wireBytes:
			sub.Data, hasData = msg[f.at.from:f.at.to:f.at.to], true
		case f.number == recordTag && f.wire == wireBytes:
			if err := a.decodeTag(msg, f.at); err != nil {
				return sub, err
			}
		}
	}
	switch {
	case r.bad:
		return sub, malformed("broken field")
	case !hasKey:
		return sub, malformed("no partition key index")
	case !hasData:
		return sub, malformed("no data")
	case key >= uint64(len(keys)):
		return sub, malformed("partition key index %d, the table has %d", key, len(keys))
	case hasHash && hash >= uint64(len(hashes)):
		return sub, malformed("explicit hash key index %d, the table has %d", hash, len(hashes))
	}
	sub.Key = keys[key]
	if hasHash {
		sub.ExplicitHashKey = hashes[hash]
	}
	return sub, nil
}

func (a *Aggregate) decodeTag(msg []byte, at span) error {
	t := tag{sub: uint32(len(a.Subs))}
	hasKey := false
	r := reader{buf: msg[:at.to], pos: int(at.from)}
	for r.more() {
		f := r.field()
		switch {
		case f.wire != wireBytes:
		case f.number == tagKey:
			t.key, hasKey = f.at, true
		case f.number == tagValue:
			t.value = f.at
		}
	}
	if r.bad {
		return malformed("broken tag")
	}
	if !hasKey {
		return malformed("no key in a tag")
	}
	s := &a.scratch
	if len(s.tags) == cap(s.tags) { // append alone grows by a quarter, and allocates more in sum
		s.tags = room(s.tags, len(s.tags)+16)
	}
	s.tags = append(s.tags, t)
	return nil
}

// attachHeaders makes the headers of all sub-records in two allocations. They
// outlive the scratch, so they are always new.
func (a *Aggregate) attachHeaders(msg []byte) {
	s := &a.scratch
	if len(s.tags) == 0 {
		return
	}
	size := 0
	for i := range s.tags {
		size += s.tags[i].key.len() + s.tags[i].value.len()
	}
	s.text = room(s.text[:0], size)
	for i := range s.tags {
		s.text = append(append(s.text, s.tags[i].key.of(msg)...), s.tags[i].value.of(msg)...)
	}
	all := string(s.text)
	headers := make([]record.Header, len(s.tags))
	for from := 0; from < len(headers); {
		to := from
		for ; to < len(headers) && s.tags[to].sub == s.tags[from].sub; to++ {
			k, v := s.tags[to].key.len(), s.tags[to].value.len()
			headers[to] = record.Header{Key: all[:k], Value: all[k : k+v]}
			all = all[k+v:]
		}
		a.Subs[s.tags[from].sub].Headers = headers[from:to:to]
		from = to
	}
}

func (s span) len() int             { return int(s.to - s.from) }
func (s span) of(msg []byte) []byte { return msg[s.from:s.to] }

// reader walks the fields of one protobuf message.
type reader struct {
	buf []byte
	pos int
	bad bool
}

// field is one field of a message.
type field struct {
	number, wire uint64
	value        uint64 // of a varint
	at           span   // of a length-delimited field
}

// groupDepth is how deep groups may nest, as in protobuf's Java runtime.
const groupDepth = 100

func (r *reader) more() bool { return !r.bad && r.pos < len(r.buf) }

// field reads the next field and steps over it; r.bad tells that there was
// none. Groups, which the format does not use, are stepped over whole.
func (r *reader) field() field {
	f := r.one()
	if f.wire != wireStart || r.bad {
		if f.wire == wireEnd {
			r.bad = true
		}
		return f
	}
	var open [groupDepth]uint64
	open[0] = f.number
	for depth := 1; depth > 0; {
		g := r.one()
		switch {
		case r.bad:
			return g
		case g.wire == wireStart && depth == groupDepth:
			r.bad = true
			return g
		case g.wire == wireStart:
			open[depth] = g.number
			depth++
		case g.wire == wireEnd && open[depth-1] != g.number:
			r.bad = true
			return g
		case g.wire == wireEnd:
			depth--
		}
	}
	return f
}

// brief is field for one with a length below 16 KiB, and a number below 16; false: it
// is another one, or there is none.
func (r *reader) brief() (f field, ok bool) {
	b := r.buf[r.pos:]
	if len(b) < 3 || b[0]&7 != wireBytes || b[0] < 1<<3 || b[0] >= 0x80 {
		return f, false
	}
	n, from := int(b[1]), r.pos+2
	if n >= 0x80 {
		if b[2] >= 0x80 {
			return f, false
		}
		n, from = n&0x7f|int(b[2])<<7, from+1
	}
	if n > len(r.buf)-from {
		return f, false
	}
	r.pos = from + n
	f.number, f.wire, f.at = uint64(b[0]>>3), wireBytes, span{uint32(from), uint32(r.pos)}
	return f, true
}

// one reads one tag and its value, taking the start and the end of a group for
// fields of their own.
func (r *reader) one() (f field) {
	key := r.varint()
	f.number, f.wire = key>>3, key&7
	if f.number == 0 || f.number > 1<<29-1 {
		r.bad = true
		return f
	}
	switch f.wire {
	case wireVarint:
		f.value = r.varint()
	case wireFixed64:
		r.skip(8)
	case wireBytes:
		n := r.varint()
		from := r.pos
		r.skip(n)
		f.at = span{uint32(from), uint32(r.pos)}
	case wireStart, wireEnd:
	case wireFixed32:
		r.skip(4)
	default:
		r.bad = true
	}
	return f
}

// byte steps over c if that comes next.
func (r *reader) byte(c byte) bool {
	if r.pos == len(r.buf) || r.buf[r.pos] != c {
		return false
	}
	r.pos++
	return true
}

func (r *reader) varint() uint64 {
	if r.pos < len(r.buf) && r.buf[r.pos] < 0x80 {
		r.pos++
		return uint64(r.buf[r.pos-1])
	}
	v, n := binary.Uvarint(r.buf[r.pos:])
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.pos += n
	return v
}

func (r *reader) skip(n uint64) {
	if r.bad || n > uint64(len(r.buf)-r.pos) {
		r.bad = true
		return
	}
	r.pos += int(n)
}
