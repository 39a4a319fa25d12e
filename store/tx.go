package store

import (
	"context"
	"errors"
)

// Transactor is a Store in a database that also holds what handlers write: the
// effect of a record and the position behind it are then stored together or not
// at all.
type Transactor interface {
	Store
	// Begin starts a transaction. It waits for whatever the database gives out
	// one by one, a connection or the right to write.
	Begin(ctx context.Context) (Tx, error)
}

// Tx is a transaction, for one goroutine at a time. It holds something of the
// database until it is ended, by Commit or by Rollback; it cannot be committed
// once the context is over that it was begun with.
type Tx interface {
	// Context is ctx with the transaction in it, where the store's package has a
	// function that finds it for handlers.
	Context(ctx context.Context) context.Context
	// Swap is the Store's, as a part of the transaction: it compares with what is
	// committed, and what it writes is seen by nobody until Commit. The revision
	// that it returns counts once that succeeded, and not before.
	Swap(ctx context.Context, row Row) (Row, error)
	// Commit ends the transaction. An error that is ErrRolledBack says that
	// nothing of it was stored; after any other the outcome is unknown, as with
	// the Store's writes.
	Commit(ctx context.Context) error
	// Rollback ends the transaction as if it had not been. After Commit it does
	// nothing.
	Rollback()
}

// ErrRolledBack: the database refused what the transaction did, so that nothing
// of it is stored. It is also the error of a Swap in a transaction that the
// database has given up, and which can only be rolled back.
var ErrRolledBack = errors.New("the database rolled the transaction back")
