package wire

import (
	"encoding/json"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/emmansun/base64"
)

// AppendPutRecords appends the request, which has neither DryRun nor StreamId.
// https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
func AppendPutRecords(b []byte, in *kinesis.PutRecordsInput) []byte {
	size := 256
	for i := range in.Records {
		size += base64.StdEncoding.EncodedLen(len(in.Records[i].Data)) + 128
	}
	b = slices.Grow(b, size)
	b = append(b, `{"Records":[`...)
	for i := range in.Records {
		r := &in.Records[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"Data":"`...)
		b = base64.StdEncoding.AppendEncode(b, r.Data)
		b = append(b, '"')
		b = appendMember(b, "ExplicitHashKey", r.ExplicitHashKey)
		b = appendMember(b, "PartitionKey", r.PartitionKey)
		b = append(b, '}')
	}
	b = append(b, ']')
	b = appendMember(b, "StreamARN", in.StreamARN)
	b = appendMember(b, "StreamName", in.StreamName)
	return append(b, '}')
}

// appendMember appends a member that is not the first, unless value is nil.
func appendMember(b []byte, name string, value *string) []byte {
	if value == nil {
		return b
	}
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":`...)
	for i := range len(*value) {
		if c := (*value)[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			text, _ := json.Marshal(*value) // of a string, never fails
			return append(b, text...)
		}
	}
	b = append(b, '"')
	b = append(b, *value...)
	return append(b, '"')
}
