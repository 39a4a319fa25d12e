package vegas

import "github.com/libvegas/vegas/record"

// The vocabulary, shared with packages that do not need the engine.
type (
	// Record is one record, to be sent or received.
	Record = record.Record
	// Header is a named value beside a record's payload.
	Header = record.Header
	// Batch is a run of received records of one shard.
	Batch = record.Batch
	// Handler processes one received record.
	Handler = record.Handler
	// Receipt tells where an acknowledged record was stored.
	Receipt = record.Receipt
	// Position is a place in a shard.
	Position = record.Position
	// Outcome is what is known of a record that was not acknowledged.
	Outcome = record.Outcome
	// SendError is how the sending of a record failed.
	SendError = record.SendError
)

// Outcomes of a record that was not acknowledged.
const (
	// Unknown: it may be in the stream, or may still get there.
	Unknown = record.Unknown
	// NotStored: it is not in the stream and will not get there.
	NotStored = record.NotStored
)

// Errors to branch on with errors.Is.
var (
	// ErrClosed: the producer or consumer is closed.
	ErrClosed = record.ErrClosed
	// ErrBufferFull: no room, and the call could not wait for it (any longer).
	ErrBufferFull = record.ErrBufferFull
	// ErrDeadline: the record's deadline passed.
	ErrDeadline = record.ErrDeadline
	// ErrThrottled: refused for exceeding a limit of the shard or stream.
	ErrThrottled = record.ErrThrottled
	// ErrTooLarge: the record exceeds the stream's MaxRecordSize.
	ErrTooLarge = record.ErrTooLarge
	// ErrEarlierFailed: an earlier record of the key failed, under FailKey.
	ErrEarlierFailed = record.ErrEarlierFailed
	// ErrLeaseLost: the shard belongs to another worker now.
	ErrLeaseLost = record.ErrLeaseLost
	// ErrGraceOver: the time to finish is over.
	ErrGraceOver = record.ErrGraceOver
	// ErrTrimmed: retention has passed the record at the checkpoint.
	ErrTrimmed = record.ErrTrimmed
	// ErrKillsProcess: workers died while they handled the record.
	ErrKillsProcess = record.ErrKillsProcess
)
