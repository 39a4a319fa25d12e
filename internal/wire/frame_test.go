package wire

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"
)

const eventHeaders = "\r:message-type\x07\x00\x05event\x0b:event-type\x07\x00\x15SubscribeToShardEvent\r:content-type\x07\x00\x1aapplication/x-amz-json-1.1"

// frame is one of these headers and that payload.
func frame(payload []byte, headers string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(frameEnds+len(headers)+len(payload)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(headers)))
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	b = append(append(b, headers...), payload...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

// frames are an event, and what is none.
func frames() [][]byte {
	payload := []byte(usual[2])
	out := [][]byte{
		frame(payload, eventHeaders),
		frame(payload, "\x01d\x07\x00\x01x"+eventHeaders),
		nil, make([]byte, frameEnds), frame(payload, ""),
	}
	for _, headers := range []string{
		eventHeaders + "\r:content-type\x07\x00\x10application/json", // twice
		eventHeaders + "\x00\x07\x00\x01x",
		eventHeaders + "\x01x\x00",                                 // true
		eventHeaders + "\x01x\x08\x00\x00\x00\x00\x00\x00\x00\x00", // a time
		eventHeaders + "\x01x\x07\x00\x09x",
		eventHeaders + "\x01x\x07\x00",
		eventHeaders + "\xff",
		"\r:message-type\x07\x00\x05event\x0b:event-type\x07\x00\x15SubscribeToShardEvent",
		"\r:message-type\x07\x00\x05event\x0b:event-type\x07\x00\x10initial-response\r:content-type\x07\x00\x10application/json",
		"\r:message-type\x07\x00\texception\x0f:exception-type\x07\x00\x16ResourceInUseException\r:content-type\x07\x00\x10application/json",
		"\r:message-type\x07\x00\x05event\x0b:event-type\x07\x00\x15SubscribeToShardEvent\r:content-type\x07\x00\x10application/cbor",
	} {
		out = append(out, frame(payload, headers))
	}
	return out
}

func TestEventsAreTakenOutOfTheirFrames(t *testing.T) {
	for i, b := range frames() {
		payload, ok := EventPayload(b)
		if ok != (i < 2) {
			t.Errorf("frame %d: %v: %q", i, ok, b)
		}
		if ok && string(payload) != usual[2] {
			t.Errorf("frame %d: payload %q", i, payload)
		}
	}
}

// Cut anywhere, or with any bit turned, a frame is no event.
func TestADamagedFrameIsLeftToTheSDK(t *testing.T) {
	whole := frames()[0]
	for n := range whole {
		if _, ok := EventPayload(whole[:n]); ok {
			t.Errorf("cut to %d bytes of %d", n, len(whole))
		}
		for bit := range 8 {
			b := bytes.Clone(whole)
			b[n] ^= 1 << bit
			if _, ok := EventPayload(b); ok {
				t.Errorf("bit %d of byte %d", bit, n)
			}
		}
	}
	if _, ok := EventPayload(append(bytes.Clone(whole), 0)); ok {
		t.Error("a byte too many")
	}
}

func TestAFrameTellsItsSize(t *testing.T) {
	prelude := func(size, headers uint32) []byte {
		b := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, size), headers)
		return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	}
	for _, c := range []struct {
		size, headers uint32
		ok            bool
	}{{16, 0, true}, {100, 84, true}, {frameBytes, 0, true}, {0, 0, false}, {15, 0, false}, {100, 85, false}, {100, 1 << 31, false}, {frameBytes + 1, 0, false}, {1<<32 - 1, 0, false}} {
		if n, ok := FrameSize(prelude(c.size, c.headers)); ok != c.ok || ok && n != int(c.size) {
			t.Errorf("%d with headers of %d: %d %v", c.size, c.headers, n, ok)
		}
	}
}
