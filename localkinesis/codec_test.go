package localkinesis

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// Bytes written by hand from RFC 8949, so that encoder and decoder do not only
// agree with each other.
func TestCBORVectors(t *testing.T) {
	type inner struct {
		Data []byte
		At   moment
	}
	type all struct {
		Name    string
		Count   *int32
		Big     int64
		Yes     *bool
		Items   []inner
		Tags    map[string]string
		Missing *inner
	}
	n, yes := int32(-500), true
	want := all{
		Name: "ü", Count: &n, Big: 1459799926480, Yes: &yes,
		Items: []inner{{Data: []byte{0xde, 0xad}, At: moment{time.UnixMilli(1459799926480)}}},
		Tags:  map[string]string{"a": ""},
	}
	definite := "a6" +
		"644e616d65" + "62c3bc" + // "Name": "ü"
		"65436f756e74" + "3901f3" + // "Count": -500
		"63426967" + "1b00000153e2db26d0" + // "Big": 1459799926480
		"63596573" + "f5" + // "Yes": true
		"654974656d73" + "81" + "a2" + "6444617461" + "42dead" + "624174" + "c11b00000153e2db26d0" +
		"6454616773" + "a1" + "6161" + "60"
	if got := hex.EncodeToString(appendCBOR(nil, reflect.ValueOf(&want))); got != definite {
		t.Errorf("encoded\n%s, want\n%s", got, definite)
	}
	indefinite := "bf" +
		"644e616d65" + "7f61c3" + "61bc" + "ff" + // a text in two chunks
		"65436f756e74" + "3901f3" +
		"63426967" + "1b00000153e2db26d0" +
		"63596573" + "f5" +
		"674d697373696e67" + "f6" + // null is absent
		"67556e6b6e6f776e" + "9f" + "01" + "a16161fb3ff8000000000000" + "ff" + // an unknown member
		"654974656d73" + "9f" + "bf" + "6444617461" + "5f41de41adff" + "624174" + "c1fb42753e2db26d0000" + "ff" + "ff" +
		"6454616773" + "bf" + "6161" + "60" + "ff" +
		"ff"
	for _, text := range []string{definite, indefinite} {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		var got all
		if err := decodeCBOR(b, &got); err != nil {
			t.Errorf("%s: %v", text, err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("decoded %+v, want %+v", got, want)
		}
		for i := range b {
			var cut all
			if err := decodeCBOR(b[:i], &cut); err == nil {
				t.Errorf("%x is taken for whole", b[:i])
			}
		}
	}
	for _, bad := range []string{
		"", "f6", "ff", "a1", "01", "a1646e616d6501ff", "a1634269671bffffffffffffffff", "a165436f756e741affffffff",
		"a1644e616d6542c3bc", "a1644e616d6561ff", strings.Repeat("81", 100), "a16178" + strings.Repeat("9f", 100), "bf",
	} {
		b, _ := hex.DecodeString(bad)
		var got all
		if err := decodeCBOR(b, &got); err == nil {
			t.Errorf("%s decodes to %+v", bad, got)
		}
	}
}

// TestScannerAgrees compares the hand-written decoder with encoding/json.
func TestScannerAgrees(t *testing.T) {
	for _, doc := range []string{
		`{"StreamName":"orders","Records":[{"Data":"aGVsbG8=","PartitionKey":"a"},{"PartitionKey":"b\n\"\u00fc\ud83d\ude00","Data":"","ExplicitHashKey":"12"}]}`,
		` { "Records" : [ { } , {"Data":null,"PartitionKey":null} ] , "StreamARN" : "x" , "DryRun" : true , "more" : {"a":[1,-2.5e3,"x",null,false]} } `,
		`{"Records":[],"DryRun":null,"StreamName":null}`, `{"Records":null}`, `{}`,
		`{"Records":[{"Data":"AA=="}],"Records":[{"Data":"AQ==","PartitionKey":"x"}]}`,
		`{"Records":[{"Data":"AQ\u003d="}]}`, `{"Records":[{"Data":"A Q="}]}`, `{"Records":[{"Data":1}]}`, `{"Records":[1]}`, `{"Records":"x"}`,
		`{"Records":[{"Data":"AQ=="}`, `{"Records":[{"Data":"AQ=="}]} x`, `{"a":01}`, `{"a":1.}`, `{"a":tru}`, `{"a":"\x"}`, `{"a":"` + "\n" + `"}`, `{,}`, `{"a":1,}`, `[]`, `"x"`, ``, `1`,
		`{"DryRun":"yes"}`, `{"StreamName":5}`, `{"a":` + strings.Repeat("[", 1000) + `}`,
	} {
		var fast putRecordsInput
		err := fast.scanJSON([]byte(doc))
		type plain putRecordsInput // without the scanner
		var slow plain
		wantErr := json.Unmarshal([]byte(doc), &slow)
		if (err == nil) != (wantErr == nil) {
			t.Errorf("%s: %v, the library says %v", doc, err, wantErr)
			continue
		}
		if err == nil && !equalRecords(fast, putRecordsInput(slow)) {
			t.Errorf("%s: %+v, the library says %+v", doc, fast, slow)
		}
	}
}

// TestBlobsAreThoseOfTheStandardLibrary: whatever is broken about them, they mean and
// say the same, and nothing but their room is written to.
func TestBlobsAreThoseOfTheStandardLibrary(t *testing.T) {
	check := func(src []byte) {
		t.Helper()
		const guard = 64
		size := base64.StdEncoding.DecodedLen(len(src))
		room := bytes.Repeat([]byte{0xee}, guard+size+guard)
		got, err := appendDecoded(room[:guard], src)
		want, wantErr := base64.StdEncoding.AppendDecode(bytes.Clone(room[:guard]), src)
		if !bytes.Equal(got, want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("%q: %x, %v; the standard library: %x, %v", src, got, err, want, wantErr)
		}
		if !bytes.Equal(room[guard+size:], bytes.Repeat([]byte{0xee}, guard)) {
			t.Fatalf("%q: bytes behind %d were written", src, size)
		}
	}
	whole := base64.StdEncoding.AppendEncode(nil, bytes.Repeat([]byte{0, 255, 'a', 13, 200}, 40))
	for n := range whole {
		for _, end := range []string{"", "=", "==", "===", strings.Repeat("=", 60), "\n", strings.Repeat("\r\n", 30), "!", "A"} {
			check(append(whole[:n:n], end...))
		}
		for _, c := range "\n=-_*\x00\x80" {
			b := bytes.Clone(whole)
			b[n] = byte(c)
			check(b)
		}
	}
}

func equalRecords(a, b putRecordsInput) bool {
	if a.streamRef != b.streamRef || !reflect.DeepEqual(a.DryRun, b.DryRun) || len(a.Records) != len(b.Records) || (a.Records == nil) != (b.Records == nil) {
		return false
	}
	for i := range a.Records {
		x, y := a.Records[i], b.Records[i]
		if !bytes.Equal(x.Data, y.Data) || (x.Data == nil) != (y.Data == nil) || x.ExplicitHashKey != y.ExplicitHashKey || !reflect.DeepEqual(x.PartitionKey, y.PartitionKey) {
			return false
		}
	}
	return true
}

// FuzzRequest feeds both codecs. They must not fail but by an error, the JSON
// scanner must take nothing that encoding/json does not, and whatever a
// codec has decoded must come back from what it encodes of it.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"StreamName":"orders","Records":[{"Data":"aGVsbG8=","PartitionKey":"a","ExplicitHashKey":"12"}],"DryRun":false}`))
	f.Add([]byte(`{"Records":[{"Data":"AA\u003d=","PartitionKey":"\ud83d\ude00"},null,{}],"x":[1e5,{"y":null}]}`))
	f.Add([]byte{})
	f.Add([]byte("\xbf\x6aStreamName\x66orders\x67Records\x9f\xa2\x64Data\x42hi\x6cPartitionKey\x61a\xff\xff"))
	f.Add([]byte("\xa1\x67Records\x81\xa1\x64Data\x5f\x41h\x41i\xff"))
	f.Add([]byte("\xa1\x61x\xc1\xfb\x3f\xf8\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var scanned putRecordsInput
		if err := scanned.scanJSON(b); err == nil {
			// encoding/json also takes names in another case, so only the
			// document as such is compared; TestScannerAgrees compares values.
			if !json.Valid(b) {
				t.Fatalf("%q is taken, the library says that it is no JSON", b)
			}
			var again putRecordsInput
			if err := again.scanJSON(appendAny(nil, &scanned)); err != nil || len(again.Records) != len(scanned.Records) {
				t.Fatalf("%q comes back as %+v, %v", b, again, err)
			}
		}
		for _, in := range []any{&putRecordsInput{}, &listShardsInput{}, &subscribeToShardInput{}, &addTagsToStreamInput{}} {
			if err := decodeCBOR(b, in); err != nil {
				continue
			}
			again := reflect.New(reflect.TypeOf(in).Elem()).Interface()
			if err := decodeCBOR(appendCBOR(nil, reflect.ValueOf(in)), again); err != nil {
				t.Fatalf("%x comes back as %v", b, err)
			}
			_ = decodeJSON(b, again)
		}
	})
}
