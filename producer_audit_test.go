package vegas_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/localkinesis"
)

// stored is a user record as a strict reader finds it in the stream: what is
// laned and outside its shard's range is left out.
type stored struct {
	shard, sequence string
	index           int
	key             string
	data            []byte
	id              string // producer and counter; empty: none
}

// contents reads a whole stream past the wire, parents before children.
func contents(t *testing.T, srv *localkinesis.Server, stream string) (all []stored) {
	t.Helper()
	s, err := srv.Stream(stream)
	if err != nil {
		t.Fatal(err)
	}
	for _, sh := range s.Shards { // by index: children come after parents
		within, err := keyspace.ParseRange(sh.First, sh.Last)
		if err != nil {
			t.Fatal(err)
		}
		records, err := srv.Records(stream, sh.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			var a aggregate.Aggregate
			switch err := aggregate.Decode(r.Data, &a); {
			case errors.Is(err, aggregate.ErrNotAggregate):
				all = append(all, stored{sh.ID, r.Sequence, 0, r.PartitionKey, r.Data, ""})
				continue
			case err != nil || !a.HasIdentity:
				t.Fatalf("%s %s: %v, identity %v %v", sh.ID, r.Sequence, err, a.HasIdentity, a.IdentityError)
			}
			for i, sub := range a.Subs {
				if a.Identity.Laned && !within.Has(a.Hash(i)) {
					continue
				}
				all = append(all, stored{sh.ID, r.Sequence, i, sub.Key, sub.Data,
					fmt.Sprintf("%x/%d", a.Identity.Producer, a.Identity.Counters[i])})
			}
		}
	}
	return all
}

// firsts leaves out what a reader's marks take away: repeats of an identity.
func firsts(all []stored) (out []stored) {
	seen := map[string]bool{}
	for _, s := range all {
		if s.id != "" && seen[s.id] {
			continue
		}
		seen[s.id] = true
		out = append(out, s)
	}
	return out
}

// result is how a record ended.
type result struct {
	receipt vegas.Receipt
	err     error
}

// ledger collects results of numbered records and audits them against a stream.
type ledger struct {
	mu      sync.Mutex
	keys    []string
	results map[int][]result
	order   map[string][]int // of results, by key
}

func newLedger() *ledger { return &ledger{results: map[int][]result{}, order: map[string][]int{}} }

// next numbers a record of key; its payload is the number.
func (l *ledger) next(key string) (int, *vegas.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.keys)
	l.keys = append(l.keys, key)
	return n, &vegas.Record{PartitionKey: key, Data: fmt.Appendf(nil, "%d", n)}
}

func (l *ledger) ended(n int, r vegas.Receipt, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.results[n] = append(l.results[n], result{r, err})
	l.order[l.keys[n]] = append(l.order[l.keys[n]], n)
}

// audit checks: exactly one result per record; what was acknowledged is where
// its receipt says; what was reported as not stored is nowhere; first
// deliveries of each key among acknowledged records are in order of number,
// which has to be the order of acceptance.
func (l *ledger) audit(t *testing.T, srv *localkinesis.Server, stream string) (acked int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	at := map[int]map[string]bool{}
	last := map[string]int{}
	for _, s := range firsts(contents(t, srv, stream)) {
		var n int
		if _, err := fmt.Sscan(string(s.data), &n); err != nil || n >= len(l.keys) || l.keys[n] != s.key {
			t.Errorf("a record nobody sent: key %q data %.20q", s.key, s.data)
			continue
		}
		if r := l.results[n]; len(r) == 1 && r[0].err == nil {
			if prev, ok := last[s.key]; ok && prev >= n && at[n] == nil {
				t.Errorf("key %q: %d comes after %d", s.key, n, prev)
			}
			last[s.key] = max(last[s.key], n)
		}
		if at[n] == nil {
			at[n] = map[string]bool{}
		}
	}
	for _, s := range contents(t, srv, stream) {
		var n int
		fmt.Sscan(string(s.data), &n)
		if at[n] != nil {
			at[n][fmt.Sprint(s.shard, s.sequence, s.index)] = true
		}
	}
	for n, key := range l.keys {
		rs := l.results[n]
		if len(rs) != 1 {
			t.Errorf("record %d of key %q has %d results: %v", n, key, len(rs), rs)
			continue
		}
		var failed *vegas.SendError
		switch r := rs[0]; {
		case r.err == nil:
			acked++
			if !at[n][fmt.Sprint(r.receipt.Shard, r.receipt.Position.Sequence, r.receipt.Position.SubSequence)] {
				t.Errorf("record %d is not where its receipt says, %v: %v", n, r.receipt, at[n])
			}
		case !errors.As(r.err, &failed):
			t.Errorf("record %d: %T is no SendError: %v", n, r.err, r.err)
		case failed.Outcome == vegas.NotStored && at[n] != nil:
			t.Errorf("record %d was reported as not stored and is in the stream: %v", n, r.err)
		}
	}
	return acked
}

// quietly is an option that keeps logs out of the test's output.
func quietly(o *vegas.ProducerOptions) { o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil)) }

// start gives a server with a stream "orders" and a producer for it that is
// closed when the test ends.
func start(t *testing.T, shards int, opts ...func(*vegas.ProducerOptions)) (*localkinesis.Server, *vegas.Producer) {
	t.Helper()
	srv := localkinesis.Start(t, func(o *localkinesis.Options) { o.Streams = map[string]int{"orders": shards} })
	return srv, producer(t, srv, opts...)
}

func producer(t *testing.T, srv *localkinesis.Server, opts ...func(*vegas.ProducerOptions)) *vegas.Producer {
	t.Helper()
	all := append([]func(*vegas.ProducerOptions){quietly, func(o *vegas.ProducerOptions) { o.AWS = srv.AWS() }}, opts...)
	p, err := vegas.NewProducer("orders", all...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close(context.Background()) })
	return p
}

// outcome takes a SendError apart.
func outcome(t *testing.T, err error) vegas.SendError {
	t.Helper()
	var s *vegas.SendError
	if !errors.As(err, &s) {
		t.Fatalf("%T is no SendError: %v", err, err)
	}
	return *s
}
