package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/storetest"
)

func fresh(t *testing.T) *Store {
	return New(filepath.Join(t.TempDir(), "rows.db"), quietly)
}

func quietly(o *Options) { o.Logger = slog.New(slog.DiscardHandler) }

func TestStoreConforms(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return fresh(t) })
}

func TestTransactionsConform(t *testing.T) {
	storetest.Transactions(t, func(t *testing.T) store.Transactor { return fresh(t) })
}

func TestHandlesShareAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.db")
	storetest.Shared(t, func(*testing.T) store.Store { return New(path, quietly) })
}

// database is what a program opens for its own work.
func database(t *testing.T, path, more string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)"+more)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

const wal = "&_pragma=journal_mode(wal)"

func TestADatabaseThatTheProgramOpened(t *testing.T) {
	db := database(t, filepath.Join(t.TempDir(), "mine"), wal)
	s := Open(db)
	if _, err := s.Swap(t.Context(), store.Row{Group: "g", ID: "i"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.PingContext(t.Context()); err != nil {
		t.Errorf("Close closed the program's database: %v", err)
	}
}

func TestNamesOfFiles(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"plain.db", "a b.db", "50%25.db", "what?.db", "#1.db", "file:x.db", "ä日.db", "&mode=memory.db"} {
		for _, path := range []string{name, filepath.Join(dir, "sub", name)} {
			if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o700); err != nil {
				t.Fatal(err)
			}
			s := New(path, quietly)
			if _, err := s.Swap(t.Context(), store.Row{Group: "g", ID: "i"}); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			s.Close()
			if _, err := os.Stat(path); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestTheTableIsAnnouncedOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.db")
	var out bytes.Buffer
	log := func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&out, nil)) }
	for range 2 {
		s := New(path, log)
		if _, err := s.List(t.Context(), "g", ""); err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	if n := strings.Count(out.String(), "made the table"); n != 1 || !strings.Contains(out.String(), path) {
		t.Errorf("announced %d times:\n%s", n, &out)
	}
}

func TestManyMakeTheTableAtOnce(t *testing.T) {
	for range 5 {
		path := filepath.Join(t.TempDir(), "rows.db")
		start := make(chan struct{})
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				s := New(path, quietly)
				defer s.Close()
				<-start
				if _, err := s.Swap(t.Context(), store.Row{Group: "g", ID: fmt.Sprint(i)}); err != nil {
					t.Error(err)
				}
			})
		}
		close(start)
		wg.Wait()
	}
}

func TestWhatIsNotOursIsRefusedWithARemedy(t *testing.T) {
	for name, c := range map[string]struct {
		make func(t *testing.T, dir string) *Store
		want []string
	}{
		"a table that is something else": {func(t *testing.T, dir string) *Store {
			db := database(t, filepath.Join(dir, "x"), wal)
			if _, err := db.Exec(`CREATE TABLE vegas_rows (city TEXT, hotel TEXT)`); err != nil {
				t.Fatal(err)
			}
			return New(filepath.Join(dir, "x"))
		}, []string{"city TEXT, hotel TEXT", "rename that table", "#store-sqlite"}},
		"a table whose names are not unique": {func(t *testing.T, dir string) *Store {
			db := database(t, filepath.Join(dir, "x"), wal)
			if _, err := db.Exec(`CREATE TABLE vegas_rows (` + columns + `)`); err != nil {
				t.Fatal(err)
			}
			return New(filepath.Join(dir, "x"))
		}, []string{"without the unique index", "rename that table"}},
		"a file that is no database": {func(t *testing.T, dir string) *Store {
			if err := os.WriteFile(filepath.Join(dir, "x"), []byte(strings.Repeat("no database ", 100)), 0o600); err != nil {
				t.Fatal(err)
			}
			return New(filepath.Join(dir, "x"))
		}, []string{"no SQLite database", "name another file"}},
		"a folder that is not there": {func(_ *testing.T, dir string) *Store {
			return New(filepath.Join(dir, "no", "x"))
		}, []string{"cannot be opened", "folder has to exist"}},
		"a folder": {func(_ *testing.T, dir string) *Store { return New(dir) }, []string{"cannot be opened"}},
		"memory":   {func(*testing.T, string) *Store { return New(":memory:") }, []string{"in memory", "store/memory"}},
		"no name":  {func(*testing.T, string) *Store { return New("") }, []string{"want that of a file"}},
		"nil":      {func(*testing.T, string) *Store { return Open(nil) }, []string{"nil"}},
		"a program's database without WAL": {func(t *testing.T, dir string) *Store {
			return Open(database(t, filepath.Join(dir, "x"), ""))
		}, []string{`"delete"`, "PRAGMA journal_mode=WAL"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.make(t, t.TempDir())
			defer s.Close()
			_, err := s.Swap(t.Context(), store.Row{Group: "g", ID: "i"})
			for _, w := range c.want {
				if err == nil || !strings.Contains(err.Error(), w) {
					t.Errorf("%v\nwant something about %q", err, w)
				}
			}
		})
	}
}

// What a handler writes is stored with the rows, or not at all.
func TestAHandlersWritesGoAlong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.db")
	db := database(t, path, "")
	s := New(path, quietly)
	defer s.Close()
	ctx := t.Context()
	if _, err := s.List(ctx, "g", ""); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{`CREATE TABLE effect (n INTEGER)`, `CREATE TABLE top (n INTEGER PRIMARY KEY)`,
		`CREATE TABLE child (n INTEGER REFERENCES top DEFERRABLE INITIALLY DEFERRED)`, `CREATE TABLE one (n INTEGER UNIQUE ON CONFLICT ROLLBACK)`} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	count := func() (n int) {
		if err := db.QueryRow(`SELECT count(*) FROM effect`).Scan(&n); err != nil {
			t.Error(err)
		}
		return n
	}
	begin := func() (store.Tx, *sql.Tx) {
		tx, err := s.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return tx, Tx(tx.Context(ctx))
	}
	if Tx(ctx) != nil {
		t.Error("a transaction where there is none")
	}

	tx, in := begin()
	in.Exec(`INSERT INTO effect VALUES (1)`)
	tx.Rollback()
	if n := count(); n != 0 {
		t.Errorf("%d effects of a transaction that was rolled back", n)
	}
	tx, in = begin()
	in.Exec(`INSERT INTO effect VALUES (1)`)
	if err := tx.Commit(ctx); err != nil || count() != 1 {
		t.Errorf("%v, %d effects, want 1", err, count())
	}

	// A statement that ended the transaction: a row must not be written alone.
	for _, end := range []string{`INSERT INTO one VALUES (1), (1)`, `ROLLBACK`, `COMMIT`} {
		tx, in = begin()
		in.Exec(`INSERT INTO effect VALUES (2)`)
		in.Exec(end)
		if _, err := tx.Swap(ctx, store.Row{Group: "g", ID: "lost"}); !errors.Is(err, store.ErrRolledBack) {
			t.Errorf("after %s: %v, want ErrRolledBack", end, err)
		}
		tx.Rollback()
	}
	if _, err := s.Get(ctx, "g", "lost"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a row was written without its transaction: %v", err)
	}
	if _, err := s.Swap(ctx, store.Row{Group: "g", ID: "after"}); err != nil {
		t.Errorf("the store is of no use afterwards: %v", err)
	}
}

func TestAConstraintThatIsCheckedAtTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.db")
	db := database(t, path, wal+"&_pragma=foreign_keys(1)")
	if _, err := db.Exec(`CREATE TABLE top (n INTEGER PRIMARY KEY); CREATE TABLE child (n INTEGER REFERENCES top DEFERRABLE INITIALLY DEFERRED)`); err != nil {
		t.Fatal(err)
	}
	s := Open(db, quietly)
	tx, err := s.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Tx(tx.Context(t.Context())).Exec(`INSERT INTO child VALUES (7)`); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Swap(t.Context(), store.Row{Group: "g", ID: "i"}); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); !errors.Is(err, store.ErrRolledBack) {
		t.Errorf("%v, want ErrRolledBack", err)
	}
	if _, err := s.Get(t.Context(), "g", "i"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("%v, want ErrNotFound", err)
	}
}

// A heartbeat waits for the transaction under way, and not for those that wait
// themselves.
func TestShortWritesGoBeforeTransactions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		ctx := t.Context()
		if err := g.enterLong(ctx); err != nil {
			t.Fatal(err)
		}
		var order []string
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				if err := g.enterLong(ctx); err != nil {
					t.Error(err)
				}
				order = append(order, fmt.Sprint("transaction ", i))
				g.leaveLong(aWhile)
			})
			synctest.Wait()
		}
		wg.Go(func() {
			if err := g.enter(ctx); err != nil {
				t.Error(err)
			}
			order = append(order, "beat")
			g.leave()
		})
		synctest.Wait()
		begun := time.Now()
		g.leaveLong(aWhile)
		wg.Wait()
		if got := strings.Join(order, ", "); got != "beat, transaction 0, transaction 1, transaction 2, transaction 3, transaction 4" {
			t.Errorf("the order is: %s", got)
		}
		if took := time.Since(begun); took != 5*gap {
			t.Errorf("five long transactions left other processes %v, want five times %v", took, gap)
		}

		// Whoever gives up leaves the way free.
		cut, cancel := context.WithCancel(ctx)
		cancel()
		time.Sleep(gap)
		if err := g.enterLong(cut); err == nil {
			g.leaveLong(0)
		}
		g.turn <- struct{}{}
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := g.enterLong(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want a deadline", err)
		}
		g.leave()
		if err := g.enterLong(ctx); err != nil {
			t.Error(err)
		}
	})
}
