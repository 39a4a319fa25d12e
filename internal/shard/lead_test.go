package shard

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/internal/fetch"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/mark"
	"github.com/libvegas/vegas/record"
)

// strict is a lease whose writes fail now and then, applied or not, and that
// looks at every write as whoever takes over after a crash will: do the marks
// take a record for a duplicate that the checkpoint does not cover?
type strict struct {
	*testing.T
	rnd   *rand.Rand
	in    []fetch.Record
	at    record.Position
	marks []byte
	saves int
}

var errUnknown = errors.New("no answer")

// lot draws whether a write is applied, and what is heard of it.
func (s *strict) lot() (applied bool, err error) {
	switch s.rnd.IntN(6) {
	case 0:
		return false, errUnknown
	case 1:
		return true, errUnknown
	}
	return true, nil
}

func (s *strict) Checkpoint(_ context.Context, p record.Position, _ time.Time) error {
	applied, err := s.lot()
	if applied && p.Compare(s.at) > 0 {
		s.at = p
	}
	return err
}

func (s *strict) SaveMarks(_ context.Context, m []byte) error {
	applied, err := s.lot()
	if applied {
		s.marks = m
		s.saves++
		s.look()
	}
	return err
}

func (s *strict) Suspect(context.Context, int) error { return nil }

func (s *strict) Calm(context.Context) error { return nil }

func (s *strict) Died(context.Context) error { return nil }

func (s *strict) look() {
	saved, err := mark.Decode(s.marks)
	if err != nil {
		s.Error(err)
		return
	}
	if saved.Leads(s.at) {
		s.Errorf("marks of %v are stored while the checkpoint is %v", saved.At, s.at)
	}
	tr := mark.New(keyspace.Full, 0)
	tr.Restore(saved, s.at)
	for _, raw := range s.in {
		var a aggregate.Aggregate
		if err := aggregate.Decode(raw.Data, &a); err != nil {
			s.Fatal(err)
		}
		for i, v := range tr.Decide(nil, raw.Sequence, &a.Identity, &a) {
			at := record.Position{Sequence: raw.Sequence, SubSequence: int64(i)}
			if v == mark.Duplicate && at.Compare(s.at) > 0 {
				s.Errorf("marks of %v would lose %v: the checkpoint is %v", saved.At, at, s.at)
				return
			}
		}
	}
}

func TestMarksNeverLeadTheCheckpoint(t *testing.T) {
	for name, f := range map[string]func(*bench, record.Handler) Func{
		"records":              func(_ *bench, h record.Handler) Func { return Records(h) },
		"records side by side": func(b *bench, h record.Handler) Func { b.Parallel = 4; return Records(h) },
		"batches": func(_ *bench, h record.Handler) Func {
			return BatchesFunc(func(ctx context.Context, x *record.Batch) error {
				for _, r := range x.Records {
					_ = h(ctx, r)
				}
				return nil
			})
		},
		"a function that checkpoints each record and fails": func(_ *bench, h record.Handler) Func {
			return func(ctx context.Context, s *Shard) error {
				for x, err := range s.Batches() {
					if err != nil {
						return err
					}
					for _, r := range x.Records {
						if err := h(ctx, r); err != nil {
							return err
						}
						if err := s.Checkpoint(ctx, r.Position); err != nil {
							return err
						}
					}
				}
				return nil
			}
		},
	} {
		bubble(t, name, func(t *testing.T) {
			s := &strict{T: t, rnd: rand.New(rand.NewPCG(1, 2))}
			b := setUp()
			b.Lease = s
			for i := range 200 {
				s.in = append(s.in, packed(t, i+1, lane, uint64(10*i+1), "a", "b", "c", "d", "e"))
			}
			for i := 0; i < len(s.in); i += 4 {
				b.answers = append(b.answers, fetch.Answer{Records: s.in[i : i+4]})
			}
			handle := func(_ context.Context, r *record.Record) error {
				time.Sleep(time.Duration(len(r.Position.Sequence)) * 500 * time.Millisecond)
				if time.Now().UnixNano()%11 == 0 {
					return errors.New("not now")
				}
				return nil
			}
			if r, err := b.Run(t.Context(), b.stop, f(b, handle)); err != nil || !r.Ended {
				t.Errorf("%+v, %v", r, err)
			}
			synctest.Wait()
			if s.saves < 10 {
				t.Errorf("marks were saved only %d times", s.saves)
			}
			if s.at.String() != "200/4" {
				t.Errorf("ended at %v", s.at)
			}
		})
	}
}
