package shard

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/internal/fetch"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/mark"
	"github.com/libvegas/vegas/record"
)

// next is the life after b's: what a lease remembers of it, and answers.
func (b *bench) next(t *testing.T, answers ...fetch.Answer) *bench {
	t.Helper()
	n := setUp()
	n.answers = answers
	if len(b.at) > 0 {
		n.At = b.at[len(b.at)-1]
	}
	if len(b.marks) > 0 {
		var err error
		if n.Marks, err = mark.Decode(b.marks[len(b.marks)-1]); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// A resend that arrives after the crash of the consumer that handled the first
// copy, before marks were ever due.
func TestACrashBeforeTheFirstMarksAreDueLetsNoDuplicateThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := fetch.Answer{Records: []fetch.Record{packed(t, 1, lane, 10, "a", "b"), plain(2, "c")}}
		b := setUp()
		b.open = true
		b.answers = []fetch.Answer{first}
		ctx, crash := context.WithCancelCause(t.Context())
		var l list
		done := make(chan error)
		go func() {
			_, err := b.Run(ctx, b.stop, Records(l.handle))
			done <- err
		}()
		time.Sleep(10 * time.Second) // a checkpoint
		crash(record.ErrLeaseLost)
		if err := <-done; !errors.Is(err, record.ErrLeaseLost) {
			t.Error(err)
		}
		if l.String() != "1/0 1/1 2/0" || b.checkpoints() != "2/0" {
			t.Errorf("handled %s, checkpoints %s", &l, b.checkpoints())
		}
		n := b.next(t, first, fetch.Answer{Records: []fetch.Record{packed(t, 3, lane, 10, "a", "b"), packed(t, 4, lane, 12, "a")}})
		l.got = nil
		if _, err := n.Run(t.Context(), n.stop, Records(l.handle)); err != nil || l.String() != "4/0" {
			t.Errorf("handled %s, %v", &l, err)
		}
	})
}

// The function of a shard fails while marks that lag are being made up for.
func TestAFailureWhileMarksLagLetsNoDuplicateThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := fetch.Answer{Records: []fetch.Record{packed(t, 1, lane, 10, "a", "b"), plain(2, "c")}}
		b := setUp()
		b.at = []record.Position{{Sequence: "2"}}
		tr := mark.New(b.Range, 0)
		b.marks = [][]byte{tr.Encode()}
		n := b.next(t, first, fetch.Answer{Records: []fetch.Record{packed(t, 3, lane, 10, "a", "b"), packed(t, 4, lane, 12, "a")}})
		n.OnError = Hold
		failed := false
		var l list
		if _, err := n.Run(t.Context(), n.stop, func(ctx context.Context, s *Shard) error {
			if !failed {
				failed = true
				return errors.New("not now")
			}
			return Records(l.handle)(ctx, s)
		}); err != nil || l.String() != "4/0" {
			t.Errorf("handled %s, %v", &l, err)
		}
	})
}

// Marks of what a function checkpointed by itself are saved when it stops.
func TestMarksAreSavedWhenAFunctionStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setUp()
		b.open = true
		b.answers = []fetch.Answer{{Records: []fetch.Record{packed(t, 1, lane, 10, "a", "b")}}}
		done := make(chan error)
		go func() {
			_, err := b.Run(t.Context(), b.stop, func(ctx context.Context, s *Shard) error {
				for batch, err := range s.Batches() {
					if err != nil {
						return err
					}
					if err := s.Checkpoint(ctx, batch.End); err != nil {
						return err
					}
				}
				return nil
			})
			done <- err
		}()
		time.Sleep(time.Second)
		b.stop.Stop(Shutdown)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := b.next(t); n.Marks == nil || n.Marks.At.Compare(record.Position{Sequence: "1", SubSequence: 1}) != 0 {
			t.Errorf("marks %+v", n.Marks)
		}
	})
}

// A shard without records lies between one that was delivered and one that gets
// its resends.
func TestAnEmptyShardPassesMarksOnToItsChildren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := mark.New(keyspace.Full, 0)
		var a aggregate.Aggregate
		if err := aggregate.Decode(packed(t, 1, lane, 10, "a").Data, &a); err != nil {
			t.Fatal(err)
		}
		old.Decide(nil, "1", &a.Identity, &a)
		old.Checkpointed(record.Position{Sequence: "1"})
		saved, err := mark.Decode(old.Encode())
		if err != nil {
			t.Fatal(err)
		}
		b := setUp()
		b.ParentsMarks = []*mark.Saved{saved}
		b.answers = []fetch.Answer{{}}
		var l list
		if r, err := b.Run(t.Context(), b.stop, Records(l.handle)); err != nil || !r.Ended {
			t.Errorf("%+v, %v", r, err)
		}
		n := b.next(t, fetch.Answer{Records: []fetch.Record{packed(t, 3, lane, 10, "a"), packed(t, 4, lane, 11, "a")}})
		if n.Marks == nil {
			t.Fatal("no marks were saved")
		}
		n.Marks, n.ParentsMarks = nil, []*mark.Saved{n.Marks}
		if _, err := n.Run(t.Context(), n.stop, Records(l.handle)); err != nil || l.String() != "4/0" {
			t.Errorf("handled %s, %v", &l, err)
		}
	})
}

// Somebody moved a child's checkpoint back to its start: its own marks lead, those
// of its parent still hold.
func TestMarksThatLeadGiveWayToThoseOfTheParents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		marks := func(seq int, first uint64, keys ...string) *mark.Saved {
			tr := mark.New(keyspace.Full, 0)
			var a aggregate.Aggregate
			raw := packed(t, seq, lane, first, keys...)
			if err := aggregate.Decode(raw.Data, &a); err != nil {
				t.Fatal(err)
			}
			tr.Decide(nil, raw.Sequence, &a.Identity, &a)
			tr.Checkpointed(record.Position{Sequence: raw.Sequence, SubSequence: int64(len(keys) - 1)})
			saved, err := mark.Decode(tr.Encode())
			if err != nil {
				t.Fatal(err)
			}
			return saved
		}
		b := setUp()
		b.Marks, b.ParentsMarks = marks(8, 12, "a"), []*mark.Saved{marks(1, 10, "a", "b")}
		b.answers = []fetch.Answer{{Records: []fetch.Record{packed(t, 7, lane, 10, "a", "b"), packed(t, 8, lane, 12, "a")}}}
		var l list
		if _, err := b.Run(t.Context(), b.stop, Records(l.handle)); err != nil || l.String() != "8/0" {
			t.Errorf("handled %s, %v", &l, err)
		}
	})
}

// The consumer stops while marks that lag are being made up for.
func TestMarksThatLagAreNotSavedAsOfTheCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setUp()
		b.at = []record.Position{{Sequence: "3"}}
		tr := mark.New(b.Range, 0)
		b.marks = [][]byte{tr.Encode()}
		n := b.next(t, fetch.Answer{Records: []fetch.Record{packed(t, 1, lane, 10, "a")}}) // half the way
		n.open, n.at, n.marks = true, b.at, b.marks
		var l list
		done := make(chan error)
		go func() {
			_, err := n.Run(t.Context(), n.stop, Records(l.handle))
			done <- err
		}()
		time.Sleep(time.Second)
		n.stop.Stop(Shutdown)
		if err := <-done; err != nil {
			t.Error(err)
		}
		m := n.next(t, fetch.Answer{Records: []fetch.Record{
			packed(t, 1, lane, 10, "a"), packed(t, 2, lane, 11, "b"), plain(3, "c"), packed(t, 4, lane, 11, "b"), packed(t, 5, lane, 12, "a"),
		}})
		if _, err := m.Run(t.Context(), m.stop, Records(l.handle)); err != nil || l.String() != "5/0" {
			t.Errorf("handled %s, %v", &l, err)
		}
	})
}

// Somebody else has the lease: that a write finds it lost ends the handling, and
// not only the checkpoints.
//
//tidy:bubble the functions of the table run in the bubble of their test
func TestALostLeaseEndsTheFunction(t *testing.T) {
	for name, f := range map[string]func(*bench, *list) Func{
		"records": func(_ *bench, l *list) Func {
			return Records(func(ctx context.Context, r *record.Record) error {
				time.Sleep(time.Second)
				return l.handle(ctx, r)
			})
		},
		"records side by side": func(b *bench, l *list) Func {
			b.Parallel = 3
			return Records(func(ctx context.Context, r *record.Record) error {
				time.Sleep(time.Second)
				return l.handle(ctx, r)
			})
		},
		"batches": func(b *bench, l *list) Func {
			return BatchesFunc(func(ctx context.Context, x *record.Batch) error {
				time.Sleep(4 * time.Second)
				return l.handle(ctx, x.Records[0])
			})
		},
		"a shard's function that keeps trying": func(_ *bench, l *list) Func {
			return func(ctx context.Context, s *Shard) error {
				for x, err := range s.Batches() {
					if err != nil {
						return err
					}
					_ = s.Checkpoint(ctx, x.End)
					if ctx.Err() == nil || !errors.Is(context.Cause(ctx), record.ErrLeaseLost) {
						return errors.New("the context goes on")
					}
				}
				return nil
			}
		},
	} {
		bubble(t, name, func(t *testing.T) {
			b := setUp()
			b.open = true
			for i := range 300 {
				b.answers = append(b.answers, fetch.Answer{Records: numbers(2*i+1, 2)})
			}
			b.fail = fmt.Errorf("its row says so: %w", record.ErrLeaseLost)
			var l list
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			if _, err := b.Run(ctx, b.stop, f(b, &l)); !errors.Is(err, record.ErrLeaseLost) {
				t.Error(err)
			}
			if d := time.Since(began); d > 10*time.Second {
				t.Errorf("ended after %v, handled %s", d, &l)
			}
		})
	}
}

func TestAHandoffEndsWithItsReasonAndTellsWhatIsStored(t *testing.T) {
	for name, c := range map[string]struct {
		parallel int
		why      Ending
		f        func(b *bench, hold <-chan struct{}) Func
		settled  bool
	}{
		"records": {1, Handoff, func(_ *bench, hold <-chan struct{}) Func {
			return Records(func(context.Context, *record.Record) error { <-hold; return nil })
		}, true},
		"shutdown": {1, Shutdown, func(_ *bench, hold <-chan struct{}) Func {
			return Records(func(context.Context, *record.Record) error { <-hold; return nil })
		}, true},
		"side by side": {4, Handoff, func(_ *bench, hold <-chan struct{}) Func {
			return Records(func(context.Context, *record.Record) error { <-hold; return nil })
		}, true},
		// With so many lanes that another key has one of its own.
		"side by side, one fails and later ones are done with": {1000, Handoff, func(_ *bench, hold <-chan struct{}) Func {
			return Records(func(_ context.Context, r *record.Record) error {
				if r.Position.Sequence == "1" {
					<-hold
					return errors.New("boom")
				}
				return nil
			})
		}, false},
		"batches": {1, Handoff, func(_ *bench, hold <-chan struct{}) Func {
			return BatchesFunc(func(context.Context, *record.Batch) error { <-hold; return nil })
		}, true},
		"shards": {1, Handoff, func(_ *bench, hold <-chan struct{}) Func {
			return func(ctx context.Context, s *Shard) error {
				for b, err := range s.Batches() {
					if err != nil {
						return err
					}
					<-hold
					if err := s.Checkpoint(ctx, b.End); err != nil {
						return err
					}
				}
				if s.Ending() != Handoff {
					return fmt.Errorf("ending is %v", s.Ending())
				}
				return nil
			}
		}, true},
		"shards, not checkpointed": {1, Handoff, func(_ *bench, hold <-chan struct{}) Func {
			return func(_ context.Context, s *Shard) error {
				for range s.Batches() {
					<-hold
				}
				return nil
			}
		}, false},
	} {
		bubble(t, name, func(t *testing.T) {
			b := setUp(func(p *Policy) { p.Parallel = c.parallel })
			b.open = true
			b.answers = []fetch.Answer{{Records: numbers(1, 6)}, {Records: numbers(7, 3)}}
			hold := make(chan struct{})
			time.AfterFunc(time.Second, func() {
				b.stop.Stop(c.why)
				b.stop.Stop(ShardEnd) // too late
				close(hold)
			})
			r, err := b.Run(t.Context(), b.stop, c.f(b, hold))
			if err != nil || r.Stopped != c.why || r.Ended || r.GivenBack || r.Settled != c.settled {
				t.Errorf("%+v, %v, checkpoints %s", r, err, b.checkpoints())
			}
		})
	}
}

// Somebody moved the checkpoint, which deletes the marks: the first ones that are
// saved again belong to that checkpoint, not to the oldest record of the shard.
func TestTheFirstMarksBelongToTheCheckpointWhereReadingBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setUp()
		b.At = record.Position{Sequence: "5"}
		b.answers = []fetch.Answer{{Records: []fetch.Record{packed(t, 6, lane, 1, "a")}}}
		if _, err := b.Run(t.Context(), b.stop, Records((&list{}).handle)); err != nil {
			t.Fatal(err)
		}
		if first, err := mark.Decode(b.marks[0]); err != nil || first.At != b.At {
			t.Errorf("marks of %v, %v", first.At, err)
		}
	})
}
