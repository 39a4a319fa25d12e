//go:build peers && unix

package peers

import (
	"bytes"
	"net"
	"sync"
	"testing"

	"github.com/libvegas/vegas/localkinesis"
)

// local serves the embedded server on a real loopback socket until the test
// ends. Its limits are on: an SDK has to live with them.
func local(t *testing.T, options ...func(*localkinesis.Options)) (*localkinesis.Server, *sniffer) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sniffer{Listener: l}
	return serveLocal(t, s, options...), s
}

func serveLocal(t *testing.T, l net.Listener, options ...func(*localkinesis.Options)) *localkinesis.Server {
	t.Helper()
	srv := localkinesis.New(options...)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Errorf("close the embedded server: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("embedded server: %v", err)
		}
	})
	return srv
}

// sniffer tells from their first bytes which protocol its connections speak.
type sniffer struct {
	net.Listener
	mu           sync.Mutex
	http1, http2 int
}

func (s *sniffer) endpoint() string { return "http://" + s.Addr().String() }

func (s *sniffer) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &sniffed{Conn: c, of: s}, nil
}

// want checks that all connections so far, and at least one, spoke HTTP/2 in
// clear with prior knowledge, or all HTTP/1.1.
func (s *sniffer) want(t *testing.T, http2 bool) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if http2 && (s.http2 == 0 || s.http1 > 0) || !http2 && (s.http1 == 0 || s.http2 > 0) {
		t.Errorf("%d connections of HTTP/1.1 and %d of HTTP/2, want only HTTP/2: %t", s.http1, s.http2, http2)
	}
}

type sniffed struct {
	net.Conn
	of   *sniffer
	head []byte // of the first bytes, until they tell
}

const preface = "PRI * HTTP/2.0" // RFC 9113, section 3.4

func (c *sniffed) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.of == nil || n == 0 {
		return n, err
	}
	c.head = append(c.head, b[:min(n, len(preface))]...)
	if len(c.head) < len(preface) && bytes.HasPrefix([]byte(preface), c.head) {
		return n, err
	}
	c.of.mu.Lock()
	if bytes.HasPrefix(c.head, []byte(preface)) {
		c.of.http2++
	} else {
		c.of.http1++
	}
	c.of.mu.Unlock()
	c.of = nil
	return n, err
}
