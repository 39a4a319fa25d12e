package main

import "github.com/libvegas/vegas/bench/contest"

var produceKPL = contest.Contender{
	Name: "KPL", Side: contest.Produce, Module: "software.amazon.kinesis:amazon-kinesis-producer",
	Settings: "defaults, without a RateLimit; over TLS, the only way that it speaks; 50,000 records under way at most; a sixth of the records, half of them to be warm; CPU is that of the JVM and its native child process",
	Not:      onlyAggregated,
	Java:     "KplBench", JavaArgs: []string{"default"},
}

var produceKPLTuned = contest.Contender{
	Name: "KPL, tuned", Side: contest.Produce, Module: "software.amazon.kinesis:amazon-kinesis-producer",
	Settings: "as above, with RecordMaxBufferedTime 1 s, MaxConnections 8, a pool of 2 threads",
	Not:      onlyAggregated,
	Java:     "KplBench", JavaArgs: []string{"tuned"},
}
