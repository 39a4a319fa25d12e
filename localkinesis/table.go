package localkinesis

// operations is the single list of what the server does.
var operations []operation

func init() {
	operations = []operation{
		{Name: "CreateStream", Rate: 5, serve: unary(createStream)},
		{Name: "DeleteStream", Rate: 5, serve: unary(deleteStream)},
		{Name: "DescribeStream", Rate: 10, serve: unary(describeStream)},
		{Name: "DescribeStreamSummary", Rate: 20, serve: unary(describeStreamSummary)},
		{Name: "ListStreams", Rate: 5, serve: unary(listStreams)},
		{Name: "ListShards", Rate: 1000, PerStream: true, serve: unary(listShards)},
		{Name: "SplitShard", Rate: 5, serve: unary(splitShard)},
		{Name: "MergeShards", Rate: 5, serve: unary(mergeShards)},
		{Name: "PutRecord", serve: unary(putRecord)},
		{Name: "PutRecords", serve: unary(putRecords)},
		{Name: "GetShardIterator", serve: unary(getShardIterator)},
		{Name: "GetRecords", serve: unary(getRecords)},
		{Name: "SubscribeToShard", serve: subscribeToShard},
		{Name: "RegisterStreamConsumer", Rate: 5, serve: unary(registerStreamConsumer)},
		{Name: "DeregisterStreamConsumer", Rate: 5, serve: unary(deregisterStreamConsumer)},
		{Name: "DescribeStreamConsumer", Rate: 20, serve: unary(describeStreamConsumer)},
		{Name: "ListStreamConsumers", Rate: 5, serve: unary(listStreamConsumers)},
	}
}
