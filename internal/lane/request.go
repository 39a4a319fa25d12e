package lane

import (
	"time"

	"github.com/libvegas/vegas/internal/keyspace"
)

// Request is one PutRecords call: at most 500 entries, bytes within
// Config.RequestBytes unless it is a single entry.
type Request struct {
	Entries []*Entry
	// Bytes is an upper bound of the data and partition keys of all entries.
	Bytes int
	// Left is when Poll gave it out.
	Left time.Duration

	lone bool // counted against the requests kept for lanes in trouble
}

// Entry is one Kinesis record. While the shard that it was made for is open it
// leaves again as the same Entry with the same Items, so its encoding is the
// same byte for byte; it is never in two requests at once.
type Entry struct {
	// Shard is the shard that ought to take it.
	Shard string
	// Items are the records in it, by rising Counter. Raw entries have one.
	Items []*Item
	// Raw asks for the item's own key and data, not wrapped in an aggregate.
	Raw bool
	// Laned and Range go into the aggregate's identity, with the producer and the
	// items' counters.
	Laned bool
	Range keyspace.Range
	// Producer is that of all its items; nil: Config.Producer.
	Producer *[16]byte
	// Wire is for the caller to set: the bytes of data and partition key that
	// it put. Until then the lane's pace counts an upper bound.
	Wire int
	// HashKey is the caller's own: the explicit hash key to put it under.
	HashKey string

	one     [1]*Item // memory of Items where it is one
	lane    *lane
	bound   int           // upper bound of its size with the key
	charged int           // bytes taken from the lane's pace for the attempt under way
	group   int32         // of entries resent together after their request was refused
	late    time.Duration // cached deadline; 0: to be found
	parked  parked
}

// parked is an answer that cannot be judged yet: it names a shard that is not
// known.
type parked struct {
	shard, sequence string
	looks           int // maps learnt since
}

// Hash is what the entry is routed by: that of its first item.
func (e *Entry) Hash() keyspace.Hash { return e.Items[0].Hash }

// Status is how an entry, or a whole request, ended.
type Status uint8

// Statuses.
const (
	// Unknown: no clear answer; it may have been stored or may yet be.
	Unknown Status = iota
	// Stored by Result.Shard at Result.Sequence.
	Stored
	// Throttled: certainly not stored, for a rate.
	Throttled
	// NotStored: certainly not stored, may succeed later.
	NotStored
	// Refused: certainly not stored and would be refused again. A request of
	// several entries that is refused as a whole is sent again in halves until
	// the entry to blame is alone.
	Refused
	// Fatal: refused for a reason that holds for every record (access denied,
	// no such stream, key disabled). All records that are not under way end
	// with it, unless the machine is patient.
	Fatal
)

// String names the status.
func (s Status) String() string {
	return [...]string{"unknown", "stored", "throttled", "not stored", "refused", "fatal"}[s]
}

// Result is the answer to one entry.
type Result struct {
	Status   Status
	Shard    string // of Stored
	Sequence string // of Stored
	Err      error  // of the others: the cause
}
