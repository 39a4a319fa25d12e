package shard

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/libvegas/vegas/internal/fetch"
	"github.com/libvegas/vegas/record"
)

// A process that was frozen for longer than its lease may wake up between two
// records, before anybody has come to end the shard's context: it hands nothing
// out any more.
func TestNothingIsHandedOutThatCannotBeProven(t *testing.T) {
	for name, f := range map[string]func(*list) Func{
		"records": func(l *list) Func { return Records(l.handle) },
		"batches": func(l *list) Func {
			return BatchesFunc(func(ctx context.Context, b *record.Batch) error {
				for _, r := range b.Records {
					if err := l.handle(ctx, r); err != nil {
						return err
					}
				}
				return nil
			})
		},
		"shards": func(l *list) Func {
			return func(ctx context.Context, s *Shard) error {
				for b, err := range s.Batches() {
					if err != nil {
						return err
					}
					for _, r := range b.Records {
						if err := l.handle(ctx, r); err != nil {
							return err
						}
					}
				}
				return nil
			}
		},
	} {
		bubble(t, name, func(t *testing.T) {
			b := setUp(func(*Policy) {})
			b.open = true
			b.answers = []fetch.Answer{{Records: numbers(1, 2)}, {Records: numbers(3, 2)}}
			var l list
			b.Proven = func(time.Time) error {
				if l.String() == "1/0 2/0" {
					return record.ErrLeaseLost
				}
				return nil
			}
			if _, err := b.Run(t.Context(), b.stop, f(&l)); !errors.Is(err, record.ErrLeaseLost) {
				t.Error(err)
			}
			if got := l.String(); got != "1/0 2/0" {
				t.Errorf("handled %s", got)
			}
		})
	}
}

// The lease is proven as of the moment when a handler is called: time passes in
// those before, and in the pauses behind failures.
func TestALeaseIsProvenForThePresent(t *testing.T) {
	for _, parallel := range []int{1, 2} {
		bubble(t, fmt.Sprint(parallel, " at a time"), func(t *testing.T) {
			b := setUp(func(p *Policy) { p.Parallel = parallel })
			b.answers = []fetch.Answer{{Records: numbers(1, 3)}, {Records: numbers(4, 2)}}
			b.Proven = func(now time.Time) error {
				if late := time.Since(now); late != 0 {
					t.Errorf("proven as of %v ago", late)
				}
				return nil
			}
			var l list
			failed := false
			_, err := b.Run(t.Context(), b.stop, Records(func(ctx context.Context, r *record.Record) error {
				<-time.After(time.Second)
				if r.Position.Sequence == "2" && !failed {
					failed = true
					return errors.New("not now")
				}
				return l.handle(ctx, r)
			}))
			if err != nil || len(l.got) != 5 {
				t.Errorf("handled %s, %v", &l, err)
			}
		})
	}
}
