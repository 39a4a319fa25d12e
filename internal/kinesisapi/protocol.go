package kinesisapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// putProtocol writes PutRecords requests itself, into memory that is used
// again: the SDK's serializer grows its buffer by doubling and copies it at the
// end, which was nine tenths of what a producer allocated. All else is the
// SDK's protocol.
type putProtocol struct{ smithyhttp.ClientProtocol }

// bodies are buffers of requests whose calls have succeeded.
var bodies = sync.Pool{New: func() any { return new([]byte) }}

// newProtocol takes over PutRecords where the client speaks the protocol that
// putProtocol knows, AWS JSON 1.1.
func newProtocol(p smithyhttp.ClientProtocol) smithyhttp.ClientProtocol {
	if p == nil || p.ID() != (smithy.ShapeID{Namespace: "aws.protocols", Name: "awsJson1_1"}) {
		return p
	}
	return putProtocol{p}
}

func (p putProtocol) SerializeRequest(ctx context.Context, schema *smithy.OperationSchema, in smithy.Serializable, req *smithyhttp.Request) error {
	put, ok := in.(*kinesis.PutRecordsInput)
	j, traced := ctx.Value(journeyKey{}).(*journey)
	if !ok || !traced || put.DryRun != nil || put.StreamId != nil {
		return p.ClientProtocol.SerializeRequest(ctx, schema, in, req)
	}
	buf := bodies.Get().(*[]byte)
	var err error
	if *buf, err = appendPutRecords((*buf)[:0], put); err != nil {
		return err
	}
	j.body = buf
	req.Method = http.MethodPost
	if req.URL.Path == "" {
		req.URL.Path = "/"
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "Kinesis_20131202.PutRecords")
	out, err := req.SetStream(bytes.NewReader(*buf))
	if err != nil {
		return fmt.Errorf("set stream: %w", err)
	}
	*req = *out
	return nil
}

// appendPutRecords appends the request in AWS JSON 1.1.
// https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
func appendPutRecords(b []byte, in *kinesis.PutRecordsInput) ([]byte, error) {
	size := 256
	for i := range in.Records {
		size += base64.StdEncoding.EncodedLen(len(in.Records[i].Data)) + 128
	}
	b = slices.Grow(b, size)
	b = append(b, `{"Records":[`...)
	var err error
	for i := range in.Records {
		r := &in.Records[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"Data":"`...)
		b = base64.StdEncoding.AppendEncode(b, r.Data)
		b = append(b, '"')
		if r.ExplicitHashKey != nil {
			if b, err = appendMember(b, "ExplicitHashKey", *r.ExplicitHashKey); err != nil {
				return b, err
			}
		}
		if r.PartitionKey != nil {
			if b, err = appendMember(b, "PartitionKey", *r.PartitionKey); err != nil {
				return b, err
			}
		}
		b = append(b, '}')
	}
	b = append(b, ']')
	if in.StreamARN != nil {
		if b, err = appendMember(b, "StreamARN", *in.StreamARN); err != nil {
			return b, err
		}
	}
	if in.StreamName != nil {
		if b, err = appendMember(b, "StreamName", *in.StreamName); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}

func appendMember(b []byte, name, value string) ([]byte, error) {
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":`...)
	for i := range len(value) {
		if c := value[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			text, err := json.Marshal(value)
			return append(b, text...), err
		}
	}
	b = append(b, '"')
	b = append(b, value...)
	return append(b, '"'), nil
}
