// Package file is a store in a directory: for one machine, whose processes may
// all use the directory at once. What a write has acknowledged is on disk, and
// survives crashes of programs and of the machine at any moment. It is not for
// network file systems, whose locks and atomic renames cannot be relied on.
//
// On disk:
//
//	DIR/vegas-store.json     what the directory is: {"format":"vegas store","version":2}
//	DIR/GROUP/               a group; names are escaped so that every file system takes them
//	DIR/GROUP/log            its rows, and what was written since (log.go)
//	DIR/GROUP/lock           held (flock, LockFileEx) around each write
//	DIR/GROUP/door           held while waiting for the lock
//	DIR/GROUP/next           the log that is about to take the log's place
//
// A handle keeps the rows of the groups that it has used in memory, and before
// each answer reads what was added to the log. Writers of one process share
// writes to the log.
package file

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/libvegas/vegas/store"
)

// Version of the files. It rises when an older reader would misread them.
const version = 2

const (
	marker      = "vegas-store.json"
	storeFormat = "vegas store"
)

// Store keeps rows in the files of a directory.
type Store struct {
	dir  string
	disk disk
	door chan struct{} // held by who prepares the directory

	mu     sync.Mutex // guards what follows
	closed bool
	ready  bool // the directory is one of ours
	groups map[string]*group
}

var _ store.Store = (*Store)(nil)

// New is a store in dir. It does no I/O: the directory is looked at, and made
// where it is missing, at the first use.
func New(dir string) *Store {
	return &Store{dir: dir, disk: machine{}, door: make(chan struct{}, 1), groups: map[string]*group{}}
}

// use is a group, of a store that is open and whose directory is one of ours.
func (s *Store) use(ctx context.Context, name string) (*group, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if g, err := s.group(name); g != nil || err != nil {
		return g, err
	}
	select {
	case s.door <- struct{}{}:
		defer func() { <-s.door }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if g, err := s.group(name); g != nil || err != nil {
		return g, err // somebody prepared it meanwhile
	}
	if err := prepare(ctx, s.disk, s.dir); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.ready = true
	s.mu.Unlock()
	return s.group(name)
}

// group is a group of a store that is ready, or nil.
func (s *Store) group(name string) (*group, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("file store %s: closed", s.dir)
	}
	if !s.ready {
		return nil, nil
	}
	g := s.groups[name]
	if g == nil {
		g = newGroup(s.disk, filepath.Join(s.dir, escape(name)), name)
		s.groups[name] = g
	}
	return g, nil
}

// List returns the rows of group whose ID starts with prefix, ordered by ID.
func (s *Store) List(ctx context.Context, group, prefix string) ([]store.Row, error) {
	g, err := s.use(ctx, group)
	if err != nil {
		return nil, err
	}
	found, err := g.list(prefix)
	if err != nil {
		return nil, fmt.Errorf("list store rows of %q: %w", group, err)
	}
	rows := make([]store.Row, len(found))
	for i, r := range found {
		rows[i] = r.row(group)
	}
	return rows, nil
}

// Get returns one row, or store.ErrNotFound.
func (s *Store) Get(ctx context.Context, group, id string) (store.Row, error) {
	g, err := s.use(ctx, group)
	if err != nil {
		return store.Row{}, err
	}
	r, err := g.get(id)
	if err == nil && r == nil {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Row{}, fmt.Errorf("get store row %q/%q: %w", group, id, err)
	}
	return r.row(group), nil
}

// Swap stores row if what is stored has row.Revision.
func (s *Store) Swap(ctx context.Context, row store.Row) (store.Row, error) {
	if err := store.Check(row); err != nil {
		return store.Row{}, err
	}
	g, err := s.use(ctx, row.Group)
	if err != nil {
		return store.Row{}, err
	}
	row = row.Clone()
	c := &change{row: saved{ID: row.ID, Revision: row.Revision, Fields: row.Fields, Body: row.Body}}
	if err := g.write(ctx, c); err != nil {
		return store.Row{}, fmt.Errorf("write store row %q/%q: %w", row.Group, row.ID, err)
	}
	row.Revision = c.row.Revision
	return row, nil
}

// Delete removes row if what is stored has row.Revision.
func (s *Store) Delete(ctx context.Context, row store.Row) error {
	if err := store.CheckNames(row.Group, row.ID); err != nil {
		return err
	}
	g, err := s.use(ctx, row.Group)
	if err != nil {
		return err
	}
	if err := g.write(ctx, &change{row: saved{ID: row.ID, Revision: row.Revision, Gone: true}}); err != nil {
		return fmt.Errorf("delete store row %q/%q: %w", row.Group, row.ID, err)
	}
	return nil
}

// Close ends the use of the store. The files stay.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.groups = true, nil
	return nil
}
