package main

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/examples/internal/crash"
)

func TestMain(m *testing.M) { crash.Main(m, run) }

// Whoever derives invoices is killed again and again, and sends some of them
// twice. Each arrives once, in the order of the orders.
func TestEveryOrderHasOneInvoice(t *testing.T) {
	kills := 3
	if testing.Short() {
		kills = 1
	}
	srv := crash.Server(t, map[string]int{"orders": 2, "invoices": 3})
	dir := t.TempDir()
	path := filepath.Join(dir, "invoices.db")
	db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if _, err := db.Exec(tables); err != nil {
		t.Fatal(err)
	}
	count := func(table string) (n int) {
		if err := db.QueryRow(`SELECT count(*) FROM ` + table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}

	p, err := vegas.NewProducer("orders")
	if err != nil {
		t.Fatal(err)
	}
	sent, of := 0, map[string]int{}
	send := func(n int) {
		var rs []*vegas.Record
		for range n {
			customer := fmt.Sprint("customer ", rand.IntN(10))
			of[customer]++
			rs = append(rs, &vegas.Record{PartitionKey: customer, Data: fmt.Appendf(nil, `{"item": "thing %d"}`, of[customer])})
		}
		if _, err := p.SendAll(t.Context(), rs); err != nil {
			t.Fatal(err)
		}
		sent += n
	}

	stored := func() (n int) {
		s, err := srv.Stream("invoices")
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range s.Shards {
			n += one.Records
		}
		return n
	}

	collector := crash.Start(t, "collect", "-db", path, "-lease-time", "1s")
	start := func() *crash.Process {
		return crash.Start(t, "derive", "-db", filepath.Join(dir, "derive.db"), "-lease-time", "1s")
	}
	deriver := start()
	for range kills {
		before := stored()
		send(200)
		// There is one, and no checkpoint has passed over its order yet.
		crash.Wait(t, time.Minute, "the next invoice", func() bool { return stored() > before })
		crash.Pause(t, time.Duration(rand.IntN(20))*time.Millisecond)
		deriver.Kill()
		deriver = start()
	}
	// The last deriver has to repeat what the killed one sent, or the test shows
	// nothing.
	crash.Wait(t, time.Minute, "all invoices, some of them twice", func() bool {
		return count("invoice") >= sent && count("dropped") > 0
	})
	deriver.Stop(t)
	collector.Stop(t)
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}

	rows, err := db.Query(`SELECT customer, item FROM invoice ORDER BY n`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	got := map[string]int{}
	for rows.Next() {
		var customer, item string
		if err := rows.Scan(&customer, &item); err != nil {
			t.Fatal(err)
		}
		got[customer]++
		if item != fmt.Sprint("thing ", got[customer]) {
			t.Errorf("invoice %d of %s is for %s", got[customer], customer, item)
		}
	}
	for customer, n := range of {
		if got[customer] != n {
			t.Errorf("%s: %d invoices of %d orders", customer, got[customer], n)
		}
	}
	t.Logf("%d orders, %d deriving processes killed, %d invoices sent twice and dropped", sent, kills, count("dropped"))
}
