package lane

import (
	"time"

	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/record"
)

// Item is one accepted record. The caller fills the first group of fields and
// leaves them alone until the machine hands the item back, by TakeFinished or
// by a Withdraw that succeeds; the second group is the result, valid from then
// on. An item belongs to one machine and is accepted once.
type Item struct {
	Key             string
	ExplicitHashKey string
	Data            []byte
	Headers         []record.Header
	Hash            keyspace.Hash // the effective hash of the two keys
	Accepted        time.Duration // when linger starts to count
	Deadline        time.Duration // 0: none
	Bound           int32         // see Bound; 0: Accept reckons it
	// Producer is the identity that its aggregate carries; nil: Config.Producer.
	// Items of one identity point to the same place: an entry never mixes two.
	Producer *[16]byte
	Tag      any // the caller's own

	// Err is nil where the record was stored, else the cause of its end: wraps
	// record.ErrDeadline, record.ErrEarlierFailed, or what Answer, Fail,
	// FailQueued or Abort were given.
	Err error
	// Shard holds it where it was stored, else is the one it last left for;
	// empty if it never left.
	Shard string
	// Sequence and Index say where it lies in the shard: sequence number and
	// index inside the aggregate.
	Sequence string
	// Counter is its number in the order of acceptance, from 1. A caller that has
	// numbers of its own sets them, and they rise.
	Counter uint64
	Index   int32
	// Attempts is how often it left.
	Attempts int32
	// Unknown tells of a record that was not acknowledged that some attempt
	// may have stored it. It is set by the first attempt without a clear answer
	// and never cleared.
	Unknown bool

	state         state
	form          Form
	group         int32 // raw: see Entry.group
	next, prev    *Item // in the queue that holds it
	ahead, behind *Item // raw: the unfinished neighbours of the same hash
	other         *Item // raw: see tails
	owner         *lane // of the queue that holds it, nil before the first map
}

// Ended tells that it was handed back, or is about to be.
func (it *Item) Ended() bool { return it.state == done }

type state uint8

const (
	fresh   state = iota
	queued        // in a lane's queue, or before the first map in the machine's
	waiting       // raw: in a lane's list of those behind an unfinished one of the same hash
	frozen        // in an entry that waits to leave again
	flying        // in an entry under way, or parked
	done          // handed back, or about to be
)

// Form is how a record travels.
type Form uint8

// Forms.
const (
	Shared   Form = iota // in an aggregate with others
	Wrapped              // in an aggregate by itself
	Single               // as it is: it has no identity and can carry no headers
	TooLarge             // the stream takes no record of this size
)

// Bound is an upper bound of what an aggregate grows by with an item: its data and
// headers, its keys as if no other record had them, its counter.
func Bound(key, explicitHashKey string, data []byte, headers []record.Header) int {
	n := 7 + 2*varint(len(data)) + len(data) + // tags, lengths of record and data, key index
		2 + varint(len(key)) + len(key) + 5 // the key's place in the table; the counter
	if explicitHashKey != "" {
		n += 7 + len(explicitHashKey)
	}
	for i := range headers {
		h := &headers[i]
		n += 4 + len(h.Key) + len(h.Value) + 3*varint(len(h.Key)+len(h.Value))
	}
	return n
}

// varint is an upper bound of the size of a length that is not much above n.
func varint(n int) int {
	switch {
	case n < 1<<7-64:
		return 1
	case n < 1<<14-64:
		return 2
	case n < 1<<21-64:
		return 3
	}
	return 5
}

// aggregateFixed is an upper bound of an aggregate's size without its records:
// magic and MD5 (20), the identity (producer 18, flags 2, range 36, base
// counter 11, heads of the deltas and of the field itself 12), and the
// partition key "a" that counts with it.
const aggregateFixed = 104

// form tells how an item can travel, by the size of its data and key and its bound.
func (c *Config) form(whole, bound int) Form {
	switch {
	case whole > c.RecordBytes:
		return TooLarge
	case c.Raw:
		return Single
	case bound+aggregateFixed <= min(c.AggregateBytes, c.RecordBytes):
		return Shared
	case bound+aggregateFixed <= c.RecordBytes:
		return Wrapped
	}
	return Single
}
