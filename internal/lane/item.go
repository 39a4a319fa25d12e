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
	Tag             any           // the caller's own

	// Err is nil where the record was stored, else the cause of its end: wraps
	// record.ErrDeadline, record.ErrEarlierFailed, or what Answer, Fail or
	// Abort were given.
	Err error
	// Unknown tells of a record that was not acknowledged that some attempt
	// may have stored it. It is set by the first attempt without a clear answer
	// and never cleared.
	Unknown bool
	// Attempts is how often it left.
	Attempts int
	// Shard holds it where it was stored, else is the one it last left for;
	// empty if it never left.
	Shard string
	// Sequence and Index say where it lies in the shard: sequence number and
	// index inside the aggregate.
	Sequence string
	Index    int
	// Counter is its number in the order of acceptance, from 1.
	Counter uint64

	state      state
	size       int   // upper bound of its share of an aggregate
	next, prev *Item // in the queue that holds it
	behind     *Item // raw: the next one of the same hash, which waits for this one
	owner      *lane // of the queue that holds it, nil before the first map
}

type state uint8

const (
	fresh   state = iota
	queued        // in a lane's queue, or before the first map in the machine's
	waiting       // raw: in a lane's list of those behind an unfinished one of the same hash
	frozen        // in an entry that waits to leave again
	flying        // in an entry under way, or parked
	done          // handed back, or about to be
)

// Left tells that it left at least once.
func (it *Item) Left() bool { return it.Attempts > 0 }

// bytes is what it adds to a queue.
func (it *Item) bytes() int { return it.size }
