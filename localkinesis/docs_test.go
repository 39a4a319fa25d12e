package localkinesis

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write generated files")

func TestSupportTable(t *testing.T) {
	path := filepath.Join("..", "docs", "localkinesis.md")
	want := supportTable()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.ReplaceAll(string(got), "\r\n", "\n") != want {
		t.Errorf("%s is stale: run go generate ./localkinesis", path)
	}
}

// TestEveryOperationOfTheAPI keeps the table complete: these are the operations
// of the service's model as of aws-sdk-go-v2/service/kinesis 1.56.12.
func TestEveryOperationOfTheAPI(t *testing.T) {
	all := strings.Fields(`AddTagsToStream CreateChannel CreateStream DecreaseStreamRetentionPeriod DeleteChannel
		DeleteResourcePolicy DeleteStream DeregisterStreamConsumer DescribeAccountSettings DescribeChannel DescribeLimits
		DescribeStream DescribeStreamConsumer DescribeStreamSummary DisableEnhancedMonitoring EnableEnhancedMonitoring
		GetRecords GetResourcePolicy GetShardIterator IncreaseStreamRetentionPeriod ListChannels ListShards
		ListStreamConsumers ListStreams ListTagsForResource ListTagsForStream MergeShards PutRecord PutRecords
		PutResourcePolicy RegisterStreamConsumer RemoveTagsFromStream SplitShard StartStreamEncryption
		StopStreamEncryption SubscribeToShard TagResource UntagResource UpdateAccountSettings UpdateChannel
		UpdateMaxRecordSize UpdateShardCount UpdateStreamMode UpdateStreamRecordDistributionStrategy
		UpdateStreamWarmThroughput`)
	for _, name := range all {
		if operationNamed(name) == nil {
			t.Errorf("%s is missing", name)
		}
	}
	if len(operations) != len(all) {
		t.Errorf("%d operations, want %d", len(operations), len(all))
	}
}
