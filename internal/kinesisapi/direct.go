package kinesisapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/metrics"
	"github.com/aws/smithy-go/rand"
	"github.com/aws/smithy-go/tracing"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// The SDK takes each call through some thirty steps, built anew every time, most of
// which come to the same as for the call before: where the endpoint is, what the
// agent is called, how to sign. So it makes the first request of an operation, and
// one a minute from then on; those in between are made after the last of them, with
// what is a call's own: its body, its time, its number, and a signature by the SDK's
// signer. Whatever does not simply succeed is given to the SDK to judge, with what
// the service answered. Without a network, a GetRecords call that brings nothing
// takes 45 us in place of 85 (half of them for the signature), and 10 KiB in place of
// 24.

// plain tells that nothing in a client's options wants to see calls, or to decide
// anew at each of them. The calls of a client that is not plain are all the SDK's.
// Whether a signature is made as we would is not asked here: see learn.
func plain(o *kinesis.Options) bool {
	_, json := o.Protocol.(protocol)
	_, measured := o.MeterProvider.(metrics.NopMeterProvider)
	_, traced := o.TracerProvider.(*tracing.NopTracerProvider)
	// Each invocation of a function has a trace of its own.
	_, lambda := os.LookupEnv("AWS_LAMBDA_FUNCTION_NAME")
	usual := usualOptions()
	earlier := o.EndpointResolver //nolint:staticcheck // deprecated, and in use
	return json && measured && traced && !lambda &&
		o.Credentials != nil && len(o.APIOptions) == 0 && o.ClientLogMode == 0 && uninterrupted(&o.Interceptors) &&
		earlier == nil && alike(o.EndpointResolverV2, usual.EndpointResolverV2) &&
		alike(o.AuthSchemeResolver, usual.AuthSchemeResolver) &&
		len(o.AuthSchemes) == 1 && alike(o.AuthSchemes[0], usual.AuthSchemes[0]) && alike(o.AuthSchemes[0].Signer(), usual.AuthSchemes[0].Signer()) &&
		alike(o.HTTPSignerV4, usual.HTTPSignerV4)
}

// uninterrupted tells that a registry, which has one list for each place, is empty.
func uninterrupted(r *smithyhttp.InterceptorRegistry) bool {
	for _, list := range reflect.ValueOf(*r).Fields() {
		if list.Kind() != reflect.Slice || list.Len() > 0 {
			return false
		}
	}
	return true
}

// usualOptions are those of a client that nobody has changed.
func usualOptions() kinesis.Options {
	return kinesis.New(kinesis.Options{Region: "us-east-1"}).Options()
}

// alike tells that two things are of one type; those of the SDK have no names.
func alike(a, b any) bool { return reflect.TypeOf(a) == reflect.TypeOf(b) }

// shortcut is what the direct calls of a client need.
type shortcut struct {
	client      aws.HTTPClient
	protocol    smithyhttp.ClientProtocol
	credentials aws.CredentialsProvider
	signer      kinesis.HTTPSignerV4
	region      string
}

func newShortcut(o *kinesis.Options, client aws.HTTPClient) *shortcut {
	return &shortcut{client, o.Protocol, o.Credentials, o.HTTPSignerV4, o.Region}
}

// way is how the calls of one operation go out.
type way struct {
	schema   *smithy.OperationSchema
	shortcut atomic.Pointer[shortcut] // nil: by the SDK, always
	form     atomic.Pointer[form]     // nil: none has been learnt
}

// direct makes a call, which has a journey, by w's form or by the SDK. Where this
// package's protocol decodes the answer out stays empty, as it does with the SDK.
func direct[I smithy.Serializable, O smithy.Deserializable](ctx context.Context, w *way, in I, out O, sdk func(context.Context, I, ...func(*kinesis.Options)) (O, error)) (O, error) {
	j, s := journeyOf(ctx), w.shortcut.Load()
	if s == nil {
		return sdk(ctx, in)
	}
	f := w.form.Load()
	renews := f.over(time.Now())
	if renews {
		j.learns = func(sent *http.Request, at time.Time) {
			if f := s.learn(ctx, sent, at); f != nil {
				w.form.Store(f)
			}
		}
	} else if req := s.request(ctx, w, f, in); req != nil && ctx.Err() == nil { // else the SDK tells that nothing was sent
		resp, err := j.send(s.client, req)
		d := answers.take()
		defer answers.giveBack(d)
		if err == nil && succeeded(resp) && s.decode(ctx, w, d, resp, out) {
			return out, nil
		}
		j.reply = &reply{resp, err}
		defer func() {
			if j.reply != nil && resp != nil && resp.Body != nil { // the SDK never came to it
				_ = resp.Body.Close()
			}
		}()
	}
	got, err := sdk(ctx, in)
	switch {
	case f == nil:
	case err != nil && Classify(err) != Throttled:
		// Whatever it was, clocks and credentials among others: the next request
		// is the SDK's own.
		w.form.CompareAndSwap(f, nil)
	case renews:
		f.renewed.Store(false) // of use if there is no new one
	}
	return got, err
}

// decode decodes a good answer; false: it is as if nobody had read it, for as long
// as the desk is not given back.
func (s *shortcut) decode(ctx context.Context, w *way, d *desk, resp *http.Response, out smithy.Deserializable) (ok bool) {
	body := resp.Body
	err := d.read(body, resp.ContentLength)
	switch {
	case err != nil:
	case known(out):
		ok = d.understand(journeyOf(ctx), resp.Header, out)
	default:
		read := *resp
		read.Body = io.NopCloser(bytes.NewReader(d.body))
		ok = s.protocol.DeserializeResponse(ctx, w.schema, nil, &smithyhttp.Response{Response: &read}, out) == nil
	}
	if ok {
		_ = body.Close()
		return true
	}
	resp.Body = &other{io.MultiReader(bytes.NewReader(d.body), failing{err}), body}
	return false
}

// failing is where a body ends: in order if the error is nil.
type failing struct{ error }

func (f failing) Read([]byte) (int, error) {
	if f.error == nil {
		return 0, io.EOF
	}
	return 0, f.error
}

// form is a request of the SDK's that went well, for others to be made after it.
type form struct {
	request     *http.Request // without a body and what is a call's own; nil: the SDK's are not to be imitated
	credentials aws.Credentials
	skew        time.Duration // of the service's clock
	living      bool          // the SDK tells how long a call may take
	until       time.Time
	renewed     atomic.Bool // somebody sees to the next one
}

// formLife is how long a form is used: what the SDK decides once in that time costs
// nothing, and what it would decide differently does not stay.
const formLife = time.Minute

// over tells that the next request is to be the SDK's; of those who ask about an old
// form only the first is told.
func (f *form) over(now time.Time) bool {
	return f == nil || now.After(f.until) && f.renewed.CompareAndSwap(false, true)
}

// The headers that are a call's own.
const (
	hAuthorization = "Authorization"
	hDate          = "X-Amz-Date"
	hToken         = "X-Amz-Security-Token" //nolint:gosec // its name
	hInvocation    = "Amz-Sdk-Invocation-Id"
	hAttempt       = "Amz-Sdk-Request"
)

// imitated are the headers of the requests of which we know how they come about.
var imitated = []string{hAuthorization, hDate, hToken, hInvocation, hAttempt, "Content-Type", "User-Agent", "X-Amz-Target"}

const dateFormat = "20060102T150405Z"

// learn makes a form of a request that the SDK made at a time, provided that ours
// is, in the same place, the same to the last byte, signature and all. A form
// without a request says that it is not; nil, that it is not known.
func (s *shortcut) learn(ctx context.Context, sent *http.Request, at time.Time) *form {
	creds, err := s.credentials.Retrieve(ctx)
	if err != nil {
		return nil
	}
	f := &form{until: at.Add(formLife)}
	signed, err := time.Parse(dateFormat, sent.Header.Get(hDate))
	if err != nil || sent.GetBody == nil {
		return f
	}
	for name, values := range sent.Header {
		if len(values) != 1 || !slices.Contains(imitated, name) {
			return f
		}
	}
	r, err := sent.GetBody()
	if err != nil {
		return f
	}
	body, err := io.ReadAll(r)
	if err != nil {
		return f
	}
	f.credentials, f.skew = creds, signed.Sub(at.UTC().Truncate(time.Second))
	like := sent.Clone(context.Background())
	like.Body, like.GetBody, like.ContentLength = nil, nil, 0
	for _, name := range []string{hAuthorization, hDate, hToken, hInvocation} {
		like.Header.Del(name)
	}
	attempt, life, living := strings.Cut(sent.Header.Get(hAttempt), "; ttl=")
	like.Header.Set(hAttempt, attempt)
	f.living = living

	own := like.Clone(ctx)
	own.Header.Set(hInvocation, sent.Header.Get(hInvocation))
	if living {
		own.Header.Set(hAttempt, attempt+"; ttl="+life)
	}
	if s.sign(ctx, own, body, creds, signed) != nil || own.URL.String() != sent.URL.String() || own.Host != sent.Host ||
		own.Method != sent.Method || own.ContentLength != sent.ContentLength || !reflect.DeepEqual(own.Header, sent.Header) {
		return f
	}
	f.request = like
	return f
}

// request makes a request after a form; nil: leave it to the SDK.
func (s *shortcut) request(ctx context.Context, w *way, f *form, in smithy.Serializable) *http.Request {
	if f.request == nil {
		return nil
	}
	creds, err := s.credentials.Retrieve(ctx)
	if err != nil || !sameCredentials(&creds, &f.credentials) {
		w.form.CompareAndSwap(f, nil)
		return nil
	}
	body, err := s.body(ctx, w, in)
	if err != nil {
		return nil
	}
	id, err := rand.NewUUID(rand.Reader).GetUUID()
	if err != nil {
		return nil
	}
	req := f.request.WithContext(ctx)
	url := *f.request.URL
	req.URL = &url
	req.Header = make(http.Header, len(imitated))
	for name, values := range f.request.Header {
		req.Header[name] = slices.Clip(values)
	}
	req.Header[hInvocation] = []string{id}
	if deadline, ok := ctx.Deadline(); ok && f.living {
		req.Header[hAttempt] = []string{req.Header[hAttempt][0] + "; ttl=" + deadline.Add(f.skew).Format(dateFormat)}
	}
	if s.sign(ctx, req, body, creds, time.Now().Add(f.skew)) != nil {
		return nil
	}
	return req
}

// sign gives the request its body and signs it.
func (s *shortcut) sign(ctx context.Context, req *http.Request, body []byte, creds aws.Credentials, at time.Time) error {
	inMemory(req, body)
	req.ContentLength = int64(len(body))
	sum := sha256.Sum256(body)
	return s.signer.SignHTTP(ctx, creds, req, hex.EncodeToString(sum[:]), "kinesis", s.region, at)
}

// body is what the protocol writes of a call's input.
func (s *shortcut) body(ctx context.Context, w *way, in smithy.Serializable) ([]byte, error) {
	req := smithyhttp.NewStackRequest().(*smithyhttp.Request)
	if err := s.protocol.SerializeRequest(ctx, w.schema, in, req); err != nil {
		return nil, err
	}
	if j := journeyOf(ctx); j.body != nil {
		return *j.body, nil
	}
	return io.ReadAll(req.GetStream())
}

// sameCredentials tells that two say the same to the service.
func sameCredentials(a, b *aws.Credentials) bool {
	return a.AccessKeyID == b.AccessKeyID && a.SecretAccessKey == b.SecretAccessKey && a.SessionToken == b.SessionToken && a.AccountID == b.AccountID
}
