package localkinesis_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/localkinesis"
)

func Example() {
	t := &testing.T{} // the test's own
	ctx := context.Background()

	srv := localkinesis.Start(t, func(o *localkinesis.Options) { o.Streams = map[string]int{"orders": 1} })
	defer srv.Close() // Start closes it at the end of a real test
	client := kinesis.NewFromConfig(srv.AWS())

	_, err := client.PutRecord(ctx, &kinesis.PutRecordInput{
		StreamName: aws.String("orders"), PartitionKey: aws.String("customer-42"), Data: []byte("paid"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	it, err := client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
		StreamName: aws.String("orders"), ShardId: aws.String("shardId-000000000000"),
		ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	out, err := client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: it.ShardIterator})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range out.Records {
		fmt.Printf("%s: %s\n", *r.PartitionKey, r.Data)
	}
	// Output: customer-42: paid
}

// A producer that gets no answer does not know whether its record is stored.
// The server knows.
func ExampleServer_Inject() {
	t := &testing.T{} // the test's own
	srv := localkinesis.Start(t, func(o *localkinesis.Options) { o.Streams = map[string]int{"orders": 1} })
	defer srv.Close()
	client := kinesis.NewFromConfig(srv.AWS(), func(o *kinesis.Options) { o.Retryer = aws.NopRetryer{} })

	lost := srv.Inject(localkinesis.Fault{Do: localkinesis.DropAnswer, Op: "PutRecord", Count: 1})
	_, err := client.PutRecord(context.Background(), &kinesis.PutRecordInput{
		StreamName: aws.String("orders"), PartitionKey: aws.String("customer-42"), Data: []byte("paid"),
	})
	records, _ := srv.Records("orders", "")
	fmt.Println("failed:", err != nil, "happened:", lost.Fired(), "stored:", len(records))
	// Output: failed: true happened: 1 stored: 1
}
