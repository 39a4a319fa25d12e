package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	lib "modernc.org/sqlite/lib"

	"github.com/libvegas/vegas/store"
)

type key struct{}

// Tx is the transaction that a handler of a consumer with o.Transactional runs
// in, and nil elsewhere. What the handler writes in it is stored together with
// the position behind the record, or not at all. The handler must not end it,
// and returns the error of a statement that failed.
//
// A test of a handler gives it the Context of what Store.Begin returns.
func Tx(ctx context.Context) *sql.Tx {
	tx, _ := ctx.Value(key{}).(*sql.Tx)
	return tx
}

// Begin starts a transaction with the right to write.
func (s *Store) Begin(ctx context.Context) (store.Tx, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	if err := s.gate.enterLong(ctx); err != nil {
		return nil, s.fail("begin", err)
	}
	var tx *sql.Tx
	err := patiently(ctx, func() error {
		var err error
		if tx, err = s.db.BeginTx(ctx, nil); err != nil {
			return err
		}
		// A write that changes nothing takes the right to write. Whoever takes
		// it after having read may find that somebody else wrote meanwhile.
		if _, err = tx.ExecContext(ctx, `UPDATE vegas_rows SET body = NULL WHERE 0`); err != nil {
			_ = tx.Rollback()
		}
		return err
	})
	if err != nil {
		s.gate.leaveLong(0)
		return nil, s.fail("begin", err)
	}
	return &transaction{store: s, sql: tx, began: time.Now()}, nil
}

type transaction struct {
	store *Store
	sql   *sql.Tx
	began time.Time
	over  bool
}

// Context is ctx with the transaction in it, for Tx.
func (t *transaction) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, key{}, t.sql)
}

// Swap is the Store's, as a part of the transaction.
func (t *transaction) Swap(ctx context.Context, row store.Row) (store.Row, error) {
	what := fmt.Sprintf("write row %q/%q", row.Group, row.ID)
	// Some errors, as that of a full disk, end the transaction at once, and so
	// may a handler. What follows would then be a write of its own. BEGIN fails
	// inside a transaction.
	if _, err := t.sql.ExecContext(ctx, "BEGIN"); err == nil {
		_, _ = t.sql.ExecContext(ctx, "ROLLBACK")
		return store.Row{}, t.store.fail(what, fmt.Errorf("%w, at a statement that failed, or its handler ended it: a handler returns the error of its statements, and neither commits nor rolls back", store.ErrRolledBack))
	}
	out, err := swap(ctx, t.sql, row)
	if err != nil {
		return store.Row{}, t.store.fail(what, err)
	}
	return out, nil
}

// Commit ends the transaction.
func (t *transaction) Commit(context.Context) error {
	err := t.sql.Commit()
	t.leave()
	switch {
	case codeOf(err) == lib.SQLITE_CONSTRAINT: // one that is checked at the end
		return t.store.fail("commit", fmt.Errorf("%w: %w", store.ErrRolledBack, err))
	case err != nil:
		return t.store.fail("commit", err)
	}
	return nil
}

// Rollback ends the transaction as if it had not been.
func (t *transaction) Rollback() {
	if !t.over {
		_ = t.sql.Rollback() // if it fails, so does its connection, and with it the transaction
		t.leave()
	}
}

func (t *transaction) leave() {
	if !t.over {
		t.over = true
		t.store.gate.leaveLong(time.Since(t.began))
	}
}

// gate lets the writers of this process at the file one at a time, in the order
// in which they came, and short writes, as heartbeats are, before transactions:
// they wait for the one that is under way, and never for those that wait too.
type gate struct {
	long chan struct{} // holds a token while a transaction runs, or asks for turn
	turn chan struct{} // while somebody writes
}

func newGate() gate { return gate{long: make(chan struct{}, 1), turn: make(chan struct{}, 1)} }

func (g gate) enter(ctx context.Context) error { return put(ctx, g.turn) }

func (g gate) leave() { <-g.turn }

func (g gate) enterLong(ctx context.Context) error {
	if err := put(ctx, g.long); err != nil {
		return err
	}
	if err := put(ctx, g.turn); err != nil {
		<-g.long
		return err
	}
	return nil
}

const (
	// aWhile is what makes a transaction long for other processes.
	aWhile = 20 * time.Millisecond
	// gap is how long no transaction of this process follows a long one.
	gap = 4 * look
)

// leaveLong ends a transaction that took a time. Other processes do not stand in
// line with this one's, they look whether the file is free: after a long
// transaction it is, for a moment, that they cannot miss.
func (g gate) leaveLong(took time.Duration) {
	<-g.turn
	if took < aWhile {
		<-g.long
		return
	}
	time.AfterFunc(gap, func() { <-g.long })
}

func put(ctx context.Context, c chan<- struct{}) error {
	select {
	case c <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
