package shard

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/internal/fetch"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

func TestFailurePolicies(t *testing.T) {
	boom := errors.New("boom")
	failing := func(l *list, times int) record.Handler {
		return func(ctx context.Context, r *record.Record) error {
			if r.Position.Sequence == "2" && times > 0 {
				times--
				if times%2 == 0 {
					panic("ouch")
				}
				return boom
			}
			return l.handle(ctx, r)
		}
	}
	bubble(t, "hold tries again until it works", func(t *testing.T) {
		b := setUp()
		b.answers = []fetch.Answer{{Records: numbers(1, 3)}}
		var l list
		began := time.Now()
		r, err := b.Run(t.Context(), b.stop, Records(failing(&l, 100)))
		if err != nil || !r.Ended || l.String() != "1/0 2/0 3/0" || b.count(observe.HandlerErrors) != 100 {
			t.Errorf("%+v, %v, %s, %d errors", r, err, &l, b.count(observe.HandlerErrors))
		}
		if d := time.Since(began); d < time.Minute {
			t.Errorf("100 attempts in %v: no backoff", d)
		}
		if got := b.checkpoints(); !strings.HasPrefix(got, "1/0") {
			t.Errorf("what was finished before was not checkpointed meanwhile: %s", got)
		}
	})
	bubble(t, "skip passes one record", func(t *testing.T) {
		b := setUp(func(p *Policy) { p.OnError, p.MaxAttempts = Skip, 4 })
		b.answers = []fetch.Answer{{Records: numbers(1, 3)}}
		var l list
		r, err := b.Run(t.Context(), b.stop, Records(failing(&l, 100)))
		if err != nil || !r.Ended || l.String() != "1/0 3/0" || b.count(observe.HandlerErrors) != 4 || b.count(observe.RecordsSkipped) != 1 {
			t.Errorf("%+v, %v, %s, counted %v", r, err, &l, b.counted)
		}
	})
	bubble(t, "stop ends with the error, behind what was finished", func(t *testing.T) {
		b := setUp(func(p *Policy) { p.OnError, p.MaxAttempts = Stop, 3 })
		b.answers = []fetch.Answer{{Records: numbers(1, 3)}}
		var l list
		r, err := b.Run(t.Context(), b.stop, Records(failing(&l, 100)))
		if !errors.Is(err, boom) || r.Ended || l.String() != "1/0" || b.checkpoints() != "1/0" || !strings.Contains(err.Error(), "2/0") {
			t.Errorf("%+v, %v, %s, checkpoints %s", r, err, &l, b.checkpoints())
		}
	})
	bubble(t, "a panic is an error with its stack", func(t *testing.T) {
		b := setUp(func(p *Policy) { p.OnError, p.MaxAttempts = Stop, 1 })
		b.answers = []fetch.Answer{{Records: numbers(2, 1)}}
		_, err := b.Run(t.Context(), b.stop, Records(failing(&list{}, 1)))
		if err == nil || !strings.Contains(err.Error(), "ouch") || !strings.Contains(err.Error(), "failure_test.go") {
			t.Error(err)
		}
	})
	bubble(t, "the dead letters get what failed, and hold what they refuse", func(t *testing.T) {
		var dead []string
		refuse := 3
		b := setUp(func(p *Policy) {
			p.MaxAttempts = 2
			p.DeadLetter = func(_ context.Context, r *record.Record, err error) error {
				if refuse--; refuse >= 0 {
					return errors.New("queue is away")
				}
				dead = append(dead, r.Position.String()+" "+err.Error())
				return nil
			}
		})
		b.answers = []fetch.Answer{{Records: numbers(1, 3)}}
		var l list
		r, err := b.Run(t.Context(), b.stop, Records(func(ctx context.Context, r *record.Record) error {
			if r.Position.Sequence == "2" {
				return boom
			}
			return l.handle(ctx, r)
		}))
		if err != nil || !r.Ended || l.String() != "1/0 3/0" || fmt.Sprint(dead) != "[2/0 boom]" || b.count(observe.HandlerErrors) != 5 {
			t.Errorf("%+v, %v, %s, dead %v, counted %v", r, err, &l, dead, b.counted)
		}
	})
	bubble(t, "batches are tried and skipped as a whole", func(t *testing.T) {
		b := setUp(func(p *Policy) { p.OnError, p.MaxAttempts = Skip, 2 })
		b.answers = []fetch.Answer{{Records: numbers(1, 3)}, {Records: numbers(4, 2)}}
		var ends []string
		r, err := b.Run(t.Context(), b.stop, BatchesFunc(func(_ context.Context, x *record.Batch) error {
			ends = append(ends, x.End.String())
			if x.End.Sequence == "3" {
				return boom
			}
			return nil
		}))
		if err != nil || !r.Ended || fmt.Sprint(ends) != "[3/0 3/0 5/0]" || b.count(observe.RecordsSkipped) != 3 {
			t.Errorf("%+v, %v, %v, counted %v", r, err, ends, b.counted)
		}
	})
	bubble(t, "a shard function starts again from its checkpoint", func(t *testing.T) {
		b := setUp()
		b.answers = []fetch.Answer{{Records: numbers(1, 2)}, {Records: []fetch.Record{packed(t, 3, lane, 1, "a", "b", "c")}}}
		var got []string
		fails := 2
		r, err := b.Run(t.Context(), b.stop, func(ctx context.Context, s *Shard) error {
			got = append(got, "from "+s.Start().String())
			for x, err := range s.Batches() {
				if err != nil {
					return err
				}
				for _, r := range x.Records {
					got = append(got, r.Position.String())
					if r.Position == (record.Position{Sequence: "3", SubSequence: 1}) && fails > 0 {
						fails--
						return boom
					}
					if err := s.Checkpoint(ctx, r.Position); err != nil {
						return err
					}
				}
			}
			return nil
		})
		want := "[from TRIM_HORIZON 1/0 2/0 3/0 3/1 from 3/0 3/1 from 3/0 3/1 3/2]"
		if err != nil || !r.Ended || fmt.Sprint(got) != want {
			t.Errorf("%+v, %v\n got %v\nwant %s", r, err, got, want)
		}
	})
	bubble(t, "failures with progress between them are no failures in a row", func(t *testing.T) {
		b := setUp(func(p *Policy) { p.OnError, p.MaxAttempts = Stop, 2 })
		b.answers = []fetch.Answer{{Records: numbers(1, 5)}}
		r, err := b.Run(t.Context(), b.stop, func(ctx context.Context, s *Shard) error {
			for x, err := range s.Batches() {
				if err != nil {
					return err
				}
				if err := s.Checkpoint(ctx, x.Records[0].Position); err != nil {
					return err
				}
				if len(x.Records) > 1 {
					return boom
				}
			}
			return nil
		})
		if err != nil || !r.Ended || b.checkpoints() != "1/0 2/0 3/0 4/0 5/0" {
			t.Errorf("%+v, %v, checkpoints %s", r, err, b.checkpoints())
		}
	})
	bubble(t, "a shard function under stop", func(t *testing.T) {
		b := setUp(func(p *Policy) { p.OnError, p.MaxAttempts = Stop, 2 })
		b.answers = []fetch.Answer{{Records: numbers(1, 2)}}
		n := 0
		_, err := b.Run(t.Context(), b.stop, func(context.Context, *Shard) error { n++; return boom })
		if !errors.Is(err, boom) || n != 2 {
			t.Errorf("%v after %d attempts", err, n)
		}
	})
}

func TestAStoreThatIsAwayForAMinuteRepeatsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setUp()
		b.answers = []fetch.Answer{{Records: numbers(1, 3)}}
		b.fail = errors.New("store is away")
		time.AfterFunc(time.Minute, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.fail = nil
		})
		var l list
		r, err := b.Run(t.Context(), b.stop, Records(l.handle))
		if err != nil || !r.Ended || l.String() != "1/0 2/0 3/0" || b.checkpoints() != "3/0" {
			t.Errorf("%+v, %v, %s, checkpoints %s", r, err, &l, b.checkpoints())
		}
		if n := strings.Count(b.log.String(), "\n"); n > 6 {
			t.Errorf("%d lines of log", n)
		}
	})
}

func TestReadingThatFailsForGoodEndsWithItsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		denied := errors.New("access denied")
		b := setUp()
		b.Source = func(context.Context, fetch.From, func(context.Context, fetch.Answer) error) error { return denied }
		if _, err := b.Run(t.Context(), b.stop, Records((&list{}).handle)); !errors.Is(err, denied) {
			t.Errorf("handler: %v", err)
		}
		_, err := b.Run(t.Context(), b.stop, func(_ context.Context, s *Shard) error {
			for range s.Batches() { // does not look at the error
			}
			return nil
		})
		if !errors.Is(err, denied) {
			t.Errorf("a function that overlooks it: %v", err)
		}
	})
}
