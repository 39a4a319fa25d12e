package kinesisapi

import (
	"net/http"
	"testing"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

func TestASubscriptionIsPushedAheadByABoundedAmount(t *testing.T) {
	bound := func(configured *awshttp.BuildableClient) int {
		t.Helper()
		var p *pool
		var c any
		if configured == nil {
			c, p = shared(t.Name(), nil)
		} else {
			c, p = shared(t.Name(), configured)
		}
		defer p.release()
		return c.(*http.Client).Transport.(*http.Transport).HTTP2.MaxReceiveBufferPerStream
	}
	if n := bound(nil); n != streamBytes {
		t.Errorf("%d bytes", n)
	}
	own := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 3 << 20}
	})
	if n := bound(own); n != 3<<20 {
		t.Errorf("%d bytes, want what the caller configured", n)
	}
}
