package command

import (
	"context"
	"errors"
	"io/fs"
	"strings"

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
		return trimSDK(text), "No AWS credentials were found. Set AWS_PROFILE (or --profile), or AWS_ACCESS_KEY_ID\nand AWS_SECRET_ACCESS_KEY; any values will do for \"vegas dev\"."
	case errors.As(err, &api):
		text = trimSDK(text)
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
		return trimSDK(text), "Nothing answers at that address: check --endpoint, AWS_ENDPOINT_URL_KINESIS and\nAWS_ENDPOINT_URL, and whether the server runs."
	case strings.Contains(text, "deserialization failed"):
		return trimSDK(text), "What answers there does not seem to be Kinesis: check --endpoint,\nAWS_ENDPOINT_URL_KINESIS and AWS_ENDPOINT_URL."
	case strings.Contains(text, "x509:"), strings.Contains(text, "certificate"):
		return trimSDK(text), "The server's certificate is not trusted: set AWS_CA_BUNDLE to its authority, which\n\"vegas dev --tls\" prints."
	}
	return text, ""
}

// trimSDK takes the SDK's layers out of an error's text:
// "operation error Kinesis: X, https response error StatusCode: 400, RequestID: …, ResourceNotFoundException: …".
func trimSDK(s string) string {
	head := ""
	if before, rest, ok := strings.Cut(s, "operation error Kinesis: "); ok {
		head = before
		s = rest
	}
	op, rest, ok := strings.Cut(s, ", ")
	if head == "" && !ok {
		return s
	}
	for _, layer := range []string{"exceeded maximum number of attempts", "https response error", "StatusCode:", "RequestID:", "HostID:"} {
		if strings.HasPrefix(rest, layer) {
			_, rest, ok = strings.Cut(rest, ", ")
			if !ok {
				return head + s
			}
		}
	}
	return head + op + ": " + strings.TrimPrefix(rest, "api error ")
}
