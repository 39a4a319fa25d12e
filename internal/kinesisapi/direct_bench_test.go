package kinesisapi

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/middleware"
)

// What a call costs that brings nothing, made directly and by the SDK alone, with a
// network and without.
func BenchmarkEmptyGetRecords(b *testing.B) {
	const nothing = `{"Records":[],"NextShardIterator":"AAAAAAAAAAEwOjAwMDAwMDAwMDAwMA==","MillisBehindLatest":0}`
	unconnected := configFor("http://kinesis.invalid")
	unconnected.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {contentType}},
			ContentLength: int64(len(nothing)), Body: io.NopCloser(strings.NewReader(nothing))}, nil
	})
	connected := server(b, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, nothing)
	})
	for name, cfg := range map[string]aws.Config{"unconnected": unconnected, "connected": connected} {
		for _, way := range []string{"direct", "sdk"} {
			b.Run(name+"/"+way, func(b *testing.B) {
				if way == "sdk" {
					cfg.APIOptions = append(cfg.APIOptions, func(*middleware.Stack) error { return nil })
				}
				c := client(b, cfg)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := c.GetRecords(b.Context(), "shardId-000000000000", "AAAAAAAAAAEwOjAwMDAwMDAwMDAwMA==", 0); err != nil {
						b.Fatal(err)
					}
				}
				if way == "direct" && c.get.form.Load().request == nil {
					b.Error("by the SDK")
				}
			})
		}
	}
}
