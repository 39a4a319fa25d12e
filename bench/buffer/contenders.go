package buffer

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/buffer/disk"
	"github.com/libvegas/vegas/buffer/sqlite"
	"github.com/libvegas/vegas/internal/filesys"
	"github.com/libvegas/vegas/record"
)

const (
	size = 1000 // of a record; the first 8 bytes number it
	key  = "customer-42"
)

// contender is a program that keeps records.
type contender struct {
	name string
	// open makes one in an empty directory.
	open func(ctx context.Context, dir string) (appender, error)
	// read opens what was closed, and calls f with every record.
	read func(ctx context.Context, dir string, f func([]byte)) error
}

// appender keeps records durably. append is called by many at once.
type appender interface {
	append(ctx context.Context, data []byte) error
	close() error
}

// contenders are all of them; the first is the floor.
var contenders = []contender{
	{"bare loop", openBare, readBare},
	{"buffer/disk", openBuffer(onDisk), readBuffer(onDisk)},
	{"buffer/sqlite", openBuffer(inSQLite), readBuffer(inSQLite)},
	{"SQLite, grouped", openSQLite, readSQLite},
	{"bbolt, Batch", openBoltBatch, readBolt},
	{"bbolt, grouped", openBoltGrouped, readBolt},
	{"Pebble's record log", openPebble, readPebble},
}

// gather is one goroutine that commits what has gathered while it committed what
// was there before: the least that lets many writers share a sync. Those that
// bring no such thing along run behind it.
type gather struct {
	commit func([][]byte) error
	end    func() error
	woken  chan struct{}
	ended  chan struct{}

	mu    sync.Mutex
	group *group
}

type group struct {
	records [][]byte
	done    chan struct{}
	err     error
}

func newGather(commit func([][]byte) error, end func() error) *gather {
	g := &gather{commit: commit, end: end, woken: make(chan struct{}, 1), ended: make(chan struct{})}
	go g.run()
	return g
}

func (g *gather) run() {
	defer close(g.ended)
	for range g.woken {
		g.mu.Lock()
		now := g.group
		g.group = nil
		g.mu.Unlock()
		if now != nil {
			now.err = g.commit(now.records)
			close(now.done)
		}
	}
}

func (g *gather) append(_ context.Context, data []byte) error {
	g.mu.Lock()
	mine := g.group
	if mine == nil {
		mine = &group{done: make(chan struct{})}
		g.group = mine
	}
	mine.records = append(mine.records, data)
	g.mu.Unlock()
	select {
	case g.woken <- struct{}{}:
	default:
	}
	<-mine.done
	return mine.err
}

func (g *gather) close() error {
	close(g.woken)
	<-g.ended
	return g.end()
}

// The bare loop: a group is one write at the end of a file, of the records and
// nothing else, and one fdatasync. No checksums, no limits, no reading.
func openBare(_ context.Context, dir string) (appender, error) {
	f, err := filesys.OS{}.Open(filepath.Join(dir, "log"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	var at int64
	var all []byte
	return newGather(func(records [][]byte) error {
		all = all[:0]
		for _, r := range records {
			all = append(all, r...)
		}
		_, err := f.WriteAt(all, at)
		at += int64(len(all))
		return errors.Join(err, f.Sync())
	}, f.Close), nil
}

func readBare(_ context.Context, dir string, f func([]byte)) error {
	all, err := os.ReadFile(filepath.Join(dir, "log"))
	for chunk := range slices.Chunk(all, size) {
		f(chunk)
	}
	return err
}

// The buffers of vegas, as they are: no limit of bytes, else the defaults.
func onDisk(dir string) buffer.Buffer {
	return disk.New(filepath.Join(dir, "buffer"), func(o *disk.Options) { o.Bytes, o.Logger = 1<<40, slog.New(slog.DiscardHandler) })
}

func inSQLite(dir string) buffer.Buffer {
	return sqlite.New(filepath.Join(dir, "buffer.db"), func(o *sqlite.Options) { o.Bytes, o.Logger = 0, slog.New(slog.DiscardHandler) })
}

type buffered struct{ buffer.Buffer }

func openBuffer(make func(dir string) buffer.Buffer) func(context.Context, string) (appender, error) {
	return func(ctx context.Context, dir string) (appender, error) {
		b := make(dir)
		return buffered{b}, b.Open(ctx)
	}
}

func (b buffered) append(ctx context.Context, data []byte) error {
	r := record.Record{PartitionKey: key, Data: data}
	seq, err := b.Append(ctx, []*record.Record{&r}, nil)
	if err != nil {
		return err
	}
	return b.Sync(ctx, seq)
}

func (b buffered) close() error { return b.Close() }

func readBuffer(make func(dir string) buffer.Buffer) func(context.Context, string, func([]byte)) error {
	return func(ctx context.Context, dir string, f func([]byte)) (err error) {
		b := make(dir)
		if err := b.Open(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, b.Close()) }()
		for left := b.Stats().Items; left > 0; {
			items, err := b.Next(ctx, 1<<20)
			if err != nil {
				return err
			}
			for i := range items {
				f(items[i].Data)
			}
			left -= int64(len(items))
		}
		return nil
	}
}

var pattern = bytes.Repeat([]byte("the bytes of a record; "), 100)

// numbered is a record whose bytes follow from its number.
func numbered(n uint64) []byte {
	data := bytes.Clone(pattern[n%1000:][:size])
	binary.BigEndian.PutUint64(data, n)
	return data
}

// audit reads everything back: each of the records 0 to n-1 once, as it was.
func audit(ctx context.Context, c contender, dir string, n uint64) error {
	seen := make([]bool, n)
	count, wrong := uint64(0), 0
	err := c.read(ctx, dir, func(data []byte) {
		count++
		i := binary.BigEndian.Uint64(data)
		if i >= n || seen[i] || !bytes.Equal(data, numbered(i)) {
			wrong++
			return
		}
		seen[i] = true
	})
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if count != n || wrong > 0 {
		return fmt.Errorf("%d records are there, %d of them wrong; want %d", count, wrong, n)
	}
	return nil
}
