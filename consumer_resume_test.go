package vegas_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/store/memory"
)

// accounts are another system, which keeps what handlers wrote and the position behind it
// together, and refuses whoever is not the latest owner.
type accounts struct {
	mu        sync.Mutex
	positions map[string]vegas.Position
	owners    map[string]uint64
	effects   map[string]int
}

var errStale = errors.New("a later owner has written")

func (l *accounts) resume(_ context.Context, s *vegas.Shard) (vegas.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.Possession() < l.owners[s.ID()] {
		return vegas.Position{}, errStale
	}
	l.owners[s.ID()] = s.Possession()
	if p, ok := l.positions[s.ID()]; ok {
		return p, nil
	}
	return s.Start(), nil
}

// write is one transaction.
func (l *accounts) write(s *vegas.Shard, r *vegas.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.owners[s.ID()] != s.Possession() {
		return errStale
	}
	l.effects[fmt.Sprint(r.Shard, r.Position)]++
	l.positions[s.ID()] = r.Position
	return nil
}

// Programs that keep positions with their effects see each record once, whatever the
// group's store has: nothing, an older checkpoint, or a later one.
func TestEffectsHappenOnceWhereTheProgramKeepsPositions(t *testing.T) {
	consumerBench(t, "", 2, func(b *bench) {
		l := &accounts{positions: map[string]vegas.Position{}, owners: map[string]uint64{}, effects: map[string]int{}}
		left := 30
		handle := func(_ context.Context, s *vegas.Shard) error {
			for batch, err := range s.Batches() {
				if err != nil {
					return err
				}
				for _, r := range batch.Records {
					if left--; left%17 == 0 {
						return errors.New("it fails now and then, behind what it has written")
					}
					if err := l.write(s, r); err != nil {
						return err
					}
				}
				if left%2 == 0 {
					_ = s.Checkpoint(context.Background(), batch.End)
				}
			}
			return nil
		}
		for round := range 5 {
			b.put(40)
			c := b.consumer("g", func(o *vegas.ConsumerOptions) { o.Resume = l.resume })
			ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
			if err := c.RunShards(ctx, handle); err != nil {
				b.Error(err)
			}
			cancel()
			if round == 2 {
				b.rows = memory.New() // the store is lost
				clear(l.owners)       // and with it the numbers of possessions
			}
		}
		if len(l.effects) != 200 {
			b.Errorf("%d effects\n%s", len(l.effects), b.logged())
		}
		for r, n := range l.effects {
			if n != 1 {
				b.Errorf("%s took effect %d times", r, n)
			}
		}
	})
}

func TestResumeIsNoPartOfTransactionalConsumers(t *testing.T) {
	_, err := vegas.NewConsumer("orders", "g", func(o *vegas.ConsumerOptions) {
		o.Transactional, o.Store = true, memory.New()
		o.Resume = func(_ context.Context, s *vegas.Shard) (vegas.Position, error) { return s.Start(), nil }
	})
	if err == nil || !strings.Contains(err.Error(), "o.Resume") {
		t.Error(err)
	}
}
