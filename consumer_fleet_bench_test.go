package vegas_test

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/admin"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/store"
)

// fleet is a group of workers of one stream to which somebody sends records of
// keyCount keys, spread evenly over the hash ring.
type fleet struct {
	*bench
	mu      sync.Mutex
	sent    int
	got     []arrival
	members []*member
}

const keyCount = 16

// arrival is a delivery to a worker.
type arrival struct {
	at     time.Time
	worker *member
	shard  string
	key, n int
}

// fleetBench runs f in a bubble of its own.
func fleetBench(t *testing.T, name string, shards int, f func(f *fleet)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { f(&fleet{bench: newBench(t, shards)}) })
	})
}

// send puts a record of each key every 100 ms, for so long.
//
//tidy:bubble fleetBench makes one
func (f *fleet) send(d time.Duration) {
	f.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		f.round()
	}
}

// round puts one record of each key. The hash of key k lies in the middle of the
// k-th part of the ring.
func (f *fleet) round() {
	f.Helper()
	f.mu.Lock()
	n := f.sent
	f.sent++
	f.mu.Unlock()
	for k := range keyCount {
		hash := new(big.Int).Lsh(big.NewInt(int64(2*k+1)), 123)
		if _, err := f.srv.Put("orders", fmt.Sprint(k), hash.String(), fmt.Append(nil, n)); err != nil {
			f.Error(err)
		}
	}
}

// member is one worker.
type member struct {
	*line
	observe.Nop
	f      *fleet
	name   string
	c      *vegas.Consumer
	cancel context.CancelFunc
	done   chan error

	mu     sync.Mutex
	events []observe.Event
}

// start starts a worker.
func (f *fleet) start(name string, opts ...func(*vegas.ConsumerOptions)) *member {
	f.Helper()
	return f.startWith(name, func(m *member, ctx context.Context, c *vegas.Consumer) error { return c.Run(ctx, m.handle) }, opts...)
}

func (f *fleet) startWith(name string, run func(*member, context.Context, *vegas.Consumer) error, opts ...func(*vegas.ConsumerOptions)) *member {
	f.Helper()
	m := &member{line: &line{Store: f.rows}, f: f, name: name, done: make(chan error, 1)}
	m.c = f.consumer("g", append([]func(*vegas.ConsumerOptions){func(o *vegas.ConsumerOptions) {
		o.Worker, o.Store, o.Observer = name, m.line, m
	}}, opts...)...)
	ctx, cancel := context.WithCancel(f.Context())
	m.cancel = cancel
	f.members = append(f.members, m)
	go func() { m.done <- run(m, ctx, m.c) }()
	return m
}

func (m *member) handle(_ context.Context, r *vegas.Record) error {
	if m.dead() {
		return errDead
	}
	k, _ := strconv.Atoi(r.PartitionKey)
	n, _ := strconv.Atoi(string(r.Data))
	m.f.mu.Lock()
	defer m.f.mu.Unlock()
	m.f.got = append(m.f.got, arrival{time.Now(), m, r.Shard, k, n})
	return nil
}

// Event implements observe.Observer.
func (m *member) Event(e observe.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = append(m.events, e)
}

// seen are the events of a kind since a time.
func (m *member) seen(kind observe.EventKind, since time.Time) (out []observe.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.events {
		if e.Kind == kind && !e.Time.Before(since) {
			out = append(out, e)
		}
	}
	return out
}

// stop ends a worker in good order.
func (m *member) stop() {
	m.f.Helper()
	m.cancel()
	if err := <-m.done; err != nil {
		m.f.Errorf("%s: %v", m.name, err)
	}
	m.leave()
}

// crash ends it as kill -9 does: nothing that it does from now on gets through.
func (m *member) crash() {
	m.die()
	m.cancel()
	m.leave()
}

func (m *member) leave() {
	m.f.members = slices.DeleteFunc(m.f.members, func(o *member) bool { return o == m })
}

// line is a worker's way to the store.
type line struct {
	store.Store
	mu     sync.Mutex
	broken bool
	killed bool
	calls  int
}

var errBroken = errors.New("the line is broken")

func (l *line) set(broken bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = broken
}

func (l *line) die() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken, l.killed = true, true
}

func (l *line) dead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.killed
}

// asked is how many calls there were.
func (l *line) asked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls
}

func (l *line) pass() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	if l.broken {
		return errBroken
	}
	return nil
}

func (l *line) List(ctx context.Context, group, prefix string) ([]store.Row, error) {
	if err := l.pass(); err != nil {
		return nil, err
	}
	return l.Store.List(ctx, group, prefix)
}

func (l *line) Get(ctx context.Context, group, id string) (store.Row, error) {
	if err := l.pass(); err != nil {
		return store.Row{}, err
	}
	return l.Store.Get(ctx, group, id)
}

func (l *line) Swap(ctx context.Context, r store.Row) (store.Row, error) {
	if err := l.pass(); err != nil {
		return store.Row{}, err
	}
	return l.Store.Swap(ctx, r)
}

func (l *line) Delete(ctx context.Context, r store.Row) error {
	if err := l.pass(); err != nil {
		return err
	}
	return l.Store.Delete(ctx, r)
}

// state is what the group's rows say.
func (f *fleet) state() admin.State {
	f.Helper()
	s, err := f.consumer("g").Admin().Inspect(f.Context(), false)
	if err != nil {
		f.Fatal(err)
	}
	return s
}

// spread is how many unfinished shards each worker reads, by their names; what
// nobody reads is at "".
func (f *fleet) spread() map[string]int {
	f.Helper()
	out := map[string]int{}
	for _, l := range f.state().Leases {
		if !l.Ended() {
			out[l.Owner]++
		}
	}
	return out
}

// even checks that all shards are read, spread evenly over the running workers.
func (f *fleet) even() {
	f.Helper()
	spread := f.spread()
	least, most := 1<<30, 0
	for _, m := range f.members {
		n := spread[m.name]
		least, most = min(least, n), max(most, n)
		delete(spread, m.name)
	}
	if most-least > 1 || len(spread) > 0 {
		f.Errorf("shards are read by %v, workers have %d to %d", f.spread(), least, most)
	}
}

// settle waits until the shards are spread evenly, and tells how long that took.
//
//tidy:bubble fleetBench makes one
func (f *fleet) settle(limit time.Duration) time.Duration {
	f.Helper()
	began := time.Now()
	for time.Since(began) < limit {
		spread := f.spread()
		least, most := 1<<30, 0
		for _, m := range f.members {
			least, most = min(least, spread[m.name]), max(most, spread[m.name])
			delete(spread, m.name)
		}
		if most-least <= 1 && len(spread) == 0 {
			return time.Since(began)
		}
		time.Sleep(50 * time.Millisecond)
	}
	f.Errorf("after %v shards are read by %v", limit, f.spread())
	return limit
}

// finish stops all workers and checks that everything arrived, that of each key
// in order, and how much came again. It returns that.
func (f *fleet) finish() (repeated int) {
	f.Helper()
	time.Sleep(5 * time.Second)
	for len(f.members) > 0 {
		f.members[0].stop()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	next := [keyCount]int{}
	for _, a := range f.got {
		switch want := next[a.key]; {
		case a.n == want:
			next[a.key]++
		case a.n < want:
			repeated++
		default:
			f.Errorf("%s: %d of key %d comes before %d", a.worker.name, a.n, a.key, want)
			next[a.key] = a.n + 1
		}
	}
	for k, n := range next {
		if n != f.sent {
			f.Errorf("%d of %d records of key %d arrived", n, f.sent, k)
		}
	}
	return repeated
}

// silence is the longest time since a moment for which nothing new came of a key.
func (f *fleet) silence(since time.Time) (longest time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var last [keyCount]time.Time
	var next [keyCount]int
	for k := range last {
		last[k] = since
	}
	for _, a := range f.got {
		if a.n < next[a.key] {
			continue
		}
		next[a.key] = a.n + 1
		if a.at.After(since) {
			longest = max(longest, a.at.Sub(last[a.key]))
			last[a.key] = a.at
		}
	}
	for _, at := range last {
		longest = max(longest, time.Since(at))
	}
	return longest
}

// deliveredBetween counts what came in a time.
func (f *fleet) deliveredBetween(from, to time.Time) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.got {
		if a.at.After(from) && a.at.Before(to) {
			n++
		}
	}
	return n
}
