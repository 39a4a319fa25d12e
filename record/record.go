// Package record is the vocabulary of vegas: what is sent, what is received,
// where it lies in a stream, and how its sending ended. Every other package
// speaks in these terms; the root package exports them as aliases.
package record

import (
	"context"
	"time"
)

// Record is one record of a user, on its way into a stream or out of one.
//
// To send it, set PartitionKey and Data, and where wanted ExplicitHashKey and
// Headers; the other fields are ignored, so that a received record can be sent
// on as it is. The producer copies what it keeps: after the call returns the
// record may be changed.
//
// A received record stays valid for as long as it is referenced. Its Data
// shares one allocation with its neighbours of the same answer: keep a copy of
// Data instead of the record when few of many are kept for long.
type Record struct {
	// PartitionKey decides the shard, and the order: records of one key are
	// received in the order in which they were sent. 1 to 256 Unicode
	// characters. It may be empty on records received from a stream with
	// service-managed record distribution.
	PartitionKey string
	// ExplicitHashKey overrides the hash of PartitionKey: a decimal number
	// from 0 to 2^128-1. Empty: none. Records are ordered by the hash that
	// routes them, so one partition key under changing explicit hash keys has
	// no order.
	ExplicitHashKey string
	// Data is the payload; it may be empty. Data and PartitionKey together are
	// limited by the stream's MaxRecordSize, 1 MiB by default.
	Data []byte
	// Headers travel beside the payload to readers that use vegas; the KPL's
	// format carries them, the KCL ignores them. A record that cannot be
	// aggregated (too large, or aggregation is off) cannot carry any.
	Headers []Header

	// Stream is the name of the stream it was received from.
	Stream string
	// Shard is the shard it was received from, such as "shardId-000000000003".
	Shard string
	// Position is where it lies in the shard.
	Position Position
	// ArrivalTime is when the stream stored it (ApproximateArrivalTimestamp,
	// to the millisecond, by the service's clock).
	ArrivalTime time.Time
	// Aggregated tells that it travelled inside a KPL aggregate.
	Aggregated bool
}

// Header is a named value beside a record's payload. Names may repeat; order is
// kept.
type Header struct{ Key, Value string }

// Header is the value of the first header with that name, or "".
func (r *Record) Header(key string) string {
	for i := range r.Headers {
		if r.Headers[i].Key == key {
			return r.Headers[i].Value
		}
	}
	return ""
}

// Batch is a run of records of one shard, in stream order.
type Batch struct {
	// Records are at least one, except in a batch that only moves End on (all
	// that was read had been delivered before).
	Records []*Record
	// End is the position to checkpoint once every record of the batch, and
	// all before it, is done with.
	End Position
	// Behind is how far the end of the batch lies behind the tip of the shard,
	// by the service's own reckoning (MillisBehindLatest); 0 at the tip.
	Behind time.Duration
}

// Handler processes one record. Returning nil says that the record is done
// with: a checkpoint may pass it. An error is handled by the consumer's failure
// policy. The context ends when the shard's lease can no longer be proven or
// the grace time after the end of Run is over.
type Handler func(ctx context.Context, r *Record) error

// Receipt tells where an acknowledged record was stored.
type Receipt struct {
	// Durable: it is safe in the producer's durable buffer, and will be sent. The
	// stream is not known to have it yet: the other fields are empty.
	Durable bool
	// Shard is the shard that holds it.
	Shard string
	// Position is its sequence number and, inside an aggregate, its index. The text
	// of the number lies with those of the whole request, 28 KB at 500 entries: to
	// keep a few receipts for long, strings.Clone it.
	Position Position
}
