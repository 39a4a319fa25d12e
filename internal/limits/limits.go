// Package limits holds the limits of Amazon Kinesis Data Streams that vegas
// and its embedded server build on, each with its source.
//
// Sources: https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html
// (quotas), https://docs.aws.amazon.com/kinesis/latest/APIReference/Welcome.html
// (the API reference), https://docs.aws.amazon.com/streams/latest/dev/large-records.html
// (records over 1 MiB).
package limits

import (
	"encoding/binary"
	"fmt"
	"time"
	"unicode/utf8"
	"unsafe"
)

const (
	// ShardWriteBytes is what a shard takes a second, data and partition keys.
	ShardWriteBytes = 1 << 20
	// ShardWriteRecords is how many records a shard takes a second.
	ShardWriteRecords = 1000
	// ShardReadBytes is what a shard gives a second to all shared readers
	// together, and to each enhanced fan-out consumer.
	ShardReadBytes = 2 << 20
	// ShardReads is how many GetRecords calls a shard answers a second.
	ShardReads = 5

	// GetRecordsBytes is the most that one GetRecords call returns.
	GetRecordsBytes = 10 << 20
	// GetRecordsRecords is the most records that one GetRecords call returns.
	GetRecordsRecords = 10000

	// PutRecordsEntries is the most entries of one PutRecords request.
	PutRecordsEntries = 500
	// PutRecordsBytes is the most that one PutRecords request carries, keys
	// included (older pages of the documentation say 5 MiB).
	PutRecordsBytes = 10 << 20

	// RecordBytes is the default limit of a record's data and partition key
	// together; UpdateMaxRecordSize raises it up to RecordBytesMax.
	RecordBytes = 1 << 20
	// RecordBytesMax is the highest MaxRecordSize a stream can have.
	RecordBytesMax = 10 << 20

	// PartitionKeyRunes is the longest partition key, in Unicode characters.
	PartitionKeyRunes = 256

	// IteratorLife is how long a shard iterator can be used.
	IteratorLife = 5 * time.Minute
	// TokenLife is how long a NextToken can be used.
	TokenLife = 300 * time.Second
	// SubscriptionLife is how long one SubscribeToShard call lasts at most.
	SubscriptionLife = 5 * time.Minute
	// SubscriptionInterval is the time between two SubscribeToShard calls of
	// one consumer on one shard below which the second may be refused.
	SubscriptionInterval = 5 * time.Second
	// ConsumersPerStream is how many enhanced fan-out consumers a stream has
	// at most (on-demand advantage allows more).
	ConsumersPerStream = 20

	// PayloadUnit is the size a provisioned stream bills a put record by: one
	// PUT payload unit for each 25 KB begun.
	// Source: https://aws.amazon.com/kinesis/data-streams/pricing/
	PayloadUnit = 25 << 10
	// PayloadUnitOnDemand is what an on-demand stream rounds a record up to
	// (the same page).
	PayloadUnitOnDemand = 1 << 10

	// RetentionHours is the default retention.
	RetentionHours = 24
	// RetentionHoursMax is the longest retention, a year.
	RetentionHoursMax = 8760
)

// CheckPartitionKey tells what is wrong with a partition key, if anything.
func CheckPartitionKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("partition key is empty: the service wants 1 to %d characters", PartitionKeyRunes)
	case len(key) > PartitionKeyRunes && utf8.RuneCountInString(key) > PartitionKeyRunes:
		return fmt.Errorf("partition key has %d characters: the service takes at most %d",
			utf8.RuneCountInString(key), PartitionKeyRunes)
	case !ascii(key) && !utf8.ValidString(key):
		return fmt.Errorf("partition key is not valid UTF-8: encode it (hex, base64) first")
	}
	return nil
}

// ascii spares the common keys utf8.ValidString, which took 20 ns for 15 bytes.
func ascii(s string) bool {
	b := unsafe.Slice(unsafe.StringData(s), len(s))
	var all uint64
	for ; len(b) >= 8; b = b[8:] {
		all |= binary.LittleEndian.Uint64(b)
	}
	for _, c := range b {
		all |= uint64(c)
	}
	return all&0x8080_8080_8080_8080 == 0
}
