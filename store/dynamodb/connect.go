package dynamodb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// place is what separated stores share: which table, how it is reached, and what
// is known about it.
type place struct {
	opts  Options
	turn  chan struct{}               // held by whoever connects or looks at the table
	found atomic.Pointer[sdk.Options] // once resolved
	ready atomic.Bool                 // the table can be used
	arn   atomic.Pointer[string]      // once described
}

// line is one store's way to the service.
type line struct {
	client *sdk.Client
	pool   *http.Client // its own connections; nil: the caller's
	closed atomic.Bool
}

// close closes connections that nobody uses; a call that is under way does the
// same when it ends.
func (l *line) close() {
	l.closed.Store(true)
	l.drop()
}

func (l *line) drop() {
	if l.pool != nil {
		l.pool.CloseIdleConnections()
	}
}

// tableName is a table's name, or its ARN.
var tableName = regexp.MustCompile(`^(?:[a-zA-Z0-9_.-]{3,255}|arn:[^:]+:dynamodb:([a-z0-9-]+):\d+:table/[a-zA-Z0-9_.-]{3,255})$`)

var (
	errNoRegion      = errors.New("no region is configured")
	errNoCredentials = errors.New("the AWS configuration holds no credentials")
)

// connect makes a line. The configuration is loaded once for all lines.
func (p *place) connect(ctx context.Context) (*line, error) {
	found := p.found.Load()
	if found == nil {
		o, err := p.resolve(ctx)
		if err != nil {
			return nil, err
		}
		found = &o
		p.found.Store(found)
	}
	o := found.Copy()
	l := &line{}
	if builder, ok := o.HTTPClient.(*awshttp.BuildableClient); ok {
		l.pool = &http.Client{
			Transport: builder.GetTransport(), // a copy
			Timeout:   builder.GetTimeout(),
			// DynamoDB does not redirect; what does is not DynamoDB.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		o.HTTPClient = l.pool
	}
	o.HTTPClient = carrier{o.HTTPClient}
	// The SDK's retries would hide that an attempt may have been applied.
	o.Retryer, o.RetryMaxAttempts = aws.NopRetryer{}, 0
	l.client = sdk.New(o)
	return l, nil
}

// resolve loads the configuration and tells what is missing in it.
func (p *place) resolve(ctx context.Context) (o sdk.Options, err error) {
	parts := tableName.FindStringSubmatch(p.opts.Table)
	if parts == nil {
		return o, fmt.Errorf("dynamodb store: %q names no table: 3 to 255 letters, digits, '_', '.' and '-', or arn:aws:dynamodb:REGION:ACCOUNT:table/NAME (see docs/troubleshooting.md#store-table)", p.opts.Table)
	}
	switch cfg := p.opts.AWS; {
	case p.opts.Client != nil:
		o = p.opts.Client.Options()
	case reflect.ValueOf(cfg).IsZero():
		cfg, err = config.LoadDefaultConfig(ctx)
		if err != nil {
			return o, fmt.Errorf("dynamodb store: load AWS configuration: %w: check AWS_PROFILE, AWS_CONFIG_FILE and what they name (see docs/troubleshooting.md#no-credentials)", err)
		}
		o = sdk.NewFromConfig(cfg).Options()
	default:
		o = sdk.NewFromConfig(cfg).Options()
	}
	custom := aws.ToString(o.BaseEndpoint) != ""
	switch {
	case parts[1] != "" && !custom:
		o.Region = parts[1] // an ARN names its region
	case o.Region == "" && custom:
		o.Region = "us-east-1" // only signed with; servers of one's own do not check
	case o.Region == "":
		return o, fmt.Errorf("dynamodb store: table %q: %w: set AWS_REGION (see docs/troubleshooting.md#no-region)", p.opts.Table, errNoRegion)
	}
	// Now, and as long as the caller has time: single attempts do not wait for a
	// slow provider.
	if o.Credentials == nil {
		err = errNoCredentials
	} else {
		_, err = o.Credentials.Retrieve(ctx)
	}
	if err != nil && p.opts.Client == nil {
		if ctx.Err() != nil {
			return o, fmt.Errorf("dynamodb store: load AWS credentials: %w", ctx.Err())
		}
		return o, fmt.Errorf("dynamodb store: table %q: %s: "+whereKeysAre+" (see docs/troubleshooting.md#no-credentials)", p.opts.Table, brief(err))
	}
	return o, nil
}

const whereKeysAre = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role"

// where names the table in errors and logs.
func (p *place) where() string {
	s := fmt.Sprintf("table %q", p.opts.Table)
	o := p.found.Load()
	switch {
	case o == nil:
	case aws.ToString(o.BaseEndpoint) != "":
		s += " at " + *o.BaseEndpoint
	case !strings.HasPrefix(p.opts.Table, "arn:"):
		s += " in " + o.Region
	}
	return s
}

// carrier gives requests a body that net/http knows to be in memory: it can start
// over on a connection that turns out to be closed, and it is not misled by the
// WriteTo of the SDK's body, which answers io.EOF when the SDK has closed it
// (smithy-go 1.28.9, transport/http/internal/io/safe.go), upon which HTTP/1.1
// connections break in the middle of a good answer.
type carrier struct{ next aws.HTTPClient }

func (c carrier) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		_ = r.Body.Close()
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
		r.Body, _ = r.GetBody()
	}
	return c.next.Do(r)
}
