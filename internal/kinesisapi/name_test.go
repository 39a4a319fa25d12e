package kinesisapi

import (
	"strings"
	"testing"
)

func TestParseName(t *testing.T) {
	const arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders"
	for arg, want := range map[string]Name{
		"orders":                 {Stream: "orders"},
		"a.b-c_D9":               {Stream: "a.b-c_D9"},
		strings.Repeat("x", 128): {Stream: strings.Repeat("x", 128)},
		arn:                      {Stream: "orders", ARN: arn, Region: "eu-west-1"},
		"arn:aws-cn:kinesis:cn-north-1:123456789012:stream/s": {Stream: "s", ARN: "arn:aws-cn:kinesis:cn-north-1:123456789012:stream/s", Region: "cn-north-1"},
	} {
		got, err := ParseName(arg)
		if err != nil || got != want {
			t.Errorf("%q: got %+v, %v", arg, got, err)
		}
	}
}

func TestBadStreamArgumentsNameThingAndRemedy(t *testing.T) {
	for arg, want := range map[string]string{
		"":                       "empty",
		"my stream":              `" "`,
		"größe":                  "want letters",
		strings.Repeat("x", 129): "129 characters",
		"kafka://broker/topic":   `no adapter is registered for "kafka://"`,
		"arn:aws:sqs:eu-west-1:123456789012:orders":                                      "not the ARN of a Kinesis stream",
		"arn:aws:kinesis:eu-west-1:123456789012:stream/":                                 "want 1 to 128",
		"arn:aws:kinesis:eu-west-1:123456789012:stream/orders/consumer/billing:17000000": "give it as the group",
		"arn:aws:kinesis": "not the ARN",
	} {
		_, err := ParseName(arg)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "docs/troubleshooting.md#stream-name") {
			t.Errorf("%q: got %v, want %q and the link", arg, err, want)
		}
	}
}

func TestParseGroup(t *testing.T) {
	const (
		stream   = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders"
		consumer = stream + "/consumer/billing:1700000000"
	)
	for _, c := range []struct {
		arg    string
		stream Name
		want   Group
		err    string
	}{
		{"billing", Name{Stream: "orders"}, Group{Name: "billing"}, ""},
		{consumer, Name{Stream: "orders"}, Group{"billing", consumer}, ""},
		{consumer, Name{Stream: "orders", ARN: stream}, Group{"billing", consumer}, ""},
		{consumer, Name{Stream: "returns"}, Group{}, `of stream "orders", but the stream argument is "returns"`},
		{consumer, Name{Stream: "orders", ARN: strings.Replace(stream, "eu", "us", 1)}, Group{}, "but the stream argument"},
		{stream, Name{Stream: "orders"}, Group{}, "not the ARN of a fan-out consumer"},
		{"", Name{Stream: "orders"}, Group{}, "empty"},
		{"a b", Name{Stream: "orders"}, Group{}, `" "`},
	} {
		got, err := ParseGroup(c.arg, c.stream)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: got %+v, %v", c.arg, got, err)
		}
	}
}
