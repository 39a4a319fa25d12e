// Package kinesisapi is vegas' way to Amazon Kinesis: the client of
// aws-sdk-go-v2, made when first used, with a shared connection pool, without
// the SDK's retries on the data plane (their outcomes would be lost), and with
// errors that say what a failure means for what was sent and what a person can
// do about it.
package kinesisapi

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/schemas"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Options say how to reach the service.
type Options struct {
	// AWS is the configuration to use; the zero value is the SDK's default one
	// (environment, shared files, roles), loaded at the first call.
	AWS aws.Config
	// Kinesis overrides AWS: calls go out by this client's options.
	Kinesis *kinesis.Client
}

// Client makes the calls of one stream. It is safe for use by many goroutines.
type Client struct {
	name Name
	opts Options

	worked atomic.Bool // an answer of the service came back at least once

	put, get, iterator way

	mu     sync.Mutex
	data   *kinesis.Client // without retries
	ctl    *kinesis.Client // with the SDK's retries
	pool   *pool
	closed bool
}

// New makes a client and does no I/O. Close releases its connections.
func New(name Name, o Options) *Client {
	return &Client{
		name: name, opts: o,
		put:      way{schema: smithy.NewOperationSchema(schemas.PutRecords, schemas.PutRecordsInput, schemas.PutRecordsOutput)},
		get:      way{schema: smithy.NewOperationSchema(schemas.GetRecords, schemas.GetRecordsInput, schemas.GetRecordsOutput)},
		iterator: way{schema: smithy.NewOperationSchema(schemas.GetShardIterator, schemas.GetShardIteratorInput, schemas.GetShardIteratorOutput)},
	}
}

// Name is the stream.
func (c *Client) Name() Name { return c.name }

// Close gives the connection pool back; pools that nobody uses any more close
// their idle connections. The client can not be used afterwards.
func (c *Client) Close() {
	c.mu.Lock()
	p := c.pool
	c.pool, c.closed = nil, true
	c.mu.Unlock()
	if p != nil {
		p.release()
	}
}

// Open loads the configuration if that has not happened yet, and tells what is
// missing in it. All calls do so by themselves.
func (c *Client) Open(ctx context.Context) error {
	_, _, err := c.open(ctx)
	return err
}

func (c *Client) open(ctx context.Context) (data, ctl *kinesis.Client, err error) {
	c.mu.Lock()
	data, ctl, closed := c.data, c.ctl, c.closed
	c.mu.Unlock()
	if closed {
		return nil, nil, c.fail("open client", "", Fatal, "", "", errClosed)
	}
	if data != nil {
		return data, ctl, nil
	}
	// Two callers may do this at once; the first to finish wins. No lock is
	// held meanwhile: loading can wait for files and the network.
	o, p, err := c.resolve(ctx)
	if err != nil {
		return nil, nil, err
	}
	http := o.HTTPClient
	o.HTTPClient = &carrier{next: http}
	// kinesis.New always puts the SDK's own protocol in.
	keep := func(protocol smithyhttp.ClientProtocol) func(*kinesis.Options) {
		return func(o *kinesis.Options) { o.Protocol = protocol }
	}(newProtocol(o.Protocol))
	ctl = kinesis.New(o, keep)
	o.Retryer, o.RetryMaxAttempts = aws.NopRetryer{}, 0
	data = kinesis.New(o, keep)

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.data == nil && !c.closed {
		c.data, c.ctl, c.pool = data, ctl, p
		if o := data.Options(); plain(&o) {
			s := newShortcut(&o, http)
			for _, w := range []*way{&c.put, &c.get, &c.iterator} {
				w.shortcut.Store(s)
			}
		}
	} else if p != nil {
		defer p.release()
	}
	if c.closed {
		return nil, nil, c.fail("open client", "", Fatal, "", "", errClosed)
	}
	return c.data, c.ctl, nil
}

// resolve makes the options of the SDK's client.
func (c *Client) resolve(ctx context.Context) (o kinesis.Options, p *pool, err error) {
	if c.opts.Kinesis != nil {
		o = c.opts.Kinesis.Options()
		return o, nil, c.check(&o)
	}
	cfg := c.opts.AWS
	var key any = cfg.HTTPClient
	if reflect.ValueOf(cfg).IsZero() {
		cfg, err = config.LoadDefaultConfig(ctx)
		if err != nil {
			return o, nil, c.fail("load AWS configuration", "", Fatal, "no-credentials",
				"check AWS_PROFILE, AWS_CONFIG_FILE and what they name", err)
		}
		key = defaultConfig{}
	}
	cfg.HTTPClient, p = shared(key, cfg.HTTPClient)
	o = kinesis.NewFromConfig(cfg).Options()
	if err := c.check(&o); err != nil {
		if p != nil {
			p.release()
		}
		return o, nil, err
	}
	return o, p, nil
}

// check completes the region and reports what is missing.
func (c *Client) check(o *kinesis.Options) error {
	custom := o.BaseEndpoint != nil && *o.BaseEndpoint != ""
	switch {
	case c.name.Region != "" && !custom:
		o.Region = c.name.Region // an ARN names its region
	case o.Region == "" && custom:
		// LocalStack's set-up: an endpoint alone. The region only takes part
		// in the signature, which such servers do not check.
		o.Region = "us-east-1"
	case o.Region == "":
		return c.fail("open client", "", Fatal, "no-region", "set AWS_REGION, or o.AWS.Region", errNoRegion)
	}
	if o.Credentials == nil && c.opts.Kinesis == nil {
		return c.fail("open client", "", Fatal, "no-credentials",
			"set o.AWS.Credentials, or leave o.AWS alone to use the SDK's default chain", errNoCredentials)
	}
	return nil
}

// fail makes an error about something before any call.
func (c *Client) fail(op, action string, class Class, link, remedy string, err error) error {
	return &Error{Op: op, Action: action, Stream: c.name.Stream, Class: class, Err: err, link: link, remedy: remedy}
}

// ErrEmptyAnswer is for a success that brought nothing.
var ErrEmptyAnswer = errors.New("the answer lacks what was asked for")

var (
	errClosed        = errors.New("closed")
	errNoRegion      = errors.New("no region is configured")
	errNoCredentials = errors.New("o.AWS holds no credentials")
	errLoopingPages  = errors.New("the server gives the same NextToken again and again")
	errWrongCount    = errors.New("the answer has another number of results than the request had entries")
)

// call runs one call and judges its failure.
func call[T any](ctx context.Context, c *Client, op, action, shard string, do func(context.Context) (T, error)) (T, error) {
	ctx, j := withJourney(ctx)
	out, err := do(ctx)
	if err == nil {
		c.worked.Store(true)
		if j.body != nil {
			// The service answered to all of it, so all of it was written:
			// nobody reads the memory any more. After a failure somebody might.
			bodies.Put(j.body)
		}
		return out, nil
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return out, err // from open
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok && j.answered.Load() {
		if _, known := byCode(api.ErrorCode(), ""); known {
			c.worked.Store(true)
		}
	}
	v := classify(err, j.sent(), c.worked.Load())
	return out, &Error{Op: op, Action: "kinesis:" + action, Stream: c.name.Stream, Shard: shard,
		Class: v.class, Err: err, link: v.link, remedy: v.remedy}
}
