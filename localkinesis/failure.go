package localkinesis

import (
	"fmt"
	"net/http"
)

// failure is an error of the service: what a client sees as an exception.
type failure struct {
	status  int
	code    string
	message string
}

func (f *failure) Error() string { return f.code + ": " + f.message }

func refuse(code, format string, args ...any) *failure {
	return &failure{http.StatusBadRequest, code, fmt.Sprintf(format, args...)}
}

// The codes below are those of the operations' "Errors" sections in
// https://docs.aws.amazon.com/kinesis/latest/APIReference/API_Operations.html
// and of https://docs.aws.amazon.com/kinesis/latest/APIReference/CommonErrors.html.
const (
	codeThrottled       = "ProvisionedThroughputExceededException"
	codeLimit           = "LimitExceededException"
	codeNotFound        = "ResourceNotFoundException"
	codeInUse           = "ResourceInUseException"
	codeArgument        = "InvalidArgumentException"
	codeValidation      = "ValidationException"
	codeExpiredIterator = "ExpiredIteratorException"
	codeExpiredToken    = "ExpiredNextTokenException"
	codeDryRun          = "DryRunOperationException"
	codeInternal        = "InternalFailure"
	codeSerialization   = "SerializationException"
	codeUnknown         = "UnknownOperationException"
	codeNoToken         = "MissingAuthenticationTokenException"
)

func internalFailure(message string) *failure {
	return &failure{http.StatusInternalServerError, codeInternal, message}
}

func dryRun() *failure {
	return refuse(codeDryRun, "Request would have succeeded, but DryRun flag is set.")
}
