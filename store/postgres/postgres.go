// Package postgres is a store in a PostgreSQL database (version 12 or later). A
// consumer with o.Transactional commits what its handler writes to the same
// database together with the position:
//
//	rows := postgres.New("postgres://user@host/bank")
//	c, err := vegas.NewConsumer("payments", "ledger", func(o *vegas.ConsumerOptions) {
//		o.Store, o.Transactional = rows, true
//	})
//	err = c.Run(ctx, func(ctx context.Context, r *vegas.Record) error {
//		_, err := postgres.Tx(ctx).Exec(ctx, `UPDATE account SET …`)
//		return err
//	})
//
// Each shard whose handlers run transactionally holds a connection of the pool
// meanwhile, so that a pool should have one for each shard that a worker may
// come to read, and a few more: pool_max_conns in the URL.
//
// The rows are in the table vegas_rows, which is made at the first use, in the
// first schema of the search path.
package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/libvegas/vegas/store"
)

// Options arrive at an option function filled with the defaults named here.
type Options struct {
	// IdleTimeout is how long a transaction may stand still between two of its
	// statements before the server ends it: what keeps the locks of a host that
	// vanished from holding up whoever takes its shards over. Default 5 s, the
	// default lease time; with another o.LeaseTime set it likewise. A handler that
	// does something else for longer fails: let it be longer where handlers have
	// to wait for others, and such locks with it.
	IdleTimeout time.Duration
	// LockTimeout is how long a statement of a transaction waits for a lock
	// before it fails, and its record is tried again. Default 2.5 s, half the
	// default lease time.
	LockTimeout time.Duration
	// Logger is told when the table is made. Default slog.Default().
	Logger *slog.Logger
}

// Store keeps rows in a table of a PostgreSQL database.
type Store struct {
	o     Options
	begin string // the statement that begins a transaction
	given *pgxpool.Config
	bad   error // of what New was given

	set    chan struct{} // holds a token for whoever sets the store up
	pool   atomic.Pointer[pgxpool.Pool]
	own    bool // the pool is the Store's to close
	ready  atomic.Bool
	closed atomic.Bool
}

var (
	_ store.Transactor = (*Store)(nil)
	_ store.Separator  = (*Store)(nil)
)

// New is a store in the database at a URL, or a connection string as libpq takes
// it; package pgxpool says what it may hold. New does not connect: that is done
// at the first use, and what is wrong with the URL is an error then.
func New(url string, opts ...func(*Options)) *Store {
	config, err := pgxpool.ParseConfig(url)
	s := open(opts)
	s.given, s.own = config, true
	if err != nil {
		s.bad = fmt.Errorf("postgres store: read the URL: %w"+help, err)
	}
	return s
}

// Open is a store in the database of a pool that the program uses for its own
// work too. Closing the Store leaves the pool open. It does no I/O.
func Open(pool *pgxpool.Pool, opts ...func(*Options)) *Store {
	s := open(opts)
	if pool == nil {
		s.bad = errors.New("postgres store: the pool is nil")
		return s
	}
	s.given = pool.Config()
	s.pool.Store(pool)
	return s
}

func open(opts []func(*Options)) *Store {
	o := Options{IdleTimeout: 5 * time.Second, LockTimeout: 2500 * time.Millisecond}
	for _, f := range opts {
		f(&o)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s := &Store{o: o, set: make(chan struct{}, 1)}
	if o.IdleTimeout < time.Millisecond || o.LockTimeout < time.Millisecond {
		s.bad = fmt.Errorf("postgres store: IdleTimeout is %v and LockTimeout %v: want a millisecond or more", o.IdleTimeout, o.LockTimeout)
	}
	// One round trip. Under read committed a conditional write that had to wait
	// compares with what the other one committed.
	s.begin = fmt.Sprintf("begin isolation level read committed; set local lock_timeout = %d; set local idle_in_transaction_session_timeout = %d",
		o.LockTimeout.Milliseconds(), o.IdleTimeout.Milliseconds())
	s.set <- struct{}{}
	return s
}

// Separate is a store of the same rows with a connection of its own, so that
// what it does never waits for one that a handler holds. It is its caller's to
// close.
func (s *Store) Separate() store.Store {
	other := open([]func(*Options){func(o *Options) { *o = s.o }})
	other.own = true
	if s.bad != nil {
		other.bad = s.bad
		return other
	}
	other.given = s.given.Copy()
	other.given.MaxConns, other.given.MinConns, other.given.MinIdleConns = 1, 0, 0
	return other
}

// fail is an error of something that was to be done.
func (s *Store) fail(what string, err error) error {
	return fmt.Errorf("postgres store %s: %s: %w", s.name(), what, err)
}

func (s *Store) name() string {
	c := s.given.ConnConfig
	return fmt.Sprintf("%s:%d/%s", c.Host, c.Port, c.Database)
}

// List returns the rows of group whose ID starts with prefix, ordered by ID.
func (s *Store) List(ctx context.Context, group, prefix string) ([]store.Row, error) {
	pool, err := s.usable(ctx)
	if err != nil {
		return nil, err
	}
	found, err := pool.Query(ctx, `
		SELECT id, revision, fields::text, body FROM vegas_rows
		WHERE group_name = $1 AND id >= $2 AND starts_with(id, $2) ORDER BY id`, group, prefix)
	if err == nil {
		var rows []store.Row
		rows, err = pgx.CollectRows(found, func(r pgx.CollectableRow) (store.Row, error) {
			row := store.Row{Group: group}
			return row, scan(r, &row, &row.ID)
		})
		if err == nil {
			return rows, nil
		}
	}
	return nil, s.fail(fmt.Sprintf("list the rows of %q", group), err)
}

// scan reads a row of the table: first, if any, and the contents.
func scan(from interface{ Scan(...any) error }, row *store.Row, first ...any) error {
	var fields string
	var revision int64
	if err := from.Scan(append(first, &revision, &fields, &row.Body)...); err != nil {
		return err
	}
	row.Revision = uint64(revision)
	if err := json.Unmarshal([]byte(fields), &row.Fields); err != nil {
		return fmt.Errorf("row %q/%q: the fields are no object of strings: %w", row.Group, row.ID, err)
	}
	return nil
}

// Get returns one row, or store.ErrNotFound.
func (s *Store) Get(ctx context.Context, group, id string) (store.Row, error) {
	pool, err := s.usable(ctx)
	if err != nil {
		return store.Row{}, err
	}
	row := store.Row{Group: group, ID: id}
	err = scan(pool.QueryRow(ctx, `SELECT revision, fields::text, body FROM vegas_rows WHERE group_name = $1 AND id = $2`, group, id), &row)
	if errors.Is(err, pgx.ErrNoRows) {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Row{}, s.fail(fmt.Sprintf("get row %q/%q", group, id), err)
	}
	return row, nil
}

// Swap stores row if what is stored has row.Revision.
func (s *Store) Swap(ctx context.Context, row store.Row) (store.Row, error) {
	pool, err := s.usable(ctx)
	if err != nil {
		return store.Row{}, err
	}
	out, err := swap(ctx, pool, row)
	if err != nil {
		return store.Row{}, s.fail(fmt.Sprintf("write row %q/%q", row.Group, row.ID), err)
	}
	return out, nil
}

// querier is a pool or a transaction.
type querier interface {
	QueryRow(ctx context.Context, query string, args ...any) pgx.Row
}

// swap writes a row. Revisions come from one sequence, and so never repeat.
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
	var written pgx.Row
	if row.Revision == 0 {
		written = q.QueryRow(ctx, `
			INSERT INTO vegas_rows (group_name, id, fields, body) VALUES ($1, $2, $3, $4)
			ON CONFLICT DO NOTHING RETURNING revision`, row.Group, row.ID, string(fields), row.Body)
	} else {
		written = q.QueryRow(ctx, `
			UPDATE vegas_rows SET revision = DEFAULT, fields = $4, body = $5
			WHERE group_name = $1 AND id = $2 AND revision = $3
			RETURNING revision`, row.Group, row.ID, int64(row.Revision), string(fields), row.Body)
	}
	var revision int64
	if err := written.Scan(&revision); err != nil {
		return store.Row{}, conflict(err)
	}
	row.Revision = uint64(revision)
	return row, nil
}

// conflict tells that a write changed nothing because of somebody else's.
func conflict(err error) error {
	if errors.Is(err, pgx.ErrNoRows) || codeOf(err) == serializationFailure {
		return store.ErrConflict
	}
	return err
}

// Delete removes row if what is stored has row.Revision.
func (s *Store) Delete(ctx context.Context, row store.Row) error {
	if err := store.CheckNames(row.Group, row.ID); err != nil {
		return err
	}
	pool, err := s.usable(ctx)
	if err != nil {
		return err
	}
	done, err := pool.Exec(ctx, `DELETE FROM vegas_rows WHERE group_name = $1 AND id = $2 AND revision = $3`, row.Group, row.ID, int64(row.Revision))
	if err == nil && done.RowsAffected() == 0 {
		err = pgx.ErrNoRows
	}
	if err != nil {
		return s.fail(fmt.Sprintf("delete row %q/%q", row.Group, row.ID), conflict(err))
	}
	return nil
}

// Close ends the use of the store. The rows stay.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	<-s.set // not while somebody sets it up
	defer func() { s.set <- struct{}{} }()
	if pool := s.pool.Load(); pool != nil && s.own {
		pool.Close()
	}
	return nil
}

// codeOf is the server's code of an error; "" if err is none of it.
func codeOf(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// The server's codes of what is told apart here.
const (
	serializationFailure  = "40001"
	insufficientPrivilege = "42501"
)
