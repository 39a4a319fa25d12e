package localkinesis_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/libvegas/vegas/localkinesis"
)

// poster sends one request over and over without an SDK in the way.
type poster struct {
	h   *http.Client
	url string
}

func newPoster(srv *localkinesis.Server) *poster {
	cfg := srv.AWS()
	return &poster{cfg.HTTPClient.(*http.Client), *cfg.BaseEndpoint}
}

func (p *poster) post(tb testing.TB, op, content string, body []byte) []byte {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	r.Header.Set("Content-Type", content)
	r.Header.Set("X-Amz-Target", "Kinesis_20131202."+op)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=x, Signature=x")
	resp, err := p.h.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	b := make([]byte, max(resp.ContentLength, 0))
	_, err = io.ReadFull(resp.Body, b)
	if err != nil || resp.StatusCode != http.StatusOK {
		tb.Fatalf("%s: %d %s %v", op, resp.StatusCode, b, err)
	}
	return b
}

const jsonContent = "application/x-amz-json-1.1"

func manyRecords(n, size int) []byte {
	var b strings.Builder
	b.WriteString(`{"StreamName":"orders","Records":[`)
	data := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0x5a}, size))
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"Data":"%s","PartitionKey":"customer-%d"}`, data, i)
	}
	b.WriteString("]}")
	return []byte(b.String())
}

func unbounded(o *localkinesis.Options) {
	o.Streams = map[string]int{"orders": 4}
	o.NoLimits = true
	o.MemoryBytes = 1 << 40
}

// BenchmarkPutRecords is the server and its in-memory network under 500 records
// of 1 KiB a request; the client only writes bytes.
func BenchmarkPutRecords(b *testing.B) {
	body := manyRecords(500, 1024)
	srv := localkinesis.Start(b, unbounded)
	p := newPoster(srv)
	b.SetBytes(500 * 1024)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		p.post(b, "PutRecords", jsonContent, body)
		if n++; n%200 == 0 { // 100 MiB: retention is not what is measured
			b.StopTimer()
			srv.Advance(48 * 3600e9)
			_, _ = srv.Stream("orders")
			b.StartTimer()
		}
	}
}

// BenchmarkGetRecords reads 10 MiB of 1 KiB records a request.
func BenchmarkGetRecords(b *testing.B) {
	srv := localkinesis.Start(b, unbounded, func(o *localkinesis.Options) { o.Streams = map[string]int{"orders": 1} })
	p := newPoster(srv)
	for range 20 {
		p.post(b, "PutRecords", jsonContent, manyRecords(500, 1024))
	}
	out := string(p.post(b, "GetShardIterator", jsonContent, []byte(`{"StreamName":"orders","ShardId":"shardId-000000000000","ShardIteratorType":"TRIM_HORIZON"}`)))
	body := []byte(out)
	b.SetBytes(10000 * 1024)
	b.ReportAllocs()
	for b.Loop() {
		p.post(b, "GetRecords", jsonContent, body)
	}
}

// BenchmarkIdlePoll is what a poller without news costs: the time of a fleet in
// a simulation.
func BenchmarkIdlePoll(b *testing.B) {
	srv := localkinesis.Start(b, unbounded)
	p := newPoster(srv)
	body := p.post(b, "GetShardIterator", jsonContent, []byte(`{"StreamName":"orders","ShardId":"shardId-000000000000","ShardIteratorType":"LATEST"}`))
	b.ReportAllocs()
	for b.Loop() {
		p.post(b, "GetRecords", jsonContent, body)
	}
}
