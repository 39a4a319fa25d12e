package file

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/libvegas/vegas/store"
)

// batchBytes bounds what is written at once, so that a heartbeat behind large
// rows waits for one such batch.
const batchBytes = 1 << 20

// slackBytes is how long a log of few rows may grow before a new one is begun.
const slackBytes = 256 << 10

// group is a group's log as one handle uses it. Whoever has something to write
// queues it; one of them takes the turn, the lock, and writes what all wait for.
// So any number of writers share the price of one: a lock and a wait for the
// disk.
type group struct {
	name  string
	dir   string
	disk  disk
	slack int64
	turn  chan struct{} // held by who writes

	// For the holder of turn.
	durable durable
	doubt   bool // a write failed, and what it left is unknown

	mu      sync.Mutex // guards what follows; not held while the disk is waited for
	waiting []*change
	view    view
}

func newGroup(disk disk, dir, name string) *group {
	return &group{name: name, dir: dir, disk: disk, slack: slackBytes, turn: make(chan struct{}, 1)}
}

// change is a write that is asked for.
type change struct {
	row  saved // with the revision that has to be stored; afterwards, the new one
	done chan struct{}
	err  error // once done
}

func (c *change) end(err error) {
	c.err = err
	close(c.done)
}

func (c *change) size() int {
	n := len(c.row.ID) + len(c.row.Body)
	for k, v := range c.row.Fields {
		n += len(k) + len(v)
	}
	return n
}

func (g *group) log() string { return filepath.Join(g.dir, "log") }

// list is the rows whose ID starts with prefix, as they are now.
func (g *group) list(prefix string) ([]*saved, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.refresh(); err != nil {
		return nil, err
	}
	return g.view.list(prefix), nil
}

// get is a row as it is now, or nil.
func (g *group) get(id string) (*saved, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.refresh(); err != nil {
		return nil, err
	}
	return g.view.find(id), nil
}

// refresh reads what was written since, by whomever. It takes no lock on the
// file: lines once whole do not change, and a log is replaced as a whole.
func (g *group) refresh() error {
	err := g.look()
	if errors.Is(err, errDamaged) {
		// Or a line that was read in part before, in part after it was written
		// over a dead writer's.
		g.view = view{}
		err = g.look()
	}
	if err != nil {
		g.view = view{}
	}
	return err
}

func (g *group) look() error {
	f, err := g.disk.open(g.log(), os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		g.view = view{}
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	size, err := f.Size()
	if err != nil {
		return err
	}
	// The same log, if it starts with the same line.
	first := make([]byte, len(g.view.first))
	if _, err := f.ReadAt(first, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if g.view.first == nil || string(first) != string(g.view.first) || size < g.view.end {
		g.view = view{}
	}
	if g.view.first != nil && size == g.view.end {
		return nil
	}
	text := make([]byte, size-g.view.end)
	n, err := f.ReadAt(text, g.view.end)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	text = text[:n]
	if g.view.first == nil {
		if err := g.view.begin(g.log(), g.name, text); err != nil {
			return err
		}
		text = text[g.view.end:]
	}
	return g.view.read(g.log(), text)
}

// write makes a change, together with those of others, and returns when it is on
// disk. If ctx ends while the change is being written, its outcome is unknown.
func (g *group) write(ctx context.Context, c *change) error {
	c.done = make(chan struct{})
	g.mu.Lock()
	g.waiting = append(g.waiting, c)
	g.mu.Unlock()
	for {
		select {
		case <-c.done:
			return c.err
		case <-ctx.Done():
			g.withdraw(c)
			return ctx.Err()
		case g.turn <- struct{}{}:
			err := g.commit(ctx)
			<-g.turn
			if err != nil && g.withdraw(c) {
				return err // the others try for themselves
			}
		}
	}
}

// withdraw takes back a change that nobody has begun to write.
func (g *group) withdraw(c *change) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := slices.Index(g.waiting, c)
	if at < 0 {
		return false
	}
	g.waiting = slices.Delete(g.waiting, at, at+1)
	return true
}

// take is what is to be written next, first come first served.
func (g *group) take() []*change {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, size := 0, 0
	for n < len(g.waiting) && (n == 0 || size+g.waiting[n].size() <= batchBytes) {
		size += g.waiting[n].size()
		n++
	}
	batch := slices.Clone(g.waiting[:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
	return batch
}

// commit writes a batch of what waits, alone on the machine. Its error says that
// it did not get so far; what became of the changes, they are told themselves.
func (g *group) commit(ctx context.Context) error {
	g.mu.Lock()
	idle := len(g.waiting) == 0
	g.mu.Unlock()
	if idle {
		return nil
	}
	unlock, err := g.disk.lock(ctx, g.dir)
	if err != nil {
		return err
	}
	batch := g.take()
	accepted, err := g.store(batch)
	unlock()
	for _, c := range batch {
		switch {
		case err != nil:
			c.end(err)
		case slices.Contains(accepted, c):
			c.end(nil)
		default:
			c.end(store.ErrConflict)
		}
	}
	return nil
}

// store writes those changes of a batch whose revisions are the stored ones, and
// returns them.
func (g *group) store(batch []*change) (accepted []*change, err error) {
	g.mu.Lock()
	if err = g.refresh(); err != nil {
		g.mu.Unlock()
		return nil, err
	}
	at := durable{string(g.view.first), g.view.end}
	fresh := g.view.first == nil || g.doubt || g.view.full(g.slack)
	accepted, rows := g.view.decide(batch)
	var text []byte
	if fresh {
		text, err = g.view.with(g.name, rows)
	} else {
		text, err = seal(nil, rows)
	}
	g.mu.Unlock()

	switch {
	case len(accepted) == 0 || err != nil:
		return nil, err
	case fresh:
		err = g.begin(text)
	default:
		err = g.extend(at, text)
	}
	g.doubt = err != nil
	return accepted, err
}

// durable is a log and a place in it: this process knows that the log's name and
// all before the place are on disk.
type durable struct {
	first string
	end   int64
}

// extend writes a line behind what was read, over what a writer that died there
// may have left: a part of a line, which stays a bad last line where it is longer.
func (g *group) extend(at durable, line []byte) (err error) {
	if g.durable.first != at.first { // its writer may have died before this
		if err := g.disk.syncDir(g.dir); err != nil {
			return err
		}
	}
	f, err := g.disk.open(g.log(), os.O_RDWR)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if g.durable != at { // likewise
		if err := f.Sync(); err != nil {
			return err
		}
	}
	if _, err := f.WriteAt(line, at.end); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	g.durable = durable{at.first, at.end + int64(len(line))}
	return nil
}

// begin makes text the log, in place of the one that may be there.
func (g *group) begin(text []byte) error {
	// First the name of the directory: whoever finds the log relies on it.
	if err := g.disk.syncDir(filepath.Dir(g.dir)); err != nil {
		return err
	}
	if err := replace(g.disk, g.log(), "next", text); err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	g.durable = durable{first + "\n", int64(len(text))}
	return nil
}
