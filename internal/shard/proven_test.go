package shard

import (
	"context"
	"errors"
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
