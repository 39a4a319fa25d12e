package kinesisapi

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

// Name says which stream: what the user wrote, parsed.
type Name struct {
	// Stream is the stream's name.
	Stream string
	// ARN is the stream's ARN where the user gave one, else empty.
	ARN string
	// Region is the ARN's region, else empty.
	Region string
}

// ParseName reads the stream argument: a name or an ARN.
//
// Names: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_CreateStream.html
// (1 to 128 of [a-zA-Z0-9_.-]).
func ParseName(arg string) (Name, error) {
	switch scheme, _, isURL := strings.Cut(arg, "://"); {
	case arg == "":
		return Name{}, withLink("stream-name", "stream argument is empty: want a stream's name or its ARN")
	case isURL:
		return Name{}, withLink("stream-name", "stream %q: no adapter is registered for %q: want a Kinesis stream's name or its ARN",
			clip(arg), scheme+"://")
	case strings.HasPrefix(arg, "arn:"):
		return parseStreamARN(arg)
	}
	if err := CheckName(arg); err != nil {
		return Name{}, withLink("stream-name", "stream %q: %v", clip(arg), err)
	}
	return Name{Stream: arg}, nil
}

func parseStreamARN(arg string) (Name, error) {
	const want = "want arn:aws:kinesis:REGION:ACCOUNT:stream/NAME"
	a, err := arn.Parse(arg)
	if err != nil || a.Service != "kinesis" || a.Region == "" || a.AccountID == "" {
		return Name{}, withLink("stream-name", "stream %q: not the ARN of a Kinesis stream: %s", clip(arg), want)
	}
	kind, name, _ := strings.Cut(a.Resource, "/")
	if kind != "stream" {
		return Name{}, withLink("stream-name", "stream %q: an ARN of a %q, not of a stream: %s", clip(arg), clip(kind), want)
	}
	if stream, _, isConsumer := strings.Cut(name, "/consumer/"); isConsumer {
		return Name{}, withLink("stream-name", "stream %q: the ARN of a fan-out consumer of stream %q: give it as the group, and its stream as the first argument",
			clip(arg), stream)
	}
	if err := CheckName(name); err != nil {
		return Name{}, withLink("stream-name", "stream %q: %v: %s", clip(arg), err, want)
	}
	return Name{Stream: name, ARN: arg, Region: a.Region}, nil
}

// Group is what the group argument of a consumer says.
type Group struct {
	// Name is the group's name.
	Name string
	// ConsumerARN is set when the argument was the ARN of a registered fan-out
	// consumer, whose name then is the group's.
	ConsumerARN string
}

// ParseGroup reads the group argument of a consumer of the stream: a name of 1
// to 128 characters out of [a-zA-Z0-9_.-] (the rule for fan-out consumers'
// names, so that every group can become one), or such a consumer's ARN, whose
// stream must be the given one.
//
// ARNs: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_Consumer.html
func ParseGroup(arg string, stream Name) (Group, error) {
	if !strings.HasPrefix(arg, "arn:") {
		if arg == "" {
			return Group{}, withLink("group-name", "group argument is empty: want a name of your choice, or a fan-out consumer's ARN")
		}
		if err := CheckName(arg); err != nil {
			return Group{}, withLink("group-name", "group %q: %v", clip(arg), err)
		}
		return Group{Name: arg}, nil
	}
	const want = "want arn:aws:kinesis:REGION:ACCOUNT:stream/STREAM/consumer/NAME:CREATED"
	a, err := arn.Parse(arg)
	if err != nil || a.Service != "kinesis" || !strings.HasPrefix(a.Resource, "stream/") {
		return Group{}, withLink("group-name", "group %q: not the ARN of a fan-out consumer: %s", clip(arg), want)
	}
	of, rest, ok := strings.Cut(strings.TrimPrefix(a.Resource, "stream/"), "/consumer/")
	name, created, ok2 := strings.Cut(rest, ":")
	if !ok || !ok2 || created == "" || strings.Trim(created, "0123456789") != "" || CheckName(name) != nil || CheckName(of) != nil {
		return Group{}, withLink("group-name", "group %q: not the ARN of a fan-out consumer: %s", clip(arg), want)
	}
	whole, _, _ := strings.Cut(arg, "/consumer/")
	if of != stream.Stream || stream.ARN != "" && whole != stream.ARN {
		return Group{}, withLink("group-name", "group %q: a fan-out consumer of stream %q, but the stream argument is %q", clip(arg), of, stream.String())
	}
	return Group{Name: name, ConsumerARN: arg}, nil
}

// CheckName checks the name of a stream, a group or a fan-out consumer: they
// share one rule.
func CheckName(s string) error {
	if s == "" || len(s) > 128 {
		return fmt.Errorf("name has %d characters: want 1 to 128", len(s))
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '.', c == '-':
		default:
			return fmt.Errorf("name holds %q: want letters, digits, '_', '.' and '-' only", s[i:i+1])
		}
	}
	return nil
}

// String is what the user wrote: the ARN where there is one, else the name.
func (n Name) String() string {
	if n.ARN != "" {
		return n.ARN
	}
	return n.Stream
}

// Ref are the two members by which requests name the stream: the ARN alone
// where known, since it also serves streams of other accounts.
func (n Name) Ref() (streamName, streamARN *string) {
	if n.ARN != "" {
		return nil, aws.String(n.ARN)
	}
	return aws.String(n.Stream), nil
}

func clip(s string) string {
	if len(s) > 160 {
		return s[:160] + "..."
	}
	return s
}
