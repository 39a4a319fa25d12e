package bridge

import (
	"bytes"
	"errors"
	"io"
	"math"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/libvegas/vegas/internal/send"
	"github.com/libvegas/vegas/record"
)

func TestFramesComeInAnyPieces(t *testing.T) {
	var b []byte
	sizes := []int{0, 1, 5, readBytes - 5, readBytes, readBytes + 1, 3 * readBytes, 2, frameBytes - 1, 7}
	for i, n := range sizes {
		start := len(b)
		b = endFrame(append(beginFrame(b, byte(i)), bytes.Repeat([]byte{byte(n)}, n)...), start)
	}
	for name, pieces := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "halves": iotest.HalfReader, "with the end": iotest.DataErrReader} {
		r := newFrameReader(pieces(bytes.NewReader(b)))
		for i, n := range sizes {
			kind, body, err := r.next()
			if err != nil || kind != byte(i) || len(body) != n || n > 0 && (body[0] != byte(n) || body[n-1] != byte(n)) {
				t.Fatalf("%s: frame %d of %d bytes: kind %d, %d bytes, %v", name, i, n, kind, len(body), err)
			}
		}
		if _, _, err := r.next(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: the end is %v", name, err)
		}
		if len(r.buf) > 2*readBytes {
			t.Errorf("%s: %d bytes are kept behind large frames", name, len(r.buf))
		}
	}
	for cut := 1; cut < 9; cut++ {
		if _, _, err := newFrameReader(bytes.NewReader(endFrame(append(beginFrame(nil, 1), "body"...), 0)[:cut])).next(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
}

// TestHugeSizesTakeNoMemory announces frames that do not come.
func TestHugeSizesTakeNoMemory(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		_, _, err := newFrameReader(strings.NewReader("\x00\x00\x00\x01\x02")).next()
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) / 100; n > 2*readBytes {
		t.Errorf("%d bytes for a frame of which 1 came", n)
	}
}

func TestValuesCrossUnchanged(t *testing.T) {
	for _, v := range []any{
		nil, true, false, int64(0), int64(math.MinInt64), int64(math.MaxInt64), 1.5, math.Inf(-1), "", "ü\x00x", []byte{}, []byte{0, 255},
		[]any{}, []any{int64(1), []any{nil, "x"}}, map[string]any{}, map[string]any{"": nil, "a": map[string]any{"b": []byte("c")}},
	} {
		b := appendValue(nil, v)
		got, err := parseValue(b)
		if err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("%#v became %#v, %v", v, got, err)
		}
		for cut := range b {
			if v, err := parseValue(b[:cut]); err == nil {
				t.Errorf("%#v, cut at %d, is %#v", b, cut, v)
			}
		}
	}
}

func TestValuesAreRefused(t *testing.T) {
	deep := any(nil)
	for range valueDepth - 1 {
		deep = []any{deep}
	}
	if _, err := parseValue(appendValue(nil, deep)); err != nil {
		t.Errorf("%d deep: %v", valueDepth, err)
	}
	for name, b := range map[string][]byte{
		"nothing":           {},
		"no such tag":       {9},
		"deep":              appendValue(nil, []any{deep}),
		"more behind":       {0, 0},
		"no UTF-8":          {tagText, 1, 0, 0, 0, 255},
		"a key twice":       {tagMap, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"a count":           {tagList, 255, 255, 255, 255, 0},
		"a count of a map":  {tagMap, 2, 0, 0, 0, 0, 0, 0, 0, 0},
		"a length":          {tagBytes, 255, 255, 255, 255},
		"large":             appendValue(nil, make([]byte, valueBytes)),
		"text with surplus": append(appendValue(nil, "x"), 0),
	} {
		if v, err := parseValue(b); err == nil {
			t.Errorf("%s: %#v", name, v)
		}
	}
	if got, err := parseValue(appendValue(nil, "a\xffb")); err != nil || got != "a\ufffdb" {
		t.Errorf("text that is no UTF-8 crossed as %q, %v", got, err)
	}
}

func TestRowsCrossUnchanged(t *testing.T) {
	rs := []record.Record{
		{PartitionKey: "k", Data: []byte("x")},
		{},
		{PartitionKey: strings.Repeat("ü", 256), ExplicitHashKey: strings.Repeat("9", 39), Data: make([]byte, 1000), Headers: []record.Header{{Key: "a", Value: "b"}, {}, {Key: "a"}}},
	}
	f, err := parseSend(appendSend(nil, 7, 1<<40, rs)[frameHead:])
	if err != nil || f.producer != 7 || f.first != 1<<40 || f.count != len(rs) {
		t.Fatalf("%+v, %v", f, err)
	}
	var row send.Row
	for i := range rs {
		if err := f.next(&row); err != nil {
			t.Fatal(err)
		}
		got, w := &row.Record, &rs[i]
		if row.Number != 1<<40+uint64(i) {
			t.Errorf("record %d has number %d", i, row.Number)
		}
		if got.PartitionKey != w.PartitionKey || got.ExplicitHashKey != w.ExplicitHashKey || !bytes.Equal(got.Data, w.Data) || !slices.Equal(got.Headers, w.Headers) {
			t.Errorf("record %d is %+v", i, got)
		}
	}
}

func TestStatisticsTellOfTheWorstShards(t *testing.T) {
	list := make([]int, statsShards+500)
	for i := range list {
		list[i] = i * 7919 % len(list)
	}
	of := func(n *int) int64 { return int64(*n) }
	if got := worst(list[:statsShards], of); !slices.Equal(got, list[:statsShards]) {
		t.Error("few shards are in another order")
	}
	if got := worst(list, of); len(got) != statsShards || got[0] != len(list)-1 || got[statsShards-1] != 500 {
		t.Errorf("%d, from %d to %d", len(got), got[0], got[len(got)-1])
	}
}

// TestRowsAreFilled: what few records there are at the end of a frame come together too.
func TestRowsAreFilled(t *testing.T) {
	frame := appendSend(nil, 0, 7, make([]record.Record, 100))
	f, err := parseSend(frame[frameHead:])
	if err != nil {
		t.Fatal(err)
	}
	rows := make([]send.Row, 64)
	for _, want := range []int{64, 36, 0} {
		if n, err := f.fill(rows); n != want || err != nil {
			t.Errorf("%d records, %v: want %d", n, err, want)
		}
	}
	if rows[35].Number != 7+99 {
		t.Errorf("the last one is number %d", rows[35].Number)
	}
}

func TestReportsComeInGroups(t *testing.T) {
	stored := func(shard, sequence string, sub int64) *record.Receipt {
		return &record.Receipt{Shard: shard, Position: record.Position{Sequence: sequence, SubSequence: sub}}
	}
	var r reports
	failed := string(appendValue(nil, results{"code": "failed"}))
	for n := range uint64(30000) {
		switch {
		case n%3 == 0:
			r.add(5, n, statusStored, stored("s0", "1", int64(n)), "")
		case n%30 < 15:
			r.add(5, n, statusDurable, &record.Receipt{}, "")
		default:
			r.add(5, n, statusUnknown, &record.Receipt{}, failed)
		}
	}
	h := &host{t: t, results: map[uint64]result{}}
	frames := newFrameReader(bytes.NewReader(r.take(nil)))
	n := 0
	for {
		kind, body, err := frames.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || kind != kindReport || littleEndian.Uint32(body) != 5 {
			t.Fatal(kind, err)
		}
		n++
		h.report(body)
	}
	if len(h.results) != 30000 || n < 2 || n > 10 {
		t.Errorf("%d records in %d frames", len(h.results), n)
	}
	if got := h.results[5*otherProducer+3]; got.status != statusStored || got.shard != "s0" || got.sequence != "1" || got.sub != 3 {
		t.Errorf("%+v", got)
	}
	if b := r.take(nil); len(b) != 0 {
		t.Errorf("%d bytes are left", len(b))
	}
}

// TestReportsOfOneFailureFitIntoFrames: a host that was away has a window of them.
func TestReportsOfOneFailureFitIntoFrames(t *testing.T) {
	const n = 5 * reportBytes / reportRow
	var r reports
	for i := range uint64(n) {
		r.add(0, i, statusDurable, &record.Receipt{}, "")
	}
	h := &host{t: t, results: map[uint64]result{}}
	for b := r.take(nil); len(b) > 0; {
		size := 4 + int(littleEndian.Uint32(b))
		if size > reportBytes+100 {
			t.Fatalf("a frame of %d bytes", size)
		}
		h.report(b[frameHead:size])
		b = b[size:]
	}
	if len(h.results) != n {
		t.Errorf("%d records", len(h.results))
	}
}

func TestReportsOfAnAggregateTakeLittle(t *testing.T) {
	var r reports
	for n := range uint64(500) {
		r.add(0, n, statusStored, &record.Receipt{Shard: "shardId-000000000000", Position: record.Position{Sequence: strings.Repeat("4", 56), SubSequence: int64(n)}}, "")
	}
	if b := r.take(nil); len(b) > 500*reportRow+120 {
		t.Errorf("%d bytes for 500 records of one aggregate", len(b))
	}
}

func TestWritingAllocatesNothing(t *testing.T) {
	var r reports
	var b []byte
	at := &record.Receipt{Shard: "s", Position: record.Position{Sequence: "1"}}
	if n := testing.AllocsPerRun(100, func() {
		for n := range uint64(100) {
			r.add(0, n, statusStored, at, "")
		}
		b = r.take(b[:0])
	}); n > 0 {
		t.Errorf("%v allocations for 100 reports", n)
	}
}

func FuzzValue(f *testing.F) {
	f.Add(appendValue(nil, map[string]any{"a": []any{int64(1), "x", nil, true, 1.5}}))
	f.Add([]byte{tagList, 255, 255, 0, 0, 7, 7})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := parseValue(b)
		if err != nil {
			return
		}
		again, err := parseValue(appendValue(nil, v))
		if err != nil || !equal(again, v) {
			t.Errorf("%#v became %#v, %v", v, again, err)
		}
	})
}

// equal is reflect.DeepEqual, but for numbers that are none.
func equal(a, b any) bool {
	return bytes.Equal(appendValue(nil, a), appendValue(nil, b))
}

func FuzzSend(f *testing.F) {
	f.Add(appendSend(nil, 1, 2, []record.Record{{PartitionKey: "k", Data: []byte("x"), Headers: []record.Header{{Key: "a", Value: "b"}}}, {}})[frameHead:])
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := parseSend(b)
		if err != nil {
			return
		}
		var row send.Row
		r := &row.Record
		sum, n := 0, frame.count
		for range n {
			err := frame.next(&row)
			bytes := int(row.Cost) - recordCost
			sum += bytes
			if err == nil && len(r.PartitionKey)+len(r.ExplicitHashKey)+headersBytes(r.Headers)+len(r.Data) > bytes+2 {
				t.Errorf("a record of %d bytes has %+v", bytes, *r)
			}
		}
		if sum+n*sendRow+sendHead != len(b) {
			t.Errorf("%d bytes in a frame of %d", sum, len(b))
		}
	})
}

// FuzzSession gives a session any bytes behind a good hello: it ends, with an error
// or without, and takes no more memory than what came.
func FuzzSession(f *testing.F) {
	value := func(kind byte, v any) []byte { return endFrame(appendValue(beginFrame(nil, kind), v), 0) }
	f.Add(value(kindCall, results{"call": 1, "method": "stats", "producer": 1}))
	f.Add(value(kindCall, results{"call": 1, "method": methodOpenProducer, "producer": 1, "stream": "x"}))
	f.Add(append(value(kindCall, results{"call": 1, "method": methodCloseProducer, "producer": 1}), appendSend(nil, 1, 0, []record.Record{{}})...))
	f.Add(value(kindSettle, results{}))
	hello := value(kindHello, results{"protocol": []any{int64(1), int64(1)}, "grace": 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		// Whatever is opened has nobody to talk with.
		t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
		t.Setenv("AWS_REGION", "us-east-1")
		t.Setenv("VEGAS_STORE", "memory:")
		if bytes.Contains(b, []byte("durable")) || bytes.Contains(b, []byte("local")) || bytes.Contains(b, []byte("consumer")) {
			return // they reach for files and ports
		}
		_ = Serve(t.Context(), bytes.NewReader(append(slices.Clone(hello), b...)), io.Discard, Config{})
	})
}
