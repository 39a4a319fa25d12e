package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/record"
)

// The layout of files; README.md draws it.

const (
	version = 1 // of the files: it rises when an older reader would misread them

	headerBytes = 96
	headerCopy  = 512  // where the second one is: another sector
	dataStart   = 1024 // where groups begin
	groupBytes  = 40
	frameBytes  = 32
	leastFrame  = frameBytes + 3 // three lengths

	fileMagic  = "vegasbuf"
	groupMagic = "vgG1"
	frameMagic = "vgF1"

	kindSegment = 's'
	kindAcks    = 'a'
	kindDead    = 'd'

	flagRemainder = 1 // of a file
	flagClosing   = 1 // of a group
	flagUnknown   = 1 // of a dead letter
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	endian     = binary.LittleEndian
)

// header is what a file starts with.
type header struct {
	kind     byte
	flags    byte
	salt     uint64
	producer [16]byte
	first    uint64
	before   uint64
	last     uint64
	count    uint64
	acked    uint64
	created  int64
}

// start is everything that stands in a file before its first group.
func (h *header) start() []byte {
	b := make([]byte, dataStart)
	h.put(b)
	copy(b[headerCopy:], b[:headerBytes])
	return b
}

func (h *header) put(b []byte) {
	copy(b, fileMagic)
	endian.PutUint16(b[8:], version)
	b[10], b[11] = h.kind, h.flags
	endian.PutUint64(b[16:], h.salt)
	copy(b[24:40], h.producer[:])
	endian.PutUint64(b[40:], h.first)
	endian.PutUint64(b[48:], h.before)
	endian.PutUint64(b[56:], h.last)
	endian.PutUint64(b[64:], h.count)
	endian.PutUint64(b[72:], h.acked)
	endian.PutUint64(b[80:], uint64(h.created))
	endian.PutUint32(b[92:], crc32.Checksum(b[:92], castagnoli))
}

func (h *header) get(b []byte) bool {
	if len(b) < headerBytes || string(b[:8]) != fileMagic ||
		crc32.Checksum(b[:92], castagnoli) != endian.Uint32(b[92:]) || endian.Uint16(b[8:]) != version {
		return false
	}
	*h = header{
		kind: b[10], flags: b[11],
		salt:     endian.Uint64(b[16:]),
		producer: [16]byte(b[24:40]),
		first:    endian.Uint64(b[40:]),
		before:   endian.Uint64(b[48:]),
		last:     endian.Uint64(b[56:]),
		count:    endian.Uint64(b[64:]),
		acked:    endian.Uint64(b[72:]),
		created:  int64(endian.Uint64(b[80:])),
	}
	return true
}

// checksum of a header of a group or frame: it holds for one place of one file.
func checksum(salt uint64, offset int64, b []byte) uint32 {
	var place [16]byte
	endian.PutUint64(place[:], salt)
	endian.PutUint64(place[8:], uint64(offset))
	return crc32.Update(crc32.Checksum(place[:], castagnoli), castagnoli, b)
}

// groupHead is the header of a group.
type groupHead struct {
	count  uint32
	length int64
	first  uint64
	synced int64
	flags  uint32
}

func (g *groupHead) put(b []byte, salt uint64, offset int64) {
	copy(b, groupMagic)
	endian.PutUint32(b[4:], g.count)
	endian.PutUint64(b[8:], uint64(g.length))
	endian.PutUint64(b[16:], g.first)
	endian.PutUint64(b[24:], uint64(g.synced))
	endian.PutUint32(b[32:], g.flags)
	endian.PutUint32(b[36:], checksum(salt, offset, b[:36]))
}

func (g *groupHead) get(b []byte, salt uint64, offset int64) bool {
	if len(b) < groupBytes || string(b[:4]) != groupMagic || checksum(salt, offset, b[:36]) != endian.Uint32(b[36:]) {
		return false
	}
	*g = groupHead{
		count:  endian.Uint32(b[4:]),
		length: int64(endian.Uint64(b[8:])),
		first:  endian.Uint64(b[16:]),
		synced: int64(endian.Uint64(b[24:])),
		flags:  endian.Uint32(b[32:]),
	}
	return g.length >= 0
}

// frameHead is the header of a frame.
type frameHead struct {
	length   uint32
	seq      uint64
	accepted int64
	body     uint32 // checksum
}

// put leaves the checksum of the header to seal: the place is not known yet.
func (f *frameHead) put(b []byte) {
	copy(b, frameMagic)
	endian.PutUint32(b[4:], f.length)
	endian.PutUint64(b[8:], f.seq)
	endian.PutUint64(b[16:], uint64(f.accepted))
	endian.PutUint32(b[24:], f.body)
}

func (f *frameHead) get(b []byte, salt uint64, offset int64) bool {
	if len(b) < frameBytes || string(b[:4]) != frameMagic || checksum(salt, offset, b[:28]) != endian.Uint32(b[28:]) {
		return false
	}
	f.read(b)
	return true
}

func (f *frameHead) read(b []byte) {
	*f = frameHead{
		length:   endian.Uint32(b[4:]),
		seq:      endian.Uint64(b[8:]),
		accepted: int64(endian.Uint64(b[16:])),
		body:     endian.Uint32(b[24:]),
	}
}

// seal completes a group whose frames are in place, for its place in a file.
func seal(group []byte, head groupHead, salt uint64, offset int64) {
	head.length = int64(len(group) - groupBytes)
	head.put(group, salt, offset)
	for at := groupBytes; at < len(group); {
		b := group[at:]
		endian.PutUint32(b[28:], checksum(salt, offset+int64(at), b[:28]))
		at += frameBytes + int(endian.Uint32(b[4:]))
	}
}

// appendFrame appends a frame, its header not sealed, around the body that fill
// appends.
func appendFrame(b []byte, seq uint64, accepted int64, fill func([]byte) []byte) []byte {
	at := len(b)
	b = fill(append(b, make([]byte, frameBytes)...))
	body := b[at+frameBytes:]
	head := frameHead{uint32(len(body)), seq, accepted, crc32.Checksum(body, castagnoli)}
	head.put(b[at:])
	return b
}

// appendBody appends a record's body.
func appendBody(b []byte, key, hashKey string, headers []record.Header, data []byte) []byte {
	b = appendText(b, key)
	b = appendText(b, hashKey)
	b = binary.AppendUvarint(b, uint64(len(headers)))
	for i := range headers {
		b = appendText(b, headers[i].Key)
		b = appendText(b, headers[i].Value)
	}
	return append(b, data...)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// bodyBytes is what a record's body takes.
func bodyBytes(r *record.Record) int {
	n := textBytes(r.PartitionKey) + textBytes(r.ExplicitHashKey) + uvarintBytes(len(r.Headers)) + len(r.Data)
	for i := range r.Headers {
		n += textBytes(r.Headers[i].Key) + textBytes(r.Headers[i].Value)
	}
	return n
}

func textBytes(s string) int { return uvarintBytes(len(s)) + len(s) }

func uvarintBytes(v int) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

// errBody: a body under a valid checksum that nobody can have written.
var errBody = errors.New("not the body of a record")

// text takes a text off b.
func text(b []byte) (s, rest []byte, err error) {
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)-used) {
		return nil, nil, errBody
	}
	return b[used : used+int(n)], b[used+int(n):], nil
}

// readBody sets what a body says of an item. Its Data is a part of b.
func readBody(b []byte, it *buffer.Item) error {
	key, b, err := text(b)
	if err != nil {
		return err
	}
	hashKey, b, err := text(b)
	if err != nil {
		return err
	}
	it.Key, it.ExplicitHashKey = string(key), string(hashKey)
	it.Headers, it.Data, err = readHeaders(b)
	return err
}

func readHeaders(b []byte) (headers []record.Header, rest []byte, err error) {
	n, used := binary.Uvarint(b)
	b = b[max(used, 0):]
	if used <= 0 || n > uint64(len(b)) {
		return nil, nil, errBody
	}
	for range n {
		var name, value []byte
		if name, b, err = text(b); err == nil {
			value, b, err = text(b)
		}
		if err != nil {
			return nil, nil, err
		}
		headers = append(headers, record.Header{Key: string(name), Value: string(value)})
	}
	return headers, b, nil
}

// deadBytes come first in a dead letter: producer id, flags, when it was buried.
const deadBytes = 16 + 1 + 8

func appendDead(b []byte, d *buffer.Dead) []byte {
	b = append(b, d.Producer[:]...)
	var flags byte
	if d.Unknown {
		flags |= flagUnknown
	}
	b = endian.AppendUint64(append(b, flags), uint64(d.At.UnixNano()))
	b = appendText(b, d.Reason)
	return appendBody(b, d.Key, d.ExplicitHashKey, d.Headers, d.Data)
}

func readDead(b []byte, d *buffer.Dead) error {
	if len(b) < deadBytes {
		return errBody
	}
	d.Producer = [16]byte(b)
	d.Unknown = b[16]&flagUnknown != 0
	d.At = unixNano(int64(endian.Uint64(b[17:])))
	reason, b, err := text(b[deadBytes:])
	if err != nil {
		return err
	}
	d.Reason = string(reason)
	return readBody(b, &d.Item)
}

// span is a range of numbers.
type span struct{ first, last uint64 }

func appendSpans(b []byte, spans []span) []byte {
	var end uint64
	for _, s := range spans {
		b = binary.AppendUvarint(b, s.first-end)
		b = binary.AppendUvarint(b, s.last-s.first)
		end = s.last
	}
	return b
}

func readSpans(b []byte, f func(span)) error {
	var end uint64
	for len(b) > 0 {
		gap, n := binary.Uvarint(b)
		if n <= 0 {
			return errBody
		}
		length, m := binary.Uvarint(b[n:])
		if m <= 0 {
			return errBody
		}
		s := span{end + gap, end + gap + length}
		if s.first < end || s.last < s.first {
			return errBody
		}
		f(s)
		b, end = b[n+m:], s.last
	}
	return nil
}

// nextMagic is where in b a header of a group or a frame may begin, from at on,
// or where the next bytes may complete it; len(b) if nowhere.
func nextMagic(b []byte, at int) int {
	for at < len(b) {
		i := bytes.IndexByte(b[at:], groupMagic[0])
		if i < 0 {
			return len(b)
		}
		at += i
		head := b[at:min(at+4, len(b))]
		if bytes.HasPrefix([]byte(groupMagic), head) || bytes.HasPrefix([]byte(frameMagic), head) {
			return at
		}
		at++
	}
	return len(b)
}
