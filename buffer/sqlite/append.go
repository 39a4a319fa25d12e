package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	lib "modernc.org/sqlite/lib"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/record"
)

const (
	// gathered is how many bytes may wait for the transaction under way.
	gathered = 8 << 20
	// acked is how many acknowledgements wait at most for a transaction that is
	// made anyway.
	acked = 1000
)

// Append takes records into the group that the next transaction commits.
func (b *Buffer) Append(ctx context.Context, records []*record.Record, assigned func(uint64)) (uint64, error) {
	rows := make([]row, len(records))
	bytes := int64(0)
	for i, r := range records {
		rows[i] = rowOf(r)
		bytes += rows[i].size()
	}
	select {
	case <-b.turn:
		defer func() { b.turn <- struct{}{} }()
	case <-ctx.Done():
		return 0, b.fail("append", fmt.Errorf("%w: %w", record.ErrBufferFull, context.Cause(ctx)))
	}
	for {
		first, wait, err := b.append(rows, bytes, assigned)
		if wait == nil {
			return first, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return 0, b.fail("append", fmt.Errorf("%w: %w", record.ErrBufferFull, context.Cause(ctx)))
		}
	}
}

// append appends if there is room, and else gives what to wait for.
func (b *Buffer) append(rows []row, bytes int64, assigned func(uint64)) (first uint64, wait <-chan struct{}, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(); err != nil {
		return 0, nil, b.fail("append", err)
	}
	if len(rows) == 0 {
		return b.next, nil, nil
	}
	used := b.file.used.Load() + b.bytes
	switch {
	case b.limit > 0 && used > 0 && used+bytes > b.limit:
		b.stalled = b.fail("append", fmt.Errorf("%w: %d of %d bytes are taken (see docs/troubleshooting.md#buffer-disk-full)", record.ErrBufferFull, used, b.limit))
		b.wake() // acknowledgements make room
		return 0, b.changed, nil
	case len(b.pending) > 0 && b.bytes+bytes > gathered:
		return 0, b.changed, nil
	}
	b.stalled = nil
	first = b.next
	if assigned != nil {
		assigned(first)
	}
	now := time.Now().UnixMilli()
	for i := range rows {
		rows[i].seq, rows[i].producer, rows[i].accepted = b.next, b.producer, now
		b.next++
	}
	b.pending = append(b.pending, rows...)
	b.bytes += bytes
	b.wake()
	return first, nil, nil
}

// Sync waits for the transaction of that number.
func (b *Buffer) Sync(ctx context.Context, seq uint64) error {
	for {
		b.mu.Lock()
		durable, err, wait := b.durable, b.usable(), b.changed
		for _, f := range b.failed {
			if f.first <= seq && seq <= f.last {
				err = f.err
				b.mu.Unlock()
				return err
			}
		}
		if b.state == closing {
			err = nil // the last group is on its way
		}
		b.mu.Unlock()
		switch {
		case seq <= durable:
			return nil
		case err != nil:
			return b.fail("sync", err)
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Ack deletes records with the next transaction.
func (b *Buffer) Ack(seqs []uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.usable() != nil {
		return
	}
	b.acks = append(b.acks, seqs...)
	if len(b.acks) >= acked || b.stalled != nil {
		b.wake()
	}
}

// commit owns the transactions of records: it takes what has gathered while the
// one before was made durable.
func (b *Buffer) commit() {
	defer close(b.ended)
	for range b.work {
		if b.commitGroup() {
			return
		}
	}
}

// commitGroup commits one group, and tells whether it was the last.
func (b *Buffer) commitGroup() (last bool) {
	b.file.mu.Lock()
	defer b.file.mu.Unlock()
	b.mu.Lock()
	b.settle()
	rows := b.pending
	b.mu.Unlock()

	err := b.file.insert(rows)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.undo()
		b.refused(rows, err)
	}
	if len(rows) > 0 {
		b.take(rows, err == nil)
	}
	return b.state == closing && len(b.pending) == 0
}

// take removes what is done with from the group that gathers; the lock is held.
func (b *Buffer) take(rows []row, stored bool) {
	if b.pending = b.pending[len(rows):]; len(b.pending) == 0 {
		b.pending = nil // and lets the array go
	}
	for i := range rows {
		b.bytes -= rows[i].size()
	}
	b.durable = rows[len(rows)-1].seq
	if stored {
		b.appended += int64(len(rows))
		b.syncs++
	}
	b.change()
}

// settle deletes, in the transaction under way, what was acknowledged; both locks
// are held.
func (b *Buffer) settle() {
	if len(b.acks) == 0 {
		return
	}
	if err := b.file.remove(b.acks); err != nil {
		b.log.Error("durable buffer: acknowledged records cannot be deleted", slog.Any("error", b.file.end(err)))
		b.undo()
		return
	}
	b.acks, b.stalled = b.acks[:0], nil
	b.change()
}

// undo lets acknowledgements be settled again whose transaction was taken back;
// both locks are held.
func (b *Buffer) undo() {
	b.acks = append(b.acks, b.file.undone...)
	b.file.undone = nil
}

// refused remembers that a group is not in the file, and why; the lock is held.
func (b *Buffer) refused(rows []row, err error) {
	outcome := buffer.ErrNotBuffered
	if errors.Is(err, errCommit) {
		outcome = buffer.ErrUnknown
	}
	remedy := "look after the disk (see docs/troubleshooting.md#buffer-fsync)"
	if codeOf(err) == lib.SQLITE_FULL {
		remedy = "make room on the disk (see docs/troubleshooting.md#buffer-disk-full)"
	}
	err = b.fail("commit", fmt.Errorf("%d records: %w: %s: %w", len(rows), outcome, remedy, err))
	b.log.Error("durable buffer: a transaction failed", slog.Any("error", err))
	if len(rows) == 0 {
		return
	}
	first, last := rows[0].seq, rows[len(rows)-1].seq
	if n := len(b.failed); n > 0 && b.failed[n-1].last+1 == first {
		first = b.failed[n-1].first // one entry, however long it goes on
		b.failed = b.failed[:n-1]
	}
	b.failed = append(b.failed, failed{first, last, err})
}
