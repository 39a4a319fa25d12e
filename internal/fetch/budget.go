package fetch

import (
	"context"
	"sync"
)

// Budget bounds the bytes that all shards of a consumer have read and not yet
// handed back. A shard that holds nothing may always read one answer, so that
// no shard starves: the bound is the budget, plus one answer for each shard
// that reads while it is exhausted.
type Budget struct {
	limit int64

	mu     sync.Mutex
	used   int64
	shares int
	freed  chan struct{} // closed when something was given back; nil: nobody waits
}

// NewBudget is a budget of so many bytes.
func NewBudget(limit int64) *Budget { return &Budget{limit: limit} }

// Used is how many bytes are held.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// readings is how many shards have a share.
func (b *Budget) readings() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.shares
}

func (b *Budget) share() *Share {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shares++
	return &Share{budget: b}
}

// Share is one shard's part in a Budget.
type Share struct {
	budget *Budget
	held   int64 // guarded by budget.mu
	mean   int64 // bytes of a record, lately; only the reading goroutine uses it
}

func (s *Share) end() {
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	s.budget.shares--
}

func (s *Share) take(bytes int64, records int) {
	if records > 0 {
		mean := bytes / int64(records)
		if s.mean > 0 {
			mean = (3*s.mean + mean) / 4
		}
		s.mean = max(mean, 1)
	}
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	s.held += bytes
	s.budget.used += bytes
}

func (s *Share) give(bytes int64) {
	b := s.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	s.held -= bytes
	b.used -= bytes
	if b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
}

// room waits until the shard may read on.
func (s *Share) room(ctx context.Context) error {
	b := s.budget
	for {
		b.mu.Lock()
		if s.held == 0 || b.used < b.limit {
			b.mu.Unlock()
			return ctx.Err()
		}
		if b.freed == nil {
			b.freed = make(chan struct{})
		}
		freed := b.freed
		b.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// unknownBytes is the size that a shard's records are taken to have before any
// was seen: aggregates can be large.
const unknownBytes = 64 << 10

// records is how many records to ask for, so that an answer is about the
// shard's part of the budget, and about most bytes at most.
func (s *Share) records(most int64) int {
	s.budget.mu.Lock()
	part := min(s.budget.limit/int64(max(1, s.budget.shares)), most)
	s.budget.mu.Unlock()
	mean := s.mean
	if mean == 0 {
		mean = unknownBytes
	}
	return int(min(10000, max(1, part/mean)))
}
