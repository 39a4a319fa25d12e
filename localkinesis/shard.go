package localkinesis

import (
	"math"
	"slices"
	"sort"
	"time"

	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/limits"
)

// shard is one shard of a stream; the account's lock guards it.
type shard struct {
	stream   *stream
	index    uint32
	id       string
	keys     keyspace.Range
	parents  []*shard
	children []*shard
	created  time.Time
	born     int // versions of the stream's shard map when it was opened
	died     int // and closed

	closed   bool
	closedAt time.Time
	gone     bool     // expired before the retention period was changed
	start    sequence // of the shard; its records are above
	end      sequence // of the shard, once closed; its records are below
	last     sequence // of the last record, else start

	records []stored // by sequence and by arrival
	dropped int      // records trimmed so far
	slack   int      // trimmed records still in the array before records
	bytes   int64    // of the records, data and keys

	writeRecords, writeBytes, writeBurst bucket
	reads, readBytes, iterators          bucket

	// changed is closed, and forgotten, when a waiting subscription should look
	// again. Nil while nobody waits.
	changed chan struct{}
}

// stored is one record. It never changes, so that it can be encoded after the
// lock is released.
type stored struct {
	number  sequence
	key     string
	hash    keyspace.Hash
	data    []byte
	arrival int64 // milliseconds since 1970, never falling within a shard
	keyed   bool  // false: put without a partition key, on an AUTO stream
	kms     bool
}

func (r *stored) size() int { return len(r.key) + len(r.data) }

// recordOverhead is about what a record costs besides its data and key: its
// row, and the room that the array of rows keeps for more.
const recordOverhead = 128

// held is what the record takes of Options.MemoryBytes.
func (r *stored) held() int64 { return int64(r.size()) + recordOverhead }

func (sh *shard) wake() {
	if sh.changed != nil {
		close(sh.changed)
		sh.changed = nil
	}
}

// change gives the channel that is closed at the next change.
func (sh *shard) change() <-chan struct{} {
	if sh.changed == nil {
		sh.changed = make(chan struct{})
	}
	return sh.changed
}

// store appends a record. Its number is above every other of the shard and of
// its ancestors, so that a SequenceNumberForOrdering is honoured without a look.
func (sh *shard) store(r stored, now time.Time) sequence {
	sh.last = makeSequence(sh.start.created(), sh.index, sh.last.counter()+1, now.Unix())
	r.number, r.arrival = sh.last, now.UnixMilli()
	if n := len(sh.records); n > 0 {
		r.arrival = max(r.arrival, sh.records[n-1].arrival)
	}
	sh.records = append(sh.records, r)
	sh.bytes += int64(r.size())
	sh.stream.account.bytes += r.held()
	sh.wake()
	return sh.last
}

// admit takes a record of n bytes off the shard's write limits.
//
// Sources: "Each shard can support writes up to 1,000 records per second, up to
// a maximum data write total of 1 MB per second", API_PutRecords. Records over
// 1 MiB are served by a tank of 10 MiB that all writes draw from and that
// refills at 1 MiB/s: "think of your stream's write capacity as a tank that
// refills at a steady rate. When you send a large record, such as a 10 MiB
// record, the tank is temporarily depleted. It then begins refilling
// immediately, which means you can continue to send smaller records as capacity
// becomes available", https://docs.aws.amazon.com/streams/latest/dev/large-records.html.
func (sh *shard) admit(n int, now time.Time) bool {
	if !sh.stream.account.limits {
		return true
	}
	sh.writeRecords.refill(now, limits.ShardWriteRecords, limits.ShardWriteRecords)
	sh.writeBytes.refill(now, limits.ShardWriteBytes, limits.ShardWriteBytes)
	sh.writeBurst.refill(now, limits.ShardWriteBytes, limits.RecordBytesMax)
	size := float64(n)
	if sh.writeRecords.level < 1 {
		return false
	}
	if n > limits.ShardWriteBytes {
		if sh.writeBurst.level < size {
			return false
		}
		sh.writeBytes.level = 0
	} else {
		if sh.writeBytes.level < size {
			return false
		}
		sh.writeBytes.level -= size
	}
	sh.writeRecords.level--
	sh.writeBurst.level = max(0, sh.writeBurst.level-size)
	return true
}

func (sh *shard) throttled() *failure {
	return refuse(codeThrottled, "Rate exceeded for shard %s in stream %s under account %s.", sh.id, sh.stream.name, sh.stream.account.id)
}

// trim forgets records older than the stream's retention. Source: "You cannot
// read data records once they are inaccessible",
// https://docs.aws.amazon.com/streams/latest/dev/kinesis-extended-retention.html.
func (sh *shard) trim(now time.Time) {
	cut := now.Add(-sh.stream.retention()).UnixMilli()
	if len(sh.records) == 0 || sh.records[0].arrival >= cut {
		return
	}
	sh.drop(sort.Search(len(sh.records), func(i int) bool { return sh.records[i].arrival >= cut }))
}

// drop forgets the first n records. It does not touch them, for an answer being
// encoded may still hold them; the array is let go once half of it is dropped.
func (sh *shard) drop(n int) {
	if n == 0 {
		return
	}
	for i := range n {
		sh.bytes -= int64(sh.records[i].size())
		sh.stream.account.bytes -= sh.records[i].held()
	}
	sh.records = sh.records[n:]
	sh.dropped += n
	if sh.slack += n; sh.slack >= len(sh.records) {
		sh.records, sh.slack = slices.Clone(sh.records), 0
	}
}

// expired tells whether a closed shard has outlived its records. Source: "After
// the stream's retention period has expired and all the data records in the
// parent shard have expired, the state of the parent shard changes to EXPIRED",
// https://docs.aws.amazon.com/streams/latest/dev/kinesis-using-sdk-java-after-resharding.html.
func (sh *shard) expired(now time.Time) bool {
	return sh.gone || sh.closed && now.Sub(sh.closedAt) > sh.stream.retention()
}

// from gives the index of the first record at or above q.
func (sh *shard) from(q sequence) int {
	return sort.Search(len(sh.records), func(i int) bool { return sh.records[i].number.compare(q) >= 0 })
}

// since gives the position of the first record that arrived at or after t.
func (sh *shard) since(t time.Time) sequence {
	ms := int64(math.Ceil(float64(t.UnixMicro()) / 1000))
	i := sort.Search(len(sh.records), func(i int) bool { return sh.records[i].arrival >= ms })
	if i == len(sh.records) {
		return sh.last.next()
	}
	return sh.records[i].number
}

// take gives the records from q on, at most count of them and max bytes (but
// at least one), and the position after them.
func (sh *shard) take(q sequence, count, bytesMax int) ([]stored, sequence) {
	i := sh.from(q)
	j, sum := i, 0
	for j < len(sh.records) && j-i < count {
		if sum += sh.records[j].size(); sum > bytesMax && j > i {
			break
		}
		j++
	}
	if i == j {
		return nil, q
	}
	return sh.records[i:j:j], sh.records[j-1].number.next()
}

// behind is how far a reader at q lags the tip, in milliseconds: the age of the
// next record it has to read. Source: "A value of zero indicates that record
// processing is caught up, and there are no new records to process at this
// moment", API_GetRecords.
func (sh *shard) behind(q sequence, now time.Time) int64 {
	if i := sh.from(q); i < len(sh.records) {
		return max(0, now.UnixMilli()-sh.records[i].arrival)
	}
	return 0
}

// finished tells whether a reader at q has read all that the shard will ever hold.
func (sh *shard) finished(q sequence) bool {
	return sh.closed && sh.from(q) == len(sh.records)
}
