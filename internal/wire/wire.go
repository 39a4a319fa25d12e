// Package wire is the codec of the calls that carry records: PutRecords,
// GetRecords and the events of SubscribeToShard, in AWS JSON 1.1. It turns bytes
// into answers and requests into bytes, and knows nothing of HTTP.
//
// Decoding knows the usual form of an answer. Whatever else it meets, be it legal
// or not, it leaves to the SDK's decoder, on the same bytes: what this package
// does decode means what it means there.
package wire

import "time"

// Answer is what one GetRecords call, or one event of a subscription, gave of a
// shard.
//
// Payloads share allocations with those beside them, and all strings are one. Nobody
// ever uses that memory again for something else: a record stays valid for as long
// as it is referenced.
type Answer struct {
	// Records are in stream order, and may be none.
	Records []Record
	// Behind is MillisBehindLatest; negative where the answer does not tell.
	Behind time.Duration
	// Next is where to go on: the next iterator, or the sequence number to continue
	// with. Empty: the shard has ended.
	Next string
	// Children are the shards that follow; at the end of a shard only, and only
	// from servers that name them.
	Children []Child
	// Fallback tells that the SDK's decoder was needed.
	Fallback bool
}

// Record is one Kinesis record, which may be an aggregate.
type Record struct {
	Sequence string
	Key      string
	Data     []byte
	Arrival  time.Time // zero where the answer does not tell
}

// Child is a shard that follows the one that has ended.
type Child struct {
	ID      string
	Parents []string
	// First and Last are its hash range, in decimal; empty where it was not told.
	First, Last string
}

// PutAnswer is what one PutRecords call brought. Its strings are one allocation,
// shard ids and error codes aside, which all answers share.
type PutAnswer struct {
	// Results are one for each entry of the request, in their order.
	Results []PutResult
	// Fallback tells that the SDK's decoder was needed.
	Fallback bool
}

// PutResult is what became of one entry; what the answer does not tell is empty.
type PutResult struct {
	Shard, Sequence string
	// Code and Message are the service's words for a failure.
	Code, Message string
}

// Stored tells that the stream has the entry, and where.
func (r *PutResult) Stored() bool { return r.Code == "" && r.Shard != "" && r.Sequence != "" }

// Unknown is the Behind of an answer that does not tell it.
const Unknown time.Duration = -1
