package floor

import (
	"crypto/md5" //nolint:gosec // the format's checksum
	"encoding/binary"

	"github.com/libvegas/vegas/bench/contest"
)

// An aggregate is the magic, a protobuf message, and the message's MD5. Field 1 of
// the message is a key of the table, field 3 a record: 1 the place of its key, 3
// its payload.
// https://github.com/awslabs/amazon-kinesis-producer/blob/master/aggregation-format.md

const magic = "\xf3\x89\x9a\xc2"

const (
	tagKey      = 1<<3 | 2
	tagRecord   = 3<<3 | 2
	tagKeyIndex = 1 << 3
	tagData     = 3<<3 | 2
)

// appendRecord appends record i of w, the n-th of an aggregate. Its key stands in
// front of it, whether or not it is in the table already: with more keys than an
// aggregate has records looking for it costs more than it saves.
func appendRecord(b []byte, w *contest.Work, key string, i, n int) []byte {
	b = append(b, tagKey)
	b = binary.AppendUvarint(b, uint64(len(key)))
	b = append(b, key...)
	b = append(b, tagRecord)
	b = binary.AppendUvarint(b, uint64(1+varintLen(n)+1+varintLen(w.Size)+w.Size))
	b = append(b, tagKeyIndex)
	b = binary.AppendUvarint(b, uint64(n))
	b = append(b, tagData)
	b = binary.AppendUvarint(b, uint64(w.Size))
	return w.AppendPayload(b, i)
}

func varintLen(n int) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

// seal appends the checksum.
func seal(b []byte) []byte {
	sum := md5.Sum(b[len(magic):]) //nolint:gosec // see the import
	return append(b, sum[:]...)
}

// splitter opens aggregates.
type splitter struct {
	keys    [][]byte
	records [][]byte
}

// split hands on the payloads of an aggregate, or data itself if it is none.
func (s *splitter) split(data []byte, f func(key, payload []byte) error) error {
	if len(data) <= len(magic)+md5.Size || string(data[:len(magic)]) != magic {
		return f(nil, data)
	}
	end := len(data) - md5.Size
	if md5.Sum(data[len(magic):end]) != [md5.Size]byte(data[end:]) { //nolint:gosec // see the import
		return f(nil, data)
	}
	s.keys, s.records = s.keys[:0], s.records[:0]
	for message := data[len(magic):end]; len(message) > 0; {
		tag, value, rest, ok := field(message)
		if !ok {
			return errUnexpected
		}
		switch message = rest; tag {
		case tagKey:
			s.keys = append(s.keys, value)
		case tagRecord:
			s.records = append(s.records, value)
		}
	}
	for _, record := range s.records {
		var payload []byte
		key := uint64(len(s.keys))
		for len(record) > 0 {
			if record[0] == tagKeyIndex {
				index, n := binary.Uvarint(record[1:])
				if n <= 0 {
					return errUnexpected
				}
				key, record = index, record[1+n:]
				continue
			}
			tag, value, rest, ok := field(record)
			if !ok {
				return errUnexpected
			}
			if record = rest; tag == tagData {
				payload = value
			}
		}
		if key >= uint64(len(s.keys)) {
			return errUnexpected
		}
		if err := f(s.keys[key], payload); err != nil {
			return err
		}
	}
	return nil
}

// field cuts the first field off, which has a length.
func field(b []byte) (tag uint64, value, rest []byte, ok bool) {
	n := 1
	if tag = uint64(b[0]); tag >= 0x80 {
		if tag, n = binary.Uvarint(b); n <= 0 {
			return 0, nil, nil, false
		}
	}
	size, k := binary.Uvarint(b[n:])
	if b = b[n+max(k, 0):]; k <= 0 || tag&7 != 2 || size > uint64(len(b)) {
		return 0, nil, nil, false
	}
	return tag, b[:size:size], b[size:], true
}
