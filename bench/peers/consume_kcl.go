package main

import "github.com/libvegas/vegas/bench/contest"

var consumeKCL = contest.Contender{
	Name: "Java KCL, polling", Side: contest.Consume, Module: "software.amazon.kinesis:amazon-kinesis-client",
	Protocol: "CBOR",
	Settings: "10,000 records a call, no pause between calls, one answer ahead, a checkpoint every 5 s, no metrics; DynamoDB Local, with the leases of a group that was there before; half of the records to be warm",
	DynamoDB: true,
	Java:     "KclBench", JavaArgs: []string{"polling"},
}

var consumeKCLFanOut = contest.Contender{
	Name: "Java KCL, fan-out", Side: contest.Consume, FanOut: true, Module: "software.amazon.kinesis:amazon-kinesis-client",
	Protocol: "CBOR",
	Settings: "a registered consumer, over HTTP/2, otherwise as Java KCL, polling",
	DynamoDB: true,
	Java:     "KclBench", JavaArgs: []string{"fan-out"},
}
