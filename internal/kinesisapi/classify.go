package kinesisapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Class is what a failed call means for what it carried, and for the next one.
type Class uint8

const (
	// Unknown: the service may have applied the call, or may still do so.
	Unknown Class = iota
	// Throttled: not applied, for a rate was exceeded; succeeds later.
	Throttled
	// Retry: not applied; succeeds later without anybody's doing.
	Retry
	// Refused: not applied, because of something in this very request;
	// another one can succeed.
	Refused
	// Fatal: not applied, and no call will be until somebody changes
	// something.
	Fatal
)

func (c Class) String() string {
	switch c {
	case Throttled:
		return "throttled"
	case Retry:
		return "not applied"
	case Refused:
		return "refused"
	case Fatal:
		return "fatal"
	}
	return "unknown"
}

// Classify tells the class of an error of this package or of the SDK. An error
// of this package carries more knowledge (whether anything was sent); prefer
// to hand those in.
func Classify(err error) Class {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return classify(err, true, true).class
}

// NotFound tells that the stream, or the consumer asked for, does not exist.
func NotFound(err error) bool { return code(err) == "ResourceNotFoundException" }

// Expired tells that a shard iterator is too old: ask for a new one.
func Expired(err error) bool { return code(err) == "ExpiredIteratorException" }

// InUse tells that the resource is busy: a stream that is being changed, or a
// subscription that came too soon after the last.
func InUse(err error) bool { return code(err) == "ResourceInUseException" }

// Invalid tells that an argument was refused.
func Invalid(err error) bool {
	c := code(err)
	return c == "InvalidArgumentException" || c == "ValidationException"
}

func code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

// verdict is what a failed call means and what a person can do about it.
type verdict struct {
	class  Class
	link   string // word in docs/troubleshooting.md; empty: none
	remedy string
}

// classify judges an error of the SDK. sent tells that the request was handed
// to a connection; worked that an earlier call of this client got an answer
// from the service, so that set-up mistakes are unlikely.
//
// Error codes: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
// and .../CommonErrors.html.
func classify(err error, sent, worked bool) verdict {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		if v, known := byCode(api.ErrorCode(), api.ErrorMessage()); known {
			return v
		}
		return byStatus(err)
	}
	if v, known := byTransport(err, sent); known {
		return v
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		if sent {
			return verdict{class: Unknown}
		}
		return verdict{class: Retry}
	}
	if errors.Is(err, ErrEmptyAnswer) || errors.Is(err, errLoopingPages) {
		return verdict{Unknown, "not-kinesis", checkEndpoint}
	}
	if sent {
		// An answer that does not decode, a broken connection.
		return byStatus(err)
	}
	if strings.Contains(err.Error(), "credential") || strings.Contains(err.Error(), "get identity") {
		v := verdict{class: Fatal, link: "no-credentials",
			remedy: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role"}
		if worked {
			v.class = Retry // a provider that could not renew them just now
		}
		return v
	}
	if strings.Contains(err.Error(), "egion") && strings.Contains(err.Error(), "issing") {
		return verdict{class: Fatal, link: "no-region", remedy: "set AWS_REGION"}
	}
	if strings.Contains(err.Error(), "resolve service endpoint") {
		return verdict{Fatal, "not-kinesis", "write AWS_ENDPOINT_URL as http://HOST:PORT or https://HOST"}
	}
	if _, ok := errors.AsType[*smithyhttp.RequestSendError](err); ok {
		return verdict{class: Retry, link: "unreachable", remedy: "check the endpoint, DNS, proxies and security groups"}
	}
	return verdict{class: Fatal}
}

func byCode(code, message string) (verdict, bool) {
	switch code {
	case "LimitExceededException": // of the control plane alone
		return verdict{Throttled, "limits", "wait a little, or have the account's quota raised"}, true
	case "ProvisionedThroughputExceededException", "KMSThrottlingException",
		"ThrottlingException", "Throttling", "RequestLimitExceeded", "TooManyRequestsException", "SlowDown":
		return verdict{class: Throttled, link: "throttled"}, true
	case "ResourceInUseException":
		return verdict{class: Retry}, true
	case "InternalFailure", "InternalFailureException", "InternalServerError", "ServiceUnavailable", "ServiceUnavailableException", "RequestTimeout":
		return verdict{class: Unknown}, true
	case "ResourceNotFoundException":
		if strings.HasPrefix(message, "Consumer ") {
			return verdict{Fatal, "fan-out", "register the consumer, or name the group instead of its ARN"}, true
		}
		return verdict{Fatal, "stream-not-found", "check its name, AWS_REGION and the endpoint, or create it"}, true
	case "AccessDeniedException", "AccessDenied", "NotAuthorized", "OptInRequired":
		return verdict{Fatal, "access-denied", "allow the action to the role"}, true
	case "KMSAccessDeniedException", "KMSDisabledException", "KMSInvalidStateException", "KMSNotFoundException", "KMSOptInRequired":
		return verdict{Fatal, "kms", "enable the stream's key and allow the role to use it"}, true
	case "ExpiredTokenException", "ExpiredToken":
		return verdict{Retry, "expired-credentials", "renew the session"}, true
	case "RequestExpired", "RequestTimeTooSkewed":
		return verdict{Retry, "clock-skew", "set this machine's clock"}, true
	case "InvalidSignatureException", "SignatureDoesNotMatch":
		if m := strings.ToLower(message); strings.Contains(m, "expired") || strings.Contains(m, "not yet current") {
			return verdict{Retry, "clock-skew", "set this machine's clock"}, true
		}
		return verdict{Fatal, "no-credentials", "the secret key does not belong to the access key, or a proxy changes requests"}, true
	case "UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId", "MissingAuthenticationToken",
		"MissingAuthenticationTokenException", "IncompleteSignature", "IncompleteSignatureException":
		return verdict{Fatal, "no-credentials", "the service does not accept these credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"}, true
	case "UnknownOperationException", "InvalidAction":
		return verdict{Fatal, "not-kinesis", "check AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_KINESIS"}, true
	case "InvalidArgumentException", "ValidationException", "SerializationException", "ExpiredIteratorException",
		"ExpiredNextTokenException", "DryRunOperationException":
		return verdict{class: Refused}, true
	}
	return verdict{}, false
}

const checkEndpoint = "what answers does not speak Kinesis: check AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_KINESIS"

// byStatus judges an answer without a code of Kinesis.
func byStatus(err error) verdict {
	resp, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok || resp.Response == nil || resp.HTTPStatusCode() == 0 {
		return verdict{class: Unknown} // no answer came
	}
	switch status := resp.HTTPStatusCode(); {
	case status == http.StatusRequestEntityTooLarge:
		return verdict{class: Refused}
	case status == http.StatusTooManyRequests:
		return verdict{class: Throttled, link: "throttled"}
	case status >= 500:
		return verdict{class: Unknown}
	case status >= 300:
		return verdict{Fatal, "not-kinesis", checkEndpoint}
	default:
		// A success whose body makes no sense: it may be one all the same.
		return verdict{Unknown, "not-kinesis", checkEndpoint}
	}
}

// byTransport judges failures to get a connection: nothing was sent.
func byTransport(err error, sent bool) (verdict, bool) {
	unreachable := verdict{Retry, "unreachable", "check the endpoint, DNS, proxies and security groups"}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return unreachable, true
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return unreachable, true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return verdict{Fatal, "unreachable", "the endpoint's certificate is not trusted: set AWS_CA_BUNDLE"}, true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return verdict{Fatal, "unreachable", "the endpoint's certificate is not trusted: set AWS_CA_BUNDLE"}, true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return verdict{Fatal, "not-kinesis", "the endpoint does not speak TLS: write http:// in AWS_ENDPOINT_URL"}, true
	}
	if strings.Contains(err.Error(), "malformed HTTP response") && !sent {
		return verdict{Fatal, "not-kinesis", "check AWS_ENDPOINT_URL"}, true
	}
	return verdict{}, false
}
