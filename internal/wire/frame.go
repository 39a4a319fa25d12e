package wire

import (
	"encoding/binary"
	"hash/crc32"
)

// Frames of application/vnd.amazon.eventstream are, big-endian: the length of all
// of it, the length of the headers, the CRC-32 of these eight bytes, the headers,
// the payload, and the CRC-32 of all before it.
// https://smithy.io/2.0/aws/amazon-eventstream.html

// PreludeSize is how many bytes of a frame tell its length.
const PreludeSize = 12

const (
	frameEnds  = PreludeSize + 4 // what a frame is longer than its headers and payload
	frameBytes = 16<<20 + 128<<10 + frameEnds
	textHeader = 7 // the type of a header whose value is text
)

// FrameSize is the length of the frame that begins with prelude; false: leave it
// to the SDK.
func FrameSize(prelude []byte) (int, bool) {
	size, headers := binary.BigEndian.Uint32(prelude), binary.BigEndian.Uint32(prelude[4:])
	if crc32.ChecksumIEEE(prelude[:8]) != binary.BigEndian.Uint32(prelude[8:]) ||
		size > frameBytes || size < frameEnds || headers > size-frameEnds {
		return 0, false
	}
	return int(size), true
}

// EventPayload is the payload of a whole frame that is a SubscribeToShardEvent in
// JSON and arrived intact; false: leave the frame to the SDK.
func EventPayload(frame []byte) ([]byte, bool) {
	if len(frame) < frameEnds {
		return nil, false
	}
	if size, ok := FrameSize(frame[:PreludeSize]); !ok || size != len(frame) {
		return nil, false
	}
	body, sum := frame[:len(frame)-4], frame[len(frame)-4:]
	if crc32.ChecksumIEEE(body) != binary.BigEndian.Uint32(sum) {
		return nil, false
	}
	payload := PreludeSize + int(binary.BigEndian.Uint32(frame[4:]))
	if !isEvent(frame[PreludeSize:payload]) {
		return nil, false
	}
	return body[payload:], true
}

// isEvent tells that headers are those of a SubscribeToShardEvent in JSON. Other
// text may stand beside them.
func isEvent(headers []byte) bool {
	var message, event, content bool
	for len(headers) > 0 {
		name, value, rest, ok := header(headers)
		headers = rest
		switch {
		case !ok:
			return false
		case string(name) == ":message-type":
			ok = once(&message) && string(value) == "event"
		case string(name) == ":event-type":
			ok = once(&event) && string(value) == "SubscribeToShardEvent"
		case string(name) == ":content-type":
			ok = once(&content) && (string(value) == "application/json" || string(value) == "application/x-amz-json-1.1")
		}
		if !ok {
			return false
		}
	}
	return message && event && content
}

// header cuts the first header off; false: it is no text.
func header(b []byte) (name, value, rest []byte, ok bool) {
	n := 1 + int(b[0])
	if len(b) < n+3 || n == 1 || b[n] != textHeader {
		return nil, nil, nil, false
	}
	name, b, n = b[1:n], b[n+3:], int(binary.BigEndian.Uint16(b[n+1:]))
	if len(b) < n {
		return nil, nil, nil, false
	}
	return name, b[:n], b[n:], true
}
