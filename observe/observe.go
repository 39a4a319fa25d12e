// Package observe is the port through which the engine reports what it does:
// counts, sizes and times, and the life of shards. Exporters to metrics systems
// implement Observer; the zero cost choice is Nop.
//
// Nothing reported holds keys or payloads of records.
package observe

import "time"

// Observer receives reports. Its methods are called on hot paths by many
// goroutines at once: they must return quickly and must not block.
type Observer interface {
	// Count adds n to a counter.
	Count(c Counter, at Where, n int64)
	// Gauge sets a value that can rise and fall.
	Gauge(g Gauge, at Where, v int64)
	// Observe adds one value to a distribution: nanoseconds of a duration,
	// bytes of a size.
	Observe(h Histogram, at Where, v int64)
	// Event reports a step in the life of a shard or a worker.
	Event(e Event)
}

// Where says what a report is about. Empty fields do not apply.
type Where struct {
	Stream string
	Shard  string
	Group  string
	Worker string
}

// Counter names a sum that only rises.
type Counter string

// Counters.
const (
	RecordsSent        Counter = "records_sent"         // acknowledged records
	BytesSent          Counter = "bytes_sent"           // payload bytes of acknowledged records
	RecordsFailed      Counter = "records_failed"       // ended as not stored
	RecordsUnknown     Counter = "records_unknown"      // ended as unknown
	RecordsResent      Counter = "records_resent"       // records that left more than once, per extra time
	Requests           Counter = "requests"             // calls to the service
	RequestErrors      Counter = "request_errors"       // calls that failed as a whole
	Throttles          Counter = "throttles"            // entries or calls refused for a rate
	EntriesSent        Counter = "entries_sent"         // Kinesis records put, aggregates count once
	EntriesMisplaced   Counter = "entries_misplaced"    // aggregates that another shard took than predicted
	MapRefreshes       Counter = "map_refreshes"        // listings of shards
	RecordsReceived    Counter = "records_received"     // records handed to a handler
	BytesReceived      Counter = "bytes_received"       // payload bytes of these
	EntriesReceived    Counter = "entries_received"     // Kinesis records read
	Duplicates         Counter = "duplicates"           // records removed by a mark
	Misplaced          Counter = "misplaced"            // laned records outside their shard, ignored: their resend follows
	Foreign            Counter = "foreign_outside"      // records of other producers outside their shard, delivered
	Malformed          Counter = "malformed"            // aggregates that did not decode, delivered raw
	IdentityErrors     Counter = "identity_errors"      // aggregates whose identity contradicts them; delivered as if they had none
	HandlerErrors      Counter = "handler_errors"       // errors and panics of handlers
	RecordsSkipped     Counter = "records_skipped"      // given up under the failure policy
	Deduplicated       Counter = "records_deduplicated" // passed over by package dedupe: one of their key had been handled
	RecordsWithoutKey  Counter = "records_without_key"  // handled by package dedupe as they are, for they have no key
	KeysForgotten      Counter = "keys_forgotten"       // by package dedupe before their window was over, for want of room
	RecordsKilling     Counter = "records_killing"      // records that killed workers and meet the failure policy without being handled
	CheckpointsTrimmed Counter = "checkpoints_trimmed"  // checkpoints that retention has passed: records may be lost
	Checkpoints        Counter = "checkpoints"          // checkpoints written
	IteratorsExpired   Counter = "iterators_expired"    // iterators recovered by sequence number
	Subscriptions      Counter = "subscriptions"        // SubscribeToShard calls that succeeded
	Fallbacks          Counter = "fallbacks"            // answers in an unusual form, which the SDK decoded, at several times the cost

	RecordsDurable Counter = "records_durable" // records that a durable buffer made durable
	RecordsDead    Counter = "records_dead"    // records that became dead letters of a durable buffer
	RecordsLost    Counter = "records_lost"    // durable records that cannot be read any more: the disk lost them

	HeartbeatErrors     Counter = "heartbeat_errors"      // heartbeats that were not acknowledged
	WorkersDeclaredDead Counter = "workers_declared_dead" // by this worker
)

// Gauge names a value that can rise and fall.
type Gauge string

// Gauges.
const (
	LaneDepth       Gauge = "lane_depth_records"    // records waiting or in flight in a lane
	BufferBytes     Gauge = "buffer_bytes"          // memory held by accepted records
	InFlight        Gauge = "requests_in_flight"    // PutRecords calls without an answer
	BehindMillis    Gauge = "behind_ms"             // MillisBehindLatest of the last answer
	Unhandled       Gauge = "records_unhandled"     // handed out of a shard and not done with
	PrefetchBytes   Gauge = "prefetch_bytes"        // read but not yet handed over
	ShardsOwned     Gauge = "shards_owned"          // leases held by this worker
	PaceBytes       Gauge = "pace_bytes_per_second" // what the producer allows itself on a shard
	LeaseLeftMillis Gauge = "lease_left_ms"         // what was left of the lease time when a heartbeat was acknowledged
	OldestUnackAge  Gauge = "oldest_unacked_ms"     // age of the oldest accepted record of a lane
	DurableRecords  Gauge = "durable_records"       // in a durable buffer, the stream is not known to have them
	DurableBytes    Gauge = "durable_bytes"         // room that a durable buffer takes
	DurableOldest   Gauge = "durable_oldest_ms"     // age of the oldest record in a durable buffer
)

// Histogram names a distribution.
type Histogram string

// Histograms.
const (
	SendLatency      Histogram = "send_latency_ns"      // acceptance to receipt
	DurableLatency   Histogram = "durable_latency_ns"   // one call of Send or SendAll until its records are durable
	RequestLatency   Histogram = "request_latency_ns"   // one call to the service
	HandlerTime      Histogram = "handler_time_ns"      // one call of a handler, or one chunk in a program of another language
	EndToEnd         Histogram = "end_to_end_ns"        // arrival in the stream to the end of the handler
	HeartbeatLatency Histogram = "heartbeat_latency_ns" // one heartbeat to its answer
	RequestBytes     Histogram = "request_bytes"        // size of a PutRecords request
)

// EventKind is a step in the life of a shard or worker.
type EventKind string

// Kinds of events.
const (
	Acquired   EventKind = "acquired"    // the shard is read from Position on
	Ended      EventKind = "ended"       // the shard was read to its end
	Lost       EventKind = "lost"        // the lease is gone
	HandedOver EventKind = "handed_over" // the lease was given to Worker
	Checkpoint EventKind = "checkpoint"  // Position was written
	Careful    EventKind = "careful"     // the shard is read one record at a time: workers died at Position
	Stopping   EventKind = "stopping"    // the consumer was told to stop
	Stopped    EventKind = "stopped"     // the consumer has stopped
	Opened     EventKind = "opened"      // the producer opened a lane for the shard
	Closed     EventKind = "closed"      // the producer learnt that the shard is closed
)

// Event is one such step.
type Event struct {
	Kind        EventKind
	Time        time.Time
	Where       Where
	Sequence    string // where it starts, or what was checkpointed
	SubSequence int64
	// Start is the arrival time to start with, of Acquired while Sequence is a
	// start; zero: with the oldest record.
	Start   time.Time
	Parents []string // of the shard, where known
	// How a shard was acquired (free, dead, handoff, again), and Worker is its
	// former owner, or with HandedOver its next one.
	How    string
	Worker string
}

// Nop observes nothing.
type Nop struct{}

// Count does nothing.
func (Nop) Count(Counter, Where, int64) {}

// Gauge does nothing.
func (Nop) Gauge(Gauge, Where, int64) {}

// Observe does nothing.
func (Nop) Observe(Histogram, Where, int64) {}

// Event does nothing.
func (Nop) Event(Event) {}
