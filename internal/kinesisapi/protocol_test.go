package kinesisapi

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// What protocol writes means the same as what the SDK writes.
func TestOurRequestMeansWhatTheSDKsDoes(t *testing.T) {
	var got []byte
	var header http.Header
	cfg := server(t, func(w http.ResponseWriter, r *http.Request) {
		got, _ = io.ReadAll(r.Body)
		header = r.Header.Clone()
		io.WriteString(w, `{"Records":[]}`)
	})
	entries := []types.PutRecordsRequestEntry{
		{PartitionKey: aws.String("a"), ExplicitHashKey: aws.String("12345678901234567890"), Data: bytes.Repeat([]byte{0, 255, 7}, 1000)},
		{PartitionKey: aws.String("größe \"quoted\" \\ \u2028 <&>\x01\n"), Data: []byte{}},
		{PartitionKey: aws.String(strings.Repeat("k", 256)), Data: []byte("x")},
		{PartitionKey: aws.String("\\"), Data: []byte("x")},
		{PartitionKey: aws.String("tab\t"), Data: []byte("x")},
		{PartitionKey: aws.String("\x7fü"), Data: []byte("x")},
	}
	sdk := kinesis.NewFromConfig(cfg)
	for _, in := range []*kinesis.PutRecordsInput{
		{StreamName: aws.String("orders"), Records: entries},
		{StreamARN: aws.String("arn:aws:kinesis:eu-west-1:123456789012:stream/orders"), Records: entries},
	} {
		if _, err := sdk.PutRecords(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		theirs, theirHeader := got, header
		name, _ := ParseName(aws.ToString(in.StreamName) + aws.ToString(in.StreamARN))
		c := New(name, Options{AWS: cfg})
		defer c.Close()
		c.PutRecords(t.Context(), entries)
		var a, b any
		if json.Unmarshal(theirs, &a) != nil || json.Unmarshal(got, &b) != nil {
			t.Fatalf("no JSON: %q %q", theirs, got)
		}
		x, _ := json.Marshal(a)
		y, _ := json.Marshal(b)
		if !bytes.Equal(x, y) {
			t.Errorf("theirs %s\nours %s", x, y)
		}
		for _, h := range []string{"Content-Type", "X-Amz-Target", "Content-Length"} {
			if h != "Content-Length" && theirHeader.Get(h) != header.Get(h) {
				t.Errorf("%s: theirs %q, ours %q", h, theirHeader.Get(h), header.Get(h))
			}
			if header.Get(h) == "" {
				t.Errorf("no %s", h)
			}
		}
	}
}

// doFunc is an HTTP client without a network.
type doFunc func(*http.Request) (*http.Response, error)

func (f doFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

// Memory of requests is used again: what a call allocates does not grow with
// what it carries.
func TestRequestMemoryIsUsedAgain(t *testing.T) {
	cfg := configFor("http://127.0.0.1:1")
	cfg.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) {
		n, err := io.Copy(io.Discard, r.Body)
		if n != r.ContentLength || err != nil {
			t.Errorf("%d bytes of %d, %v", n, r.ContentLength, err)
		}
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(
			`{"Records":[{"ShardId":"shardId-000000000000","SequenceNumber":"49"}],"FailedRecordCount":0}`))}, nil
	})
	c := client(t, cfg)
	e := []types.PutRecordsRequestEntry{{PartitionKey: aws.String("k"), Data: bytes.Repeat([]byte("A"), 300<<10)}}
	var before, after runtime.MemStats
	const calls = 50
	runtime.ReadMemStats(&before)
	for range calls {
		if _, err := c.PutRecords(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	// The race detector makes pools forgetful on purpose; without one it is close
	// to three times the request.
	if n := (after.TotalAlloc - before.TotalAlloc) / calls; n > 2*uint64(len(e[0].Data)) {
		t.Errorf("%d bytes allocated for a request of %d", n, len(e[0].Data))
	}
}
