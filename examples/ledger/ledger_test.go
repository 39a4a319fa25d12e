package main

import (
	"database/sql"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/examples/internal/crash"
)

var kills = flag.Int("kills", 6, "how many workers are killed")

func TestMain(m *testing.M) { crash.Main(m, run) }

// Two workers share the stream. One after the other is killed in the middle of
// its work; in the end every payment has counted, and once.
func TestEveryPaymentCountsOnceWhateverIsKilled(t *testing.T) {
	n := *kills
	if testing.Short() {
		n = min(n, 2)
	}
	crash.Server(t, map[string]int{"payments": 4})
	path := filepath.Join(t.TempDir(), "bank.db")
	db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if _, err := db.Exec(tables); err != nil {
		t.Fatal(err)
	}
	counted := func() (n int) {
		if err := db.QueryRow(`SELECT (SELECT coalesce(sum(payments), 0) FROM account) + (SELECT count(*) FROM rejected)`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}

	p, err := vegas.NewProducer("payments")
	if err != nil {
		t.Fatal(err)
	}
	balances, sent, rejected := map[string]int{}, 0, 0
	payments := map[string]int{}
	pay := func(n int) {
		var rs []*vegas.Record
		for range n {
			account, amount := fmt.Sprint("account ", rand.IntN(20)), rand.IntN(100)-30
			data := fmt.Sprintf(`{"amount": %d}`, amount)
			if rand.IntN(300) == 0 {
				data, rejected = "a letter", rejected+1
			} else {
				balances[account] += amount
				payments[account]++
			}
			rs = append(rs, &vegas.Record{PartitionKey: account, Data: []byte(data)})
		}
		if _, err := p.SendAll(t.Context(), rs); err != nil {
			t.Fatal(err)
		}
		sent += n
	}

	start := func() *crash.Process { return crash.Start(t, "-db", path, "-lease-time", "1s") }
	workers := []*crash.Process{start(), start()}
	for i := range n {
		pay(300)
		before := counted()
		crash.Wait(t, time.Minute, "the next payment is counted", func() bool { return counted() > before })
		crash.Pause(t, time.Duration(rand.IntN(200))*time.Millisecond)
		workers[i%2].Kill()
		workers[i%2] = start()
	}
	crash.Wait(t, time.Minute, "all payments are counted", func() bool { return counted() >= sent })
	for _, w := range workers {
		w.Stop(t)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}

	rows, err := db.Query(`SELECT name, balance, payments FROM account`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	accounts := 0
	for rows.Next() {
		var name string
		var balance, n int
		if err := rows.Scan(&name, &balance, &n); err != nil {
			t.Fatal(err)
		}
		accounts++
		if balance != balances[name] || n != payments[name] {
			t.Errorf("%s: balance %d of %d payments, want %d of %d", name, balance, n, balances[name], payments[name])
		}
	}
	var put int
	if err := db.QueryRow(`SELECT count(*) FROM rejected`).Scan(&put); err != nil || put != rejected || accounts != len(payments) {
		t.Errorf("%v, %d rejected, want %d; %d accounts, want %d", err, put, rejected, accounts, len(payments))
	}
	t.Logf("%d payments, %d workers killed", sent, n)
}
