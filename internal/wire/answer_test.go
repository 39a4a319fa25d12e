package wire

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// record is one with such members.
func one(members string) string { return `{"Records":[{` + members + `}],"MillisBehindLatest":7}` }

func at(seconds string) string { return one(`"ApproximateArrivalTimestamp":` + seconds) }

var usual = []string{
	// As in the documentation of the service.
	`{"MillisBehindLatest":2100,"NextShardIterator":"AAAAAAAAAAHsW8zC","Records":[{"Data":"XzxkYXRhPl8w","PartitionKey":"partitionKey","ApproximateArrivalTimestamp":1.441215410867E9,"SequenceNumber":"21269319989652663814458848515492872193"}]}`,
	`{"NextShardIterator":null,"MillisBehindLatest":0,"Records":[],"ChildShards":[{"ShardId":"shardId-000000000001","ParentShards":["shardId-000000000000","b"],"HashKeyRange":{"StartingHashKey":"0","EndingHashKey":"170141183460469231731687303715884105727"}},{}]}`,
	`{"ContinuationSequenceNumber":"101","MillisBehindLatest":0,"Records":[{"SequenceNumber":"100","PartitionKey":"k","Data":"MQ==","ApproximateArrivalTimestamp":1764298000.125,"EncryptionType":"KMS"}]}`,
	` { "Records" : [ { "Data" : "" , "PartitionKey" : "" } , { "Data" : null } , { } ] , "MillisBehindLatest" : null } ` + "\r\n\t",
	`{}`, `{"Records":null,"ChildShards":null,"NextShardIterator":null}`,
	`{"ChildShards":[{"ShardId":null,"ParentShards":null,"HashKeyRange":null},{"ParentShards":[],"HashKeyRange":{}}]}`,
	one(`"Data":"AA=="`), one(`"Data":"AAA="`), one(`"Data":"AAAA"`), one(`"Data":"AB=="`),
	one(`"Data":"` + strings.Repeat("aGk/", 300_000) + `"`),
	`{"Records":[` + strings.Repeat(`{"Data":"+/+/","PartitionKey":"größe","SequenceNumber":"1"},`, 2000) + `{}]}`,
	// Escapes, surrogates, text that is no UTF-8.
	one(`"PartitionKey":"a\"b\\c\/\b\f\n\r\t"`), one(`"PartitionKey":"\u00fc\u2028\ud83d\ude00"`),
	one(`"PartitionKey":"\ud83d"`), one(`"PartitionKey":"\ud83dx\ude00\ud83d\ud83d\ude00\u0000"`), one("\"PartitionKey\":\"\xff\xfe\""),
	one(`"PartitionKey":"12345678\\"`), one(`"PartitionKey":"\u007f1234567\u007f"`),
	// Times in each form.
	at("1764298000"), at("1764298000.1"), at("1764298000.123"), at("1764298000.123456789"), at("1.764298000123E9"), at("1.764298000123e+9"),
	at("1764298000123E-3"), at("1764298000123e-03"), at("0"), at("-0"), at("-1.5"), at("0.0009"), at("1E9"), at("17E8"), at("1.5E0"), at("9007199254740.9"),
	at("1e-400"), at("0.00000000000000000000001"), at("1e12"), at("9223372036.855"), at("9007199254740993e-4"), at("12345678901234567890e-10"),
	// What nobody has asked for.
	`{"New":{"a":[1,-2.5e+3,"x\"",true,false,null,{}]},"Records":[{"New":[],"SequenceNumber":"1","Newer":-0}],"Newest":"","":[[]]}`,
}

var unusual = []string{
	``, ` `, `null`, `[]`, `"x"`, `7`, `{`, `{"`, `{"Records"`, `{"Records":`, `{"Records":[`, `{"Records":[{`, `{"Records":[{}`, `{"Records":[{}]`, `{"Records":[{}],`,
	`{} x`, `{}{}`, `{},`, `{"Records":[]]}`, `{"Records":{}}`, `{"Records":[null]}`, `{"Records":[7]}`, `{"Records":[{},]}`, `{"Records":[,{}]}`, `{"Records":[]"Next":1}`, `{"Records" []}`,
	`{"Records":[],"Records":[]}`, one(`"Data":"","Data":"MQ=="`), one(`"Data":"?","Data":"MQ=="`), one(`"PartitionKey":"a","PartitionKey":"b"`), `{"MillisBehindLatest":1,"MillisBehindLatest":2}`,
	`{"ChildShards":[{"ShardId":"a","ShardId":"b"}]}`, `{"ChildShards":[{"ParentShards":[null]}]}`, `{"ChildShards":[null]}`,
	`{"MillisBehindLatest":"1"}`, `{"MillisBehindLatest":1.0}`, `{"MillisBehindLatest":1e3}`, `{"MillisBehindLatest":-1}`, `{"MillisBehindLatest":9223372036854775808}`, `{"MillisBehindLatest":01}`, `{"MillisBehindLatest":+1}`, `{"MillisBehindLatest":.5}`, `{"MillisBehindLatest":true}`,
	one(`"Data":"M"`), one(`"Data":"MQ"`), one(`"Data":"MQ="`), one(`"Data":"MQ==MQ=="`), one(`"Data":"===="`), one(`"Data":"M==="`), one(`"Data":"M-Q="`), one(`"Data":7`), one(`"Data":[1]`), one(`"Data":"MQ==`), one(`"Data":"M\u0051=="`), one(`"Data":"M\/\/M"`),
	one(`"Data":"\n\n\n\nMQ=="`), one("\"Data\":\"MQ==\n\n\n\n\""), one("\"Data\":\"M\nQ\n=\n=\n\""), one(`"Data":"MQ\\"`), one(`"Data":"MQ\""`),
	one(`"PartitionKey":7`), one("\"PartitionKey\":\"a\nb\""), one("\"PartitionKey\":\"1234567\x00\""), one("\"PartitionKey\":\"\\n\xff\""), one(`"PartitionKey":"\x"`), one(`"PartitionKey":"\u12"`), one(`"PartitionKey":"\`), one(`"PartitionKey":"a\"`), one(`"SequenceNumber":{}`), one(`"EncryptionType":7`),
	at(`"NaN"`), at(`"Infinity"`), at(`"1764298000"`), at("1e400"), at("1e300"), at("9007199254741"), at("01"), at("1."), at(".1"), at("1e"), at("1e+"), at("--1"), at("true"), at("-"), at("1x"), at("1764298000,"),
	`{"Recor\u0064s":[]}`, `{"New\n":1}`, "{\"New\n\":1}", `{"New":nul}`, `{"New":truf}`, `{"New":}`, `{"New":[1,]}`, `{"New":{"a"}}`, `{"New":{"a":1,}}`, `{New:1}`, `{"New":'x'}`,
	`{"New":` + strings.Repeat("[", deepest+1) + strings.Repeat("]", deepest+1) + `}`,
	"\xef\xbb\xbf{}", "{}\x00", "\x00{}", "{\"Records\":[{\x00}]}",
}

func TestAnswersMeanWhatTheSDKMakesOfThem(t *testing.T) {
	for _, body := range usual {
		ours, ok := new(Decoder).GetRecords([]byte(body))
		if !ok {
			t.Errorf("%.200s: left to the SDK", body)
			continue
		}
		theirs, err := sdkGetRecords([]byte(body))
		same(t, []byte(body), ours, theirs, err)
		if ours, ok = new(Decoder).Event([]byte(body)); !ok {
			t.Errorf("%.200s: left to the SDK as an event", body)
			continue
		}
		theirs, err = sdkEvent(frame([]byte(body), eventHeaders))
		same(t, []byte(body), ours, theirs, err)
	}
}

func TestWhatIsUnusualIsLeftToTheSDK(t *testing.T) {
	for _, body := range unusual {
		if a, ok := new(Decoder).GetRecords([]byte(body)); ok {
			t.Errorf("%.200q: decoded as %+v", body, a)
		}
	}
}

// Cut anywhere, an answer is left to the SDK.
func TestATornAnswerIsLeftToTheSDK(t *testing.T) {
	for _, body := range usual[:3] {
		for n := range len(body) {
			if _, ok := new(Decoder).GetRecords([]byte(body[:n])); ok {
				t.Errorf("decoded: %s", body[:n])
			}
		}
	}
}

// A record keeps what it says when the bytes that it came from, and the decoder's
// own memory, are used for something else.
func TestARecordStaysAsItIs(t *testing.T) {
	body := []byte(usual[0])
	var d Decoder
	a, ok := d.GetRecords(body)
	if !ok {
		t.Fatal("left to the SDK")
	}
	for i := range body {
		body[i] = 'x'
	}
	for range 10 {
		d.GetRecords([]byte(one(`"Data":"AAAAAAAAAAAA","PartitionKey":"another one's","SequenceNumber":"99999999999999999999999999999999999999"`)))
	}
	r := a.Records[0]
	if r.Key != "partitionKey" || r.Sequence != "21269319989652663814458848515492872193" || string(r.Data) != "_<data>_0" || a.Next != "AAAAAAAAAAHsW8zC" {
		t.Errorf("%+v, next %s", r, a.Next)
	}
	if r.Arrival != time.UnixMilli(1441215410867).UTC() {
		t.Errorf("arrival %v", r.Arrival)
	}
	if cap(r.Data) != len(r.Data) {
		t.Errorf("what is appended to a record's data lands in the next record")
	}
}

// A copy of a record keeps what it says when the memory of its answer's records
// goes to another answer, which finds nothing there.
func TestRecycledRecordsAreNew(t *testing.T) {
	var d Decoder
	for range 10 {
		a, ok := d.GetRecords([]byte(usual[0]))
		if !ok || len(a.Records) != 1 {
			t.Fatal("left to the SDK")
		}
		r := a.Records[0]
		a.Recycle()
		a.Recycle() // of what is no longer there
		b, ok := d.GetRecords([]byte(`{"Records":[{}]}`))
		if !ok || len(b.Records) != 1 {
			t.Fatal("left to the SDK")
		}
		if n := b.Records[0]; n.Key != "" || n.Sequence != "" || n.Data != nil || !n.Arrival.IsZero() {
			t.Fatalf("an empty record is %+v", n)
		}
		if r.Key != "partitionKey" || string(r.Data) != "_<data>_0" {
			t.Fatalf("a record became %+v", r)
		}
		b.Recycle()
	}
}

// answer is one of n records of a size.
func answer(n, size int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"Records":[`)
	data := bytes.Repeat([]byte{0, 255, 'a', 13}, size/4+1)[:size]
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"SequenceNumber":"49%054d","ApproximateArrivalTimestamp":1.764298%06dE9,"Data":"%s","PartitionKey":"customer-%06d"}`,
			i, i, base64.StdEncoding.EncodeToString(data), i)
	}
	b.WriteString(`],"NextShardIterator":"` + strings.Repeat("A", 232) + `","MillisBehindLatest":0}`)
	return b.Bytes()
}

func TestAnAnswerIsAFewAllocations(t *testing.T) {
	const n, size = 1000, 1000
	body := answer(n, size)
	var d Decoder
	if got := testing.AllocsPerRun(20, func() { d.GetRecords(body) }); got > 6+n*size/slabBytes {
		t.Errorf("%v allocations", got)
	}
	want := n*(size+56+15+int(unsafe.Sizeof(Record{}))) + 32<<10 // large ones fill whole pages
	if got := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			d.GetRecords(body)
		}
	}).AllocedBytesPerOp(); got > int64(want) {
		t.Errorf("%d bytes, want at most %d", got, want)
	}
}

// A record that is kept holds a slab of its neighbours, however large the answer was.
func TestARecordHoldsItsNeighboursOnly(t *testing.T) {
	for _, c := range []struct{ sizes, want []int }{
		{[]int{0}, []int{0}},
		{[]int{1, slabBytes - 1, 1, 0, 2}, []int{slabBytes, 3}},
		{[]int{slabBytes + 1, 1, slabBytes}, []int{slabBytes + 1, 1, slabBytes}},
	} {
		var d Decoder
		for _, size := range c.sizes {
			d.records = append(d.records, noted{size: size})
		}
		var got []int
		for i := 0; i < len(c.sizes); {
			slab := d.slab(i)
			got = append(got, slab)
			for ; i < len(c.sizes) && slab >= c.sizes[i]; i++ {
				slab -= c.sizes[i]
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("payloads of %v are in slabs of %v, want %v", c.sizes, got, c.want)
		}
	}
}

func BenchmarkDecodeGetRecords(b *testing.B) {
	for _, size := range []int{100, 1000, 25_000} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			n := 1_000_000 / size
			body := answer(n, size)
			b.SetBytes(int64(n * size))
			b.ReportAllocs()
			var d Decoder
			for b.Loop() {
				if _, ok := d.GetRecords(body); !ok {
					b.Fatal("left to the SDK")
				}
			}
		})
	}
}
