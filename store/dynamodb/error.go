package dynamodb

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// class is what a failed attempt means for what it carried, and for the next one.
type class uint8

const (
	unknown   class = iota // it may have been applied, or may be yet
	throttled              // not applied, and welcome later
	notYet                 // not applied; a later one may be without anybody's doing
	refused                // not applied, nor will the next one be
)

// verdict is a failed attempt's class and what a person can do about it.
type verdict struct {
	class  class
	link   string // word in docs/troubleshooting.md; empty: none
	remedy string
}

// classify judges an error of the SDK. What it cannot tell is unknown: then the
// stored row decides.
//
// Codes: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
// and .../APIReference/CommonErrors.html.
func classify(err error) verdict {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		if v, known := byCode(api.ErrorCode(), api.ErrorMessage()); known {
			return v
		}
	}
	if v, known := byTransport(err); known {
		return v
	}
	if _, ok := errors.AsType[noAnswer](err); ok {
		return verdict{unknown, "unreachable", checkNetwork}
	}
	return byStatus(err)
}

// noAnswer is the error of an attempt whose time was over.
type noAnswer time.Duration

func (d noAnswer) Error() string { return "no answer within " + time.Duration(d).String() }

// code is the service's word for a failure, if it had one.
func code(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

func byCode(code, message string) (verdict, bool) {
	switch code {
	case "ProvisionedThroughputExceededException", "ThrottlingException", "Throttling", "RequestLimitExceeded",
		"LimitExceededException", "TooManyRequestsException", "SlowDown",
		// Somebody else's transaction or replica was at the row just then.
		"TransactionConflictException", "TransactionInProgressException", "ReplicatedWriteConflictException":
		return verdict{throttled, "store-throttled", "raise the table's capacity, or let it be billed on demand"}, true
	case "InternalServerError", "InternalFailure", "ServiceUnavailable", "ServiceUnavailableException", "RequestTimeout":
		return verdict{class: unknown}, true
	case "ConditionalCheckFailedException", "ItemCollectionSizeLimitExceededException", "ResourceInUseException",
		"SerializationException":
		return verdict{class: refused}, true
	case "ResourceNotFoundException", "TableNotFoundException":
		return verdict{refused, "store-table", "check its name, AWS_REGION and the endpoint, or make it"}, true
	case "AccessDeniedException", "AccessDenied", "NotAuthorized", "OptInRequired":
		return verdict{refused, "store-permission", ""}, true
	case "ExpiredTokenException", "ExpiredToken":
		return verdict{notYet, "expired-credentials", "renew the session"}, true
	case "RequestExpired", "RequestTimeTooSkewed":
		return verdict{notYet, "clock-skew", "set this machine's clock"}, true
	case "InvalidSignatureException", "SignatureDoesNotMatch":
		if m := strings.ToLower(message); strings.Contains(m, "expired") || strings.Contains(m, "not yet current") {
			return verdict{notYet, "clock-skew", "set this machine's clock"}, true
		}
		return verdict{refused, "no-credentials", "the secret key does not belong to the access key, or a proxy changes requests"}, true
	case "UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId", "MissingAuthenticationToken",
		"MissingAuthenticationTokenException", "IncompleteSignature", "IncompleteSignatureException":
		return verdict{refused, "no-credentials", "the service does not accept these credentials: " + whereKeysAre}, true
	case "UnknownOperationException", "InvalidAction":
		return verdict{refused, "not-dynamodb", checkEndpoint}, true
	case "ValidationException":
		if strings.Contains(message, "does not match the schema") {
			return verdict{refused, "store-table", "the table is not one of a vegas store, which has the keys " + wantKeys + ": name another table"}, true
		}
		return verdict{class: refused}, true
	}
	return verdict{}, false
}

const checkNetwork = "check the endpoint, DNS, proxies and security groups"

const checkEndpoint = "what answers does not speak DynamoDB: check AWS_ENDPOINT_URL_DYNAMODB and AWS_ENDPOINT_URL, or choose another store"

// byTransport judges failures before anything was sent.
func byTransport(err error) (verdict, bool) {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return verdict{notYet, "unreachable", checkNetwork}, true
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return verdict{notYet, "unreachable", checkNetwork}, true
	}
	_, untrusted := errors.AsType[x509.UnknownAuthorityError](err)
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok || untrusted {
		return verdict{refused, "unreachable", "the endpoint's certificate is not trusted: set AWS_CA_BUNDLE"}, true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return verdict{refused, "not-dynamodb", "the endpoint does not speak TLS: write http:// in its address"}, true
	}
	if strings.Contains(err.Error(), "resolve service endpoint") {
		return verdict{refused, "not-dynamodb", "write the endpoint as http://HOST:PORT or https://HOST"}, true
	}
	if strings.Contains(err.Error(), "get identity: ") || strings.Contains(err.Error(), "get credentials: ") {
		return verdict{notYet, "no-credentials", whereKeysAre}, true
	}
	return verdict{}, false
}

// byStatus judges an answer without a code of DynamoDB, or none.
func byStatus(err error) verdict {
	resp, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok || resp.Response == nil || resp.HTTPStatusCode() == 0 {
		return verdict{class: unknown}
	}
	switch status := resp.HTTPStatusCode(); {
	case status == http.StatusTooManyRequests:
		return verdict{throttled, "store-throttled", ""}
	case status >= 500:
		return verdict{class: unknown}
	case status >= 300:
		return verdict{refused, "not-dynamodb", checkEndpoint}
	default: // a success that does not decode
		return verdict{unknown, "not-dynamodb", checkEndpoint}
	}
}

// failed makes the error of a call: what was tried, on which table, why it
// failed, and the remedy.
func (p *place) failed(op, action string, err error) error {
	v := classify(err)
	remedy := v.remedy
	switch {
	case v.link == "store-permission":
		remedy = p.allow(action, err)
	case code(err) == "ResourceNotFoundException" && p.arn.Load() != nil:
		remedy = "it was there when this process started: restore it, or start anew to have another one made"
	}
	text := op + ": " + p.where() + ": " + brief(err)
	if remedy != "" {
		text += ": " + remedy
	}
	if v.link != "" {
		text += " (see docs/troubleshooting.md#" + v.link + ")"
	}
	return &failure{text, err}
}

// unknown makes the error of a write that may have been applied, whatever the
// last attempt at it met.
func (p *place) unknown(op, action string, err error) error {
	if conditionFailed(err) {
		return &failure{op + ": " + p.where() + ": an attempt had no answer, and the row has changed since: it may have been applied, or another's write", nil}
	}
	return p.failed(op+" (it may have been applied)", action, err)
}

// odd makes the error of an item that is not a row.
func (p *place) odd(op string, it item, err error) error {
	return fmt.Errorf("%s: %s: item %q/%q: %w", op, p.where(), textOf(it[attrGroup]), textOf(it[attrID]), err)
}

// failure wraps the SDK's error under a text that is easier to read.
type failure struct {
	text string
	err  error
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.err }

// denied finds in the service's words what is not allowed, and on what: it need
// not be the call itself (kms:Decrypt, for one).
var denied = regexp.MustCompile(`not authorized to perform: ([a-z0-9-]+:[A-Za-z0-9]+)(?: on resource: (arn:[^\s]+))?`)

// allow is the remedy for a missing permission.
func (p *place) allow(action string, err error) string {
	on := p.where()
	if arn := p.arn.Load(); arn != nil {
		on = *arn
	}
	if m := denied.FindStringSubmatch(err.Error()); m != nil {
		action = m[1]
		if m[2] != "" {
			on = m[2]
		}
	}
	return fmt.Sprintf("allow %s on %s to the role", action, on)
}

// brief is the SDK's error without its layers: the service's code and words, and
// the request's id to show to AWS support.
func brief(err error) string {
	if e, ok := errors.AsType[*ended](err); ok {
		return e.Error()
	}
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
	if sent, ok := errors.AsType[*smithyhttp.RequestSendError](err); ok {
		return sent.Err.Error()
	}
	if op, ok := errors.AsType[*smithy.OperationError](err); ok {
		err = op.Err
	}
	text := err.Error()
	if strings.Contains(text, "no EC2 IMDS role found") {
		// The chain's last provider speaks for all that were tried before it.
		return "no credentials were found in the environment, in ~/.aws or in a role of this machine"
	}
	return text
}
