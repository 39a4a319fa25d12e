package command

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
)

var errNoRegion = errors.New("no AWS region is set")

// explain turns an error into one line of what happened and, where there is
// one, the remedy. The SDK's own text carries request ids and layers that only
// say that a call was a call.
func explain(err error) (text, remedy string) {
	text = err.Error()
	var api smithy.APIError
	switch {
	case strings.Contains(text, "docs/troubleshooting.md#"):
		return text, "" // the library's errors bring their remedy
	case errors.Is(err, errNoRegion):
		return text, "Set AWS_REGION, or use --region. For \"vegas dev\" and other emulators set\nAWS_ENDPOINT_URL_KINESIS, or use --endpoint."
	case strings.Contains(text, "failed to refresh cached credentials") || strings.Contains(text, "get credentials:"):
		return trimSDK(err), "No AWS credentials were found. Set AWS_PROFILE (or --profile), or AWS_ACCESS_KEY_ID\nand AWS_SECRET_ACCESS_KEY; any values will do for \"vegas dev\"."
	case errors.As(err, &api):
		text = trimSDK(err)
		switch api.ErrorCode() {
		case "ResourceNotFoundException":
			return text, "Check the name and the region: \"vegas streams list\" shows what is there."
		case "AccessDeniedException", "AccessDenied":
			return text, "The credentials work but may not do this: docs/iam.md lists what each command needs."
		case "UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException", "MissingAuthenticationTokenException", "InvalidClientTokenId", "IncompleteSignature":
			return text, "AWS does not accept the credentials: check AWS_PROFILE or AWS_ACCESS_KEY_ID and\nAWS_SECRET_ACCESS_KEY, a session's expiry, and the clock of this machine."
		case "LimitExceededException":
			return text, "An account has limits on its shards and on the rate of such calls: wait a little,\nor have the quota raised."
		case "ResourceInUseException":
			return text, "The stream exists or is being changed: \"vegas streams describe\" shows its state."
		case "UnknownOperationException":
			return text, "The endpoint does not know this operation: it may be an emulator that lacks it."
		}
		return text, ""
	case errors.Is(err, context.Canceled):
		return "interrupted", ""
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return text, ""
	case strings.Contains(text, "connection refused"), strings.Contains(text, "no such host"):
		return trimSDK(err), "Nothing answers at that address: check --endpoint, AWS_ENDPOINT_URL_KINESIS and\nAWS_ENDPOINT_URL, and whether the server runs."
	case strings.Contains(text, "deserialization failed"):
		return trimSDK(err), "What answers there does not seem to be Kinesis: check --endpoint,\nAWS_ENDPOINT_URL_KINESIS and AWS_ENDPOINT_URL."
	case strings.Contains(text, "x509:"), strings.Contains(text, "certificate"):
		return trimSDK(err), "The server's certificate is not trusted: set AWS_CA_BUNDLE to its authority, which\n\"vegas dev --tls\" prints."
	}
	return text, ""
}

// trimSDK takes the SDK's layers out of an error's text: of
//
//	describe stream "x": operation error Kinesis: DescribeStreamSummary, https response error StatusCode: 400,
//	RequestID: r, ResourceNotFoundException: Stream x … not found.
//
// it leaves what was tried, the service's code and words, and the request's id,
// which AWS support asks for.
func trimSDK(err error) string {
	text := err.Error()
	tried, call, ok := strings.Cut(text, "operation error ")
	if !ok {
		return text
	}
	var api smithy.APIError
	var sent *url.Error
	var answer *awshttp.ResponseError
	switch {
	case errors.As(err, &api):
		text = tried + api.ErrorCode() + ": " + api.ErrorMessage()
		if errors.As(err, &answer) && answer.RequestID != "" {
			text += " (request " + answer.RequestID + ")"
		}
		return text
	case errors.As(err, &sent):
		return tried + sent.Error()
	}
	if _, cause, ok := strings.Cut(call, "RequestID: , "); ok {
		return tried + cause
	}
	return text
}
