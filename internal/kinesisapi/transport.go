package kinesisapi

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"github.com/libvegas/vegas/internal/wire"
)

// journey is what is learnt of one call on its way through the transport.
type journey struct {
	called atomic.Bool // the HTTP client was asked
	asked  atomic.Bool // it looks for a connection (and speaks httptrace)
	got    atomic.Bool // it had one
	// answered: response headers came back.
	answered atomic.Bool
	// body is the request's, where protocol wrote it.
	body *[]byte
	// answer, or put, is the answer, where protocol decoded it.
	answer *wire.Answer
	put    *wire.PutAnswer
	// learns is told of the request that the SDK made, if it went well.
	learns func(sent *http.Request, at time.Time)
	// reply, if any, came to a request that the SDK did not make: it is to judge it
	// as its own.
	reply *reply
}

// reply is what an HTTP client answered.
type reply struct {
	resp *http.Response
	err  error
}

// sent tells that bytes may have reached the service. Without a word from an
// HTTP client that does not speak httptrace, they may.
func (j *journey) sent() bool {
	return j.called.Load() && (!j.asked.Load() || j.got.Load())
}

type journeyKey struct{}

// journeyOf is nil for calls that are not of this package.
func journeyOf(ctx context.Context) *journey {
	j, _ := ctx.Value(journeyKey{}).(*journey)
	return j
}

func withJourney(ctx context.Context) (context.Context, *journey) {
	j := new(journey)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { j.asked.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { j.got.Store(true) },
	})
	return context.WithValue(ctx, journeyKey{}, j), j
}

// carrier stands between the SDK and the HTTP client it would use.
//
// The SDK closes a request's body as soon as the answer's headers arrive, and
// the WriteTo of its body then answers io.EOF, which net/http takes for a
// failed write: over HTTP/1.1 it kills the connection in the middle of a good
// answer, now and then, with "use of closed network connection" (smithy-go
// 1.28.9, transport/http/internal/io/safe.go). A body without that WriteTo is
// free of it: a late Read answers io.EOF, which is the truth.
type carrier struct{ next aws.HTTPClient }

func (c *carrier) Do(r *http.Request) (*http.Response, error) {
	j := journeyOf(r.Context())
	if j != nil && j.reply != nil {
		was := j.reply
		j.reply = nil
		return was.resp, was.err
	}
	switch {
	case r.Body == nil || r.Body == http.NoBody:
	case j != nil && j.body != nil && r.ContentLength == int64(len(*j.body)):
		inMemory(r, *j.body)
	case r.ContentLength > 0 && r.ContentLength <= smallBody:
		b := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(r.Body, b); err != nil {
			return nil, err
		}
		inMemory(r, b)
	default:
		r.Body = onlyReader{r.Body}
	}
	if j == nil {
		return c.next.Do(r)
	}
	learns := j.learns
	var sent *http.Request
	at := time.Now()
	if learns != nil {
		sent = r.Clone(r.Context())
	}
	resp, err := j.send(c.next, r)
	if learns != nil && err == nil && succeeded(resp) {
		learns(sent, at)
	}
	return resp, err
}

// send sends a request, and remembers how far it came.
func (j *journey) send(client aws.HTTPClient, r *http.Request) (*http.Response, error) {
	j.called.Store(true)
	resp, err := client.Do(r)
	if err == nil {
		j.answered.Store(true)
	}
	return resp, err
}

// succeeded tells that it is a good answer; the SDK knows what to make of none.
func succeeded(resp *http.Response) bool {
	return resp != nil && resp.StatusCode >= 200 && resp.StatusCode <= 299
}

// inMemory makes b the request's body, of a kind that net/http knows: it writes it
// together with the headers, without the 32 KiB that copying from a reader takes,
// and can start over on a connection that turns out to have been closed before
// anything was written.
func inMemory(r *http.Request, b []byte) {
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
	r.Body, _ = r.GetBody()
}

// smallBody is what requests without payload take at most.
const smallBody = 16 << 10

// onlyReader hides WriteTo.
type onlyReader struct{ body io.ReadCloser }

func (b onlyReader) Read(p []byte) (int, error) { return b.body.Read(p) }
func (b onlyReader) Close() error               { return b.body.Close() }

// pool is a connection pool that several clients of a process share.
type pool struct {
	key    any
	client *http.Client
	users  int
}

// pools are those in use, by the key that shared describes. They live no longer than their users, so that connections never
// outlive the test bubble that made them.
var pools = struct {
	sync.Mutex
	of map[any]*pool
}{of: map[any]*pool{}}

// shared gives the HTTP client to use for a configuration's, and the pool that
// is to be released, if any. The SDK would copy a BuildableClient, and its
// connections with it, for every service client: two producers would not share
// any, and ten idle connections (its default) are fewer than the requests of
// one busy producer. Clients of other types are the caller's own and used as
// they are.
//
// key says whose connections these are: the configuration's client, nil where it
// names none, or defaultConfig for the SDK's default configuration, which makes
// a new one for every load, with the certificates of AWS_CA_BUNDLE.
func shared(key any, configured aws.HTTPClient) (aws.HTTPClient, *pool) {
	builder, ok := configured.(*awshttp.BuildableClient)
	switch {
	case configured == nil:
		builder = awshttp.NewBuildableClient()
	case !ok:
		return configured, nil
	}
	pools.Lock()
	defer pools.Unlock()
	p := pools.of[key]
	if p == nil {
		t := builder.GetTransport()
		t.MaxIdleConns = 0 // as many as the limit per host allows
		t.MaxIdleConnsPerHost = idleConnections
		if t.HTTP2 == nil {
			t.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: streamBytes}
		}
		p = &pool{key: key, client: &http.Client{
			Transport: t,
			Timeout:   builder.GetTimeout(),
			// Kinesis does not redirect; what does is not Kinesis.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}}
		pools.of[key] = p
	}
	p.users++
	return p.client, p
}

// defaultConfig is the pools' key for the SDK's default configuration.
type defaultConfig struct{}

// idleConnections is how many connections to an endpoint are kept for reuse: a
// process with that many shards under load opens no new ones.
const idleConnections = 256

// streamBytes is what the service may push on a subscription ahead of its reader:
// a thousand of them whose handlers are slow would hold 4 GiB at the default. It
// is half a second of a shard's rate.
const streamBytes = 1 << 20

func (p *pool) release() {
	pools.Lock()
	p.users--
	last := p.users == 0
	if last {
		delete(pools.of, p.key)
	}
	pools.Unlock()
	if last {
		p.client.CloseIdleConnections()
	}
}
