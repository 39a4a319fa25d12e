// Package disk is a durable buffer in a directory: a log of records that were
// accepted and are not in the stream yet. README.md describes its files, what it
// promises, and what it expects of a disk.
//
// The directory must be on a file system of the machine, not on the network, and
// outlive the process: in a container, on a volume.
package disk

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/internal/filesys"
	"github.com/libvegas/vegas/internal/quiet"
	"github.com/libvegas/vegas/record"
)

const (
	// gatherBytes is how much may wait in memory for the writer.
	gatherBytes = 8 << 20
	// tightBytes is that of a log that has met a full disk: what gathered has to
	// find room at once.
	tightBytes = 256 << 10
	// cacheBytes is how much of what was written stays in memory until Next has
	// given it out.
	cacheBytes = 8 << 20
	// retryEvery is how often what failed for lack of room is tried again.
	retryEvery = time.Second
)

// Options of a log.
type Options struct {
	// Label says what the records are for: the stream's name. A directory that
	// was made under another label is refused. Empty: any is accepted.
	Label string
	// Bytes is the room that segments may take; 0, the default: no limit. What is
	// appended at once and larger has to be alone. Dead letters, bytes set aside
	// and the list of acknowledgements do not count.
	Bytes int64
	// Logger gets what an operator should know. Default: slog.Default().
	Logger *slog.Logger
	// SegmentBytes is about how large a segment grows. Default: 64 MiB, or a
	// sixteenth of Bytes if that is less, at least 64 KiB. A segment is removed as
	// a whole, so smaller ones give room back sooner.
	SegmentBytes int64
	// FS is for tests. Default: the file system of the machine.
	FS filesys.FS
}

// Log is a buffer in a directory.
type Log struct {
	dir  string
	o    Options
	disk filesys.FS
	warn *quiet.Logger
	lock io.Closer
	// broken is a rule that is left out, for tests of the tests.
	broken rule

	writer, keeper worker
	keep           chan struct{} // held by who changes anything but the last segment
	replaying      chan struct{} // held by who replays
	giving         sync.Mutex    // held by Next
	acks           acksFile      // of the holder of keep
	burial         *deadFile     // likewise: where dead letters are written
	doomed         []string      // likewise: files that were replaced
	spare          spare

	mu    sync.Mutex // guards what follows; not held during I/O
	state state
	done  chan struct{} // closed when the log is closing

	producer  [16]byte
	next      uint64   // Seq of the record that is appended next
	durable   uint64   // the highest that is durable
	gathering *group   // what the writer takes next; nil: nothing
	writing   *group   // what it is at
	failed    failures // groups that are not durable
	stalled   error    // why nothing can be written
	tight     bool     // the disk was full in this opening
	queue     []chan struct{}
	refused   int      // bytes that whoever is first, or was when somebody last waited, found no room for
	roll      bool     // begin a new segment, so that the last one can be removed
	free      []memory // of groups
	usual     usage    // of a group: the last one's
	last      *segment // what is written to; nil: the next group begins one

	segments []*segment // ordered by first; never empty once something was written
	bytes    int64      // of their files
	items    int64

	out   uint64 // the number that Next gives next, or a later one
	more  chan struct{}
	cache []*group // durable and not given out
	held  int64    // bytes in cache
	read  reading

	acked []uint64 // not in the acks file yet
	stale bool     // the acks file lacks some: it has to be written anew

	dead      []*deadFile
	buried    uint64 // the highest number of a file of them
	lost      int64
	aside     int64
	asides    map[string][]string // the files of what was set aside, by its place
	syncs     int64
	appended  int64
	unstalled chan struct{} // tells the writer that room was made
}

// usage is how much memory a group takes.
type usage struct{ bytes, records int }

var _ buffer.Buffer = (*Log)(nil)

// state of a log, in this order.
type state uint8

const (
	fresh state = iota
	open
	closing
	closed
)

// rule is one that tests leave out, to see that it is missed.
type rule uint8

const (
	noRule           rule = iota
	syncData              // groups are synced before anybody is told
	syncNames             // names are synced before anything relies on them
	removeAcked           // only what is acknowledged is removed
	buryFirst             // dead letters are synced before they count as gone
	giveSynced            // Next gives only what is synced
	drawProducer          // each opening draws a producer id
	believeWitnesses      // damage below a synced offset is no torn tail
)

// New is the log in dir. It does no I/O: Open does.
func New(dir string, opts ...func(*Options)) *Log {
	var o Options
	for _, f := range opts {
		f(&o)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.FS == nil {
		o.FS = filesys.OS{}
	}
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = 64 << 20
		if o.Bytes > 0 {
			o.SegmentBytes = max(64<<10, min(o.SegmentBytes, o.Bytes/16))
		}
	}
	return &Log{
		dir: dir, o: o, disk: o.FS, warn: quiet.New(o.Logger),
		keep: make(chan struct{}, 1), replaying: make(chan struct{}, 1), done: make(chan struct{}),
		more: make(chan struct{}, 1), unstalled: make(chan struct{}, 1),
	}
}

// Open makes the directory where it is missing, takes it for this process, and
// looks at what is in it; see buffer.Buffer.
func (l *Log) Open(ctx context.Context) error {
	l.mu.Lock()
	s := l.state
	l.mu.Unlock()
	if s != fresh {
		return fmt.Errorf("durable buffer %s: it was opened before", l.dir)
	}
	if err := l.prepare(ctx); err != nil {
		return err
	}
	if l.broken != drawProducer {
		_, _ = rand.Read(l.producer[:])
	}
	if err := l.recover(); err != nil {
		// Nothing of it counts when it is opened again.
		l.segments, l.dead, l.acks, l.buried = nil, nil, acksFile{}, 0
		l.bytes, l.items, l.lost, l.aside, l.durable = 0, 0, 0, 0, 0
		_ = l.lock.Close()
		return err
	}
	l.mu.Lock()
	l.state = open
	l.mu.Unlock()
	l.writer.start(l.write)
	l.keeper.start(l.tidy)
	l.keeper.wake()
	return nil
}

// Close writes and syncs what was appended, and gives the directory back.
func (l *Log) Close() error {
	l.mu.Lock()
	was := l.state
	if was == open {
		l.state = closing
		close(l.done)
		l.wakeAppender()
	}
	l.mu.Unlock()
	if was != open {
		return nil
	}
	l.giving.Lock() // Next may be reading
	l.read.close()
	l.giving.Unlock()
	err := l.writer.stop()
	if kept := l.keeper.stop(); err == nil {
		err = kept
	}
	l.mu.Lock()
	l.state = closed
	l.cache, l.held, l.free = nil, 0, nil
	l.mu.Unlock()
	if unlocked := l.lock.Close(); err == nil && unlocked != nil {
		err = fmt.Errorf("durable buffer %s: %w", l.dir, unlocked)
	}
	return err
}

// Stats is a snapshot.
func (l *Log) Stats() buffer.Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := buffer.Stats{
		Items: l.items, First: l.next, Bytes: l.bytes, Limit: l.o.Bytes,
		Lost: l.lost, Quarantined: l.aside,
		Syncs: l.syncs, Appended: l.appended, Stalled: l.blocked(),
	}
	for _, d := range l.dead {
		s.Dead += d.count
	}
	for _, g := range []*group{l.writing, l.gathering} {
		if g != nil {
			s.Bytes += int64(len(g.buf))
		}
	}
	if l.items > 0 {
		s.First, s.Oldest = l.oldest()
	}
	return s
}

// oldest is the first record that is neither acknowledged nor dead, and when it
// was accepted.
func (l *Log) oldest() (uint64, time.Time) {
	for _, s := range l.segments {
		if s.live() > 0 {
			seq := s.firstLive()
			return seq, unixNano(s.acceptedAt(seq))
		}
	}
	for _, g := range []*group{l.writing, l.gathering} {
		if g != nil {
			return g.first, unixNano(g.accepted)
		}
	}
	return l.next, time.Time{}
}

func unixNano(n int64) time.Time { return time.Unix(0, n) }

func (l *Log) limitReached() error {
	return fmt.Errorf("durable buffer %s: the limit of %d bytes is reached: it goes on when the stream has taken what is in it, or raise the limit (see docs/troubleshooting.md#buffer-disk-full)", l.dir, l.o.Bytes)
}

// errClosed is what calls return once the log is closing.
func (l *Log) errClosed() error { return fmt.Errorf("durable buffer %s: %w", l.dir, record.ErrClosed) }

// hold takes what guards all files but the last segment, of a log that is open.
func (l *Log) hold(ctx context.Context) error {
	select {
	case l.keep <- struct{}{}:
	default:
		select {
		case l.keep <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		case <-l.done:
			return l.errClosed()
		}
	}
	err := l.usable()
	if err != nil {
		l.letGo()
	}
	return err
}

// usable tells whether the log is open.
func (l *Log) usable() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state != open {
		return l.notOpen()
	}
	return nil
}

func (l *Log) letGo() { <-l.keep }

// worker is a goroutine that works whenever it is woken, and a last time when it
// is stopped.
type worker struct {
	woken  chan struct{}
	ending chan struct{}
	ended  chan error
}

func (w *worker) start(run func() error) {
	w.woken, w.ending, w.ended = make(chan struct{}, 1), make(chan struct{}), make(chan error, 1)
	go func() { w.ended <- run() }()
}

func (w *worker) wake() {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

func (w *worker) stop() error {
	close(w.ending)
	return <-w.ended
}

// poke leaves a message for whoever waits, if there is none yet.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// firstOf is the first of two errors that is one.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

var errNotOpen = errors.New("durable buffer: it is not open")
