// Package sqlite is a store in an SQLite file: for one machine, whose processes
// may all use the file at once. A consumer with o.Transactional commits what its
// handler writes to the same file together with the position:
//
//	rows := sqlite.New("bank.db")
//	c, err := vegas.NewConsumer("payments", "ledger", func(o *vegas.ConsumerOptions) {
//		o.Store, o.Transactional = rows, true
//	})
//	err = c.Run(ctx, func(ctx context.Context, r *vegas.Record) error {
//		_, err := sqlite.Tx(ctx).ExecContext(ctx, `UPDATE account SET …`)
//		return err
//	})
//
// An SQLite file has one writer at a time. Transactional handlers of several
// shards, and of all processes, therefore run one after the other, and so do
// heartbeats, which wait for no more than the transaction under way: a handler
// should write and return, and not wait for something else for a good part of
// the lease time. The file is in SQLite's WAL mode, which network file systems
// do not support.
//
// The rows are in the table vegas_rows, which is made at the first use.
package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/libvegas/vegas/store"
)

const (
	// connections are how many this process opens: one writes, the others read.
	connections = 4
	// look is the time between two looks at a file that another process has
	// locked. SQLite's own waiting looks every 100 ms, and might look away for
	// ever while others take turns.
	look = 3 * time.Millisecond
)

// Options arrive at an option function filled with the defaults named here.
type Options struct {
	// Logger is told when the table is made. Default slog.Default().
	Logger *slog.Logger
}

// Store keeps rows in a table of an SQLite file.
type Store struct {
	name string // of the database, for errors
	db   *sql.DB
	own  bool // db is the Store's to set up and to close
	log  *slog.Logger
	bad  error // of what New was given

	gate   gate
	once   chan struct{} // holds a token until the table is known to be right
	ready  atomic.Bool
	closed atomic.Bool
	end    sync.Once
}

var _ store.Transactor = (*Store)(nil)

// New is a store in the file at path. It does no I/O: the file is looked at, and
// made where it is missing, at the first use.
func New(path string, opts ...func(*Options)) *Store {
	absolute, err := filepath.Abs(path)
	switch {
	case path == "" || path == ":memory:":
		err = fmt.Errorf("the path is %q, want that of a file: a database in memory is of one connection (package store/memory has a store in memory)", path)
	case strings.ContainsRune(path, 0):
		err = fmt.Errorf("the path %q has a NUL in it", path)
	}
	// The name of the driver that the import registers; Open does no I/O.
	db, openErr := sql.Open("sqlite", source(absolute))
	if err == nil {
		err = openErr
	}
	if openErr == nil {
		db.SetMaxOpenConns(connections)
		db.SetMaxIdleConns(connections)
	}
	s := open(path, db, opts)
	s.own, s.bad = openErr == nil, err
	return s
}

// Open is a store in a database that the program has opened, by the driver
// modernc.org/sqlite and in WAL mode (PRAGMA journal_mode=WAL), for a program
// that uses the same connections for its own work. Closing the Store leaves db
// open. It does no I/O.
func Open(db *sql.DB, opts ...func(*Options)) *Store {
	s := open("the database given", db, opts)
	if db == nil {
		s.bad = errors.New("the *sql.DB is nil")
	}
	return s
}

func open(name string, db *sql.DB, opts []func(*Options)) *Store {
	o := Options{Logger: slog.Default()}
	for _, f := range opts {
		f(&o)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s := &Store{name: name, db: db, log: o.Logger, gate: newGate(), once: make(chan struct{}, 1)}
	s.once <- struct{}{}
	return s
}

// source is the driver's name of a file: a URI, so that any path can be said.
func source(path string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") { // a drive
		path = "/" + path
	}
	path = strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
	// Waiting is the gate's; full: what was acknowledged survives a power cut.
	return "file:" + path + "?_pragma=busy_timeout(1)&_pragma=synchronous(full)"
}

// fail is an error of something that was to be done.
func (s *Store) fail(what string, err error) error {
	return fmt.Errorf("sqlite store %s: %s: %w", s.name, what, err)
}

// List returns the rows of group whose ID starts with prefix, ordered by ID.
func (s *Store) List(ctx context.Context, group, prefix string) ([]store.Row, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	var rows []store.Row
	err := patiently(ctx, func() error {
		var err error
		rows, err = s.list(ctx, group, prefix)
		return err
	})
	if err != nil {
		return nil, s.fail(fmt.Sprintf("list the rows of %q", group), err)
	}
	return rows, nil
}

func (s *Store) list(ctx context.Context, group, prefix string) ([]store.Row, error) {
	found, err := s.db.QueryContext(ctx, `
		SELECT id, revision, fields, body FROM vegas_rows
		WHERE group_name = ?1 AND id >= ?2 AND substr(id, 1, length(?2)) = ?2 ORDER BY id`, group, prefix)
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close() }()
	var rows []store.Row
	for found.Next() {
		row := store.Row{Group: group}
		if err := scan(found, &row, &row.ID); err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, found.Err()
}

// scan reads a row of the table: first, if any, and the contents.
func scan(from interface{ Scan(...any) error }, row *store.Row, first ...any) error {
	var fields string
	if err := from.Scan(append(first, &row.Revision, &fields, &row.Body)...); err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(fields), &row.Fields); err != nil {
		return fmt.Errorf("row %q/%q: the fields are damaged: %w", row.Group, row.ID, err)
	}
	return nil
}

// Get returns one row, or store.ErrNotFound.
func (s *Store) Get(ctx context.Context, group, id string) (store.Row, error) {
	if err := s.usable(ctx); err != nil {
		return store.Row{}, err
	}
	row := store.Row{Group: group, ID: id}
	err := patiently(ctx, func() error {
		return scan(s.db.QueryRowContext(ctx, `SELECT revision, fields, body FROM vegas_rows WHERE group_name = ? AND id = ?`, group, id), &row)
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Row{}, s.fail(fmt.Sprintf("get row %q/%q", group, id), err)
	}
	return row, nil
}

// Swap stores row if what is stored has row.Revision.
func (s *Store) Swap(ctx context.Context, row store.Row) (store.Row, error) {
	if err := s.usable(ctx); err != nil {
		return store.Row{}, err
	}
	var out store.Row
	err := s.write(ctx, func() error {
		var err error
		out, err = swap(ctx, s.db, row)
		return err
	})
	if err != nil {
		return store.Row{}, s.fail(fmt.Sprintf("write row %q/%q", row.Group, row.ID), err)
	}
	return out, nil
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// swap writes a row. A change replaces the table's row by a new one, since only
// new ones are given a number by AUTOINCREMENT, which never repeats any.
func swap(ctx context.Context, q querier, row store.Row) (store.Row, error) {
	if err := store.Check(row); err != nil {
		return store.Row{}, err
	}
	row = row.Clone()
	if row.Fields == nil {
		row.Fields = map[string]string{}
	}
	fields, err := json.Marshal(row.Fields)
	if err != nil {
		return store.Row{}, err
	}
	var written *sql.Rows
	if row.Revision == 0 {
		written, err = q.QueryContext(ctx, `
			INSERT INTO vegas_rows (group_name, id, fields, body) VALUES (?, ?, ?, ?)
			ON CONFLICT DO NOTHING RETURNING revision`, row.Group, row.ID, string(fields), row.Body)
	} else {
		written, err = q.QueryContext(ctx, `
			INSERT OR REPLACE INTO vegas_rows (group_name, id, fields, body)
			SELECT group_name, id, ?4, ?5 FROM vegas_rows WHERE group_name = ?1 AND id = ?2 AND revision = ?3
			RETURNING revision`, row.Group, row.ID, row.Revision, string(fields), row.Body)
	}
	if err != nil {
		return store.Row{}, err
	}
	defer func() { _ = written.Close() }()
	found := false
	for written.Next() { // to the end: it is there that the statement commits
		found = true
		if err := written.Scan(&row.Revision); err != nil {
			return store.Row{}, err
		}
	}
	switch err := written.Err(); {
	case err != nil:
		return store.Row{}, err
	case !found:
		return store.Row{}, store.ErrConflict
	}
	return row, nil
}

// Delete removes row if what is stored has row.Revision.
func (s *Store) Delete(ctx context.Context, row store.Row) error {
	if err := store.CheckNames(row.Group, row.ID); err != nil {
		return err
	}
	if err := s.usable(ctx); err != nil {
		return err
	}
	err := s.write(ctx, func() error {
		done, err := s.db.ExecContext(ctx, `DELETE FROM vegas_rows WHERE group_name = ? AND id = ? AND revision = ?`, row.Group, row.ID, row.Revision)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, store.ErrConflict)
		}
		return nil
	})
	if err != nil {
		return s.fail(fmt.Sprintf("delete row %q/%q", row.Group, row.ID), err)
	}
	return nil
}

// Close ends the use of the store. The file stays.
func (s *Store) Close() error {
	s.closed.Store(true)
	var err error
	s.end.Do(func() {
		if s.own {
			err = s.db.Close()
		}
	})
	return err
}

// write is one short write, in its turn.
func (s *Store) write(ctx context.Context, f func() error) error {
	if err := s.gate.enter(ctx); err != nil {
		return err
	}
	defer s.gate.leave()
	return patiently(ctx, f)
}

// patiently tries again while another process has the file locked.
func patiently(ctx context.Context, f func() error) error {
	for {
		err := f()
		if code := codeOf(err); code != lib.SQLITE_BUSY && code != lib.SQLITE_LOCKED {
			return err
		}
		timer := time.NewTimer(look)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

// codeOf is SQLite's primary result code, 0 if err is none.
func codeOf(err error) int {
	if e, ok := errors.AsType[*driver.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}
