package kinesisapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// guarded is a protocol of the SDK whose decoder cannot end the process, whatever a
// broken server says (smithy-go 1.28.9). It panics at a time of "NaN"
// (time.ParseEpochSeconds), for events in a goroutine of the SDK's own, and calls
// itself for each member that it does not know (json, ReadStructMember), until there
// is no stack left, which nothing recovers from.
type guarded struct{ smithyhttp.ClientProtocol }

func (g guarded) DeserializeResponse(ctx context.Context, schema *smithy.OperationSchema, types *smithy.TypeRegistry, resp *smithyhttp.Response, out smithy.Deserializable) (err error) {
	defer caught(&err)
	if resp.StatusCode > 299 || !schema.IsOutputEventStream() { // which would be left unread
		resp.Body = &other{&sane{Reader: resp.Body}, resp.Body}
	}
	return g.ClientProtocol.DeserializeResponse(ctx, schema, types, resp, out)
}

func (g guarded) DeserializeInitialResponse(schema *smithy.Schema, r io.Reader, out smithy.Deserializable) (err error) {
	defer caught(&err)
	return g.ClientProtocol.DeserializeInitialResponse(schema, &sane{Reader: r}, out)
}

func (g guarded) DeserializeEventMessage(schema *smithy.Schema, types *smithy.TypeRegistry, r io.Reader) (_ smithy.Deserializable, err error) {
	defer caught(&err)
	return g.ClientProtocol.DeserializeEventMessage(schema, types, &sane{Reader: r})
}

// caught makes a panic the error; it is to be deferred.
func caught(err *error) {
	if p := recover(); p != nil {
		*err = &smithy.DeserializationError{Err: fmt.Errorf("the AWS SDK's decoder panicked: %v", p)}
	}
}

// sane reads what has no more members than the SDK's decoder has stack for. Each of
// them takes a colon and some 250 bytes of stack, which ends at 512 MiB; on 32-bit
// platforms more than 128 bytes, and it ends at 128 MiB.
type sane struct {
	io.Reader
	members int
}

// membersRead is some seven times what 10,000 records have.
const membersRead = 1 << 19

var errMembers = errors.New("the answer has more members than any of the service's")

func (s *sane) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if s.members += bytes.Count(p[:n], []byte{':'}); s.members > membersRead {
		return n, errMembers
	}
	return n, err
}
