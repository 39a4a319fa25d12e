package shard

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/libvegas/vegas/internal/fetch"
	"github.com/libvegas/vegas/internal/mark"
	"github.com/libvegas/vegas/record"
)

func at(seq string) record.Position { return record.Position{Sequence: seq} }

func TestTheProgramSaysWhereAShardBegins(t *testing.T) {
	for _, c := range []struct {
		name       string
		checkpoint string
		position   record.Position
		got        string
		from       string
	}{
		{"at the checkpoint", "3", at("3"), "4/0 5/0 6/0", "3"},
		{"before it", "3", at("1"), "2/0 3/0 4/0 5/0 6/0", "1"},
		{"from the start", "3", record.Position{}, "1/0 2/0 3/0 4/0 5/0 6/0", ""},
		{"behind it", "3", at("5"), "6/0", "3"},
		{"behind the start", "", at("5"), "6/0", "5"},
	} {
		bubble(t, c.name, func(t *testing.T) {
			b := setUp(func(p *Policy) {
				p.Resume = func(_ context.Context, s *Shard) (record.Position, error) {
					if s.Start().Sequence != c.checkpoint || s.Possession() != 3 {
						t.Error(s.Start())
					}
					return c.position, nil
				}
			})
			b.At = at(c.checkpoint)
			b.answers = []fetch.Answer{{Records: numbers(1, 6)}}
			var l list
			r, err := b.Run(t.Context(), b.stop, func(ctx context.Context, s *Shard) error {
				if s.Start() != c.position {
					t.Error("starts at", s.Start())
				}
				return Records(l.handle)(ctx, s)
			})
			if err != nil || !r.Ended || l.String() != c.got || b.froms[0].Sequence != c.from || b.checkpoints() != "6/0" {
				t.Error(err, &l, b.froms, b.checkpoints())
			}
		})
	}
	bubble(t, "again when its function is started again", func(t *testing.T) {
		position, calls := at("2"), 0
		b := setUp(func(p *Policy) {
			p.Resume = func(context.Context, *Shard) (record.Position, error) {
				if calls++; calls == 2 {
					return record.Position{}, errBad
				}
				return position, nil
			}
		})
		b.At = at("1")
		b.answers = []fetch.Answer{{Records: numbers(1, 6)}}
		var got []string
		r, err := b.Run(t.Context(), b.stop, func(_ context.Context, s *Shard) error {
			for batch, err := range s.Batches() {
				if err != nil {
					return err
				}
				for _, r := range batch.Records {
					got = append(got, r.Position.Sequence)
					position = r.Position // with its effect
					if r.Position.Sequence == "4" && calls == 1 {
						return errBad
					}
				}
			}
			return nil
		})
		if err != nil || !r.Ended || strings.Join(got, " ") != "3 4 5 6" || calls != 3 {
			t.Error(err, got, calls)
		}
	})
	for _, p := range []record.Position{record.ShardEnd, at("LATEST"), at("x"), {Sequence: "1", SubSequence: -1}} {
		bubble(t, "not at "+p.String(), func(t *testing.T) {
			b := setUp(func(o *Policy) {
				o.Resume, o.OnError = func(context.Context, *Shard) (record.Position, error) { return p, nil }, Stop
			})
			b.answers = []fetch.Answer{{Records: numbers(1, 6)}}
			var l list
			if _, err := b.Run(t.Context(), b.stop, Records(l.handle)); err == nil || !strings.Contains(err.Error(), "#resume") || l.String() != "" {
				t.Error(err, &l)
			}
		})
	}
	bubble(t, "unless it panics", func(t *testing.T) {
		b := setUp(func(o *Policy) {
			o.Resume, o.OnError = func(context.Context, *Shard) (record.Position, error) { panic("oh") }, Stop
		})
		if _, err := b.Run(t.Context(), b.stop, Records((&list{}).handle)); err == nil || !strings.Contains(err.Error(), "panic: oh") {
			t.Error(err)
		}
	})
	bubble(t, "unless its lease is lost", func(t *testing.T) {
		b := setUp(func(o *Policy) {
			o.Resume = func(ctx context.Context, _ *Shard) (record.Position, error) {
				<-ctx.Done()
				return record.Position{}, context.Cause(ctx)
			}
		})
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(record.ErrLeaseLost)
		if _, err := b.Run(ctx, b.stop, Records((&list{}).handle)); !errors.Is(err, record.ErrLeaseLost) {
			t.Error(err)
		}
	})
}

// The stream has 1: a b; 2: a b once more, resent; 3: c.
func TestMarksAreKeptWhereTheyDoNotLeadTheProgramsPosition(t *testing.T) {
	marks := func(t *testing.T) *mark.Saved {
		b := setUp()
		b.answers = []fetch.Answer{{Records: []fetch.Record{packed(t, 1, lane, 1, "a", "b")}}}
		if _, err := b.Run(t.Context(), b.stop, Records((&list{}).handle)); err != nil || len(b.marks) == 0 {
			t.Fatal(err, b.marks)
		}
		saved, err := mark.Decode(b.marks[len(b.marks)-1])
		if err != nil {
			t.Fatal(err)
		}
		return saved
	}
	for _, c := range []struct {
		name     string
		position record.Position
		got      string
	}{
		{"at them", record.Position{Sequence: "1", SubSequence: 1}, "3/0"},
		{"behind them", record.Position{Sequence: "2", SubSequence: 1}, "3/0"},
		{"before them: what was handled comes again, its resend does not", record.Position{}, "1/0 1/1 3/0"},
		{"before them, within", record.Position{Sequence: "1"}, "1/1 3/0"},
	} {
		bubble(t, c.name, func(t *testing.T) {
			b := setUp(func(p *Policy) {
				p.Resume = func(context.Context, *Shard) (record.Position, error) { return c.position, nil }
			})
			b.Life.Marks, b.At = marks(t), record.Position{Sequence: "1", SubSequence: 1}
			b.answers = []fetch.Answer{{Records: []fetch.Record{packed(t, 1, lane, 1, "a", "b"), packed(t, 2, lane, 1, "a", "b"), packed(t, 3, lane, 3, "c")}}}
			var l list
			if r, err := b.Run(t.Context(), b.stop, Records(l.handle)); err != nil || !r.Ended || l.String() != c.got {
				t.Error(r, err, &l)
			}
		})
	}
}
