// Package buffer is the port for what a durable producer has accepted and the
// stream does not have yet. A buffer is a queue on stable storage: records are
// appended at its end, come out in the same order, also after a crash, and are
// acknowledged one by one. What can never be stored is kept in it as a dead
// letter, until somebody replays it.
//
// To add a buffer, implement Buffer in a directory of its own and run
// buffertest against it.
package buffer

import (
	"context"
	"errors"
	"time"

	"github.com/libvegas/vegas/record"
)

// Item is one record in a buffer, with the identity that it keeps however often
// it is sent: consumers recognise by it what they have had before.
type Item struct {
	// Producer is drawn anew at every Open, 128 random bits, and names those
	// records that were appended under it.
	Producer [16]byte
	// Seq is its number in the buffer, from 1. It rises in the order in which
	// Next gives records out, through all openings. A pair of Producer and Seq
	// never names two records, also where a directory was copied, or restored
	// from a backup, and both go on.
	Seq uint64
	// Accepted is when it was appended, by the wall clock, to a millisecond or
	// better.
	Accepted time.Time

	Key             string
	ExplicitHashKey string
	Data            []byte
	Headers         []record.Header
}

// Dead is an item that left without an acknowledgement of the stream.
type Dead struct {
	Item
	// Reason is the error's text.
	Reason string
	// Unknown: some attempt may have stored it.
	Unknown bool
	// At is when it was given up.
	At time.Time
}

// Buffer keeps records. Its methods may be called by many goroutines at once,
// but Next and Close by one at a time.
type Buffer interface {
	// Open gets ready and takes the buffer for this process: a second one that
	// opens it gets an error. It is called once, before everything else. Its
	// time and memory do not depend on how much is buffered.
	Open(ctx context.Context) error
	// Append takes records in, one after the other in their order, copies what
	// it keeps of them, and returns the Seq of the first; the others follow
	// without a gap. Those of two calls that overlap do not mix. They are not
	// durable yet: Sync waits for that. If there is no room Append waits, and
	// when ctx ends first returns an error that wraps record.ErrBufferFull: then
	// nothing was appended. Where there is room it does not look at ctx, so that a
	// caller who may not wait passes one that has ended. What is larger than the
	// buffer's whole limit has room when nothing else is in it.
	//
	// If assigned is not nil it is called with the Seq of the first before Append
	// returns and before any of the records can come out of Next. Calls are in
	// the order of the numbers; it must not block, nor call the buffer.
	Append(ctx context.Context, records []*record.Record, assigned func(first uint64)) (uint64, error)
	// Sync waits until the record of that number and all before it are durable:
	// they survive the end of the process and of the machine. Who waits shares
	// one write with all others who do. Its error is ctx's, which says nothing
	// about the record; or wraps ErrNotBuffered or ErrUnknown.
	Sync(ctx context.Context, seq uint64) error
	// Next returns the next items in their order: each once in an opening, first
	// those of earlier openings that were not acknowledged, and never one that
	// is not durable. It returns at least one, and stops before their data
	// exceeds bytes; it waits for the first. The items' Data is valid until
	// the next call. After Close it returns io.EOF. Any other error than ctx's
	// says that nothing more can be read in this opening.
	Next(ctx context.Context, bytes int) ([]Item, error)
	// Ack says that the stream has these records: they need not come out again.
	// It may be lost by a crash, so that they do come out again, but never so that
	// one comes out that is a dead letter, unless Bury did not return. Numbers
	// that are unknown, or were acknowledged before, are ignored.
	Ack(seqs []uint64)
	// Bury makes items dead letters. When it returns nil they are durable as
	// such, and do not come out of Next any more; an error says that nothing of
	// that may have happened, and it may be called again.
	Bury(ctx context.Context, dead []Dead) error
	// Replay appends all dead letters again, as new records with new identities
	// (marks of consumers may have passed the old ones), and removes each after
	// its record is durable: a crash in between makes one come twice, never not
	// at all. It returns how many.
	Replay(ctx context.Context) (int, error)
	// Dead calls f with every dead letter, oldest first, until it returns false.
	Dead(ctx context.Context, f func(*Dead) bool) error
	// Stats is a snapshot.
	Stats() Stats
	// Close makes durable what was appended and, as far as it can, remembers what
	// was acknowledged. Calls under way end with an error that wraps
	// record.ErrClosed. It may be called again.
	Close() error
}

// Stats is what a buffer knows about itself.
type Stats struct {
	// Items are the records that are neither acknowledged nor dead, and First is
	// the lowest of their numbers, or the next to be given if there are none.
	Items int64
	First uint64
	// Bytes is the room that the buffer takes, of Limit; 0: no limit.
	Bytes, Limit int64
	// Oldest is when the first was accepted; zero if there are none.
	Oldest time.Time
	// Dead are the dead letters.
	Dead int64
	// Lost are records that were durable and cannot be read any more, and
	// Quarantined the bytes that were set aside because nothing could be made of
	// them. Both since the directory was made.
	Lost, Quarantined int64
	// Syncs are the writes that were made durable in this opening, and Appended
	// the records in them.
	Syncs, Appended int64
	// Stalled is why nothing can be appended at present, nil if it can: the limit
	// is reached, or the storage does not take it.
	Stalled error
}

var (
	// ErrNotBuffered: the record is not in the buffer and will not be sent.
	ErrNotBuffered = errors.New("not in the buffer")
	// ErrUnknown: the storage failed in a way that leaves open whether the record
	// is in the buffer.
	ErrUnknown = errors.New("may or may not be in the buffer")
)
