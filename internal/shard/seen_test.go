package shard

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/libvegas/vegas/internal/fetch"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

func TestUpToWhenEverythingIsDoneWith(t *testing.T) {
	t0 := time.Unix(1_700_000_000, 0)
	at := func(n int) record.Position { return record.Position{Sequence: strconv.Itoa(n)} }
	// Record n arrived at second n; an answer comes at second now.
	answer := func(from, to int, tip bool) *fetch.Answer {
		a := &fetch.Answer{Behind: time.Minute}
		for i := from; i <= to; i++ {
			a.Records = append(a.Records, fetch.Record{Sequence: strconv.Itoa(i), Arrival: t0.Add(time.Duration(i) * time.Second)})
		}
		if tip {
			a.Behind = 0
		}
		return a
	}
	var w watermark
	check := func(p, want int) {
		t.Helper()
		if got := w.at(at(p)); !got.Equal(t0.Add(time.Duration(want) * time.Second)) {
			t.Errorf("at %d: %v, want second %d", p, got.Sub(t0), want)
		}
		w.stored = w.at(at(p))
	}
	w.came(answer(1, 5, false), at(5), t0.Add(100*time.Second))
	w.came(answer(6, 9, false), at(9), t0.Add(101*time.Second))
	check(3, 1)
	check(5, 5)
	check(7, 6)
	check(9, 9)
	w.came(answer(10, 12, true), at(12), t0.Add(102*time.Second))
	check(11, 10)
	check(12, 102) // the tip
	w.came(answer(12, 12, false), at(12), t0.Add(103*time.Second))
	check(12, 102) // never back
	w.came(answer(1, 0, true), at(12), t0.Add(104*time.Second))
	check(12, 104)
	if len(w.answers) != 1 {
		t.Errorf("%d answers are kept", len(w.answers))
	}
}

func TestACheckpointThatRetentionPassed(t *testing.T) {
	set := func(policy OnError) *bench {
		b := setUp(func(p *Policy) { p.OnTrimmed = policy })
		b.At, b.Seen, b.Retention = record.Position{Sequence: "5"}, time.Now().Add(-25*time.Hour), 24*time.Hour
		b.answers = []fetch.Answer{{Records: numbers(9, 2), Trimmed: true}}
		return b
	}
	bubble(t, "go on", func(t *testing.T) {
		b := set(Skip)
		var l list
		r, err := b.Run(t.Context(), b.stop, Records(l.handle))
		if err != nil || !r.Ended || l.String() != "9/0 10/0" || b.count(observe.CheckpointsTrimmed) != 1 || !strings.Contains(b.log.String(), "#trimmed") {
			t.Errorf("%+v, %v, %s, counted %v", r, err, &l, b.counted)
		}
		if !b.froms[0].Old {
			t.Error("reading began where nothing is")
		}
	})
	for name, f := range map[string]Func{
		"stop": Records((&list{}).handle),
		"stop, side": func(ctx context.Context, s *Shard) error {
			s.life.Parallel = 4
			return Records((&list{}).handle)(ctx, s)
		},
		"stop, a function that overlooks it": func(_ context.Context, s *Shard) error {
			for range s.Batches() { // does not look at the error
			}
			return nil
		},
	} {
		bubble(t, name, func(t *testing.T) {
			b := set(Stop)
			_, err := b.Run(t.Context(), b.stop, f)
			if !errors.Is(err, record.ErrTrimmed) || !strings.Contains(err.Error(), "5/0") || b.checkpoints() != "" {
				t.Errorf("%v, checkpoints %s", err, b.checkpoints())
			}
		})
	}
	bubble(t, "not old enough", func(t *testing.T) {
		b := set(Stop)
		b.Seen = time.Now().Add(-23 * time.Hour)
		b.answers[0].Trimmed = false
		if r, err := b.Run(t.Context(), b.stop, Records((&list{}).handle)); err != nil || !r.Ended || b.froms[0].Old {
			t.Errorf("%+v, %v, %+v", r, err, b.froms)
		}
	})
}

// A quiet shard that is read stays young, for a few writes a day.
func TestAQuietShardIsKnownToMissNothing(t *testing.T) {
	bubble(t, "at the tip", func(t *testing.T) {
		b := setUp()
		b.Retention = 24 * time.Hour
		n := 0
		b.Source = func(ctx context.Context, _ fetch.From, deliver func(context.Context, fetch.Answer) error) error {
			a := fetch.Answer{Records: numbers(1, 3)}
			for {
				if err := deliver(ctx, a); err != nil {
					return err
				}
				a = fetch.Answer{}
				n++
				select {
				case <-time.After(10 * time.Minute):
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		time.AfterFunc(72*time.Hour, func() { b.stop.Stop(Shutdown) })
		if _, err := b.Run(t.Context(), b.stop, Records((&list{}).handle)); err != nil {
			t.Fatal(err)
		}
		if len(b.at) != 1 || len(b.seen) < 11 || len(b.seen) > 13 || time.Since(b.seen[len(b.seen)-1]) > 7*time.Hour {
			t.Errorf("checkpoints %s, times %v", b.checkpoints(), b.seen)
		}
	})
	bubble(t, "not while something is unfinished", func(t *testing.T) {
		b := setUp()
		b.Retention, b.open = 24*time.Hour, true
		b.answers = []fetch.Answer{{Records: numbers(1, 3)}, {}, {}}
		time.AfterFunc(72*time.Hour, func() { b.stop.Stop(Shutdown) })
		_, err := b.Run(t.Context(), b.stop, Records(func(_ context.Context, r *record.Record) error {
			if r.Position.Sequence == "3" {
				return errors.New("boom")
			}
			return nil
		}))
		if err != nil || len(b.seen) != 1 {
			t.Errorf("%v, checkpoints %s, times %v", err, b.checkpoints(), b.seen)
		}
	})
}
