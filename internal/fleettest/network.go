package fleettest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/libvegas/vegas/localkinesis"
)

// network is one process's way to the server. It can be cut, as a process that
// is killed or a cable that is pulled cuts it: connections break, and no new
// one is had.
type network struct {
	actor  string
	trace  *trace
	client aws.HTTPClient

	mu    sync.Mutex
	conns map[*wire]struct{}
	down  bool
}

var errCut = errors.New("the network is down")

// connect gives an AWS configuration that goes through a network of its own.
func connect(srv *localkinesis.Server, tr *trace, actor string, http2 bool) (*network, aws.Config) {
	n := &network{actor: actor, trace: tr, conns: map[*wire]struct{}{}}
	cfg := srv.AWS(func(t *http.Transport) {
		dial := t.DialContext
		t.DialContext = func(ctx context.Context, network, to string) (net.Conn, error) {
			if n.isDown() {
				return nil, &net.OpError{Op: "dial", Net: network, Err: errCut}
			}
			c, err := dial(ctx, network, to)
			if err != nil {
				return nil, err
			}
			return n.keep(c)
		}
		if http2 {
			localkinesis.HTTP2(t)
		}
	})
	n.client, cfg.HTTPClient = cfg.HTTPClient, n
	return n, cfg
}

// wire is a connection.
type wire struct {
	net.Conn
	n *network
}

func (n *network) keep(c net.Conn) (net.Conn, error) {
	w := &wire{c, n}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down {
		_ = c.Close()
		return nil, &net.OpError{Op: "dial", Net: "memory", Err: errCut}
	}
	n.conns[w] = struct{}{}
	return w, nil
}

// Close implements net.Conn.
func (w *wire) Close() error {
	w.n.mu.Lock()
	delete(w.n.conns, w)
	w.n.mu.Unlock()
	return w.Conn.Close()
}

func (n *network) isDown() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.down
}

// cut ends it for good.
func (n *network) cut() {
	n.mu.Lock()
	n.down = true
	conns := n.conns
	n.conns = map[*wire]struct{}{}
	n.mu.Unlock()
	for c := range conns {
		_ = c.Conn.Close()
	}
}

// Do implements aws.HTTPClient.
func (n *network) Do(r *http.Request) (*http.Response, error) {
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	began := time.Now()
	resp, err := n.client.Do(r)
	if err != nil {
		n.trace.add("%s %s of %d bytes: no answer in %v: %v", n.actor, op, r.ContentLength, time.Since(began), err)
		return resp, err
	}
	n.trace.add("%s %s of %d bytes: %d, %d bytes in %v", n.actor, op, r.ContentLength, resp.StatusCode, resp.ContentLength, time.Since(began))
	return resp, err
}
