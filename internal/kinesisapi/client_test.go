package kinesisapi

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/internal/wire"
)

// server answers every call by f and gives a configuration that reaches it.
func server(t testing.TB, f http.HandlerFunc) aws.Config {
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return configFor(s.URL)
}

func configFor(url string) aws.Config {
	return aws.Config{
		Region:       "eu-west-1",
		BaseEndpoint: aws.String(url),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}, nil
		}),
	}
}

func client(t testing.TB, cfg aws.Config) *Client {
	name, err := ParseName("orders")
	if err != nil {
		t.Fatal(err)
	}
	c := New(name, Options{AWS: cfg})
	t.Cleanup(c.Close)
	return c
}

func put(ctx context.Context, c *Client) (*wire.PutAnswer, error) {
	return c.PutRecords(ctx, []types.PutRecordsRequestEntry{{PartitionKey: aws.String("k"), Data: []byte("d")}})
}

func refuse(status int, code, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.Header().Set("x-amzn-RequestId", "req-1")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"__type":%q,"message":%q}`, code, message)
	}
}

func TestFailuresSayWhatTheyMeanAndWhatToDo(t *testing.T) {
	hang := func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	drop := func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	}
	html := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.WriteHeader(status)
			io.WriteString(w, "<html>hello</html>")
		}
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		class  Class
		want   []string
	}{
		"throttled":      {refuse(400, "ProvisionedThroughputExceededException", "rate"), Throttled, []string{"#throttled"}},
		"limit":          {refuse(400, "LimitExceededException", "rate"), Throttled, nil},
		"internal":       {refuse(500, "InternalFailure", "oh"), Unknown, nil},
		"unavailable":    {refuse(503, "ServiceUnavailable", "oh"), Unknown, nil},
		"unheard 500":    {refuse(500, "Strange", "oh"), Unknown, nil},
		"missing":        {refuse(400, "ResourceNotFoundException", "no stream"), Fatal, []string{"AWS_REGION", "#stream-not-found", "no stream", "req-1"}},
		"denied":         {refuse(400, "AccessDeniedException", "User: x is not authorized"), Fatal, []string{"kinesis:PutRecords", "#access-denied"}},
		"kms":            {refuse(400, "KMSDisabledException", "key"), Fatal, []string{"#kms"}},
		"invalid":        {refuse(400, "InvalidArgumentException", "bad"), Refused, []string{"bad"}},
		"validation":     {refuse(400, "ValidationException", "bad"), Refused, nil},
		"expired token":  {refuse(400, "ExpiredTokenException", "old"), Retry, []string{"#expired-credentials"}},
		"bad key":        {refuse(400, "UnrecognizedClientException", "who"), Fatal, []string{"AWS_ACCESS_KEY_ID", "#no-credentials"}},
		"skew":           {refuse(403, "InvalidSignatureException", "Signature expired: 2026"), Retry, []string{"#clock-skew"}},
		"updating":       {refuse(400, "ResourceInUseException", "UPDATING"), Retry, nil},
		"timeout":        {hang, Unknown, nil},
		"dropped answer": {drop, Unknown, nil},
		"html 200":       {html(200), Unknown, []string{"#not-kinesis"}},
		"html 404":       {html(404), Fatal, []string{"AWS_ENDPOINT_URL", "#not-kinesis"}},
		"html 502":       {html(502), Unknown, nil},
		"too many":       {html(429), Throttled, nil},
		"other service":  {refuse(400, "UnknownOperationException", ""), Fatal, []string{"#not-kinesis"}},
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int32
			cl := client(t, server(t, func(w http.ResponseWriter, r *http.Request) { calls.Add(1); c.answer(w, r) }))
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			if name == "timeout" {
				ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
			}
			defer cancel()
			_, err := put(ctx, cl)
			if err == nil {
				t.Fatal("no error")
			}
			if got := Classify(err); got != c.class {
				t.Errorf("class %v, want %v: %v", got, c.class, err)
			}
			if c.want == nil && strings.Contains(err.Error(), "docs/") && c.class == Unknown {
				t.Errorf("a remedy where there is none: %v", err)
			}
			for _, want := range append(c.want, "put records", `"orders"`) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
			if n := calls.Load(); n != 1 {
				t.Errorf("%d calls: the SDK must not retry puts", n)
			}
		})
	}
}

func TestNothingSentIsKnownNotToBeApplied(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	url := gone.URL
	gone.Close()
	_, err := put(t.Context(), client(t, configFor(url)))
	if Classify(err) != Retry || !strings.Contains(err.Error(), "#unreachable") {
		t.Errorf("connection refused: %v, %v", Classify(err), err)
	}

	cfg := configFor(url)
	cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, errors.New("no EC2 IMDS role found")
	})
	_, err = put(t.Context(), client(t, cfg))
	if Classify(err) != Fatal || !strings.Contains(err.Error(), "#no-credentials") || !strings.Contains(err.Error(), "AWS_PROFILE") {
		t.Errorf("no credentials: %v, %v", Classify(err), err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = put(ctx, client(t, server(t, refuse(200, "", ""))))
	if Classify(err) != Retry {
		t.Errorf("cancelled before it was sent: %v, %v", Classify(err), err)
	}

	tls := httptest.NewTLSServer(refuse(200, "", ""))
	defer tls.Close()
	tls.Config.ErrorLog = nil
	_, err = put(t.Context(), client(t, configFor(tls.URL)))
	if Classify(err) != Fatal || !strings.Contains(err.Error(), "AWS_CA_BUNDLE") {
		t.Errorf("untrusted certificate: %v, %v", Classify(err), err)
	}
	_, err = put(t.Context(), client(t, configFor(strings.Replace(gone.URL, "http", "https", 1))))
	if Classify(err) != Retry {
		t.Errorf("nobody there: %v, %v", Classify(err), err)
	}
	plain := httptest.NewServer(refuse(200, "", ""))
	defer plain.Close()
	_, err = put(t.Context(), client(t, configFor(strings.Replace(plain.URL, "http", "https", 1))))
	if Classify(err) != Fatal || !strings.Contains(err.Error(), "does not speak TLS") {
		t.Errorf("no TLS: %v, %v", Classify(err), err)
	}
}

// An HTTP client of the user's that does not report connections leaves it open
// whether anything was sent.
func TestSilentHTTPClientsLeaveItOpenWhetherSomethingWasSent(t *testing.T) {
	cfg := configFor("http://127.0.0.1:1")
	cfg.HTTPClient = doFunc(func(*http.Request) (*http.Response, error) { return nil, errors.New("broken pipe") })
	if _, err := put(t.Context(), client(t, cfg)); Classify(err) != Unknown {
		t.Errorf("%v: %v", Classify(err), err)
	}
}

// Credentials that once worked and cannot be renewed just now are no reason to
// give everything up.
func TestCredentialsThatOnceWorkedAreTriedAgain(t *testing.T) {
	var fail atomic.Bool
	cfg := server(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"Records":[{"ShardId":"shardId-000000000000","SequenceNumber":"49"}],"FailedRecordCount":0}`)
	})
	cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		if fail.Load() {
			return aws.Credentials{}, errors.New("credentials endpoint timed out")
		}
		return aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}, nil
	})
	c := client(t, cfg)
	if a, err := put(t.Context(), c); err != nil || a.Results[0] != (wire.PutResult{Shard: "shardId-000000000000", Sequence: "49"}) {
		t.Fatal(a, err)
	}
	fail.Store(true)
	if _, err := put(t.Context(), c); Classify(err) != Retry {
		t.Errorf("%v: %v", Classify(err), err)
	}
}

func TestConfigurationErrorsNameTheRemedy(t *testing.T) {
	cfg := configFor("")
	cfg.BaseEndpoint, cfg.Region = nil, ""
	if err := client(t, cfg).Open(t.Context()); err == nil || !strings.Contains(err.Error(), "AWS_REGION") || !strings.Contains(err.Error(), "#no-region") {
		t.Error(err)
	}
	cfg = configFor("http://127.0.0.1:1")
	cfg.Credentials = nil
	if err := client(t, cfg).Open(t.Context()); err == nil || !strings.Contains(err.Error(), "o.AWS.Credentials") {
		t.Error(err)
	}
	_, err := put(t.Context(), client(t, configFor("127.0.0.1:4566")))
	if Classify(err) != Fatal || !strings.Contains(err.Error(), "http://HOST:PORT") || !strings.Contains(err.Error(), "#not-kinesis") {
		t.Errorf("endpoint without a scheme: %v, %v", Classify(err), err)
	}
	// LocalStack's set-up: an endpoint alone is enough.
	cfg = configFor("http://127.0.0.1:1")
	cfg.Region = ""
	if err := client(t, cfg).Open(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAnARNsRegionWins(t *testing.T) {
	name, _ := ParseName("arn:aws:kinesis:ap-south-1:123456789012:stream/orders")
	cfg := configFor("")
	cfg.BaseEndpoint = nil
	c := New(name, Options{AWS: cfg})
	defer c.Close()
	if err := c.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := c.data.Options().Region; got != "ap-south-1" {
		t.Errorf("region %q", got)
	}
}

func TestEntriesAreJudgedOneByOne(t *testing.T) {
	c := client(t, server(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"FailedRecordCount":2,"Records":[
			{"ShardId":"shardId-000000000001","SequenceNumber":"49"},
			{"ErrorCode":"ProvisionedThroughputExceededException","ErrorMessage":"slow"},
			{"ErrorCode":"InternalFailure","ErrorMessage":"oh"}]}`)
	}))
	e := types.PutRecordsRequestEntry{PartitionKey: aws.String("k"), Data: []byte("d")}
	got, err := c.PutRecords(t.Context(), []types.PutRecordsRequestEntry{e, e, e})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		wire.PutResult
		stored bool
		class  Class
	}{
		{wire.PutResult{Shard: "shardId-000000000001", Sequence: "49"}, true, Unknown},
		{wire.PutResult{Code: "ProvisionedThroughputExceededException", Message: "slow"}, false, Throttled},
		{wire.PutResult{Code: "InternalFailure", Message: "oh"}, false, Unknown},
	} {
		r := &got.Results[i]
		if *r != want.PutResult || r.Stored() != want.stored || EntryClass(r) != want.class {
			t.Errorf("entry %d: %+v, stored %v, class %v", i, *r, r.Stored(), EntryClass(r))
		}
	}
	// An answer that does not fit the request proves nothing.
	if _, err := c.PutRecords(t.Context(), []types.PutRecordsRequestEntry{e}); Classify(err) != Unknown {
		t.Errorf("wrong count: %v", err)
	}
}

func TestListShardsReadsEveryPage(t *testing.T) {
	var requests []string
	c := client(t, server(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		requests = append(requests, string(b))
		switch len(requests) {
		case 1:
			io.WriteString(w, `{"Shards":[{"ShardId":"shardId-000000000000"}],"NextToken":"t1"}`)
		case 2:
			io.WriteString(w, `{"Shards":[{"ShardId":"shardId-000000000001"}]}`)
		default:
			io.WriteString(w, `{"Shards":[],"NextToken":"same"}`)
		}
	}))
	shards, err := c.ListShards(t.Context(), nil)
	if err != nil || len(shards) != 2 {
		t.Fatal(shards, err)
	}
	if !strings.Contains(requests[0], "StreamName") || strings.Contains(requests[1], "StreamName") || !strings.Contains(requests[1], "t1") {
		t.Errorf("a token excludes the stream's name: %q", requests)
	}
	if _, err := c.ListShards(t.Context(), nil); err == nil {
		t.Error("a server that loops is not noticed")
	}
}

// The regression test for the SDK's closing of request bodies, see carrier: it
// closes them when the answer's headers arrive, and net/http's look for more
// behind the end must then find the end, not an error.
func TestAnswersSurviveTheClosingOfTheRequestsBody(t *testing.T) {
	var body io.Reader
	cfg := configFor("http://127.0.0.1:1")
	cfg.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) {
		body = r.Body
		io.CopyN(io.Discard, r.Body, r.ContentLength)
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"Records":[]}`))}, nil
	})
	c := client(t, cfg)
	if _, err := c.GetRecords(t.Context(), "shardId-000000000000", "it", 0); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, body); n != 0 || err != nil {
		t.Errorf("behind the end of the body: %d bytes, %v", n, err)
	}
}

func TestClientsOfOneConfigurationShareTheirConnections(t *testing.T) {
	var conns atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, `{"Records":[{"ShardId":"shardId-000000000000","SequenceNumber":"49"}],"FailedRecordCount":0}`)
	}))
	s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	a, b := client(t, configFor(s.URL)), client(t, configFor(s.URL))
	for range 3 {
		for _, c := range []*Client{a, b} {
			if _, err := put(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	a.Close()
	b.Close()
	pools.Lock()
	defer pools.Unlock()
	if len(pools.of) != 0 {
		t.Errorf("%d pools outlive their users", len(pools.of))
	}
	if _, err := put(t.Context(), a); err == nil {
		t.Error("a closed client still works")
	}
}

// The SDK's default configuration brings the certificates of AWS_CA_BUNDLE, which
// a configuration of the user's own does not: their connections differ.
func TestTheDefaultConfigurationHasConnectionsOfItsOwn(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, `{"Records":[{"ShardId":"shardId-000000000000","SequenceNumber":"49"}],"FailedRecordCount":0}`)
	}))
	defer s.Close()
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for k, v := range map[string]string{
		"AWS_CA_BUNDLE": bundle, "AWS_ENDPOINT_URL": s.URL, "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret",
	} {
		t.Setenv(k, v)
	}
	own := client(t, configFor(s.URL))
	if _, err := put(t.Context(), own); err == nil || !strings.Contains(err.Error(), "AWS_CA_BUNDLE") {
		t.Errorf("without the certificate: %v", err)
	}
	if _, err := put(t.Context(), client(t, aws.Config{})); err != nil {
		t.Error(err)
	}
}

// As many connections as calls were under way at once are kept.
func TestConnectionsAreKept(t *testing.T) {
	var conns atomic.Int32
	const calls = 50
	var here sync.WaitGroup
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		here.Done()
		here.Wait() // until all are
		io.WriteString(w, `{"Records":[{"ShardId":"shardId-000000000000","SequenceNumber":"49"}],"FailedRecordCount":0}`)
	}))
	s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	c := client(t, configFor(s.URL))
	for range 3 {
		here.Add(calls)
		var wg sync.WaitGroup
		for range calls {
			wg.Go(func() {
				if _, err := put(t.Context(), c); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	if n := conns.Load(); n > calls*3/2 {
		t.Errorf("%d connections for %d calls at a time", n, calls)
	}
}
