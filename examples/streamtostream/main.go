// Streamtostream makes one stream from another: invoices from orders.
//
//	go run ./streamtostream derive  -db derive.db    # orders -> invoices
//	go run ./streamtostream collect -db invoices.db  # invoices -> a table
//
// A crash between sending an invoice and noting how far the orders are read has
// the invoice sent again, by another producer, as a new record: that cannot be
// one transaction, for two streams do not share one. So each invoice says in a
// header which order it was made from. The invoices of a customer come in the
// order of the orders, also when some of them come again: whoever reads them
// remembers, for each customer, the last order that it saw an invoice of, and
// drops what is not behind it. It has to be the same invoice, and that is all
// that derive has to make sure of: an output depends on its input alone, not on
// the clock or on chance.
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
	"strconv"
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

func run(ctx context.Context, args []string) error {
	if len(args) == 0 || args[0] != "derive" && args[0] != "collect" {
		return errors.New("want: streamtostream derive|collect [-db FILE]")
	}
	flags := flag.NewFlagSet("streamtostream "+args[0], flag.ContinueOnError)
	path := flags.String("db", args[0]+".db", "the SQLite `file`")
	lease := flags.Duration("lease-time", 5*time.Second, "how long the others wait when this one has crashed")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	rows := sqlite.New(*path)
	defer rows.Close()
	options := func(o *vegas.ConsumerOptions) { o.Store, o.LeaseTime = rows, *lease }
	if args[0] == "derive" {
		return derive(ctx, options)
	}
	return collect(ctx, *path, options)
}

type order struct{ Item string }

type invoice struct {
	Item  string
	Cents int
}

// The headers that name the order of an invoice.
const (
	fromShard    = "from-shard"
	fromSequence = "from-sequence"
	fromSub      = "from-sub-sequence"
)

// derive sends an invoice for each order.
func derive(ctx context.Context, options func(*vegas.ConsumerOptions)) error {
	c, err := vegas.NewConsumer("orders", "invoicing", options)
	if err != nil {
		return err
	}
	p, err := vegas.NewProducer("invoices")
	if err != nil {
		return err
	}
	err = c.RunBatches(ctx, func(ctx context.Context, b *vegas.Batch) error {
		var out []*vegas.Record
		for _, r := range b.Records {
			var o order
			if err := json.Unmarshal(r.Data, &o); err != nil {
				return fmt.Errorf("order of %s: %w", r.PartitionKey, err)
			}
			data, err := json.Marshal(invoice{o.Item, 100 * len(o.Item)})
			if err != nil {
				return err
			}
			out = append(out, &vegas.Record{
				PartitionKey: r.PartitionKey, // the same as the order's: that keeps them in order
				Data:         data,
				Headers: []vegas.Header{
					{Key: fromShard, Value: r.Shard},
					{Key: fromSequence, Value: r.Position.Sequence},
					{Key: fromSub, Value: strconv.FormatInt(r.Position.SubSequence, 10)},
				},
			})
		}
		_, err := p.SendAll(ctx, out) // only what is stored may be passed over
		return err
	})
	return errors.Join(err, p.Close(context.WithoutCancel(ctx)))
}

const tables = `
	CREATE TABLE IF NOT EXISTS invoice (n INTEGER PRIMARY KEY, customer TEXT, item TEXT, cents INTEGER);
	CREATE TABLE IF NOT EXISTS last (customer TEXT, shard TEXT, sequence TEXT, sub INTEGER, PRIMARY KEY (customer, shard));
	CREATE TABLE IF NOT EXISTS dropped (customer TEXT)`

// collect writes each invoice into a table, once.
func collect(ctx context.Context, path string, options func(*vegas.ConsumerOptions)) error {
	db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)")
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, tables); err != nil {
		return fmt.Errorf("make the tables: %w", err)
	}
	c, err := vegas.NewConsumer("invoices", "archive", options, func(o *vegas.ConsumerOptions) {
		o.Transactional = true
		o.Use(once)
	})
	if err != nil {
		return err
	}
	return c.Run(ctx, func(ctx context.Context, r *vegas.Record) error {
		var i invoice
		if err := json.Unmarshal(r.Data, &i); err != nil {
			return err
		}
		_, err := sqlite.Tx(ctx).ExecContext(ctx, `INSERT INTO invoice (customer, item, cents) VALUES (?, ?, ?)`, r.PartitionKey, i.Item, i.Cents)
		return err
	})
}

// once is a layer that drops what was made from an order that is done with. What
// it remembers is committed together with what the handler writes.
func once(next vegas.Handler) vegas.Handler {
	return func(ctx context.Context, r *vegas.Record) error {
		shard := r.Header(fromShard)
		sub, err := strconv.ParseInt(r.Header(fromSub), 10, 64)
		if err != nil {
			return fmt.Errorf("invoice of %s: it does not say which order it was made from: %w", r.PartitionKey, err)
		}
		from := vegas.Position{Sequence: r.Header(fromSequence), SubSequence: sub}

		tx := sqlite.Tx(ctx)
		var last vegas.Position // the zero Position lies before all others
		err = tx.QueryRowContext(ctx, `SELECT sequence, sub FROM last WHERE customer = ? AND shard = ?`, r.PartitionKey, shard).
			Scan(&last.Sequence, &last.SubSequence)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if from.Compare(last) <= 0 {
			_, err := tx.ExecContext(ctx, `INSERT INTO dropped VALUES (?)`, r.PartitionKey)
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO last VALUES (?, ?, ?, ?)`, r.PartitionKey, shard, from.Sequence, from.SubSequence); err != nil {
			return err
		}
		return next(ctx, r)
	}
}
