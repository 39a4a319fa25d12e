package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	lib "modernc.org/sqlite/lib"
)

// table is what the rows live in. The numbers that AUTOINCREMENT gives to new
// rows rise for as long as the table lives.
const table = `CREATE TABLE IF NOT EXISTS vegas_rows (
	revision   INTEGER PRIMARY KEY AUTOINCREMENT,
	group_name TEXT NOT NULL,
	id         TEXT NOT NULL,
	fields     TEXT NOT NULL, -- a JSON object of strings
	body       BLOB,
	UNIQUE (group_name, id)
)`

// columns is how the table looks to whoever asks for it.
const columns = "revision INTEGER, group_name TEXT, id TEXT, fields TEXT, body BLOB"

// help is where a person reads on.
const help = " (see docs/troubleshooting.md#store-sqlite)"

// usable refuses a closed store and makes sure of the table.
func (s *Store) usable(ctx context.Context) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case s.bad != nil:
		return s.fail("open", s.bad)
	case s.closed.Load():
		return fmt.Errorf("sqlite store %s: closed", s.name)
	case s.ready.Load():
		return nil
	}
	select {
	case <-s.once:
		defer func() { s.once <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.ready.Load() {
		return nil
	}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	s.ready.Store(true)
	return nil
}

// prepare makes the table where it is missing, and refuses one that is not ours.
func (s *Store) prepare(ctx context.Context) error {
	if err := s.journal(ctx); err != nil {
		return err
	}
	looks, err := s.look(ctx)
	if err == nil && looks == "" {
		if err = s.write(ctx, func() error {
			_, err := s.db.ExecContext(ctx, table)
			return err
		}); err == nil {
			s.log.Info("made the table for consumer groups", slog.String("table", "vegas_rows"), slog.String("database", s.name))
			looks, err = s.look(ctx)
		}
	}
	switch {
	case err != nil:
		return s.fail("make table vegas_rows", err)
	case looks != columns:
		return fmt.Errorf("sqlite store %s: table vegas_rows is something else: it has the columns (%s), want (%s) and group_name, id unique: name another file, or rename that table"+help, s.name, looks, columns)
	}
	return nil
}

// journal turns WAL on, or makes sure that it is on where the database is the
// program's: without it readers and writers would refuse each other at any
// moment, the end of a transaction included.
func (s *Store) journal(ctx context.Context) error {
	pragma := "PRAGMA journal_mode"
	if s.own {
		pragma = "PRAGMA journal_mode=WAL"
	}
	var mode string
	err := s.write(ctx, func() error { return s.db.QueryRowContext(ctx, pragma).Scan(&mode) })
	switch {
	case codeOf(err) == lib.SQLITE_NOTADB:
		return fmt.Errorf("sqlite store %s: this file is no SQLite database: name another file"+help+": %w", s.name, err)
	case codeOf(err) == lib.SQLITE_CANTOPEN:
		return fmt.Errorf("sqlite store %s: the file cannot be opened: its folder has to exist, and this program may have to write there"+help+": %w", s.name, err)
	case err != nil:
		return s.fail("open", err)
	case mode != "wal":
		return fmt.Errorf("sqlite store %s: the journal mode is %q, want WAL: open the database with PRAGMA journal_mode=WAL, on a disk of this machine"+help, s.name, mode)
	}
	return nil
}

// look tells which columns the table has; nothing if there is no table. It also
// has to have a unique index over the names, or creators could not exclude each
// other.
func (s *Store) look(ctx context.Context) (string, error) {
	var looks []string
	var unique int
	err := patiently(ctx, func() error {
		looks = nil
		rows, err := s.db.QueryContext(ctx, `SELECT name, type FROM pragma_table_info('vegas_rows') ORDER BY cid`)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var name, kind string
			if err := rows.Scan(&name, &kind); err != nil {
				return err
			}
			looks = append(looks, name+" "+kind)
		}
		return errors.Join(rows.Err(), s.db.QueryRowContext(ctx, `
			SELECT count(*) FROM pragma_index_list('vegas_rows') AS i
			WHERE i."unique" AND (SELECT group_concat(name) FROM pragma_index_info(i.name)) = 'group_name,id'`).Scan(&unique))
	})
	if len(looks) > 0 && unique == 0 {
		looks = append(looks, "without the unique index")
	}
	return strings.Join(looks, ", "), err
}
