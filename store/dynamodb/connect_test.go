package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/libvegas/vegas/store"
)

func TestWhatIsMissingIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(*Options)
		want []string
	}{
		"region":      {func(o *Options) { o.AWS.Region = "" }, []string{"AWS_REGION", "#no-region"}},
		"credentials": {func(o *Options) { o.AWS.Credentials = nil }, []string{"AWS_PROFILE", "#no-credentials"}},
		"provider": {func(o *Options) {
			o.AWS.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{}, errors.New("no EC2 IMDS role found")
			})
		}, []string{"no credentials were found", "AWS_PROFILE", "#no-credentials"}},
		"table name": {func(o *Options) { o.Table = "a b" }, []string{`"a b"`, "#store-table"}},
		"endpoint":   {func(o *Options) { o.AWS.BaseEndpoint = aws.String("127.0.0.1:1") }, []string{"http://HOST:PORT", "#not-dynamodb"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, stub := stubbed(t, map[string][]answer{}, c.set)
			mentions(t, s.Open(t.Context()), c.want...)
			if len(stub.calls) != 0 {
				t.Errorf("asked the service: %v", stub.calls)
			}
		})
	}
}

func TestRegions(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(*Options)
		want string
	}{
		"configured": {func(*Options) {}, "eu-west-1"},
		"an ARN's":   {func(o *Options) { o.Table = "arn:aws:dynamodb:ap-south-1:123456789012:table/vegas" }, "ap-south-1"},
		"a local server's": {func(o *Options) {
			o.AWS.Region = ""
			o.AWS.BaseEndpoint = aws.String("http://127.0.0.1:1")
		}, "us-east-1"},
		"a client's": {func(o *Options) { o.Client = sdk.NewFromConfig(o.AWS, func(o *sdk.Options) { o.Region = "sa-east-1" }) }, "sa-east-1"},
	} {
		s, _ := stubbed(t, map[string][]answer{}, c.set)
		if err := s.Open(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if o := s.line.Load().client.Options(); o.Region != c.want {
			t.Errorf("%s: region %q, want %q", name, o.Region, c.want)
		}
	}
}

// remote is a server that counts its connections.
type remote struct {
	*httptest.Server
	opened atomic.Int32
	closed chan struct{} // a value for each that was closed
	hang   atomic.Int32  // how many of the next lists get no answer
	meet   chan struct{} // not nil: lists wait for each other, two by two
}

func newRemote(t *testing.T) *remote {
	r := &remote{closed: make(chan struct{}, 16)}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, req.Body)
		switch {
		case req.Header.Get("X-Amz-Target") == "DynamoDB_20120810.DescribeTable":
			io.WriteString(w, description("ACTIVE"))
			return
		case r.hang.Add(-1) >= 0:
			<-req.Context().Done()
			return
		case r.meet != nil:
			select {
			case r.meet <- struct{}{}:
			case <-r.meet:
			}
		}
		io.WriteString(w, "{}")
	}))
	r.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			r.opened.Add(1)
		case http.StateClosed:
			r.closed <- struct{}{}
		}
	}
	r.Start()
	t.Cleanup(r.Close)
	return r
}

func (r *remote) store(t *testing.T) *Store {
	s, _ := stubbed(t, map[string][]answer{}, func(o *Options) {
		o.AWS.HTTPClient = nil
		o.AWS.BaseEndpoint = &r.URL
	})
	return s
}

func list(t *testing.T, s store.Store) {
	t.Helper()
	if _, err := s.List(t.Context(), "g", ""); err != nil {
		t.Error(err)
	}
}

func TestSeparateStoresHaveNoConnectionInCommon(t *testing.T) {
	r := newRemote(t)
	s := r.store(t)
	list(t, s)
	list(t, s)
	if n := r.opened.Load(); n != 1 {
		t.Errorf("%d connections for calls one after the other", n)
	}
	other := s.Separate()
	list(t, other)
	if n := r.opened.Load(); n != 2 {
		t.Errorf("%d connections of two", n)
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	<-r.closed
	list(t, s)
	if n := r.opened.Load(); n != 2 {
		t.Error("closing the one closed the other's connection")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	<-r.closed
}

// Where one connection is dead, those that lie idle mostly are too.
func TestAfterAnAttemptThatHungConnectionsAreNew(t *testing.T) {
	r := newRemote(t)
	s := r.store(t)
	r.meet = make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { list(t, s) })
	}
	wg.Wait()
	if n := r.opened.Load(); n != 2 {
		t.Fatalf("%d connections of two calls at once", n)
	}
	r.meet = nil
	r.hang.Store(1)
	list(t, s)
	if n := r.opened.Load(); n != 3 {
		t.Errorf("%d connections, want a third one after an attempt that hung", n)
	}
}

func TestACallThatOutlivesCloseLeavesNoConnection(t *testing.T) {
	r := newRemote(t)
	s := r.store(t)
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.meet = make(chan struct{})
	done := make(chan struct{})
	go func() { defer close(done); list(t, s) }()
	<-r.meet // it is under way
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	<-done
	for range r.opened.Load() {
		<-r.closed
	}
}

// The SDK's default configuration, and the addresses of its environment.
func TestTheEnvironmentIsEnough(t *testing.T) {
	r := newRemote(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKID")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_REGION", "eu-west-1")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	t.Setenv("AWS_ENDPOINT_URL_DYNAMODB", r.URL)
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	s := New()
	list(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	s, _ := stubbed(t, map[string][]answer{}, func(o *Options) {
		o.AWS.HTTPClient = nil
		o.AWS.BaseEndpoint = aws.String("http://" + l.Addr().String())
	})
	mentions(t, s.Open(t.Context()), l.Addr().String(), "refused", "#unreachable")
}

func TestSomethingElseAnswers(t *testing.T) {
	for name, a := range map[string]answer{
		"a page":          says(404, "<html>"),
		"a page at 200":   says(200, "<html>"),
		"another service": says(400, `{"__type":"UnknownOperationException"}`),
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := stubbed(t, map[string][]answer{"DescribeTable": {a}})
			mentions(t, s.Open(t.Context()), "AWS_ENDPOINT_URL_DYNAMODB", "#not-dynamodb")
		})
	}
}

func TestFailuresByClass(t *testing.T) {
	for code, want := range map[string]class{
		"ProvisionedThroughputExceededException": throttled,
		"ThrottlingException":                    throttled,
		"RequestLimitExceeded":                   throttled,
		"TransactionConflictException":           throttled,
		"InternalServerError":                    unknown,
		"NobodyKnows":                            refused, // by its status, 400
		"ExpiredTokenException":                  notYet,
		"UnrecognizedClientException":            refused,
		"ValidationException":                    refused,
		"ConditionalCheckFailedException":        refused,
	} {
		s, _ := stubbed(t, map[string][]answer{"GetItem": {fails(code, "m")}})
		if err := s.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		l := s.line.Load()
		_, err := l.client.GetItem(t.Context(), &sdk.GetItemInput{TableName: &s.opts.Table, Key: key("g", "i")})
		if got := classify(fmt.Errorf("wrapped: %w", err)).class; got != want {
			t.Errorf("%s: class %d, want %d", code, got, want)
		}
	}
}
