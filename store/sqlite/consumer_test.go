package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/localkinesis"
	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/sqlite"
)

// book is a database that handlers write what they were given to.
type book struct {
	db *sql.DB
}

func newBook(t *testing.T) book {
	t.Helper()
	// Nobody cuts the power here.
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "book.db")+"?_pragma=journal_mode(wal)&_pragma=synchronous(off)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if _, err := db.Exec(`CREATE TABLE entry (n INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT, data TEXT)`); err != nil {
		t.Fatal(err)
	}
	return book{db}
}

func (b book) store() *sqlite.Store {
	return sqlite.Open(b.db, func(o *sqlite.Options) { o.Logger = slog.New(slog.DiscardHandler) })
}

// write is the handler: it has an effect in the transaction that it is given.
func write(ctx context.Context, r *vegas.Record) error {
	_, err := sqlite.Tx(ctx).ExecContext(ctx, `INSERT INTO entry (key, data) VALUES (?, ?)`, r.PartitionKey, string(r.Data))
	return err
}

// check tells that each record took effect once, and those of a key in order:
// the data of a key's n-th record is n.
func (b book) check(t *testing.T, want map[string]int) {
	t.Helper()
	rows, err := b.db.Query(`SELECT key, data FROM entry ORDER BY n`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	got := map[string]int{}
	for rows.Next() {
		var key, data string
		if err := rows.Scan(&key, &data); err != nil {
			t.Fatal(err)
		}
		got[key]++
		if data != fmt.Sprint(got[key]) {
			t.Errorf("effect %d of %s is that of record %s", got[key], key, data)
		}
	}
	for key, n := range want {
		if got[key] != n {
			t.Errorf("%s: %d effects of %d records", key, got[key], n)
		}
	}
}

func (b book) count(t *testing.T) (n int) {
	t.Helper()
	if err := b.db.QueryRow(`SELECT count(*) FROM entry`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// stream is one that was split and merged, with records before and after.
func stream(t *testing.T, each int) (*localkinesis.Server, map[string]int) {
	t.Helper()
	srv := localkinesis.Start(t, func(o *localkinesis.Options) { o.Streams, o.StateDelay = map[string]int{"orders": 1}, 0 })
	sent := map[string]int{}
	put := func() {
		for i := range each {
			key := fmt.Sprint("key", i%7)
			sent[key]++
			if _, err := srv.Put("orders", key, "", fmt.Append(nil, sent[key])); err != nil {
				t.Fatal(err)
			}
		}
	}
	put()
	lower, upper, err := srv.Split("orders", "shardId-000000000000", "")
	if err != nil {
		t.Fatal(err)
	}
	put()
	if _, err := srv.Merge("orders", lower, upper); err != nil {
		t.Fatal(err)
	}
	put()
	return srv, sent
}

// consume runs a transactional consumer until ctx is over, or everything has
// taken effect.
func consume(ctx context.Context, t *testing.T, srv *localkinesis.Server, rows store.Store, b book, all int, h vegas.Handler) error {
	t.Helper()
	c, err := vegas.NewConsumer("orders", "book", func(o *vegas.ConsumerOptions) {
		o.AWS, o.Store, o.Transactional, o.Logger = srv.AWS(), rows, true, slog.New(slog.DiscardHandler)
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return c.Run(ctx, func(ctx context.Context, r *vegas.Record) error {
		if b.count(t) == all {
			cancel()
		}
		return h(ctx, r)
	})
}

func total(sent map[string]int) (n int) {
	for _, k := range sent {
		n += k
	}
	return n
}

var errDead = errors.New("this process is dead")

// doomed is the store of a process that dies at its n-th write or commit, which
// is stored or not; nothing gets through afterwards.
type doomed struct {
	*sqlite.Store
	stored bool
	dying  func()

	mu   sync.Mutex
	left int
}

// step tells whether the process is alive, and whether this is its last write.
func (d *doomed) step() (alive, last bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left--
	if d.left == 0 {
		d.dying()
	}
	return d.left >= 0, d.left == 0
}

func (d *doomed) dead() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.left <= 0
}

func (d *doomed) List(ctx context.Context, group, prefix string) ([]store.Row, error) {
	if d.dead() {
		return nil, errDead
	}
	return d.Store.List(ctx, group, prefix)
}

func (d *doomed) Get(ctx context.Context, group, id string) (store.Row, error) {
	if d.dead() {
		return store.Row{}, errDead
	}
	return d.Store.Get(ctx, group, id)
}

func (d *doomed) Swap(ctx context.Context, r store.Row) (store.Row, error) {
	alive, last := d.step()
	switch {
	case !alive, last && !d.stored:
		return store.Row{}, errDead
	case last:
		d.Store.Swap(context.WithoutCancel(ctx), r)
		return store.Row{}, errDead
	}
	return d.Store.Swap(ctx, r)
}

func (d *doomed) Begin(ctx context.Context) (store.Tx, error) {
	if d.dead() {
		return nil, errDead
	}
	tx, err := d.Store.Begin(context.WithoutCancel(ctx))
	if err != nil {
		return nil, err
	}
	return &doomedTx{tx, d}, nil
}

type doomedTx struct {
	store.Tx
	d *doomed
}

func (x *doomedTx) Commit(ctx context.Context) error {
	alive, last := x.d.step()
	switch {
	case !alive, last && !x.d.stored:
		x.Rollback()
		return errDead
	case last:
		x.Tx.Commit(ctx)
		return errDead
	}
	return x.Tx.Commit(ctx)
}

// A consumer dies at each of its writes and commits, which arrives or does not.
// Its successor takes over, and every record takes effect once.
func TestEffectsHappenOnceAcrossACrash(t *testing.T) {
	deaths, step := 0, 1
	if testing.Short() {
		step = 6
	}
	for n := 1; ; n += step {
		alive := false
		for _, stored := range []bool{false, true} {
			t.Run(fmt.Sprintf("write %d, stored %v", n, stored), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { alive = crashAt(t, n, stored) })
			})
			if !alive {
				deaths++
			}
		}
		if alive {
			break
		}
	}
	if deaths < 30/step {
		t.Errorf("only %d deaths", deaths)
	}
}

func crashAt(t *testing.T, n int, stored bool) (alive bool) {
	b := newBook(t)
	srv, sent := stream(t, 6)
	h := func(ctx context.Context, r *vegas.Record) error {
		time.Sleep(100 * time.Millisecond)
		return write(ctx, r)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	d := &doomed{Store: b.store(), left: n, stored: stored, dying: cancel}
	_ = consume(ctx, t, srv, d, b, total(sent), h) // dead, or done
	ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := consume(ctx, t, srv, b.store(), b, total(sent), h); err != nil {
		t.Errorf("the next one: %v", err)
	}
	b.check(t, sent)
	return !d.dead()
}

// shaky is the store of a database whose connections break, mostly at the worst
// moment.
type shaky struct {
	*sqlite.Store
	mu   sync.Mutex
	rand *rand.Rand
}

var errBroken = errors.New("the connection broke")

func (s *shaky) roll(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rand.IntN(n)
}

func (s *shaky) Begin(ctx context.Context) (store.Tx, error) {
	if s.roll(10) == 0 {
		return nil, errBroken
	}
	tx, err := s.Store.Begin(ctx)
	if err != nil {
		return nil, err
	}
	return &shakyTx{tx, s}, nil
}

type shakyTx struct {
	store.Tx
	s *shaky
}

func (x *shakyTx) Swap(ctx context.Context, r store.Row) (store.Row, error) {
	if x.s.roll(10) == 0 {
		x.Rollback()
		return store.Row{}, errBroken
	}
	return x.Tx.Swap(ctx, r)
}

func (x *shakyTx) Commit(ctx context.Context) error {
	switch x.s.roll(4) {
	case 0:
		x.Rollback()
		return errBroken
	case 1:
		x.Tx.Commit(ctx)
		return errBroken
	}
	return x.Tx.Commit(ctx)
}

func TestEffectsHappenOnceOverBrokenConnections(t *testing.T) {
	seeds := uint64(4)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			b := newBook(t)
			srv, sent := stream(t, 20)
			r := rand.New(rand.NewPCG(seed, 2))
			s := &shaky{Store: b.store(), rand: r}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			err := consume(ctx, t, srv, s, b, total(sent), func(ctx context.Context, r *vegas.Record) error {
				time.Sleep(10 * time.Millisecond)
				if err := write(ctx, r); err != nil {
					return err
				}
				if s.roll(20) == 0 {
					return errors.New("boom")
				}
				return nil
			})
			if err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
			b.check(t, sent)
		})
	}
}

func TestCheckTriesATransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, _ := stream(t, 1)
		b := newBook(t)
		for _, s := range []store.Transactor{b.store(), broken{b.store()}} {
			c, err := vegas.NewConsumer("orders", "book", func(o *vegas.ConsumerOptions) {
				o.AWS, o.Store, o.Transactional, o.Logger = srv.AWS(), s, true, slog.New(slog.DiscardHandler)
			})
			if err != nil {
				t.Fatal(err)
			}
			_, bad := s.(broken)
			if err := c.Check(t.Context()); errors.Is(err, errBroken) != bad || err != nil != bad {
				t.Errorf("%T: %v", s, err)
			}
		}
		if rows, err := b.store().List(t.Context(), "book", ""); err != nil || len(rows) > 1 {
			t.Errorf("Check left %d rows, %v", len(rows), err)
		}
	})
}

// broken begins no transaction.
type broken struct{ *sqlite.Store }

func (broken) Begin(context.Context) (store.Tx, error) { return nil, errBroken }

func TestTransactionalIsRefusedWhereItCannotBe(t *testing.T) {
	rows := sqlite.New(filepath.Join(t.TempDir(), "rows.db"))
	if _, err := vegas.NewConsumer("orders", "book", func(o *vegas.ConsumerOptions) {
		o.Store, o.Transactional, o.Parallel = rows, true, 2
	}); err == nil {
		t.Error("with o.Parallel = 2")
	}
	c, err := vegas.NewConsumer("orders", "book", func(o *vegas.ConsumerOptions) { o.Store, o.Transactional = rows, true })
	if err != nil {
		t.Fatal(err)
	}
	if err := c.RunShards(t.Context(), func(context.Context, *vegas.Shard) error { return nil }); err == nil {
		t.Error("with RunShards")
	}
}
