package wire

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unsafe"
)

func oneResult(members string) string {
	return `{"FailedRecordCount":0,"Records":[{` + members + `}]}`
}

var usualPuts = []string{
	// As in the documentation of the service.
	`{"FailedRecordCount":0,"Records":[{"SequenceNumber":"21269319989652663814458848515492872193","ShardId":"shardId-000000000000"},{"SequenceNumber":"21269319989652663814458848515492872194","ShardId":"shardId-000000000000"}]}`,
	`{"FailedRecordCount":1,"Records":[{"SequenceNumber":"49543463076548007577105092703039560359975228518395012686","ShardId":"shardId-000000000000"},{"ErrorCode":"ProvisionedThroughputExceededException","ErrorMessage":"Rate exceeded for shard shardId-000000000001 in stream exampleStreamName under account 111111111111."},{"ErrorCode":"InternalFailure","ErrorMessage":"Internal service failure."}],"EncryptionType":"KMS"}`,
	` { "Records" : [ { "ShardId" : "s" , "SequenceNumber" : "1" , "ErrorCode" : null , "ErrorMessage" : null } , { } ] , "EncryptionType" : null , "FailedRecordCount" : null } ` + "\r\n\t",
	`{}`, `{"Records":null}`, `{"Records":[]}`, `{"Records":[{}]}`, `{"FailedRecordCount":2147483647}`,
	oneResult(`"ShardId":"","SequenceNumber":"","ErrorCode":"","ErrorMessage":""`), oneResult(`"ShardId":null,"SequenceNumber":null`),
	oneResult(`"ShardId":"` + strings.Repeat("s", wordBytes) + `"`),
	oneResult(`"SequenceNumber":"` + strings.Repeat("7", 100_000) + `"`),
	`{"Records":[` + strings.Repeat(`{"ShardId":"a","SequenceNumber":"1"},{"ShardId":"b","SequenceNumber":"2"},`, 1000) + `{}]}`,
	// Escapes, surrogates, text that is no UTF-8.
	oneResult(`"ErrorMessage":"a\"b\\c\/\b\f\n\r\t\u00fc\u2028\ud83d\ude00\ud83d"`), oneResult(`"ErrorCode":"Internal\u0046ailure","ShardId":"\u0073"`),
	oneResult("\"ErrorMessage\":\"\xff\xfe größe\",\"ShardId\":\"\xff\""),
	// What nobody has asked for.
	`{"New":{"a":[1,-2.5e+3,"x\"",true,false,null,{}]},"Records":[{"New":[],"SequenceNumber":"1","Newer":-0}],"Newest":"","":[[]]}`,
}

var unusualPuts = []string{
	`{"Records":[null]}`, `{"Records":[7]}`, `{"Records":[{},]}`, `{"Records":{}}`, `{"Records":"x"}`, `{"Records":[],"Records":[{}]}`, `{"Records":[{}]} x`, `{"Records":[{}]}{}`,
	`{"FailedRecordCount":"1"}`, `{"FailedRecordCount":1.0}`, `{"FailedRecordCount":1e3}`, `{"FailedRecordCount":-1}`, `{"FailedRecordCount":2147483648}`, `{"FailedRecordCount":01}`, `{"FailedRecordCount":+1}`, `{"FailedRecordCount":true}`, `{"FailedRecordCount":}`,
	`{"EncryptionType":7}`, `{"EncryptionType":{}}`, `{"Recor\u0064s":[]}`,
	oneResult(`"ShardId":7`), oneResult(`"ShardId":["s"]`), oneResult(`"ShardId":"` + strings.Repeat("s", wordBytes+1) + `"`), oneResult(`"SequenceNumber":49`), oneResult(`"ErrorCode":{}`), oneResult(`"ErrorMessage":true`),
	oneResult(`"ShardId":"a","ShardId":"b"`), oneResult(`"SequenceNumber":"1","SequenceNumber":null`), oneResult(`"ErrorCode":"a","ErrorCode":"b"`), oneResult(`"ErrorMessage":"a","ErrorMessage":"b"`),
	oneResult("\"ErrorMessage\":\"a\nb\""), oneResult(`"ErrorMessage":"\x"`), oneResult(`"ErrorMessage":"a\"`), oneResult(`"SequenceNumber":"1`),
}

// samePut compares what was decoded here with what the SDK makes of the same bytes.
func samePut(t *testing.T, body []byte, ours *PutAnswer) {
	t.Helper()
	theirs, err := sdkPutRecords(body)
	if err != nil {
		t.Fatalf("%q: decoded, and refused by the SDK: %v", body, err)
	}
	theirs.Fallback = false
	if !reflect.DeepEqual(ours, theirs) {
		t.Fatalf("%q:\nours   %+v\ntheirs %+v", body, ours, theirs)
	}
}

func TestPutAnswersMeanWhatTheSDKMakesOfThem(t *testing.T) {
	var d Decoder
	for _, body := range usualPuts {
		ours, ok := d.PutRecords([]byte(body))
		if !ok {
			t.Errorf("%.200s: left to the SDK", body)
			continue
		}
		samePut(t, []byte(body), ours)
	}
	for _, body := range unusualPuts {
		if a, ok := d.PutRecords([]byte(body)); ok {
			t.Errorf("%.200q: decoded as %+v", body, a)
		}
	}
	for _, body := range usualPuts[:2] {
		for n := range len(body) {
			if _, ok := d.PutRecords([]byte(body[:n])); ok {
				t.Errorf("cut, and decoded: %s", body[:n])
			}
		}
	}
}

// A result keeps what it says when the bytes that it came from, and the decoder's
// own memory, are used for something else.
func TestAResultStaysAsItIs(t *testing.T) {
	body := []byte(usualPuts[1])
	var d Decoder
	a, ok := d.PutRecords(body)
	if !ok {
		t.Fatal("left to the SDK")
	}
	clear(body)
	for i := range 2 * wordsKept {
		d.PutRecords(fmt.Appendf(nil, `{"Records":[{"ShardId":"another %d","SequenceNumber":"9999999999999999"},{"ErrorCode":"Another","ErrorMessage":"another one's"}]}`, i))
	}
	if len(d.words) > wordsKept {
		t.Errorf("%d words are remembered", len(d.words))
	}
	samePut(t, []byte(usualPuts[1]), a)
	if !a.Results[0].Stored() || a.Results[1].Stored() || a.Results[2].Stored() {
		t.Errorf("%+v", a)
	}
}

// putAnswer is one of n results.
func putAnswer(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"FailedRecordCount":0,"Records":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"SequenceNumber":"49%054d","ShardId":"shardId-%012d"}`, i, i%4)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

func TestAPutAnswerIsThreeAllocations(t *testing.T) {
	const n = 500
	body := putAnswer(n)
	var d Decoder
	d.PutRecords(body)
	if got := testing.AllocsPerRun(20, func() { d.PutRecords(body) }); got > 3 {
		t.Errorf("%v allocations", got)
	}
	want := n*(56+int(unsafe.Sizeof(PutResult{}))) + 16<<10 // large ones fill whole pages
	if got := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			d.PutRecords(body)
		}
	}).AllocedBytesPerOp(); got > int64(want) {
		t.Errorf("%d bytes, want at most %d", got, want)
	}
}

func BenchmarkDecodePutRecords(b *testing.B) {
	for _, n := range []int{1, 10, 500} {
		body := putAnswer(n)
		b.Run(fmt.Sprintf("entries=%d/codec=vegas", n), func(b *testing.B) {
			b.ReportAllocs()
			var d Decoder
			for b.Loop() {
				if _, ok := d.PutRecords(body); !ok {
					b.Fatal("left to the SDK")
				}
			}
		})
		b.Run(fmt.Sprintf("entries=%d/codec=sdk", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := sdkPutRecords(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
