package fetch

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestBudgetHoldsReadersBackAndStarvesNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100)
		one, two := b.share(), b.share()
		one.take(120, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := two.room(ctx); err != nil {
			t.Errorf("a shard that holds nothing waits: %v", err)
		}
		entered := make(chan error)
		go func() { entered <- one.room(ctx) }()
		synctest.Wait()
		select {
		case err := <-entered:
			t.Errorf("the budget is exhausted, yet: %v", err)
		default:
		}
		one.give(120)
		if err := <-entered; err != nil {
			t.Error(err)
		}
		one.take(100, 1)
		if err := one.room(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("at the end of the context: %v", err)
		}
		one.give(100)
		if b.Used() != 0 {
			t.Errorf("%d bytes are still used", b.Used())
		}
	})
}

func TestAShardAsksForItsPartOfTheBudget(t *testing.T) {
	b := NewBudget(64 << 20)
	s := b.share()
	if n := s.records(10 << 20); n != 160 {
		t.Errorf("alone, before it knows: %d", n)
	}
	var more []*Share
	for range 63 {
		more = append(more, b.share())
	}
	if n := s.records(10 << 20); n != 16 {
		t.Errorf("before it knows: %d", n)
	}
	s.take(1000<<10, 1000)
	if n := s.records(10 << 20); n != 1024 {
		t.Errorf("a part of 1 MiB, records of 1 KiB: %d", n)
	}
	for _, m := range more {
		m.end()
	}
	if n := s.records(5 << 20); n != 5120 {
		t.Errorf("alone again, records of 1 KiB: %d", n)
	}
	for range 20 {
		s.take(100, 1)
	}
	if n := s.records(10 << 20); n != 10000 {
		t.Errorf("records of 100 bytes: %d, not as many as the service gives", n)
	}
}
