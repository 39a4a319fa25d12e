//go:build peers && servers && unix

package peers

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/internal/foreign"
	"github.com/libvegas/vegas/localkinesis"
	"github.com/libvegas/vegas/store/postgres"
)

var kills = flag.Int("kills", 4, "how many workers TestPostgresKills kills")

// pgWorker is the variable that makes this binary a worker of TestPostgresKills:
// the URL of its database.
const pgWorker = "PEERS_POSTGRES_WORKER"

// pgBook makes the tables of a book, and all that handlers share.
func pgBook(t *testing.T, p *pg) {
	t.Helper()
	p.exec(t, `CREATE TABLE entry (n bigserial, key text, data text)`)
	p.exec(t, `CREATE TABLE page (key text PRIMARY KEY, entries int NOT NULL)`)
}

// enter is a handler with effects in two tables; in one of them it waits for
// whoever handles a record of a key that falls together with its own.
func enter(ctx context.Context, r *vegas.Record) error {
	tx := postgres.Tx(ctx)
	if _, err := tx.Exec(ctx, `INSERT INTO entry (key, data) VALUES ($1, $2)`, r.PartitionKey, string(r.Data)); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO page VALUES (right($1, 1), 1) ON CONFLICT (key) DO UPDATE SET entries = page.entries + 1`, r.PartitionKey)
	return err
}

// entries is how many effects there are.
func entries(t *testing.T, p *pg) int { return p.count(t, `SELECT count(*) FROM entry`) }

// pgAudit tells whether each record took effect once, those of a key in order:
// the data of a key's n-th record is n.
func pgAudit(t *testing.T, p *pg, sent map[string]int) {
	t.Helper()
	rows, err := p.sql.Query(t.Context(), `SELECT key, data FROM entry ORDER BY n`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	got, all := map[string]int{}, 0
	for rows.Next() {
		var key, data string
		if err := rows.Scan(&key, &data); err != nil {
			t.Fatal(err)
		}
		all++
		got[key]++
		if data != fmt.Sprint(got[key]) {
			t.Errorf("effect %d of %s is that of record %s", got[key], key, data)
		}
	}
	if err := rows.Err(); err != nil {
		t.Error(err)
	}
	for key, n := range sent {
		if got[key] != n {
			t.Errorf("%s: %d effects of %d records", key, got[key], n)
		}
	}
	if n := p.count(t, `SELECT sum(entries) FROM page`); n != all {
		t.Errorf("%d effects in one table and %d in the other", all, n)
	}
}

// put sends n records of 20 keys.
func put(t *testing.T, srv *localkinesis.Server, sent map[string]int, n int) {
	t.Helper()
	for range n {
		key := fmt.Sprint("key", rand.IntN(20))
		sent[key]++
		if _, err := srv.Put("payments", key, "", fmt.Append(nil, sent[key])); err != nil {
			t.Fatal(err)
		}
	}
}

func pgConsumer(url string, more func(*vegas.ConsumerOptions), lease time.Duration) (*vegas.Consumer, *postgres.Store, error) {
	rows := postgres.New(url, func(o *postgres.Options) {
		o.IdleTimeout, o.LockTimeout = lease, lease/2
		o.Logger = slog.New(slog.DiscardHandler)
	})
	c, err := vegas.NewConsumer("payments", "book", func(o *vegas.ConsumerOptions) {
		o.Store, o.Transactional, o.LeaseTime = rows, true, lease
		more(o)
	})
	return c, rows, err
}

// pgConsume runs a consumer in this process.
func pgConsume(t *testing.T, srv *localkinesis.Server, url string, lease time.Duration, h vegas.Handler) (stop func() error) {
	t.Helper()
	c, rows, err := pgConsumer(url, func(o *vegas.ConsumerOptions) {
		o.AWS, o.Logger = srv.AWS(), slog.New(slog.DiscardHandler)
		o.PollIdle, o.PollBusy = 50*time.Millisecond, 20*time.Millisecond
		o.Grace = 500 * time.Millisecond
	}, lease)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		var err error
		for again := true; again; again = ctx.Err() == nil { // as its supervisor would
			err = c.Run(ctx, h)
		}
		done <- err
	}()
	return sync.OnceValue(func() error {
		cancel()
		return errors.Join(<-done, rows.Close())
	})
}

func TestPostgresEffects(t *testing.T) {
	t.Parallel()
	server := postgresServer(t)
	t.Run("connections break", func(t *testing.T) { pgBroken(t, newPG(t, server)) })
	t.Run("a worker vanishes", func(t *testing.T) { pgWorkerVanishes(t, newPG(t, server)) })
}

// Connections break at any moment, also while a COMMIT is on its way.
func pgBroken(t *testing.T, p *pg) {
	pgBook(t, p)
	srv := localkinesis.Start(t, func(o *localkinesis.Options) { o.Streams, o.NoLimits = map[string]int{"payments": 3}, true })
	sent := map[string]int{}
	put(t, srv, sent, 200)
	line := newLine(t, p.url)
	stop := pgConsume(t, srv, line.url, 2*time.Second, func(ctx context.Context, r *vegas.Record) error {
		if err := enter(ctx, r); err != nil {
			return err
		}
		_, err := postgres.Tx(ctx).Exec(ctx, `SELECT pg_sleep(0.01)`) // so that there is something to break
		return err
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cuts := 0
	for entries(t, p) < 200 {
		timer := time.NewTimer(time.Duration(50+rand.IntN(200)) * time.Millisecond)
		select {
		case <-timer.C:
			cuts += line.cut(rand.IntN(10) == 0)
		case <-ctx.Done():
			t.Fatalf("%d of 200 effects: %v", entries(t, p), context.Cause(ctx))
		}
	}
	if err := stop(); err != nil {
		t.Log(err) // what was cut at last
	}
	pgAudit(t, p, sent)
	t.Logf("%d connections cut", cuts)
}

// The network to a worker goes away in the middle of its transactions: the
// server does not hear that it is gone, and keeps its locks. Another one takes
// its shards over, and is held up by them for no longer than IdleTimeout.
func pgWorkerVanishes(t *testing.T, p *pg) {
	pgBook(t, p)
	srv := localkinesis.Start(t, func(o *localkinesis.Options) { o.Streams, o.NoLimits = map[string]int{"payments": 2}, true })
	sent := map[string]int{}
	put(t, srv, sent, 200)
	line := newLine(t, p.url)
	var once sync.Once
	gone := make(chan struct{})
	stop := pgConsume(t, srv, line.url, time.Second, func(ctx context.Context, r *vegas.Record) error {
		err := enter(ctx, r)
		if r.Position.Sequence != "" && string(r.Data) == "3" { // not the first transaction
			once.Do(func() { line.silence(); close(gone) })
		}
		return err
	})
	<-gone
	began := time.Now()
	other := pgConsume(t, srv, p.url, time.Second, enter)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := until(ctx, "all has taken effect", func() (bool, error) { return entries(t, p) >= 200, nil }); err != nil {
		t.Fatal(err)
	}
	t.Logf("all has taken effect %v after a worker vanished", time.Since(began).Round(time.Millisecond))
	line.cut(true)
	_ = stop()
	if err := other(); err != nil {
		t.Error(err)
	}
	pgAudit(t, p, sent)
}

// Workers are processes, killed with -9 in the middle of their work.
func TestPostgresKills(t *testing.T) {
	if url := os.Getenv(pgWorker); url != "" {
		os.Exit(runPGWorker(url))
	}
	t.Parallel()
	if testing.Short() {
		*kills = min(*kills, 2)
	}
	p := newPG(t, postgresServer(t))
	pgBook(t, p)
	srv := localkinesis.New(func(o *localkinesis.Options) { o.Streams, o.NoLimits = map[string]int{"payments": 4}, true })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(srv.Close(), <-served); err != nil {
			t.Error(err)
		}
	})
	start := func() (kill func()) {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPostgresKills$")
		cmd.Env = foreign.Environment(pgWorker+"="+p.url, "AWS_ENDPOINT_URL=http://"+l.Addr().String())
		out := new(strings.Builder)
		cmd.Stdout, cmd.Stderr = out, out
		// It ends with its standard input, and so with this process.
		if _, err := cmd.StdinPipe(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill = sync.OnceFunc(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			if t.Failed() {
				t.Logf("a worker said:\n%s", out)
			}
		})
		t.Cleanup(kill)
		return kill
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Duration(*kills)*10*time.Second)
	defer cancel()
	wait := func(n int) {
		t.Helper()
		if err := until(ctx, fmt.Sprintf("effect %d", n), func() (bool, error) { return entries(t, p) >= n, nil }); err != nil {
			t.Fatal(err)
		}
	}
	sent, all := map[string]int{}, 0
	workers := []func(){start(), start()}
	for i := range *kills {
		put(t, srv, sent, 500)
		all += 500
		wait(entries(t, p) + 1)
		timer := time.NewTimer(time.Duration(rand.IntN(300)) * time.Millisecond)
		<-timer.C
		workers[i%2]()
		workers[i%2] = start()
	}
	wait(all)
	for _, kill := range workers {
		kill()
	}
	pgAudit(t, p, sent)
	t.Logf("%d records, %d workers killed", all, *kills)
}

func runPGWorker(url string) int {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		cancel()
	}()
	c, rows, err := pgConsumer(url+"&pool_max_conns=8", func(*vegas.ConsumerOptions) {}, time.Second)
	if err == nil {
		err = errors.Join(c.Run(ctx, enter), rows.Close())
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// line is the way to a server, which can break and fall silent.
type line struct {
	url string

	mu     sync.Mutex
	pairs  map[int][2]net.Conn
	next   int
	silent chan struct{} // closed: nothing gets through, and nobody is told
	over   chan struct{}
}

func newLine(t *testing.T, url string) *line {
	t.Helper()
	address := url[strings.Index(url, "@")+1 : strings.Index(url, "/postgres?")]
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &line{url: strings.Replace(url, address, l.Addr().String(), 1), pairs: map[int][2]net.Conn{}, silent: make(chan struct{}), over: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", address)
			if err != nil {
				near.Close()
				continue
			}
			id := n.add(near, far)
			for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
				wg.Go(func() {
					n.carry(way[0], way[1])
					n.drop(id)
				})
			}
		}
	})
	t.Cleanup(func() {
		close(n.over)
		l.Close()
		n.cut(true)
		wg.Wait()
	})
	return n
}

func (n *line) add(near, far net.Conn) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.next++
	n.pairs[n.next] = [2]net.Conn{near, far}
	return n.next
}

func (n *line) drop(id int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if pair, ok := n.pairs[id]; ok {
		pair[0].Close()
		pair[1].Close()
		delete(n.pairs, id)
	}
}

func (n *line) carry(from io.Reader, to io.Writer) {
	buf := make([]byte, 32<<10)
	for {
		k, err := from.Read(buf)
		select {
		case <-n.silent:
			<-n.over
			return
		default:
		}
		if k > 0 {
			if _, err := to.Write(buf[:k]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// cut breaks one connection, or all, and tells how many.
func (n *line) cut(all bool) (cuts int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, pair := range n.pairs {
		pair[0].Close()
		pair[1].Close()
		if cuts++; !all {
			break
		}
	}
	return cuts
}

// silence lets nothing through any more.
func (n *line) silence() { close(n.silent) }
