// Ledger keeps account balances from a stream of payments. A payment's partition
// key is the account, its data JSON: {"amount": 5}. The balances are in an
// SQLite file, and each payment counts exactly once, whatever crashes: what the
// handler writes, and how far the stream is read, are one transaction.
//
//	go run ./ledger -db bank.db
//	sqlite3 bank.db 'SELECT * FROM account'
//
// Several may run on one file; they share the shards.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/store/sqlite"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		log.Fatal(err)
	}
}

const tables = `
	CREATE TABLE IF NOT EXISTS account (name TEXT PRIMARY KEY, balance INTEGER NOT NULL, payments INTEGER NOT NULL);
	CREATE TABLE IF NOT EXISTS rejected (name TEXT, data BLOB, reason TEXT)`

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("ledger", flag.ContinueOnError)
	path := flags.String("db", "bank.db", "the SQLite `file`")
	stream := flags.String("stream", "payments", "the stream's `name`")
	lease := flags.Duration("lease-time", 5*time.Second, "how long the others wait when this one has crashed")
	if err := flags.Parse(args); err != nil {
		return err
	}

	db, err := sql.Open("sqlite", *path+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)")
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, tables); err != nil {
		return fmt.Errorf("make the tables: %w", err)
	}

	rows := sqlite.New(*path)
	defer rows.Close()
	c, err := vegas.NewConsumer(*stream, "ledger", func(o *vegas.ConsumerOptions) {
		o.Store, o.Transactional = rows, true
		o.DeadLetter, o.MaxAttempts = reject, 3
		o.LeaseTime = *lease
	})
	if err != nil {
		return err
	}
	return c.Run(ctx, pay)
}

// pay counts a payment. It knows nothing of crashes and repetitions.
func pay(ctx context.Context, r *vegas.Record) error {
	var payment struct{ Amount int64 }
	if err := json.Unmarshal(r.Data, &payment); err != nil {
		return err
	}
	_, err := sqlite.Tx(ctx).ExecContext(ctx, `
		INSERT INTO account VALUES (?, ?, 1)
		ON CONFLICT (name) DO UPDATE SET balance = balance + excluded.balance, payments = payments + 1`,
		r.PartitionKey, payment.Amount)
	return err
}

// reject puts aside what is no payment, once too.
func reject(ctx context.Context, r *vegas.Record, reason error) error {
	_, err := sqlite.Tx(ctx).ExecContext(ctx, `INSERT INTO rejected VALUES (?, ?, ?)`, r.PartitionKey, r.Data, reason.Error())
	return err
}
