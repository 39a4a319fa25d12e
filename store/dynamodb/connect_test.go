package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
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

// Over real connections: the two have none in common, a dead one is not waited
// for twice, and closing closes them.
func TestConnections(t *testing.T) {
	var opened, closed, hang atomic.Int32
	allClosed := make(chan struct{}, 16)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if r.Header.Get("X-Amz-Target") == "DynamoDB_20120810.DescribeTable" {
			io.WriteString(w, description("ACTIVE"))
			return
		}
		if hang.Add(-1) >= 0 {
			<-r.Context().Done()
			return
		}
		io.WriteString(w, "{}")
	}))
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			opened.Add(1)
		case http.StateClosed:
			closed.Add(1)
			allClosed <- struct{}{}
		}
	}
	srv.Start()
	defer srv.Close()
	s, _ := stubbed(t, map[string][]answer{}, func(o *Options) {
		o.AWS.HTTPClient = nil
		o.AWS.BaseEndpoint = &srv.URL
	})
	list := func(of store.Store) {
		t.Helper()
		if _, err := of.List(t.Context(), "g", ""); err != nil {
			t.Error(err)
		}
	}
	list(s)
	list(s)
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections for calls one after the other", n)
	}
	other := s.Separate()
	list(other)
	if n := opened.Load(); n != 2 {
		t.Errorf("%d connections of two", n)
	}
	hang.Store(1)
	list(other)
	if n := opened.Load(); n != 3 {
		t.Errorf("%d connections after one that hung", n)
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for range 3 {
		<-allClosed
	}
	if o, c := opened.Load(), closed.Load(); o != 3 || c != 3 {
		t.Errorf("%d connections opened, %d closed", o, c)
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
