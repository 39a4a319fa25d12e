package floor

import (
	"context"
	"crypto/tls"
	"net/http"

	"github.com/libvegas/vegas/bench/contest"
)

// Follow hands f the payload of each record that a subscription to a stream of one
// shard is sent, over HTTP/2, until ctx ends or the server ends it: what comes
// between a record's arrival in the stream and f is the server's, the wire's, and
// next to nothing else.
func Follow(ctx context.Context, w *contest.Work, f func(payload []byte) error) error {
	over := *w
	over.Endpoint = w.TLS
	c, err := newClient(&over, JSON)
	if err != nil {
		return err
	}
	defer c.close()
	c.http.Transport = &http.Transport{
		ForceAttemptHTTP2: true, DisableCompression: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // of a server on this machine, whose certificate nobody knows
	}
	shards, err := c.shards(ctx)
	if err != nil {
		return err
	}
	var s splitter
	return c.subscribe(ctx, shards[0].id, func(data []byte) error {
		return s.split(data, func(_, payload []byte) error { return f(payload) })
	}, func(position) bool { return false })
}
