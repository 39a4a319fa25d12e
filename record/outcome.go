package record

import (
	"errors"
	"fmt"
)

// Outcome is what is known of a record whose sending ended without a receipt.
type Outcome uint8

const (
	// Unknown: at least one attempt may have stored the record, or may still
	// do so. Sending it again can duplicate it.
	Unknown Outcome = iota
	// NotStored: the record is not in the stream and will not get there.
	NotStored
)

// String is "unknown" or "not stored".
func (o Outcome) String() string {
	if o == NotStored {
		return "not stored"
	}
	return "unknown"
}

// SendError is how the sending of a record failed. It wraps the cause: use
// errors.Is and errors.As to branch on it.
type SendError struct {
	// Stream is the stream's name.
	Stream string
	// Shard is the shard it was last sent to; empty if it never left.
	Shard string
	// Key is the record's partition key. It is not part of the error's text.
	Key string
	// Outcome says whether the record can be in the stream all the same.
	Outcome Outcome
	// Attempts is how often this Producer sent it.
	Attempts int
	// Err is the cause.
	Err error
}

func (e *SendError) Error() string {
	where := fmt.Sprintf("stream %q", e.Stream)
	if e.Shard != "" {
		where += " " + e.Shard
	}
	how := e.Outcome.String()
	switch e.Attempts {
	case 0: // the cause says why it never left, or where it is
	case 1:
		how += " after 1 attempt"
	default:
		how += fmt.Sprintf(" after %d attempts", e.Attempts)
	}
	return fmt.Sprintf("send: %s: %s: %v", where, how, e.Err)
}

func (e *SendError) Unwrap() error { return e.Err }

// Errors that callers branch on.
var (
	// ErrClosed: the producer or consumer was closed before the call.
	ErrClosed = errors.New("closed")
	// ErrBufferFull: there is no room, and the call may not wait for it (it
	// came from a callback, or asked not to block).
	ErrBufferFull = errors.New("buffer full")
	// ErrDeadline: the record's deadline passed before the stream
	// acknowledged it.
	ErrDeadline = errors.New("deadline passed")
	// ErrThrottled: the service refused it for exceeding a shard's limit.
	ErrThrottled = errors.New("throttled")
	// ErrEarlierFailed: an earlier record of the same key failed, and the
	// producer was told to fail the key with it.
	ErrEarlierFailed = errors.New("an earlier record of the same key failed")
	// ErrTooLarge: the record exceeds the stream's MaxRecordSize.
	ErrTooLarge = errors.New("record too large")
	// ErrLeaseLost: the lease of the shard belongs to another worker now, or
	// can no longer be proven. Cause of a shard's context.
	ErrLeaseLost = errors.New("lease lost")
	// ErrGraceOver: the time to finish after the end of Run, or of a handoff,
	// is over. Cause of a shard's context.
	ErrGraceOver = errors.New("grace time over")
	// ErrTrimmed: retention has passed the record at the checkpoint.
	ErrTrimmed = errors.New("retention has passed the checkpoint")
	// ErrKillsProcess: workers died while they handled the record, and it is not
	// handled any more. What the dead-letter function is told.
	ErrKillsProcess = errors.New("workers died while this record was handled")
)
