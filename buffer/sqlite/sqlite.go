// Package sqlite is a durable buffer in an SQLite file, for those who want to
// look at what waits with SQL, or have an SQLite file anyway:
//
//	p, err := vegas.NewProducer("orders", func(o *vegas.ProducerOptions) {
//		o.Buffer = sqlite.New("/var/lib/orders/buffer.db")
//	})
//
// The file is in SQLite's WAL mode with synchronous=FULL, and belongs to one
// process as long as that has it open. Records are committed in groups: those
// who append while a transaction is made durable share the next one. Everything
// is a row, and every row that the stream has is deleted again. So package disk,
// whose log is only written at its end, takes more: of a bare loop of writes and
// syncs this one reached 0.8 with one writer of 1 KB and 0.3 with 256, and disk
// 0.9 and more (make bench-buffer).
//
// The tables: vegas_item has the records that wait, vegas_dead the dead letters,
// vegas_buffer one row of sums.
package sqlite

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/record"
)

// Options arrive at an option function filled with the defaults named here.
type Options struct {
	// Bytes limits the room that waiting records take, as SQLite stores them
	// roughly; Append waits for room. The file itself may be larger: it does not
	// shrink, and holds dead letters too. A batch that is larger than the limit
	// has to be alone. Default 1 GiB; 0: no limit.
	Bytes int64
	// Logger is told when storage fails. Default slog.Default().
	Logger *slog.Logger
}

// Buffer keeps records in an SQLite file.
type Buffer struct {
	path  string
	bad   error // of what New was given
	limit int64
	log   *slog.Logger

	turn  chan struct{} // holds a token unless somebody appends: who waits for room is not overtaken
	again chan struct{} // holds a token unless somebody replays: two would append each letter twice
	work  chan struct{} // holds a token if the committer has something to do
	ended chan struct{} // closed when the committer has ended

	mu       sync.Mutex
	state    state
	changed  chan struct{} // closed, and made anew, when somebody may have waited for it
	producer [16]byte
	pending  []row    // appended, and not in the table yet
	bytes    int64    // of pending
	next     uint64   // number to be given
	durable  uint64   // the last number that is; there is none without its group below
	failed   []failed // groups that are not there
	acks     []uint64 // not deleted yet
	stalled  error
	appended int64
	syncs    int64
	last     buffer.Stats // when the file was closed

	file file
}

type state int

const (
	fresh state = iota
	opened
	closing // the committer is at its last group
	closed
)

// failed is a group that did not get into the file.
type failed struct {
	first, last uint64
	err         error
}

var _ buffer.Buffer = (*Buffer)(nil)

// New is a buffer in the file at path, which Open makes if it is missing.
func New(path string, opts ...func(*Options)) *Buffer {
	o := Options{Bytes: 1 << 30}
	for _, f := range opts {
		f(&o)
	}
	absolute, err := filepath.Abs(path)
	switch {
	case path == "" || path == ":memory:":
		err = fmt.Errorf("the path is %q, want that of a file", path)
	case strings.ContainsRune(path, 0):
		err = fmt.Errorf("the path %q has a NUL in it", path)
	}
	b := &Buffer{
		path: absolute, bad: err, limit: o.Bytes, log: cmp.Or(o.Logger, slog.Default()),
		turn: make(chan struct{}, 1), again: make(chan struct{}, 1), work: make(chan struct{}, 1), ended: make(chan struct{}),
		changed: make(chan struct{}),
	}
	b.turn <- struct{}{}
	b.again <- struct{}{}
	return b
}

func (b *Buffer) fail(what string, err error) error {
	return fmt.Errorf("sqlite buffer %s: %s: %w", b.path, what, err)
}

// Open opens the file, makes the tables where they are missing, and keeps other
// processes away.
func (b *Buffer) Open(ctx context.Context) error {
	if b.bad != nil {
		return b.fail("open", b.bad)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state != fresh {
		return b.fail("open", errors.New("it was opened before"))
	}
	if err := b.file.open(ctx, b.path); err != nil {
		switch code := codeOf(err); code {
		case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
			err = fmt.Errorf("another process has it open: each producer needs a file of its own (see docs/troubleshooting.md#buffer-locked): %w", err)
		case lib.SQLITE_NOTADB:
			err = fmt.Errorf("this file is no SQLite database: name another one (see docs/troubleshooting.md#buffer-foreign): %w", err)
		case lib.SQLITE_CANTOPEN, lib.SQLITE_READONLY, lib.SQLITE_PERM:
			err = fmt.Errorf("its folder has to exist, and this program has to be able to write there (see docs/troubleshooting.md#buffer-directory): %w", err)
		}
		return b.fail("open", err)
	}
	rand.Read(b.producer[:])
	b.next, b.durable = b.file.sums.next, b.file.sums.next-1
	b.state = opened
	go b.commit()
	return nil
}

// change wakes those who wait; the lock is held.
func (b *Buffer) change() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// wake tells the committer that there is something to do.
func (b *Buffer) wake() {
	select {
	case b.work <- struct{}{}:
	default:
	}
}

// Stats is a snapshot.
func (b *Buffer) Stats() buffer.Stats {
	b.file.mu.Lock()
	defer b.file.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == opened || b.state == closing {
		b.settle()
		b.last = b.stats()
	}
	b.last.Limit = b.limit
	return b.last
}

// stats asks the file; both locks are held.
func (b *Buffer) stats() buffer.Stats {
	s := buffer.Stats{
		Items: b.file.sums.items + int64(len(b.pending)), First: b.next, Bytes: b.file.sums.bytes + b.bytes,
		Dead: b.file.sums.dead, Syncs: b.syncs, Appended: b.appended, Stalled: b.stalled,
	}
	switch first, accepted, err := b.file.first(); {
	case err == nil:
		s.First, s.Oldest = first, time.UnixMilli(accepted)
	case errors.Is(err, sql.ErrNoRows):
		if len(b.pending) > 0 {
			s.First, s.Oldest = b.pending[0].seq, time.UnixMilli(b.pending[0].accepted)
		}
	case s.Stalled == nil:
		s.Stalled = b.fail("look for the first record", err)
	}
	return s
}

// Close commits what was appended and acknowledged, and gives the file back.
func (b *Buffer) Close() error {
	b.mu.Lock()
	switch b.state {
	case fresh:
		b.state = closed
	case opened:
		b.state = closing
		b.change()
		b.mu.Unlock()
		b.wake()
		<-b.ended
		return b.close()
	}
	b.mu.Unlock()
	return nil
}

func (b *Buffer) close() error {
	b.file.mu.Lock()
	defer b.file.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.settle()
	err := b.file.insert(nil)
	if n := len(b.failed); n > 0 && b.failed[n-1].last+1 == b.next {
		err = errors.Join(err, b.failed[n-1].err) // maybe nobody has asked for it
	}
	b.last, b.state = b.stats(), closed
	if err = errors.Join(err, b.file.close()); err != nil {
		return b.fail("close", err)
	}
	return nil
}

// usable says why a call cannot be answered; the lock is held.
func (b *Buffer) usable() error {
	switch b.state {
	case opened:
		return nil
	case fresh:
		return errors.New("not opened")
	}
	return record.ErrClosed
}

// codeOf is SQLite's primary result code, 0 if err is none.
func codeOf(err error) int {
	if e, ok := errors.AsType[*driver.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}
