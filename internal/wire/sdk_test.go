package wire

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/schemas"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// sdk is the SDK's codec.
var sdk = kinesis.New(kinesis.Options{Region: "us-east-1"}).Options().Protocol

// guarded turns the SDK's panics into errors: it has one for a time of "NaN".
func guarded(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return do()
}

func sdkGetRecords(body []byte) (*Answer, error) {
	var out kinesis.GetRecordsOutput
	err := sdkDecode(body, smithy.NewOperationSchema(schemas.GetRecords, schemas.GetRecordsInput, schemas.GetRecordsOutput), &out)
	return OfGetRecords(&out), err
}

func sdkPutRecords(body []byte) (*PutAnswer, error) {
	var out kinesis.PutRecordsOutput
	err := sdkDecode(body, smithy.NewOperationSchema(schemas.PutRecords, schemas.PutRecordsInput, schemas.PutRecordsOutput), &out)
	return OfPutRecords(&out), err
}

func sdkDecode(body []byte, schema *smithy.OperationSchema, out smithy.Deserializable) error {
	return guarded(func() error {
		return sdk.DeserializeResponse(context.Background(), schema, kinesis.TypeRegistry,
			&smithyhttp.Response{Response: &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(body))}}, out)
	})
}

func sdkEvent(frame []byte) (*Answer, error) {
	var event smithy.Deserializable
	// A codec of its own: the SDK's keeps one buffer.
	protocol := kinesis.New(kinesis.Options{Region: "us-east-1"}).Options().Protocol
	err := guarded(func() (err error) {
		event, err = protocol.DeserializeEventMessage(schemas.SubscribeToShardEventStream, kinesis.TypeRegistry, bytes.NewReader(frame))
		return err
	})
	if err != nil {
		return nil, err
	}
	e, ok := event.(*types.SubscribeToShardEvent)
	if !ok {
		return nil, fmt.Errorf("a %T", event)
	}
	return OfEvent(e), nil
}

// same compares what was decoded here with what the SDK makes of the same bytes.
func same(t *testing.T, what []byte, ours, theirs *Answer, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%q: decoded, and refused by the SDK: %v", what, err)
	}
	theirs.Fallback = false
	// Nobody tells a list without entries from none.
	for _, a := range []*Answer{ours, theirs} {
		if len(a.Records) == 0 {
			a.Records = nil
		}
		if len(a.Children) == 0 {
			a.Children = nil
		}
		for i := range a.Children {
			if len(a.Children[i].Parents) == 0 {
				a.Children[i].Parents = nil
			}
		}
	}
	if !reflect.DeepEqual(ours, theirs) {
		t.Fatalf("%q:\nours   %+v\ntheirs %+v", what, ours, theirs)
	}
}
