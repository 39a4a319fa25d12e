package shard

import (
	"context"
	"errors"
	"testing"

	"github.com/libvegas/vegas/internal/fetch"
	"github.com/libvegas/vegas/record"
)

// large are entries of which two make more than a piece.
func large(from, n int) []fetch.Record {
	out := numbers(from, n)
	for i := range out {
		out[i].Data = make([]byte, pieceBytes*2/3)
	}
	return out
}

// For a handler of single records an answer is opened in pieces, which do not end the
// shard nor lie at its tip unless they are the last one.
func TestAnswersAreOpenedInPieces(t *testing.T) {
	bubble(t, "whole", func(t *testing.T) {
		b := setUp()
		b.answers = []fetch.Answer{{Records: append(large(1, 3), numbers(4, 2)...)}, {}, {Records: large(6, 2)}}
		var l list
		r, err := b.Run(t.Context(), b.stop, Records(func(ctx context.Context, r *record.Record) error {
			at := b.Snapshot()
			if last := r.Position.Sequence >= "3"; r.Position.Sequence < "6" && (at.Behind == 0) != last {
				t.Errorf("at %v: %v behind the tip", r.Position, at.Behind)
			}
			if at.Delivered.Sequence == "7" && r.Position.Sequence < "7" {
				t.Errorf("at %v: all was delivered", r.Position)
			}
			return l.handle(ctx, r)
		}))
		if got := l.String(); err != nil || !r.Ended || got != "1/0 2/0 3/0 4/0 5/0 6/0 7/0" || b.checkpoints() != "7/0" {
			t.Errorf("%+v, %v, %s, checkpoints %s", r, err, got, b.checkpoints())
		}
	})
	bubble(t, "stopped between them", func(t *testing.T) {
		b := setUp()
		b.answers = []fetch.Answer{{Records: large(1, 4)}}
		var l list
		r, err := b.Run(t.Context(), b.stop, Records(func(ctx context.Context, r *record.Record) error {
			if r.Position.Sequence == "2" {
				b.stop.Stop(Handoff)
			}
			return l.handle(ctx, r)
		}))
		if got := l.String(); err != nil || r.Ended || !r.Settled || got != "1/0 2/0" || b.checkpoints() != "2/0" {
			t.Errorf("%+v, %v, %s, checkpoints %s", r, err, got, b.checkpoints())
		}
	})
	bubble(t, "failed in one", func(t *testing.T) {
		b := setUp(func(p *Policy) { p.MaxAttempts, p.OnError = 1, Stop })
		b.answers = []fetch.Answer{{Records: large(1, 4)}}
		var l list
		bad := errors.New("no")
		_, err := b.Run(t.Context(), b.stop, Records(func(ctx context.Context, r *record.Record) error {
			if r.Position.Sequence == "3" {
				return bad
			}
			return l.handle(ctx, r)
		}))
		if got := l.String(); !errors.Is(err, bad) || got != "1/0 2/0" || b.checkpoints() != "2/0" {
			t.Errorf("%v, %s, checkpoints %s", err, got, b.checkpoints())
		}
	})
	bubble(t, "batches are whole answers", func(t *testing.T) {
		b := setUp()
		b.answers = []fetch.Answer{{Records: large(1, 4)}}
		var sizes []int
		_, err := b.Run(t.Context(), b.stop, BatchesFunc(func(_ context.Context, b *record.Batch) error {
			sizes = append(sizes, len(b.Records))
			return nil
		}))
		if err != nil || len(sizes) != 1 || sizes[0] != 4 {
			t.Errorf("%v, %v", sizes, err)
		}
	})
}
