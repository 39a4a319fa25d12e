package wire

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// Requests of about a mebibyte, into memory that is used again.
func BenchmarkAppendPutRecords(b *testing.B) {
	for _, size := range []int{1000, 250_000} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			in := &kinesis.PutRecordsInput{StreamName: aws.String("orders")}
			for i := range min(500, 1<<20/size) {
				in.Records = append(in.Records, types.PutRecordsRequestEntry{
					Data: bytes.Repeat([]byte{byte(i)}, size), PartitionKey: aws.String(fmt.Sprintf("customer-%06d", i)),
				})
			}
			b.SetBytes(int64(size * len(in.Records)))
			b.ReportAllocs()
			var body []byte
			for b.Loop() {
				body = AppendPutRecords(body[:0], in)
			}
		})
	}
}
