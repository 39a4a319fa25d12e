package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/libvegas/vegas/store"
)

type key struct{}

// Tx is the transaction that a handler of a consumer with o.Transactional runs
// in, and nil elsewhere. What the handler writes in it is stored together with
// the position behind the record, or not at all. Begin makes a savepoint in it;
// its own Commit and Rollback are refused.
//
// A test of a handler gives it the Context of what Store.Begin returns.
func Tx(ctx context.Context) pgx.Tx {
	tx, _ := ctx.Value(key{}).(pgx.Tx)
	return tx
}

// lent is a transaction without its end.
type lent struct{ pgx.Tx }

var errLent = errors.New("the transaction of a handler ends when the handler has returned: return an error to roll it back")

func (lent) Commit(context.Context) error   { return errLent }
func (lent) Rollback(context.Context) error { return errLent }

// Begin starts a transaction. It waits for a connection.
func (s *Store) Begin(ctx context.Context) (store.Tx, error) {
	pool, err := s.usable(ctx)
	if err != nil {
		return nil, err
	}
	tx, err := pool.BeginTx(ctx, pgx.TxOptions{BeginQuery: s.begin})
	if err != nil {
		return nil, s.fail("begin", err)
	}
	return &transaction{s, tx}, nil
}

type transaction struct {
	store *Store
	tx    pgx.Tx
}

// Context is ctx with the transaction in it, for Tx.
func (t *transaction) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, key{}, lent{t.tx})
}

// Swap is the Store's, as a part of the transaction.
func (t *transaction) Swap(ctx context.Context, row store.Row) (store.Row, error) {
	out, err := swap(ctx, t.tx, row)
	if err != nil {
		return store.Row{}, t.store.fail(fmt.Sprintf("write row %q/%q", row.Group, row.ID), refused(err))
	}
	return out, nil
}

// Commit ends the transaction.
func (t *transaction) Commit(ctx context.Context) error {
	if err := t.tx.Commit(ctx); err != nil {
		return t.store.fail("commit", refused(err))
	}
	return nil
}

// rollbackTime is how long the server may take to answer a rollback. If it does
// not, the connection is closed, and the server rolls back by itself.
const rollbackTime = 2 * time.Second

// Rollback ends the transaction as if it had not been.
func (t *transaction) Rollback() {
	ctx, cancel := context.WithTimeout(context.Background(), rollbackTime)
	defer cancel()
	_ = t.tx.Rollback(ctx)
}

// refused tells that the server did not accept what a transaction did, so that
// it would not if it were done again. What it may accept the next time (a
// deadlock, a lock not had in time, no room, a server that goes away) is left as
// it is.
func refused(err error) error {
	if errors.Is(err, pgx.ErrTxCommitRollback) {
		return fmt.Errorf("%w: a statement failed, and its error was ignored", store.ErrRolledBack)
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || len(e.Code) != 5 || strings.Contains("08 40 53 55 57 58 XX", e.Code[:2]) {
		return err
	}
	if e.Code == "25P02" {
		return fmt.Errorf("%w: a statement failed, and its error was ignored", store.ErrRolledBack)
	}
	return fmt.Errorf("%w: %w", store.ErrRolledBack, err)
}
