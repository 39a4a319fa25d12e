package localkinesis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// TB is the part of testing.TB that Start needs.
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
}

// Start serves on an in-memory network until the test ends. Inside a
// testing/synctest bubble call it, and build its clients, inside the bubble.
// What Options or [Server.Inject] get wrong fails the test.
func Start(t TB, options ...func(*Options)) *Server {
	t.Helper()
	s := newServer(t.Errorf, options)
	n := newMemoryNet()
	s.memory = n
	if err := s.begin(n, false); err != nil {
		t.Errorf("%v", err)
		return s
	}
	go func() {
		defer s.running.Done()
		if err := s.ended(s.http.Serve(n)); err != nil {
			t.Errorf("%v", err)
		}
	}()
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// HTTP2 makes [Server.AWS]'s connections speak HTTP/2 without TLS, as the
// JavaScript and Java SDKs do.
func HTTP2(t *http.Transport) {
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	t.Protocols = &p
}

// AWS gives the configuration of a client of this server: endpoint, region,
// throw-away credentials and an HTTP client that reaches it. A server made by
// [New] must serve already: GET /_vegas/health answers once it does. Each call makes
// connections of its own; adjust changes how they are made, see [HTTP2].
// Retries are the SDK's default.
func (s *Server) AWS(adjust ...func(*http.Transport)) aws.Config {
	s.mu.Lock()
	memory, address, secure, tls := s.memory, s.address, s.secure, s.tls
	s.mu.Unlock()

	transport := &http.Transport{MaxIdleConnsPerHost: 1000}
	scheme, host := "http", address
	switch {
	case memory != nil:
		host = memoryHost
		transport.DialContext = func(ctx context.Context, _, to string) (net.Conn, error) {
			if h, _, _ := net.SplitHostPort(to); h != memoryHost {
				return nil, fmt.Errorf("localkinesis: dial %s: the in-memory network has only the host %s", to, memoryHost)
			}
			return memory.Dial(ctx)
		}
	case secure:
		scheme = "https"
		transport.TLSClientConfig = tls.clientConfig()
		transport.ForceAttemptHTTP2 = true
	case address == "":
		transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("localkinesis: the server serves nothing: call Serve before AWS")
		}
		host = "not-serving.invalid"
	}
	for _, f := range adjust {
		f(transport)
	}
	return aws.Config{
		Region:       s.account.region,
		BaseEndpoint: aws.String(scheme + "://" + host),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDLOCAL", SecretAccessKey: "local", Source: "localkinesis"}, nil
		}),
		HTTPClient: &http.Client{Transport: roundTripper{transport}},
	}
}

// roundTripper hands net/http a body of its own. The SDK closes its request
// body as soon as the headers of the answer arrive, and the body's WriteTo then
// fails the connection in the middle of the answer: GetRecords over HTTP/1.1
// failed now and then with "use of closed network connection" (seen with
// aws-sdk-go-v2 1.47.6 and smithy-go 1.28.8).
type roundTripper struct{ *http.Transport }

func (t roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return t.Transport.RoundTrip(r)
	}
	buf := bytes.NewBuffer(make([]byte, 0, max(r.ContentLength, 0)+bytes.MinRead))
	_, err := buf.ReadFrom(r.Body)
	if cerr := r.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.ContentLength = int64(buf.Len())
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil }
	r.Body, _ = r.GetBody()
	return t.Transport.RoundTrip(r)
}
