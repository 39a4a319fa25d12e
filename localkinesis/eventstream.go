package localkinesis

import (
	"encoding/binary"
	"hash/crc32"
)

// A frame of application/vnd.amazon.eventstream is, big-endian: its total
// length, the length of its headers, the CRC32 of these eight bytes, headers,
// payload, and the CRC32 of all that. Source:
// https://smithy.io/2.0/aws/amazon-eventstream.html.

// header is one string header of a frame.
type header struct{ name, value string }

const headerString = 7 // the type of a string value

// appendFrame appends a frame whose payload body appends.
func appendFrame(b []byte, headers []header, body func([]byte) []byte) []byte {
	start := len(b)
	b = append(b, make([]byte, 12)...)
	for _, h := range headers {
		b = append(b, byte(len(h.name)))
		b = append(b, h.name...)
		b = append(b, headerString)
		b = binary.BigEndian.AppendUint16(b, uint16(len(h.value)))
		b = append(b, h.value...)
	}
	size := len(b) - start - 12
	b = body(b)
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start+4))
	binary.BigEndian.PutUint32(b[start+4:], uint32(size))
	binary.BigEndian.PutUint32(b[start+8:], crc32.ChecksumIEEE(b[start:start+8]))
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[start:]))
}

// event appends an event of that type with out as its payload, in the codec of
// the request.
func (c *call) event(b []byte, kind string, out any) []byte {
	return appendFrame(b, []header{{":message-type", "event"}, {":event-type", kind}, {":content-type", c.content()}},
		func(b []byte) []byte { return c.encode(b, out) })
}

// exception appends a modelled exception.
func (c *call) exception(b []byte, f *failure) []byte {
	return appendFrame(b, []header{{":message-type", "exception"}, {":exception-type", f.code}, {":content-type", c.content()}},
		func(b []byte) []byte { return c.encode(b, map[string]string{"message": f.message}) })
}

func (c *call) content() string {
	if c.cbor {
		return contentCBOR
	}
	return contentJSON
}
