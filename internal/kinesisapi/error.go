package kinesisapi

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
)

// Error is a failed call: what was tried, on which stream, why it failed, and
// what a person can do about it. It wraps the SDK's error.
type Error struct {
	Op     string // in words: "put records"
	Action string // the IAM action, "kinesis:PutRecords"; empty: none
	Stream string
	Shard  string // empty: not about one shard
	Class  Class
	Err    error

	link, remedy string
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Stream != "" {
		fmt.Fprintf(&b, ": stream %q", e.Stream)
	}
	if e.Shard != "" {
		b.WriteString(" " + e.Shard)
	}
	b.WriteString(": " + brief(e.Err))
	if r := e.Remedy(); r != "" {
		b.WriteString(": " + r)
	}
	if e.link != "" {
		b.WriteString(" " + see(e.link))
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Remedy is what a person can do about it; Error's text has it too.
func (e *Error) Remedy() string {
	if e.remedy != "" && e.link == "access-denied" && e.Action != "" {
		return e.remedy + " (" + e.Action + ")"
	}
	return e.remedy
}

// brief is the SDK's error without its layers: the service's code and words,
// and the request's id to show to AWS support; where the service did not speak,
// what came in its place.
func brief(err error) string {
	answer, answered := errors.AsType[*awshttp.ResponseError](err)
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		s := api.ErrorCode()
		if s == "UnknownError" && answered { // the SDK's word for an answer without a code
			s = fmt.Sprintf("HTTP status %d", answer.HTTPStatusCode())
		}
		if m := api.ErrorMessage(); m != "" && m != api.ErrorCode() {
			s += ": " + m
		}
		if answered && answer.RequestID != "" {
			s += " (request " + answer.RequestID + ")"
		}
		return s
	}
	if sent, ok := errors.AsType[*url.Error](err); ok {
		return sent.Error()
	}
	if odd, ok := errors.AsType[*smithy.DeserializationError](err); ok && answered {
		return fmt.Sprintf("HTTP status %d with an answer that does not decode: %v", answer.HTTPStatusCode(), odd.Err)
	}
	if op, ok := errors.AsType[*smithy.OperationError](err); ok {
		err = op.Err
	}
	text := err.Error()
	if strings.Contains(text, "no EC2 IMDS role found") {
		// The chain's last provider speaks for all that were tried before it.
		return "no credentials were found in the environment, in ~/.aws or in a role of this machine"
	}
	// Layers that only say that a call was a call.
	for _, layer := range []string{"get identity: ", "get credentials: ", "failed to refresh cached credentials, "} {
		text = strings.TrimPrefix(text, layer)
	}
	return text
}

// see is the reference that ends errors a user can meet.
func see(word string) string { return "(see docs/troubleshooting.md#" + word + ")" }

// withLink makes an error about an argument.
func withLink(word, format string, args ...any) error {
	return fmt.Errorf(format+" "+see(word), args...)
}
