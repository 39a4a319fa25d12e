// Package file is a store in a directory: for one machine, whose processes may
// all use the directory at once. It survives crashes at any moment; it is not
// for network file systems, whose locks and atomic renames cannot be relied on.
//
// On disk:
//
//	DIR/vegas-store.json     what the directory is: {"format":"vegas store","version":1}
//	DIR/GROUP/               a group; names are escaped so that every file system takes them
//	DIR/GROUP/ID.row         a row: JSON, replaced as a whole
//	DIR/GROUP/lock           held (flock, LockFileEx) around each write of the group
//	DIR/GROUP/floor          no revision up to this one is given to a new row
//	DIR/GROUP/next           the file being written
//
// A row of its own file costs a write what that row costs, however many leases
// and marks a group has; the price is that List opens each of them.
package file

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/libvegas/vegas/store"
)

// Version of the files. It rises when an older reader would misread them.
const version = 1

const (
	marker      = "vegas-store.json"
	storeFormat = "vegas store"
	rowFormat   = "vegas row"
	rowSuffix   = ".row"
)

// Store keeps rows in the files of a directory.
type Store struct {
	dir string

	mu     sync.Mutex
	closed bool
	ready  bool                     // the directory is one of ours
	turns  map[string]chan struct{} // per group: who of this process may ask for the file lock
}

var _ store.Store = (*Store)(nil)

// New is a store in dir. It does no I/O: the directory is looked at, and made
// where it is missing, at the first use.
func New(dir string) *Store {
	return &Store{dir: dir, turns: map[string]chan struct{}{}}
}

// help is where a person reads on.
const help = " (see docs/troubleshooting.md#store-file)"

// head is what every file starts with, and all that is read of one whose
// version is not known.
type head struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
}

// check tells whether path is what it should be.
func (h head) check(path, format string) error {
	switch {
	case h.Format != format:
		return fmt.Errorf("%s is not a file of a vegas store (its format is %.40q, not %q): name another directory, or move the file away"+help, path, h.Format, format)
	case h.Version > version:
		return fmt.Errorf("%s was written by a newer vegas (version %d of the file, this program reads up to %d): update this program, or name another directory"+help, path, h.Version, version)
	case h.Version < 1:
		return fmt.Errorf("%s has version %d, which never existed: move the file away"+help, path, h.Version)
	}
	return nil
}

type rowFile struct {
	head
	Group    string            `json:"group"`
	ID       string            `json:"id"`
	Revision uint64            `json:"revision"`
	Fields   map[string]string `json:"fields,omitempty"`
	Body     []byte            `json:"body,omitempty"`
}

// usable refuses a closed store and makes sure of the directory.
func (s *Store) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return fmt.Errorf("file store %s: closed", s.dir)
	case s.ready:
		return nil
	}
	if err := prepare(s.dir); err != nil {
		return err
	}
	s.ready = true
	return nil
}

// prepare makes dir a store if it is empty or missing, and refuses it if it is
// something else: rows among somebody's files would be a mess to take apart.
func prepare(dir string) error {
	if dir == "" {
		return errors.New("file store: no directory was named")
	}
	path := filepath.Join(dir, marker)
	if found, err := marked(path); found || err != nil {
		return err
	}
	if err := makeDir(dir); err != nil {
		return fmt.Errorf("file store: make the directory: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("file store: %w", err)
	}
	for _, e := range entries {
		if name := e.Name(); !strings.HasPrefix(name, marker) { // else of somebody who is making the marker
			// Somebody may have made it meanwhile, and rows too.
			if found, err := marked(path); found || err != nil {
				return err
			}
			return fmt.Errorf("file store: directory %s holds other files (%s) and no %s: name an empty directory or one that does not exist"+help, dir, name, marker)
		}
	}
	text, err := json.Marshal(head{storeFormat, version})
	if err != nil {
		return err
	}
	// Whoever is last replaces the marker by an equal one.
	return replace(path, marker+"."+rand.Text(), append(text, '\n'))
}

// marked tells whether a directory has its marker, and that it is one of ours.
func marked(path string) (bool, error) {
	data, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("file store: read %s: %w", path, err)
	}
	var h head
	if err := json.Unmarshal(data, &h); err != nil {
		return false, fmt.Errorf("%s is not a file of a vegas store (%w): name another directory, or move the file away"+help, path, err)
	}
	return true, h.check(path, storeFormat)
}

// makeDir makes a directory and those above it, and puts their names on disk.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	above := filepath.Dir(dir)
	if above != dir {
		if err := makeDir(above); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(above)
}

// List returns the rows of group whose ID starts with prefix, ordered by ID.
func (s *Store) List(ctx context.Context, group, prefix string) ([]store.Row, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	dir := filepath.Join(s.dir, escape(group))
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list store rows of %q: %w", group, err)
	}
	start := escapeText(prefix)
	var rows []store.Row
	for _, e := range entries {
		name := e.Name()
		if !strings.HasSuffix(name, rowSuffix) {
			continue
		}
		if name, short := strings.CutPrefix(name, plain); short && !strings.HasPrefix(name, start) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		row, err := read(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("list store rows of %q: %w", group, err)
		}
		if row.Group == group && strings.HasPrefix(row.ID, prefix) {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b store.Row) int { return cmp.Compare(a.ID, b.ID) })
	return rows, nil
}

// Get returns one row, or store.ErrNotFound.
func (s *Store) Get(ctx context.Context, group, id string) (store.Row, error) {
	if err := s.usable(ctx); err != nil {
		return store.Row{}, err
	}
	row, err := read(s.path(group, id))
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && (row.Group != group || row.ID != id):
		return store.Row{}, fmt.Errorf("get store row %q/%q: %w", group, id, store.ErrNotFound)
	case err != nil:
		return store.Row{}, fmt.Errorf("get store row %q/%q: %w", group, id, err)
	}
	return row, nil
}

// Swap stores row if what is stored has row.Revision.
func (s *Store) Swap(ctx context.Context, row store.Row) (store.Row, error) {
	if err := store.Check(row); err != nil {
		return store.Row{}, err
	}
	row = row.Clone()
	err := s.write(ctx, row.Group, true, func(dir string) error {
		path := s.path(row.Group, row.ID)
		old, err := read(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if old.Revision != row.Revision {
			return store.ErrConflict
		}
		if row.Revision == 0 {
			if row.Revision, err = floor(dir); err != nil {
				return err
			}
		}
		row.Revision++
		text, err := json.Marshal(rowFile{head{rowFormat, version}, row.Group, row.ID, row.Revision, row.Fields, row.Body})
		if err != nil {
			return err
		}
		return replace(path, "next", append(text, '\n'))
	})
	if err != nil {
		return store.Row{}, fmt.Errorf("write store row %q/%q: %w", row.Group, row.ID, err)
	}
	return row, nil
}

// Delete removes row if what is stored has row.Revision.
func (s *Store) Delete(ctx context.Context, row store.Row) error {
	if err := store.CheckNames(row.Group, row.ID); err != nil {
		return err
	}
	err := s.write(ctx, row.Group, false, func(dir string) error {
		path := s.path(row.Group, row.ID)
		old, err := read(path)
		if errors.Is(err, fs.ErrNotExist) {
			return store.ErrConflict
		}
		if err != nil {
			return err
		}
		if old.Revision != row.Revision {
			return store.ErrConflict
		}
		// The floor rises before the row goes, so that a crash in between
		// costs numbers and not their uniqueness.
		low, err := floor(dir)
		if err != nil {
			return err
		}
		if old.Revision > low {
			if err := replace(filepath.Join(dir, "floor"), "next", strconv.AppendUint(nil, old.Revision, 10)); err != nil {
				return err
			}
		}
		if err := os.Remove(path); err != nil {
			return err
		}
		return syncDir(dir)
	})
	if err != nil {
		return fmt.Errorf("delete store row %q/%q: %w", row.Group, row.ID, err)
	}
	return nil
}

// Close ends the use of the store. The files stay.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// write runs change alone on the machine among the writers of the group.
func (s *Store) write(ctx context.Context, group string, create bool, change func(dir string) error) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	turn := s.turns[group]
	if turn == nil {
		turn = make(chan struct{}, 1)
		s.turns[group] = turn
	}
	s.mu.Unlock()
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return ctx.Err()
	}

	dir := filepath.Join(s.dir, escape(group))
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if !create {
			return store.ErrConflict
		}
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := syncDir(s.dir); err != nil {
			return err
		}
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // gives the lock back
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		held, err := tryLock(lock)
		if err != nil {
			return fmt.Errorf("lock %s: %w", lock.Name(), err)
		}
		if held {
			break
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
	return change(dir)
}

// floor is the highest revision that a deleted row of the group had.
func floor(dir string) (uint64, error) {
	path := filepath.Join(dir, "floor")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s holds %.40q where a number belongs: write a number above every revision in the directory into it", path, text)
	}
	return n, nil
}

func read(path string) (store.Row, error) {
	text, err := readFile(path)
	if err != nil {
		return store.Row{}, err
	}
	var f rowFile
	if err := json.Unmarshal(text, &f); err != nil {
		return store.Row{}, fmt.Errorf("%s is not a file of a vegas store (%w): move it away"+help, path, err)
	}
	if err := f.check(path, rowFormat); err != nil {
		return store.Row{}, err
	}
	if f.Revision == 0 {
		return store.Row{}, fmt.Errorf("%s has no revision: move it away", path)
	}
	return store.Row{Group: f.Group, ID: f.ID, Revision: f.Revision, Fields: f.Fields, Body: f.Body}, nil
}

// replace makes path hold text, or what it held before, whenever the machine
// stops: the new file is on disk before it takes the old one's name, and the
// name is on disk when replace returns.
func replace(path, temp string, text []byte) error {
	dir := filepath.Dir(path)
	temp = filepath.Join(dir, temp)
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = rename(temp, path)
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

func (s *Store) path(group, id string) string {
	return filepath.Join(s.dir, escape(group), escape(id)+rowSuffix)
}

// Names start so that none is reserved anywhere (con, nul, a leading dot), and
// long ones cannot be taken for short ones.
const (
	plain = "r-"
	long  = "l-"
)

// escape is name as a file name: of lower-case letters, digits, - and _, for
// file systems that fold case or refuse characters; everything else is =XX per
// byte. What grows too long ends in a hash of the whole.
func escape(name string) string {
	text := escapeText(name)
	if len(text) <= 200 {
		return plain + text
	}
	sum := sha256.Sum256([]byte(name))
	return long + text[:120] + "-" + hex.EncodeToString(sum[:])
}

func escapeText(name string) string {
	b := make([]byte, 0, len(name)+16)
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
			b = append(b, c)
		default:
			b = append(b, '=', "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		}
	}
	return string(b)
}
