package kinesisapi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/libvegas/vegas/internal/wire"
)

// protocol writes PutRecords requests and reads answers to these and to GetRecords
// itself, in memory that is used again. The SDK's serializer grows its buffer by
// doubling and copies it at the end, which was nine tenths of what a producer
// allocated; so does its deserializer with an answer, and makes three copies of each
// payload, which was seven eighths of what a consumer allocated. All else is the
// SDK's protocol, and whatever package wire leaves to it.
type protocol struct{ guarded }

// newProtocol takes over where the client speaks the protocol that package wire
// knows, AWS JSON 1.1.
func newProtocol(p smithyhttp.ClientProtocol) smithyhttp.ClientProtocol {
	if p == nil {
		return nil
	}
	if p.ID() != (smithy.ShapeID{Namespace: "aws.protocols", Name: "awsJson1_1"}) {
		return guarded{p}
	}
	return protocol{guarded{p}}
}

const contentType = "application/x-amz-json-1.1"

func (p protocol) SerializeRequest(ctx context.Context, schema *smithy.OperationSchema, in smithy.Serializable, req *smithyhttp.Request) error {
	put, ok := in.(*kinesis.PutRecordsInput)
	j := journeyOf(ctx)
	if !ok || j == nil || put.DryRun != nil || put.StreamId != nil {
		return p.ClientProtocol.SerializeRequest(ctx, schema, in, req)
	}
	if j.body == nil {
		j.body = bodies.Get().(*[]byte)
		*j.body = wire.AppendPutRecords((*j.body)[:0], put)
	}
	req.Method = http.MethodPost
	if req.URL.Path == "" {
		req.URL.Path = "/"
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("X-Amz-Target", "Kinesis_20131202.PutRecords")
	out, err := req.SetStream(bytes.NewReader(*j.body))
	if err != nil {
		return fmt.Errorf("set stream: %w", err)
	}
	*req = *out
	return nil
}

// DeserializeResponse leaves an answer that package wire knows with the call's
// journey, and what the SDK would give back empty, unless the SDK has to decode it.
func (p protocol) DeserializeResponse(ctx context.Context, schema *smithy.OperationSchema, types *smithy.TypeRegistry, resp *smithyhttp.Response, out smithy.Deserializable) error {
	j := journeyOf(ctx)
	if !known(out) || j == nil || !succeeded(resp.Response) {
		return p.guarded.DeserializeResponse(ctx, schema, types, resp, out)
	}
	d := answers.take()
	defer answers.giveBack(d)
	if err := d.read(resp.Body, resp.ContentLength); err != nil {
		return &smithy.DeserializationError{Err: err}
	}
	if d.understand(j, resp.Header, out) {
		return nil
	}
	// The SDK copies what it keeps, too.
	resp.Body = &other{bytes.NewReader(d.body), resp.Body}
	return p.guarded.DeserializeResponse(ctx, schema, types, resp, out)
}

// known tells that understand knows the answers of a call.
func known(out smithy.Deserializable) bool {
	switch out.(type) {
	case *kinesis.GetRecordsOutput, *kinesis.PutRecordsOutput:
		return true
	}
	return false
}

// understand leaves the answer on the desk with its call's journey; false: leave it
// to the SDK.
func (d *desk) understand(j *journey, header http.Header, out smithy.Deserializable) (ok bool) {
	if media, _, _ := strings.Cut(header.Get("Content-Type"), ";"); media != contentType {
		return false
	}
	switch out.(type) {
	case *kinesis.GetRecordsOutput:
		j.answer, ok = d.GetRecords(d.body)
	case *kinesis.PutRecordsOutput:
		j.put, ok = d.PutRecords(d.body)
	}
	return ok
}

// other is another reader of a body. Closing it closes the body.
type other struct {
	io.Reader
	io.Closer
}
