package localkinesis

const (
	api   = "https://docs.aws.amazon.com/kinesis/latest/APIReference/API_"
	guide = "https://docs.aws.amazon.com/streams/latest/dev/"
)

// noChannels is why the operations of channels are refused.
const noChannels = "channels deliver to S3 and S3 Tables, which the embedded server has not."

// operations is the single list of what the server does. It is filled by init
// because operations reach it through the faults they are matched with.
var operations []operation

func init() {
	operations = []operation{
		{Name: "PutRecord", serve: unary(putRecord), Claims: []claim{
			{"The shard is found by MD5 of the partition key's UTF-8 bytes or by ExplicitHashKey.", api + "PutRecord.html"},
			{"A sequence number is above SequenceNumberForOrdering, also of a parent shard; one from the future is refused.", api + "PutRecord.html"},
			{"1 MiB and 1,000 records a second a shard; data and key up to the stream's MaxRecordSize.", guide + "service-sizes-and-limits.html"},
			{"Records over 1 MiB draw on a tank of 10 MiB that refills at 1 MiB/s.", guide + "large-records.html"},
			{"On an AUTO stream keys are optional and ignored, and SequenceNumberForOrdering is refused.", guide + "service-managed-pk-producing-behavior.html"},
			{"DryRun answers DryRunOperationException once everything but throughput is checked.", guide + "kds-dryrun-validation.html"},
		}},
		{Name: "PutRecords", serve: unary(putRecords), Claims: []claim{
			{"Up to 500 records and 10 MiB with keys; entries fail one by one, the rest is stored in the order of the request.", api + "PutRecords.html"},
			{"One record that is too large or has no key refuses the whole request.", api + "PutRecords.html"},
		}},
		{Name: "GetShardIterator", serve: unary(getShardIterator), Claims: []claim{
			{"Five types; AT_TIMESTAMP gives the first record at or after it; five calls a second a shard.", api + "GetShardIterator.html"},
			{"A sequence number of another shard or stream, or not given yet, is refused.", "https://github.com/mhart/kinesalite (actions/getShardIterator.js)"},
		}},
		{Name: "GetRecords", serve: unary(getRecords), Claims: []claim{
			{"10,000 records or 10 MiB a call, five calls and 2 MiB a second a shard; 10 MiB cost the next five seconds.", api + "GetRecords.html"},
			{"An iterator expires five minutes after it was given.", api + "GetShardIterator.html"},
			{"At the end of a closed shard NextShardIterator is null and ChildShards are named, with the last records.", api + "GetRecords.html"},
			{"Records expire with the retention period, closed shards once all their records have.", guide + "kinesis-using-sdk-java-after-resharding.html"},
		}},
		{Name: "SubscribeToShard", serve: subscribeToShard, Claims: []claim{
			{"Lasts five minutes; a second call within five seconds is refused, a later one takes over.", api + "SubscribeToShard.html"},
			{"2 MiB a second for each consumer and shard.", api + "RegisterStreamConsumer.html"},
			{"ContinuationSequenceNumber goes on AT and AFTER alike; the last event has ChildShards and none.", api + "SubscribeToShardEvent.html"},
			{"The first frame is initial-response.", "https://smithy.io/2.0/aws/amazon-eventstream.html"},
			{"An event without records every five seconds; the interval is not documented.", ""},
		}},
		{Name: "CreateStream", Rate: 5, serve: unary(createStream), Claims: []claim{
			{"Five streams may be CREATING; a new on-demand stream has four shards.", api + "CreateStream.html"},
			{"While CREATING records are refused with ResourceNotFoundException, shards with ResourceInUseException.", "https://github.com/mhart/kinesalite, https://github.com/awslabs/amazon-kinesis-client (KinesisShardDetector)"},
		}},
		{Name: "DeleteStream", Rate: 5, serve: unary(deleteStream), Claims: []claim{
			{"A stream with consumers is kept unless EnforceConsumerDeletion is set.", api + "DeleteStream.html"},
			{"While DELETING records are refused; the service may still take them.", api + "DeleteStream.html"},
		}},
		{Name: "DescribeStream", Rate: 10, serve: unary(describeStream), Claims: []claim{
			{"Up to 100 shards a call, expired ones left out.", api + "DescribeStream.html"},
		}},
		{Name: "DescribeStreamSummary", Rate: 20, serve: unary(describeStreamSummary)},
		{Name: "ListStreams", Rate: 5, serve: unary(listStreams), Claims: []claim{
			{"By name, 100 a call, by NextToken or ExclusiveStartStreamName.", api + "ListStreams.html"},
		}},
		{Name: "ListShards", Rate: 1000, PerStream: true, serve: unary(listShards), Claims: []claim{
			{"Six filters; NextToken excludes everything else and expires after 300 seconds.", api + "ListShards.html"},
			{"What each filter keeps.", api + "ShardFilter.html"},
		}},
		{Name: "SplitShard", Rate: 5, serve: unary(splitShard), Claims: []claim{
			{"The parent closes and two children open when UPDATING ends; children's numbers are above their parents'.", guide + "kinesis-using-sdk-java-after-resharding.html"},
			{"The new starting hash key is above the parent's first plus one and below its last.", "https://github.com/mhart/kinesalite (actions/splitShard.js)"},
			{"Refused for on-demand streams.", api + "SplitShard.html"},
		}},
		{Name: "MergeShards", Rate: 5, serve: unary(mergeShards), Claims: []claim{
			{"The two ranges must be adjacent, the lower one named first; ParentShardId is ShardToMerge.", api + "MergeShards.html"},
		}},
		{Name: "UpdateShardCount", Rate: 10, serve: unary(updateShardCount), Claims: []claim{
			{"At most double, at least half (rounded up), ten times in 24 hours; done by splits and merges.", api + "UpdateShardCount.html"},
		}},
		{Name: "UpdateStreamMode", Rate: 5, serve: unary(updateStreamMode), Claims: []claim{
			{"Twice in 24 hours; an on-demand stream does not scale itself here.", guide + "switchingmodes.html"},
		}},
		{Name: "UpdateMaxRecordSize", Rate: 5, serve: unary(updateMaxRecordSize), Claims: []claim{
			{"1,024 to 10,240 KiB.", api + "UpdateMaxRecordSize.html"},
		}},
		{Name: "UpdateStreamRecordDistributionStrategy", Rate: 5, serve: unary(updateStreamRecordDistributionStrategy), Claims: []claim{
			{"AUTO only on-demand, at once, and old records stay where they are.", api + "UpdateStreamRecordDistributionStrategy.html"},
		}},
		{Name: "IncreaseStreamRetentionPeriod", Rate: 5, serve: unary(increaseStreamRetentionPeriod), Claims: []claim{
			{"Up to 8,760 hours; what has expired stays expired.", api + "IncreaseStreamRetentionPeriod.html"},
		}},
		{Name: "DecreaseStreamRetentionPeriod", Rate: 5, serve: unary(decreaseStreamRetentionPeriod), Claims: []claim{
			{"Down to 24 hours.", api + "DecreaseStreamRetentionPeriod.html"},
		}},
		{Name: "RegisterStreamConsumer", Rate: 5, serve: unary(registerStreamConsumer), Claims: []claim{
			{"20 consumers a stream, five of them CREATING.", api + "RegisterStreamConsumer.html"},
		}},
		{Name: "DeregisterStreamConsumer", Rate: 5, PerStream: true, serve: unary(deregisterStreamConsumer), Claims: []claim{
			{"Its subscriptions end with ResourceNotFoundException; how the service ends them is not documented.", ""},
		}},
		{Name: "DescribeStreamConsumer", Rate: 20, PerStream: true, serve: unary(describeStreamConsumer)},
		{Name: "ListStreamConsumers", Rate: 5, PerStream: true, serve: unary(listStreamConsumers)},
		{Name: "AddTagsToStream", Rate: 5, serve: unary(addTagsToStream), Claims: []claim{{"50 tags.", api + "AddTagsToStream.html"}}},
		{Name: "RemoveTagsFromStream", Rate: 5, serve: unary(removeTagsFromStream)},
		{Name: "ListTagsForStream", Rate: 5, serve: unary(listTagsForStream)},
		{Name: "TagResource", Rate: 5, serve: unary(tagResource)},
		{Name: "UntagResource", Rate: 5, serve: unary(untagResource)},
		{Name: "ListTagsForResource", Rate: 5, serve: unary(listTagsForResource)},
		{Name: "StartStreamEncryption", Rate: 5, Kept: true, serve: unary(startStreamEncryption)},
		{Name: "StopStreamEncryption", Rate: 5, Kept: true, serve: unary(stopStreamEncryption)},
		{Name: "EnableEnhancedMonitoring", Rate: 5, Kept: true, serve: unary(enableEnhancedMonitoring)},
		{Name: "DisableEnhancedMonitoring", Rate: 5, Kept: true, serve: unary(disableEnhancedMonitoring)},
		{Name: "PutResourcePolicy", Rate: 5, Kept: true, serve: unary(putResourcePolicy)},
		{Name: "GetResourcePolicy", Rate: 5, Kept: true, serve: unary(getResourcePolicy)},
		{Name: "DeleteResourcePolicy", Rate: 5, Kept: true, serve: unary(deleteResourcePolicy)},
		{Name: "DescribeLimits", Rate: 1, serve: unary(describeLimits)},
		{Name: "DescribeAccountSettings", Rate: 5, Kept: true, serve: unary(describeAccountSettings)},
		{Name: "UpdateAccountSettings", Rate: 5, Kept: true, serve: unary(updateAccountSettings), Claims: []claim{
			{"A commitment lasts at least 24 hours.", api + "MinimumThroughputBillingCommitmentInput.html"},
		}},
		{Name: "UpdateStreamWarmThroughput", Rate: 5, Kept: true, serve: unary(updateStreamWarmThroughput), Claims: []claim{
			{"Only on-demand, and with MinimumThroughputBillingCommitment.", api + "UpdateStreamWarmThroughput.html"},
		}},
		{Name: "CreateChannel", Note: noChannels},
		{Name: "DeleteChannel", Note: noChannels},
		{Name: "DescribeChannel", Note: noChannels},
		{Name: "ListChannels", Note: noChannels},
		{Name: "UpdateChannel", Note: noChannels},
	}
}
