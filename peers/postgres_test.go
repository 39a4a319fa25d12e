//go:build peers && servers && unix

package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/postgres"
	"github.com/libvegas/vegas/store/storetest"
)

// postgresServer starts a PostgreSQL server with an empty database and gives its
// URL. It ends with the test.
func postgresServer(t *testing.T) string {
	t.Helper()
	tools := postgresTools(t)
	dir, err := os.MkdirTemp("", "vegas-postgres-") //nolint:usetesting // t.TempDir is closed to other users than this one
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	// The server refuses to run as root.
	as := func(name string, args ...string) []string {
		return append([]string{filepath.Join(tools, name)}, args...)
	}
	if os.Getuid() == 0 {
		if out, err := exec.CommandContext(t.Context(), "chown", "nobody", dir).CombinedOutput(); err != nil {
			t.Fatalf("chown: %v\n%s", err, out)
		}
		plain := as
		as = func(name string, args ...string) []string {
			return append([]string{"setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"}, plain(name, args...)...)
		}
	}
	run := func(argv []string) {
		t.Helper()
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", strings.Join(argv, " "), err, out)
		}
	}
	data := filepath.Join(dir, "data")
	run(as("initdb", "-D", data, "-U", "vegas", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"))
	port := freePort(t)
	p := program{argv: as("postgres", "-D", data, "-c", "listen_addresses=127.0.0.1", "-c", "port="+port,
		"-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "log_min_messages=log")}
	p.serve(t, "ready to accept connections")
	// Stopped, it takes its shared memory along; killed, it would leave it.
	t.Cleanup(func() { run(as("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")) })
	return "postgres://vegas@127.0.0.1:" + port + "/postgres?sslmode=disable"
}

// postgresTools is the folder of the newest server that is installed.
func postgresTools(t *testing.T) string {
	t.Helper()
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path)
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // in Debian's order: 13, 15, …
	if err != nil || len(found) == 0 {
		t.Fatal("no PostgreSQL server is installed: this test needs one, 12 or later (Debian: apt-get install postgresql)")
	}
	return filepath.Dir(found[len(found)-1])
}

// pg is a schema of its own for a test.
type pg struct {
	url string
	sql *pgxpool.Pool
}

var schemas atomic.Int32

func newPG(t *testing.T, server string) *pg {
	t.Helper()
	name := fmt.Sprintf("test%d", schemas.Add(1))
	pool, err := pgxpool.New(t.Context(), server+"&search_path="+name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	p := &pg{server + "&search_path=" + name, pool}
	p.exec(t, `CREATE SCHEMA `+name)
	return p
}

func (p *pg) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	if _, err := p.sql.Exec(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func (p *pg) count(t *testing.T, query string, args ...any) (n int) {
	t.Helper()
	if err := p.sql.QueryRow(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// open is a store in the schema; it ends with the test.
func (p *pg) open(t *testing.T, options ...func(*postgres.Options)) *postgres.Store {
	t.Helper()
	s := postgres.New(p.url, append([]func(*postgres.Options){func(o *postgres.Options) {
		o.Logger = slog.New(slog.DiscardHandler)
	}}, options...)...)
	t.Cleanup(func() { s.Close() })
	return s
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	server := postgresServer(t)
	t.Run("suite", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Store { return newPG(t, server).open(t) })
	})
	t.Run("a pool that the program opened", func(t *testing.T) { pgGivenPool(t, newPG(t, server)) })
	t.Run("shared", func(t *testing.T) {
		p := newPG(t, server)
		storetest.Shared(t, func(t *testing.T) store.Store { return p.open(t) })
	})
	t.Run("transactions", func(t *testing.T) {
		storetest.Transactions(t, func(t *testing.T) store.Transactor { return newPG(t, server).open(t) })
	})
	t.Run("separate", func(t *testing.T) { pgSeparate(t, newPG(t, server)) })
	t.Run("made by many at once", func(t *testing.T) { pgMadeAtOnce(t, server) })
	t.Run("tables that are refused", func(t *testing.T) { pgRefused(t, server) })
	t.Run("what a handler writes", func(t *testing.T) { pgHandlersWrites(t, newPG(t, server)) })
	t.Run("locks of a host that vanished", func(t *testing.T) { pgVanished(t, newPG(t, server)) })
	t.Run("repeatable read by default", func(t *testing.T) { pgRepeatableRead(t, newPG(t, server)) })
}

func pgGivenPool(t *testing.T, p *pg) {
	s := postgres.Open(p.sql, func(o *postgres.Options) { o.Logger = slog.New(slog.DiscardHandler) })
	swap(t, s, store.Row{Group: "g", ID: "lease#1"})
	beats := s.Separate()
	swap(t, beats, store.Row{Group: "g", ID: "worker#1"})
	for _, one := range []store.Store{s, beats} {
		if err := one.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := p.count(t, `SELECT count(*) FROM vegas_rows`); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
}

// Heartbeats pass while handlers hold every connection.
func pgSeparate(t *testing.T, p *pg) {
	one := *p
	one.url += "&pool_max_conns=1"
	s := one.open(t)
	tx, err := s.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Swap(short, store.Row{Group: "g", ID: "worker#1"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with no connection left: %v, want a deadline", err)
	}
	beats := store.Separate(s)
	swap(t, beats, store.Row{Group: "g", ID: "worker#1"})
	if err := beats.Close(); err != nil {
		t.Error(err)
	}
	if _, err := tx.Swap(t.Context(), store.Row{Group: "g", ID: "lease#1"}); err != nil {
		t.Errorf("closing the separate store closed the other: %v", err)
	}
}

func pgMadeAtOnce(t *testing.T, server string) {
	for range 5 {
		p := newPG(t, server)
		start := make(chan struct{})
		var wg sync.WaitGroup
		var log bytes.Buffer
		for i := range 8 {
			s := p.open(t, func(o *postgres.Options) {
				if i == 0 {
					o.Logger = slog.New(slog.NewTextHandler(&log, nil))
				}
			})
			wg.Go(func() {
				<-start
				if _, err := s.Swap(t.Context(), store.Row{Group: "g", ID: fmt.Sprint(i)}); err != nil {
					t.Error(err)
				}
			})
		}
		close(start)
		wg.Wait()
		if n := p.count(t, `SELECT count(*) FROM vegas_rows`); n != 8 {
			t.Errorf("%d rows, want 8", n)
		}
		if strings.Contains(log.String(), "vegas_rows") && !strings.Contains(log.String(), "127.0.0.1") {
			t.Errorf("the log does not say where: %s", &log)
		}
	}
}

func pgRefused(t *testing.T, server string) {
	for name, c := range map[string]struct {
		make string
		url  func(u string) string
		want []string
	}{
		"a table that is something else": {
			make: `CREATE TABLE vegas_rows (city text, hotel text)`,
			want: []string{"city text, hotel text", "rename that table", "#store-postgres"},
		},
		"a table without its key": {
			make: `CREATE TABLE vegas_rows (group_name text, id text, revision bigint GENERATED BY DEFAULT AS IDENTITY, fields jsonb, body bytea)`,
			want: []string{"group_name text, id text, revision bigint identity", "want (group_name text key"},
		},
		"a table without its sequence": {
			make: `CREATE TABLE vegas_rows (group_name text, id text, revision bigint, fields jsonb, body bytea, PRIMARY KEY (group_name, id))`,
			want: []string{"revision bigint, ", "rename that table"},
		},
		"a user that may not make it": {
			make: `DO $$ BEGIN CREATE ROLE reader LOGIN; EXCEPTION WHEN duplicate_object THEN END $$`,
			url:  func(u string) string { return strings.Replace(u, "vegas@", "reader@", 1) + ",public" },
			want: []string{"may not make it", "GRANT", "CREATE TABLE IF NOT EXISTS vegas_rows", "#store-postgres"},
		},
		"a database that is not there": {
			url:  func(u string) string { return strings.Replace(u, "/postgres?", "/nowhere?", 1) },
			want: []string{"nowhere", "does not exist", "#store-postgres"},
		},
		"a server that is not there": {
			url:  func(string) string { return "postgres://vegas@127.0.0.1:" + freePort(t) + "/postgres" },
			want: []string{"connect", "127.0.0.1"},
		},
		"a URL that is none": {
			url:  func(string) string { return "postgres://vegas:secret@[::1/db" },
			want: []string{"read the URL", "#store-postgres"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPG(t, server)
			if c.make != "" {
				p.exec(t, c.make)
			}
			if c.url != nil {
				p.url = c.url(p.url)
			}
			_, err := p.open(t).Swap(t.Context(), store.Row{Group: "g", ID: "i"})
			for _, w := range c.want {
				if err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(w)) {
					t.Errorf("%v\nwant something about %q", err, w)
				}
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the password is in %v", err)
			}
		})
	}
}

func pgHandlersWrites(t *testing.T, p *pg) {
	ctx := t.Context()
	p.exec(t, `CREATE TABLE effect (n int)`)
	p.exec(t, `CREATE TABLE top (n int PRIMARY KEY)`)
	p.exec(t, `CREATE TABLE child (n int REFERENCES top DEFERRABLE INITIALLY DEFERRED)`)
	s := p.open(t)
	begin := func() (store.Tx, context.Context) {
		t.Helper()
		tx, err := s.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return tx, tx.Context(ctx)
	}
	write := func(ctx context.Context, query string) error {
		_, err := postgres.Tx(ctx).Exec(ctx, query)
		return err
	}
	effects := func() int { return p.count(t, `SELECT count(*) FROM effect`) }
	if postgres.Tx(ctx) != nil {
		t.Error("a transaction where there is none")
	}

	tx, in := begin()
	if err := write(in, `INSERT INTO effect VALUES (1)`); err != nil {
		t.Fatal(err)
	}
	if err := postgres.Tx(in).Commit(ctx); err == nil {
		t.Error("the handler may commit by itself")
	}
	if err := postgres.Tx(in).Rollback(ctx); err == nil {
		t.Error("the handler may roll back by itself")
	}
	tx.Rollback()
	if n := effects(); n != 0 {
		t.Errorf("%d effects of a transaction that was rolled back", n)
	}

	// A savepoint is the handler's own.
	tx, in = begin()
	save, err := postgres.Tx(in).Begin(in)
	if err != nil {
		t.Fatal(err)
	}
	save.Exec(in, `INSERT INTO effect VALUES (2)`)
	if err := save.Rollback(in); err != nil {
		t.Error(err)
	}
	if err := write(in, `INSERT INTO effect VALUES (1)`); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Swap(ctx, store.Row{Group: "g", ID: "lease#1"}); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(ctx); err != nil || effects() != 1 {
		t.Errorf("%v, %d effects, want 1", err, effects())
	}

	// What the server refuses, at the end or before, and the handler ignored.
	for what, query := range map[string]string{"a constraint checked at the end": `INSERT INTO child VALUES (7)`, "a bad statement": `INSERT INTO nowhere VALUES (1)`} {
		tx, in = begin()
		write(in, query)
		_, err := tx.Swap(ctx, store.Row{Group: "g", ID: "lost"})
		if err == nil {
			err = tx.Commit(ctx)
		}
		if !errors.Is(err, store.ErrRolledBack) {
			t.Errorf("%s: %v, want ErrRolledBack", what, err)
		}
		tx.Rollback()
		tx, in = begin()
		write(in, query)
		if err := tx.Commit(ctx); !errors.Is(err, store.ErrRolledBack) {
			t.Errorf("%s: %v, want ErrRolledBack", what, err)
		}
	}
	if _, err := s.Get(ctx, "g", "lost"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a row was written without its transaction: %v", err)
	}
}

// A host that vanished, and whose connection nobody closed, holds up others for
// IdleTimeout, and a statement of theirs for LockTimeout.
func pgVanished(t *testing.T, p *pg) {
	ctx := t.Context()
	dead := p.open(t, func(o *postgres.Options) { o.IdleTimeout = 500 * time.Millisecond })
	old := swap(t, dead, store.Row{Group: "g", ID: "lease#1"})
	tx, err := dead.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.Swap(ctx, old); err != nil {
		t.Fatal(err)
	}

	heir := p.open(t, func(o *postgres.Options) { o.LockTimeout = 100 * time.Millisecond })
	other, err := heir.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Rollback()
	_, err = other.Swap(ctx, old)
	if err == nil || !strings.Contains(err.Error(), "lock timeout") || errors.Is(err, store.ErrRolledBack) {
		t.Errorf("%v, want a lock timeout, which may go well the next time", err)
	}
	other.Rollback()
	swap(t, heir, old) // waits until the server has ended the dead one's
	if err := tx.Commit(ctx); err == nil {
		t.Error("the transaction that the server ended was committed")
	}
}

// Under a stricter default a write that comes second is refused by the server;
// it is a conflict all the same.
func pgRepeatableRead(t *testing.T, p *pg) {
	strict := *p
	strict.url += "&default_transaction_isolation=repeatable%20read"
	storetest.Run(t, func(t *testing.T) store.Store {
		p.exec(t, `DROP TABLE IF EXISTS vegas_rows`)
		return strict.open(t)
	})
}
