package kinesisapi

import (
	"errors"
	"fmt"
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
	if e.remedy != "" {
		b.WriteString(": " + e.remedy)
		if e.link == "access-denied" && e.Action != "" {
			b.WriteString(" (" + e.Action + ")")
		}
	}
	if e.link != "" {
		b.WriteString(" " + see(e.link))
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// brief is the SDK's error without its layers: the service's code and words,
// and the request's id to show to AWS support.
func brief(err error) string {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		if op, ok := errors.AsType[*smithy.OperationError](err); ok {
			return op.Err.Error()
		}
		return err.Error()
	}
	s := api.ErrorCode()
	if m := api.ErrorMessage(); m != "" {
		s += ": " + m
	}
	if r, ok := errors.AsType[*awshttp.ResponseError](err); ok && r.RequestID != "" {
		s += " (request " + r.RequestID + ")"
	}
	return s
}

// see is the reference that ends errors a user can meet.
func see(word string) string { return "(see docs/troubleshooting.md#" + word + ")" }

// withLink makes an error about an argument.
func withLink(word, format string, args ...any) error {
	return fmt.Errorf(format+" "+see(word), args...)
}
