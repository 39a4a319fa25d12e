// Package aggregate reads and writes the KPL's aggregated records, many user
// records in one Kinesis record, and the producer's identity that vegas adds to
// them in a field that other readers skip.
//
// The format is described in docs/aggregate-format.md. Its outer part is the
// KPL's: https://github.com/awslabs/amazon-kinesis-producer/blob/master/aggregation-format.md.
package aggregate

import (
	"crypto/md5" //nolint:gosec // the format's checksum; nothing here is a secret
	"errors"

	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/record"
)

// PartitionKey is the partition key of the Kinesis record that carries an
// aggregate, as the KPL writes it. Where it is stored is decided by the
// explicit hash key beside it: the hash of the first sub-record (Builder.Hash).
const PartitionKey = "a"

// Overhead is what an aggregate is longer than its protobuf message: magic
// and checksum.
const Overhead = len(magic) + md5.Size

const magic = "\xf3\x89\x9a\xc2"

var (
	// ErrNotAggregate: no magic number, too short, or the checksum differs.
	// These are the bytes of a plain record: deliver them as they are.
	ErrNotAggregate = errors.New("not an aggregate")
	// ErrMalformed: the checksum fits and what it covers does not decode. No
	// sub-record of it can be trusted: deliver the bytes as they are, and
	// count it.
	ErrMalformed = errors.New("malformed aggregate")
)

// Sub is a sub-record: one user record inside an aggregate.
type Sub struct {
	Key string
	// ExplicitHashKey is a decimal number, or empty for none.
	ExplicitHashKey string
	Data            []byte
	// Headers travel as the format's tags.
	Headers []record.Header
}

// Hash is what routes the sub-record: its explicit hash key, else the hash of
// its key. The error is that of an explicit hash key that is not a number;
// decoded sub-records have none.
func (s *Sub) Hash() (keyspace.Hash, error) { return keyspace.Effective(s.Key, s.ExplicitHashKey) }

// Identity says who built an aggregate, for which lane, and how its sub-records
// are numbered there. With it a reader can tell a resend from a new record.
type Identity struct {
	// Producer is drawn at random whenever a producer starts.
	Producer [16]byte
	// Laned: the producer sends the records of Range in the order of their
	// counters, and sends again what lands in a shard where it does not belong.
	Laned bool
	// Range is the hash range of the lane that the aggregate was built for.
	Range keyspace.Range
	// Counters number the sub-records, strictly rising. Every resend of a
	// record carries the same counter.
	Counters []uint64
}

// Aggregate is a decoded aggregate.
//
// It can be decoded into again and again: Subs and Identity.Counters are then
// overwritten, while what the sub-records point to stays as it is, for as long
// as it is referenced.
type Aggregate struct {
	// Subs are at least one. Data points into the decoded bytes.
	Subs []Sub
	// HasIdentity tells that Identity was there and is sound; otherwise the
	// aggregate is to be treated like one of another producer.
	HasIdentity bool
	Identity    Identity
	// IdentityError tells why an identity that was there is not believed: the
	// field is malformed or contradicts the records. Count it.
	IdentityError error

	scratch scratch
}

// Len is the number of sub-records.
func (a *Aggregate) Len() int { return len(a.Subs) }

// Hash is what routes sub-record i.
func (a *Aggregate) Hash(i int) keyspace.Hash {
	h, err := a.Subs[i].Hash()
	if err != nil { // Decode lets none through; one that a caller put there
		h = keyspace.OfKey(a.Subs[i].Key)
	}
	return h
}

// Key is the key of sub-record i, if its hash is what routes it; else "".
func (a *Aggregate) Key(i int) string {
	if a.Subs[i].ExplicitHashKey != "" {
		return ""
	}
	return a.Subs[i].Key
}

// LooksLikeAggregate tells whether readers would take data for an aggregate and
// open it: it has the magic number, a body and the right checksum. A producer
// must not put such a record into a stream bare.
func LooksLikeAggregate(data []byte) bool {
	_, ok := body(data)
	return ok
}

// body is the protobuf message of an aggregate.
func body(data []byte) ([]byte, bool) {
	message, sum, ok := Parts(data)
	return message, ok && md5.Sum(message) == sum //nolint:gosec // see the import
}

// Parts are the protobuf message of an aggregate and the MD5 sum that it has if data
// is one; false: it is none. Like the Java KCL it takes an aggregate without a message
// for a plain record.
func Parts(data []byte) (message []byte, sum [md5.Size]byte, ok bool) {
	if len(data) <= Overhead || string(data[:len(magic)]) != magic {
		return nil, sum, false
	}
	end := len(data) - md5.Size
	return data[len(magic):end:end], [md5.Size]byte(data[end:]), true
}

// Numbers of the format's fields.
const (
	fieldKey      = 1
	fieldHash     = 2
	fieldRecord   = 3
	fieldIdentity = 1000

	recordKeyIndex  = 1
	recordHashIndex = 2
	recordData      = 3
	recordTag       = 4

	tagKey   = 1
	tagValue = 2

	identityProducer = 1
	identityFlags    = 2
	identityFirst    = 3
	identityLast     = 4
	identityBase     = 5
	identityDeltas   = 6

	flagLaned = 1
)
