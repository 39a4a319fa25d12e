// Package memory is a buffer that lasts as long as the process: for tests, and
// for trying things out. What it holds survives Close, and a later Open of the
// same Buffer, and nothing else.
package memory

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/record"
)

// overhead is what an item takes besides its texts and data, roughly.
const overhead = 128

// Options arrive at an option function filled with the defaults named here.
type Options struct {
	// Bytes limits the memory of the records that are neither acknowledged nor
	// dead; Append waits for room. A batch that is larger has to be alone.
	// Default 0: no limit.
	Bytes int64
}

// Buffer keeps records in memory.
type Buffer struct {
	limit int64
	turn  chan struct{} // holds a token unless somebody appends: who waits for room is not overtaken
	again chan struct{} // holds a token unless somebody replays: two would append each letter twice

	mu       sync.Mutex
	open     bool
	changed  chan struct{} // closed, and made anew, when somebody may have waited for it
	producer [16]byte
	items    []*buffer.Item // from number first on; nil: not here any more
	first    uint64
	next     uint64 // the number that Next goes on at
	live     int64  // items that are not nil
	bytes    int64
	dead     []buffer.Dead
	appended int64
	syncs    int64
	stalled  error // the last Append found no room, and nothing was removed since
}

var _ buffer.Buffer = (*Buffer)(nil)

// New is an empty buffer, to be opened.
func New(opts ...func(*Options)) *Buffer {
	var o Options
	for _, f := range opts {
		f(&o)
	}
	b := &Buffer{limit: o.Bytes, turn: make(chan struct{}, 1), again: make(chan struct{}, 1), changed: make(chan struct{}), first: 1}
	b.turn <- struct{}{}
	b.again <- struct{}{}
	return b
}

func fail(what string, err error) error { return fmt.Errorf("memory buffer: %s: %w", what, err) }

// change wakes those who wait; the lock is held.
func (b *Buffer) change() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// Open begins an opening: with a new producer, and at the first record.
func (b *Buffer) Open(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open {
		return fail("open", errors.New("it is open already"))
	}
	b.open, b.next, b.appended, b.syncs = true, b.first, 0, 0
	rand.Read(b.producer[:])
	return nil
}

// Append takes records in. They are as durable as they get when it returns.
func (b *Buffer) Append(ctx context.Context, records []*record.Record, assigned func(uint64)) (uint64, error) {
	select {
	case <-b.turn:
	default:
		select {
		case <-b.turn:
		case <-ctx.Done():
			return 0, fail("append", fmt.Errorf("%w: %w", record.ErrBufferFull, context.Cause(ctx)))
		}
	}
	defer func() { b.turn <- struct{}{} }()
	var bytes int64
	for _, r := range records {
		bytes += size(r.PartitionKey, r.ExplicitHashKey, r.Data, r.Headers)
	}
	for {
		first, wait, err := b.append(records, bytes, assigned)
		if wait == nil {
			return first, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return 0, fail("append", fmt.Errorf("%w: %w", record.ErrBufferFull, context.Cause(ctx)))
		}
	}
}

// append appends if there is room, and else gives what to wait for.
func (b *Buffer) append(records []*record.Record, bytes int64, assigned func(uint64)) (first uint64, wait <-chan struct{}, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return 0, nil, fail("append", record.ErrClosed)
	}
	if b.limit > 0 && b.live > 0 && b.bytes+bytes > b.limit {
		b.stalled = fail("append", fmt.Errorf("%w: %d of %d bytes are taken", record.ErrBufferFull, b.bytes, b.limit))
		return 0, b.changed, nil
	}
	first = b.first + uint64(len(b.items))
	if len(records) == 0 {
		return first, nil, nil
	}
	if assigned != nil {
		assigned(first)
	}
	now := time.Now()
	for i, r := range records {
		b.items = append(b.items, &buffer.Item{
			Producer:        b.producer,
			Seq:             first + uint64(i),
			Accepted:        now,
			Key:             r.PartitionKey,
			ExplicitHashKey: r.ExplicitHashKey,
			Data:            slices.Clone(r.Data),
			Headers:         slices.Clone(r.Headers),
		})
	}
	b.bytes += bytes
	b.live += int64(len(records))
	b.appended += int64(len(records))
	b.syncs++
	b.change()
	return first, nil, nil
}

func size(key, hash string, data []byte, headers []record.Header) int64 {
	n := overhead + len(key) + len(hash) + len(data)
	for _, h := range headers {
		n += len(h.Key) + len(h.Value)
	}
	return int64(n)
}

// Sync has nothing to wait for.
func (b *Buffer) Sync(ctx context.Context, _ uint64) error { return ctx.Err() }

// Next returns the next items.
func (b *Buffer) Next(ctx context.Context, bytes int) ([]buffer.Item, error) {
	for {
		b.mu.Lock()
		open, items, wait := b.open, b.take(bytes), b.changed
		b.mu.Unlock()
		switch {
		case !open:
			return nil, io.EOF
		case len(items) > 0:
			return items, nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// take moves on by items that are here; the lock is held.
func (b *Buffer) take(bytes int) []buffer.Item {
	if !b.open {
		return nil
	}
	var items []buffer.Item
	b.next = max(b.next, b.first)
	for _, it := range b.items[b.next-b.first:] {
		if it != nil {
			if bytes -= len(it.Data); bytes < 0 && len(items) > 0 {
				break
			}
			items = append(items, *it)
		}
		b.next++
	}
	return items
}

// Ack removes records that the stream has.
func (b *Buffer) Ack(seqs []uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, seq := range seqs {
		b.remove(seq)
	}
	b.change()
}

// remove takes an item out, if it is here; the lock is held.
func (b *Buffer) remove(seq uint64) bool {
	if seq < b.first || seq-b.first >= uint64(len(b.items)) || b.items[seq-b.first] == nil {
		return false
	}
	it := b.items[seq-b.first]
	b.items[seq-b.first] = nil
	b.stalled = nil
	b.live--
	b.bytes -= size(it.Key, it.ExplicitHashKey, it.Data, it.Headers)
	n := 0
	for n < len(b.items) && b.items[n] == nil {
		n++
	}
	b.items, b.first = b.items[n:], b.first+uint64(n)
	return true
}

// Bury makes items dead letters. Those that are not here any more it ignores.
func (b *Buffer) Bury(ctx context.Context, dead []buffer.Dead) error {
	if err := ctx.Err(); err != nil {
		return fail("bury", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return fail("bury", record.ErrClosed)
	}
	for _, d := range dead {
		if b.remove(d.Seq) {
			d.Data, d.Headers = slices.Clone(d.Data), slices.Clone(d.Headers)
			b.dead = append(b.dead, d)
		}
	}
	b.change()
	return nil
}

// Replay appends all dead letters again.
func (b *Buffer) Replay(ctx context.Context) (int, error) {
	select {
	case <-b.again:
		defer func() { b.again <- struct{}{} }()
	case <-ctx.Done():
		return 0, fail("replay", ctx.Err())
	}
	b.mu.Lock()
	open, letters := b.open, slices.Clone(b.dead)
	b.mu.Unlock()
	if !open {
		return 0, fail("replay", record.ErrClosed)
	}
	for n, d := range letters {
		r := &record.Record{PartitionKey: d.Key, ExplicitHashKey: d.ExplicitHashKey, Data: d.Data, Headers: d.Headers}
		if _, err := b.Append(ctx, []*record.Record{r}, nil); err != nil {
			return n, fmt.Errorf("replay: %w", err)
		}
		b.mu.Lock()
		b.dead = slices.DeleteFunc(b.dead, func(old buffer.Dead) bool { return old.Seq == d.Seq })
		b.mu.Unlock()
	}
	return len(letters), nil
}

// Dead calls f with every dead letter.
func (b *Buffer) Dead(ctx context.Context, f func(*buffer.Dead) bool) error {
	b.mu.Lock()
	open, letters := b.open, slices.Clone(b.dead)
	b.mu.Unlock()
	if !open {
		return fail("dead letters", record.ErrClosed)
	}
	for i := range letters {
		if err := ctx.Err(); err != nil {
			return fail("dead letters", err)
		}
		if !f(&letters[i]) {
			break
		}
	}
	return nil
}

// Stats is a snapshot.
func (b *Buffer) Stats() buffer.Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := buffer.Stats{
		Items: b.live, First: b.first, Bytes: b.bytes, Limit: b.limit, Dead: int64(len(b.dead)),
		Syncs: b.syncs, Appended: b.appended, Stalled: b.stalled,
	}
	if b.live > 0 {
		s.Oldest = b.items[0].Accepted
	}
	return s
}

// Clone is what a process leaves that is killed now: a buffer of its own with the
// same contents, not opened. Both may go on, like copies of a directory.
func (b *Buffer) Clone() *Buffer {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := New(func(o *Options) { o.Bytes = b.limit })
	c.items, c.first, c.live, c.bytes = slices.Clone(b.items), b.first, b.live, b.bytes
	c.dead = slices.Clone(b.dead)
	return c
}

// Close ends the opening. What is here stays, for the next one.
func (b *Buffer) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open {
		b.open = false
		b.change()
	}
	return nil
}
