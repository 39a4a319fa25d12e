package wire

import (
	"slices"
	"testing"
)

// What is decoded here, the SDK decodes too, to the same.
func FuzzAnswer(f *testing.F) {
	for _, bodies := range [][]string{usual, unusual} {
		for _, body := range bodies {
			if len(body) < 10_000 {
				f.Add([]byte(body))
			}
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if ours, ok := new(Decoder).GetRecords(body); ok {
			theirs, err := sdkGetRecords(body)
			same(t, body, ours, theirs, err)
		}
		if ours, ok := new(Decoder).Event(body); ok {
			theirs, err := sdkEvent(frame(body, eventHeaders))
			same(t, body, ours, theirs, err)
		}
	})
}

// So are answers to PutRecords.
func FuzzPutAnswer(f *testing.F) {
	for _, body := range slices.Concat(usualPuts, unusualPuts, unusual) {
		if len(body) < 10_000 {
			f.Add([]byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if ours, ok := new(Decoder).PutRecords(body); ok {
			samePut(t, body, ours)
		}
	})
}

// What is taken for an event here, the SDK takes for the same event.
func FuzzFrame(f *testing.F) {
	for _, b := range frames() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		payload, ok := EventPayload(b)
		if !ok {
			return
		}
		if ours, ok := new(Decoder).Event(payload); ok {
			theirs, err := sdkEvent(b)
			same(t, b, ours, theirs, err)
		}
	})
}
