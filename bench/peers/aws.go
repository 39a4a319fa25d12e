package main

import (
	"bytes"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/libvegas/vegas/bench/contest"
)

// local is an SDK configuration that reaches the work's server.
func local(w *contest.Work) aws.Config {
	return aws.Config{
		Region:       "us-east-1",
		BaseEndpoint: aws.String(w.Endpoint),
		Credentials:  credentials.NewStaticCredentialsProvider("AKIDPEER", "peer", ""),
	}
}

// cured is local with a transport that gives peers what they need to be at their
// best: connections enough, and request bodies that the SDK cannot spoil. Over
// HTTP/1.1 it closes a body once the answer's headers are there, net/http takes
// that for a failed write and drops the connection in the middle of a good
// answer: the SDK sends again what was stored.
func cured(w *contest.Work) aws.Config {
	cfg := local(w)
	cfg.HTTPClient = &http.Client{Transport: cure{&http.Transport{
		MaxIdleConns: 0, MaxIdleConnsPerHost: 256, DisableCompression: true,
	}}}
	return cfg
}

// cure re-wraps request bodies.
type cure struct{ next http.RoundTripper }

func (c cure) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody && r.ContentLength > 0 {
		b := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(r.Body, b); err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(b))
	}
	return c.next.RoundTrip(r)
}
