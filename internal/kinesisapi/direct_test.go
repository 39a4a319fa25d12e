package kinesisapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	smithyauth "github.com/aws/smithy-go/auth"
	smithyendpoints "github.com/aws/smithy-go/endpoints"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/metrics"
	"github.com/aws/smithy-go/middleware"
	"github.com/aws/smithy-go/tracing"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// allOfThem is a good answer to each of the calls that go out directly.
const allOfThem = `{"ShardIterator":"it","Records":[],"MillisBehindLatest":7,"NextShardIterator":"next","FailedRecordCount":0}`

// kept is a request as a server would see it.
type kept struct {
	method, url, host string
	header            http.Header
	body              string
	length            int64
}

func keep(r *http.Request) kept {
	b, _ := io.ReadAll(r.Body)
	return kept{r.Method, r.URL.String(), r.Host, r.Header.Clone(), string(b), r.ContentLength}
}

func good(body string) *http.Response {
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {contentType}}, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body))}
}

// byTheSDK makes the calls of a configuration go by the SDK alone.
func byTheSDK(cfg aws.Config) aws.Config {
	cfg.APIOptions = append(cfg.APIOptions, func(*middleware.Stack) error { return nil })
	return cfg
}

// theCalls are those that go out directly.
var theCalls = map[string]func(context.Context, *Client) error{
	"put": func(ctx context.Context, c *Client) error {
		_, err := c.PutRecords(ctx, []types.PutRecordsRequestEntry{{PartitionKey: aws.String("k"), Data: bytes.Repeat([]byte("d"), 40<<10)}})
		if errors.Is(err, errWrongCount) {
			return nil
		}
		return err
	},
	"get": func(ctx context.Context, c *Client) error {
		_, err := c.GetRecords(ctx, "shardId-000000000000", "it", 0)
		return err
	},
	"get some": func(ctx context.Context, c *Client) error {
		_, err := c.GetRecords(ctx, "shardId-000000000000", "it", 50)
		return err
	},
	"iterator": func(ctx context.Context, c *Client) error {
		_, err := c.Iterator(ctx, "shardId-000000000000", types.StartingPosition{Type: types.ShardIteratorTypeAtTimestamp, Timestamp: aws.Time(time.UnixMilli(1500))})
		return err
	},
}

func (c *Client) forms() []*form {
	return []*form{c.put.form.Load(), c.get.form.Load(), c.iterator.form.Load()}
}

// learnt tells that the client has made a form of something.
func (c *Client) learnt() bool {
	for _, f := range c.forms() {
		if f != nil && f.request != nil {
			return true
		}
	}
	return false
}

// What goes out directly is what the SDK would send at that time, to the last byte:
// numbers and signatures too.
func TestADirectRequestIsTheSDKs(t *testing.T) {
	const arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders"
	for name, c := range map[string]struct {
		stream string
		change func(*aws.Config)
	}{
		"endpoint":        {"orders", func(*aws.Config) {}},
		"path":            {"orders", func(cfg *aws.Config) { cfg.BaseEndpoint = aws.String("https://proxy.invalid:8443/a b/kinesis/") }},
		"region":          {"orders", func(cfg *aws.Config) { cfg.BaseEndpoint = nil }},
		"ARN":             {arn, func(cfg *aws.Config) { cfg.BaseEndpoint = nil }},
		"account":         {arn, func(cfg *aws.Config) { cfg.BaseEndpoint = nil; cfg.Credentials = credentials("token", "123456789012") }},
		"token":           {"orders", func(cfg *aws.Config) { cfg.Credentials = credentials("token", "") }},
		"application":     {"orders", func(cfg *aws.Config) { cfg.AppID = "billing" }},
		"clock is behind": {"orders", func(cfg *aws.Config) { cfg.HTTPClient = dated(cfg.HTTPClient, time.Hour) }},
		"clock is ahead":  {"orders", func(cfg *aws.Config) { cfg.HTTPClient = dated(cfg.HTTPClient, -time.Hour) }},
		"uncorrected time": {"orders", func(cfg *aws.Config) {
			cfg.HTTPClient = dated(cfg.HTTPClient, time.Hour)
			cfg.DisableClockSkewCorrection = true
		}},
	} {
		for op, call := range theCalls {
			t.Run(name+", "+op, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var sent kept
					cfg := configFor("http://kinesis.invalid")
					cfg.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) { sent = keep(r); return good(allOfThem), nil })
					c.change(&cfg)
					third := func(cfg aws.Config) (kept, *Client) {
						name, err := ParseName(c.stream)
						if err != nil {
							t.Fatal(err)
						}
						cl := New(name, Options{AWS: cfg})
						defer cl.Close()
						for n := range 3 {
							ctx, cancel := context.WithTimeout(t.Context(), time.Second)
							cryptotest.SetGlobalRandom(t, uint64(n))
							if err := call(ctx, cl); err != nil {
								t.Fatal(err)
							}
							cancel()
							if n == 0 { // the SDK knows the service's clock from here on
								for _, w := range []*way{&cl.put, &cl.get, &cl.iterator} {
									w.form.Store(nil)
								}
							}
						}
						return sent, cl
					}
					ours, direct := third(cfg)
					theirs, sdk := third(byTheSDK(cfg))
					if !direct.learnt() || sdk.learnt() {
						t.Fatalf("direct: %v, %v", direct.learnt(), sdk.learnt())
					}
					if !reflect.DeepEqual(ours, theirs) {
						t.Errorf("ours   %+v\ntheirs %+v", ours, theirs)
					}
				})
			})
		}
	}
}

func credentials(token, account string) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret", SessionToken: token, AccountID: account}, nil
	})
}

// dated is a client of a service whose clock differs.
func dated(next aws.HTTPClient, by time.Duration) aws.HTTPClient {
	return doFunc(func(r *http.Request) (*http.Response, error) {
		resp, err := next.Do(r)
		if err == nil {
			resp.Header.Set("Date", time.Now().Add(by).UTC().Format(http.TimeFormat))
		}
		return resp, err
	})
}

// What the service answers is understood as the SDK alone does, whatever it is.
func TestADirectAnswerMeansWhatTheSDKSays(t *testing.T) {
	answer := func(status int, header http.Header, body string) doFunc {
		return func(r *http.Request) (*http.Response, error) {
			_, _ = io.Copy(io.Discard, r.Body)
			return &http.Response{StatusCode: status, Header: header, ContentLength: -1, Body: io.NopCloser(strings.NewReader(body))}, nil
		}
	}
	refused := func(status int, code string) doFunc {
		return answer(status, http.Header{"Content-Type": {contentType}, "X-Amzn-Requestid": {"req-1"}, "X-Amz-Id-2": {"id-2"}}, fmt.Sprintf(`{"__type":%q,"message":"because"}`, code))
	}
	for name, does := range map[string]doFunc{
		"good":           answer(200, http.Header{"Content-Type": {contentType}}, allOfThem),
		"other content":  answer(200, http.Header{"Content-Type": {"application/json"}}, allOfThem),
		"a member twice": answer(200, http.Header{"Content-Type": {contentType}}, strings.Replace(allOfThem, "{", `{"Records":[],`, 1)),
		"nothing":        answer(200, http.Header{"Content-Type": {contentType}}, ""),
		"no JSON":        answer(200, http.Header{"Content-Type": {contentType}, "X-Amzn-Requestid": {"req-1"}}, "<html>"),
		"cut":            answer(200, http.Header{"Content-Type": {contentType}}, allOfThem[:30]),
		"torn": func(*http.Request) (*http.Response, error) {
			r := good(allOfThem)
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader(allOfThem[:20]), failing{errors.New("reset")}))
			return r, nil
		},
		"moved":                answer(301, http.Header{"Location": {"http://other.invalid/"}}, ""),
		"throttled":            refused(400, "ProvisionedThroughputExceededException"),
		"throttled, generally": refused(400, "ThrottlingException"),
		"iterator expired":     refused(400, "ExpiredIteratorException"),
		"token expired":        refused(400, "ExpiredTokenException"),
		"skew":                 refused(400, "InvalidSignatureException"),
		"denied":               refused(400, "com.amazonaws#AccessDeniedException"),
		"no stream":            refused(400, "ResourceNotFoundException"),
		"unheard of":           refused(400, "Strange"),
		"403":                  refused(403, "RequestTimeTooSkewed"),
		"413":                  answer(413, http.Header{}, "large"),
		"400, empty":           answer(400, http.Header{"X-Amzn-Requestid": {"req-1"}}, ""),
		"500":                  refused(500, "InternalFailure"),
		"500, empty":           answer(500, http.Header{}, ""),
		"503, HTML":            answer(503, http.Header{}, "<html>"),
		"code in a header":     answer(400, http.Header{"X-Amzn-Errortype": {"LimitExceededException:http://x"}}, "{}"),
		"no connection":        func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") },
		"neither":              func(*http.Request) (*http.Response, error) { return nil, nil }, //nolint:nilnil // of a client of a user's
		"too late":             func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() },
	} {
		for op, call := range theCalls {
			t.Run(name+", "+op, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					said := func(cfg aws.Config) (string, Class, bool) {
						n := 0
						cfg.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) {
							if n++; n > 1 {
								return does(r)
							}
							return good(allOfThem), nil
						})
						cl := client(t, cfg)
						if err := call(t.Context(), cl); err != nil {
							t.Fatal(err)
						}
						learnt := cl.learnt()
						ctx, cancel := context.WithTimeout(t.Context(), time.Second)
						defer cancel()
						err := call(ctx, cl)
						if n != 2 {
							t.Errorf("%d requests for two calls", n)
						}
						if err != nil && Classify(err) != Throttled && !errors.Is(err, ErrEmptyAnswer) && cl.learnt() {
							t.Error("the next request is not the SDK's")
						}
						class := Refused
						if err != nil {
							class = Classify(err)
						}
						if ctx.Err() != nil {
							// The SDK does not look at what came when nobody waits any more.
							return fmt.Sprint(errors.Is(err, ctx.Err())), class, learnt
						}
						return layers(err), class, learnt
					}
					cfg := configFor("http://kinesis.invalid")
					ours, ourClass, direct := said(cfg)
					theirs, theirClass, alone := said(byTheSDK(cfg))
					if !direct || alone {
						t.Fatalf("direct: %v, %v", direct, alone)
					}
					if ours != theirs || ourClass != theirClass {
						t.Errorf("%v: %s\n%v: %s", ourClass, ours, theirClass, theirs)
					}
				})
			})
		}
	}
}

// A call that is over before it begins was not sent, and that is known.
func TestACallThatIsOverWasNotSent(t *testing.T) {
	cfg := configFor("http://kinesis.invalid")
	cfg.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) { return good(allOfThem), r.Context().Err() })
	for op, call := range theCalls {
		c := client(t, cfg)
		if err := call(t.Context(), c); err != nil || !c.learnt() {
			t.Fatalf("%s: %v, learnt %v", op, err, c.learnt())
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := call(ctx, c); Classify(err) != Retry || !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, %v", op, Classify(err), err)
		}
	}
}

// layers is an error with the types of all that it wraps.
func layers(err error) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v", err)
	for ; err != nil; err = errors.Unwrap(err) {
		fmt.Fprintf(&b, "\n  %T: %v", err, err)
	}
	return b.String()
}

// Whoever wants to see calls sees all of them.
func TestWhoWantsToSeeCallsSeesThemAll(t *testing.T) {
	open := func(cfg aws.Config, change func(*kinesis.Options)) bool {
		t.Helper()
		name, _ := ParseName("orders")
		c := New(name, Options{Kinesis: kinesis.NewFromConfig(cfg, change)})
		defer c.Close()
		if err := c.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		return c.get.shortcut.Load() != nil
	}
	cfg := configFor("http://kinesis.invalid")
	if !open(cfg, func(*kinesis.Options) {}) {
		t.Error("nobody wants to")
	}
	for name, change := range map[string]func(*kinesis.Options){
		"middleware":     func(o *kinesis.Options) { o.APIOptions = byTheSDK(aws.Config{}).APIOptions },
		"signing name":   kinesis.WithSigV4SigningName("other"),
		"interceptor":    func(o *kinesis.Options) { o.Interceptors.AddBeforeTransmit(seeing{}) },
		"log":            func(o *kinesis.Options) { o.ClientLogMode, o.Logger = aws.LogRequest, logging.Nop{} },
		"metrics":        func(o *kinesis.Options) { o.MeterProvider = &ownMeter{} },
		"traces":         func(o *kinesis.Options) { o.TracerProvider = &ownTracer{} },
		"signer":         func(o *kinesis.Options) { o.HTTPSignerV4 = ownSigner{} },
		"endpoints":      func(o *kinesis.Options) { o.EndpointResolverV2 = ownEndpoints{} },
		"old endpoints":  func(o *kinesis.Options) { o.EndpointResolver = kinesis.EndpointResolverFromURL("http://x.invalid") }, //nolint:staticcheck // users may have it
		"schemes":        func(o *kinesis.Options) { o.AuthSchemes = []smithyhttp.AuthScheme{smithyhttp.NewAnonymousScheme()} },
		"scheme choice":  func(o *kinesis.Options) { o.AuthSchemeResolver = ownSchemes{} },
		"no credentials": func(o *kinesis.Options) { o.Credentials = aws.AnonymousCredentials{} },
	} {
		if open(cfg, change) {
			t.Errorf("%s: calls go out directly", name)
		}
	}
	t.Setenv("AWS_LAMBDA_FUNCTION_NAME", "f")
	if open(cfg, func(*kinesis.Options) {}) {
		t.Error("in a function, calls go out directly")
	}
}

type (
	seeing struct {
		smithyhttp.BeforeTransmitInterceptor
	}
	ownMeter     struct{ metrics.NopMeterProvider }
	ownTracer    struct{ tracing.NopTracerProvider }
	ownSigner    struct{ kinesis.HTTPSignerV4 }
	ownEndpoints struct{}
	ownSchemes   struct{}
)

func (ownEndpoints) ResolveEndpoint(context.Context, kinesis.EndpointParameters) (e smithyendpoints.Endpoint, err error) {
	return e, err
}

func (ownSchemes) ResolveAuthSchemes(context.Context, *kinesis.AuthResolverParameters) ([]*smithyauth.Option, error) {
	return nil, nil
}

// A form is of use for as long as the SDK would say the same.
func TestAFormDoesNotLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		token := "old"
		var sent kept
		throttled := false
		cfg := configFor("http://kinesis.invalid")
		cfg.Credentials = aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
			return credentials(token, "").Retrieve(ctx)
		})
		cfg.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) {
			sent = keep(r)
			if throttled {
				return &http.Response{StatusCode: 400, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"__type":"ThrottlingException"}`))}, nil
			}
			return good(allOfThem), nil
		})
		c := client(t, cfg)
		get := func() *form {
			t.Helper()
			_, err := c.GetRecords(t.Context(), "shardId-000000000000", "it", 0)
			if throttled != (err != nil) {
				t.Fatal(err)
			}
			if got := sent.header.Get(hToken); got != token {
				t.Errorf("sent with the token %q, not %q", got, token)
			}
			return c.get.form.Load()
		}
		first := get()
		if get() != first || first.request == nil {
			t.Fatal("it was not used again")
		}
		token = "new" // the service does not know the old one any more
		if get(); get() == first {
			t.Error("its credentials are over")
		}
		second := get()
		time.Sleep(formLife + time.Second)
		third := get()
		if third == second || get() != third {
			t.Error("it was not renewed, once")
		}
		time.Sleep(formLife + time.Second)
		throttled = true
		if get() != third {
			t.Error("a throttled call is no reason to give it up")
		}
		throttled = false
		if get() == third {
			t.Error("it was not renewed after all")
		}
	})
}

// A request that is not as we would make it is not imitated.
func TestWhatIsNotUnderstoodIsNotImitated(t *testing.T) {
	cfg := configFor("http://kinesis.invalid")
	var sent *http.Request
	cfg.HTTPClient = doFunc(func(r *http.Request) (*http.Response, error) {
		sent = r.Clone(r.Context())
		return good(allOfThem), nil
	})
	c := client(t, cfg)
	if err := theCalls["get"](t.Context(), c); err != nil {
		t.Fatal(err)
	}
	s := c.get.shortcut.Load()
	for name, change := range map[string]func(*http.Request){
		"nothing":      func(*http.Request) {},
		"a new header": func(r *http.Request) { r.Header.Set("X-Amzn-Trace-Id", "Root=1") },
		"two values":   func(r *http.Request) { r.Header.Add("User-Agent", "more") },
		"signature":    func(r *http.Request) { r.Header.Set(hAuthorization, r.Header.Get(hAuthorization)+"0") },
		"signed more":  func(r *http.Request) { r.Header.Set("Content-Type", "application/x") },
		"no time":      func(r *http.Request) { r.Header.Del(hDate) },
		"other body":   func(r *http.Request) { inMemory(r, []byte("{}")) },
		"unread body":  func(r *http.Request) { r.GetBody = nil },
	} {
		r := sent.Clone(t.Context())
		change(r)
		f := s.learn(t.Context(), r, time.Now())
		if (f.request != nil) != (name == "nothing") {
			t.Errorf("%s: imitated %v", name, f.request != nil)
		}
	}
	s.credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, errors.New("none") })
	if s.learn(t.Context(), sent, time.Now()) != nil {
		t.Error("learnt without credentials")
	}
}
