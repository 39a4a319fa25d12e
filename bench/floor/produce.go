package floor

import (
	"bytes"
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/libvegas/vegas/bench/contest"
	"github.com/libvegas/vegas/internal/keyspace"
)

const (
	// aggregateBytes is how long an aggregate becomes; the next record starts
	// another one.
	aggregateBytes = 256 << 10
	// plainRecords is how many records a request has that are not aggregated.
	plainRecords = 500
)

// Produce is the floor of sending. cached remembers the hashes of keys.
func Produce(p *Protocol, cached bool) func(context.Context, *contest.Work, *contest.Meter) error {
	return func(ctx context.Context, w *contest.Work, m *contest.Meter) error {
		c, err := newClient(w, p)
		if err != nil {
			return err
		}
		defer c.close()
		shards, err := c.shards(ctx)
		if err != nil {
			return err
		}
		s := &sender{client: c, shards: shards, keys: w.AllKeys(), lanes: make([]*load, len(shards))}
		if cached {
			s.hashes = make(map[string]keyspace.Hash, w.Keys)
		}
		// Two loads for each request that may be under way: one is filled
		// meanwhile.
		s.empty = make(chan *load, 2*len(shards))
		for range cap(s.empty) {
			s.empty <- new(load)
		}
		if err := s.send(ctx, 0, w.Warm); err != nil {
			return err
		}
		m.Begin()
		return s.send(ctx, w.Warm, w.Records)
	}
}

// sender fills loads on one goroutine, and others send them, one for each shard.
type sender struct {
	*client
	shards []shard
	keys   []string
	hashes map[string]keyspace.Hash // nil: no cache
	lanes  []*load                  // the open ones
	empty  chan *load
	full   chan *load
}

// load is what one request carries: the aggregate of a shard, or plain records.
type load struct {
	data    []byte
	entries []entry
	hash    keyspace.Hash // of the first record
	records int
	body    []byte
	answer  []byte
}

// send sends the records from one to another, and waits until all are stored.
func (s *sender) send(ctx context.Context, from, to int) error {
	s.full = make(chan *load)
	g, ctx := errgroup.WithContext(ctx)
	for range s.shards {
		g.Go(func() error {
			for l := range s.full {
				if err := s.put(ctx, l); err != nil {
					return err
				}
				s.empty <- l
			}
			return nil
		})
	}
	g.Go(func() error {
		defer close(s.full)
		if s.work.Aggregated {
			return s.aggregate(ctx, from, to)
		}
		return s.plain(ctx, from, to)
	})
	return g.Wait()
}

func (s *sender) aggregate(ctx context.Context, from, to int) error {
	for i := from; i < to; i++ {
		key := s.keys[s.work.KeyIndex(i)]
		hash := s.hash(key)
		at := s.shard(hash)
		l := s.lanes[at]
		if l == nil {
			var err error
			if l, err = s.begin(ctx); err != nil {
				return err
			}
			l.hash, l.data = hash, append(l.data, magic...)
			s.lanes[at] = l
		}
		l.data = appendRecord(l.data, s.work, key, i, l.records)
		if l.records++; len(l.data) >= aggregateBytes {
			s.lanes[at] = nil
			if err := s.end(ctx, l); err != nil {
				return err
			}
		}
	}
	for at, l := range s.lanes {
		if s.lanes[at] = nil; l != nil {
			if err := s.end(ctx, l); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *sender) plain(ctx context.Context, from, to int) error {
	for i := from; i < to; {
		l, err := s.begin(ctx)
		if err != nil {
			return err
		}
		for ; i < to && l.records < plainRecords; i++ {
			l.data = s.work.AppendPayload(l.data, i)
			l.records++
			l.entries = append(l.entries, entry{key: s.keys[s.work.KeyIndex(i)]})
		}
		for k := range l.entries {
			l.entries[k].data = l.data[k*s.work.Size : (k+1)*s.work.Size]
		}
		if err := s.end(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

func (s *sender) hash(key string) keyspace.Hash {
	if s.hashes == nil {
		return keyspace.OfKey(key)
	}
	h, ok := s.hashes[key]
	if !ok {
		h = keyspace.OfKey(key)
		s.hashes[key] = h
	}
	return h
}

func (s *sender) shard(h keyspace.Hash) int {
	for i := range s.shards {
		if last := s.shards[i].last; h.Hi < last.Hi || h.Hi == last.Hi && h.Lo <= last.Lo {
			return i
		}
	}
	return len(s.shards) - 1
}

func (s *sender) begin(ctx context.Context) (*load, error) {
	select {
	case l := <-s.empty:
		l.data, l.entries, l.records = l.data[:0], l.entries[:0], 0
		return l, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (s *sender) end(ctx context.Context, l *load) error {
	select {
	case s.full <- l:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *sender) put(ctx context.Context, l *load) (err error) {
	if s.work.Aggregated {
		l.data = seal(l.data)
		l.entries = append(l.entries, entry{l.data, "a", l.hash.String()})
	}
	l.body = s.protocol.appendPut(l.body[:0], s.work.Stream, l.entries)
	if l.answer, err = s.call(ctx, "PutRecords", l.body, l.answer); err != nil {
		return err
	}
	if !bytes.Contains(l.answer, s.protocol.nothingFailed) {
		return fmt.Errorf("wire floor: PutRecords: not all was stored: %.1000s", l.answer)
	}
	return nil
}
