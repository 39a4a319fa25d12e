package shard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libvegas/vegas/internal/fetch"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

// after is the life that follows b's: with what the lease remembers of it. died:
// its owner did.
func (b *bench) after(died bool, change ...func(*Policy)) *bench {
	n := setUp(change...)
	n.answers, n.At, n.row, n.at = b.answers, b.At, b.row, b.at
	if len(b.at) > 0 {
		n.At = b.at[len(b.at)-1]
	}
	if died {
		n.row.takeovers++
	}
	n.Takeovers, n.Life.Suspect, n.Tried = n.row.takeovers, n.row.suspect, n.row.tried
	return n
}

// die runs a life whose owner dies when the handler meets a record; nothing is
// written from then on. It tells whether that happened.
//
//tidy:bubble its callers run in one
func (b *bench) die(t *testing.T, at record.Position, run func(record.Handler) Func, l *list) (died bool, r Result, err error) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var dead atomic.Bool
	r, err = b.Run(ctx, b.stop, run(func(ctx context.Context, r *record.Record) error {
		if dead.Load() {
			return context.Canceled
		}
		if r.Position == at {
			dead.Store(true)
			b.mu.Lock()
			b.fail = record.ErrLeaseLost
			b.mu.Unlock()
			cancel(record.ErrLeaseLost)
			return context.Canceled
		}
		time.Sleep(10 * time.Millisecond)
		return l.handle(ctx, r)
	}))
	return dead.Load(), r, err
}

func byBatch(h record.Handler) Func {
	return BatchesFunc(func(ctx context.Context, b *record.Batch) error {
		for _, r := range b.Records {
			if err := h(ctx, r); err != nil {
				return err
			}
		}
		return nil
	})
}

// Worker after worker dies of one record until it alone meets the policy. Every
// other record is handled.
func TestARecordThatKillsItsWorkerMeetsTheFailurePolicyAlone(t *testing.T) {
	type outcome struct {
		r    Result
		err  error
		b    *bench
		l    *list
		died int
	}
	live := func(t *testing.T, at record.Position, answers []fetch.Answer, run func(record.Handler) Func, change func(*Policy)) (o outcome) {
		b := setUp(change)
		b.answers, o.l = answers, &list{}
		for {
			died, r, err := b.die(t, at, run, o.l)
			if !died {
				o.r, o.err, o.b = r, err, b
				return o
			}
			if o.died++; o.died > 20 {
				t.Fatal("20 workers died, and nobody blames the record")
			}
			b = b.after(true, change)
		}
	}
	all := func(t *testing.T, o outcome, want []string, without string) {
		t.Helper()
		got := slices.Compact(slices.Sorted(slices.Values(o.l.got)))
		slices.Sort(want)
		want = slices.DeleteFunc(want, func(p string) bool { return p == without })
		if !slices.Equal(got, want) {
			t.Errorf("handled %v\nwant    %v", got, want)
		}
	}
	killer := record.Position{Sequence: "150"}
	answers := func() []fetch.Answer {
		return []fetch.Answer{{Records: numbers(101, 30)}, {Records: numbers(131, 40)}}
	}
	var hundred []string
	for i := 101; i <= 170; i++ {
		hundred = append(hundred, fmt.Sprintf("%d/0", i))
	}
	for name, run := range map[string]func(record.Handler) Func{"records": Records, "batches": byBatch} {
		for _, parallel := range []int{1, 4} {
			bubble(t, fmt.Sprintf("skip, %s, %d at once", name, parallel), func(t *testing.T) {
				o := live(t, killer, answers(), run, func(p *Policy) { p.OnError, p.MaxAttempts, p.MaxCrashes, p.Parallel = Skip, 5, 3, parallel })
				if o.err != nil || !o.r.Ended || o.b.count(observe.RecordsKilling) != 1 || o.b.count(observe.RecordsSkipped) != 1 {
					t.Errorf("%+v, %v, counted %v", o.r, o.err, o.b.counted)
				}
				if o.died != 5 { // two until reading is careful, one that walks up to it, two that try it alone
					t.Errorf("%d workers died", o.died)
				}
				all(t, o, slices.Clone(hundred), "150/0")
			})
		}
	}
	for _, c := range []struct{ max, right, before int }{{1, 3, 4}, {2, 3, 4}, {3, 4, 5}, {4, 5, 6}} {
		bubble(t, fmt.Sprintf("after how many deaths, at most %d", c.max), func(t *testing.T) {
			policy := func(p *Policy) { p.OnError, p.MaxAttempts, p.MaxCrashes = Skip, 5, c.max }
			right := live(t, record.Position{Sequence: "101"}, answers(), Records, policy) // behind the checkpoint at once
			before := live(t, killer, answers(), Records, policy)
			if right.died != c.right || before.died != c.before {
				t.Errorf("%d and %d workers died, want %d and %d", right.died, before.died, c.right, c.before)
			}
		})
	}
	bubble(t, "dead letter", func(t *testing.T) {
		var dead []string
		refused := false
		o := live(t, killer, answers(), Records, func(p *Policy) {
			p.MaxCrashes = 2
			p.DeadLetter = func(_ context.Context, r *record.Record, err error) error {
				if !refused {
					refused = true
					return errors.New("queue is away")
				}
				if !errors.Is(err, record.ErrKillsProcess) {
					t.Errorf("told %v", err)
				}
				dead = append(dead, r.Position.String()+": "+err.Error())
				return nil
			}
		})
		if o.err != nil || !o.r.Ended || len(dead) != 1 || !strings.HasPrefix(dead[0], "150/0") || !strings.Contains(dead[0], "2 workers died while this record was handled") {
			t.Errorf("%+v, %v, dead letters %v", o.r, o.err, dead)
		}
		all(t, o, slices.Clone(hundred), "150/0")
	})
	bubble(t, "stop", func(t *testing.T) {
		o := live(t, killer, answers(), Records, func(p *Policy) { p.OnError, p.MaxCrashes = Stop, 3 })
		if !errors.Is(o.err, record.ErrKillsProcess) || !strings.Contains(o.err.Error(), "150/0") || !strings.HasSuffix(o.b.checkpoints(), "149/0") {
			t.Errorf("%+v, %v, checkpoints %s", o.r, o.err, o.b.checkpoints())
		}
	})
	bubble(t, "hold waits, and says what to do", func(t *testing.T) {
		b := setUp(func(p *Policy) { p.MaxCrashes = 3 })
		b.answers = []fetch.Answer{{Records: numbers(150, 5)}}
		b.At = record.Position{Sequence: "149"}
		b.Takeovers, b.Life.Suspect, b.Tried = 3, true, 2
		time.AfterFunc(time.Hour, func() { b.stop.Stop(Handoff) })
		var l list
		r, err := b.Run(t.Context(), b.stop, Records(l.handle))
		if err != nil || r.Stopped != Handoff || !r.Settled || l.String() != "" || b.checkpoints() != "" {
			t.Errorf("%+v, %v, handled %s, checkpoints %s", r, err, &l, b.checkpoints())
		}
		if log := b.log.String(); !strings.Contains(log, "sequence=150/0") || !strings.Contains(log, "key_hash=") || !strings.Contains(log, "raise o.MaxCrashes") ||
			strings.Count(log, "\n") > 70 {
			t.Errorf("%d lines of log:\n%.600s", strings.Count(log, "\n"), log)
		}
		// And with more patience it is handled.
		n := setUp(func(p *Policy) { p.MaxCrashes = 4 })
		n.answers, n.At = b.answers, b.At
		n.Takeovers, n.Life.Suspect, n.Tried = 3, true, 2
		if r, err := n.Run(t.Context(), n.stop, Records(l.handle)); err != nil || !r.Ended || l.String() != "150/0 151/0 152/0 153/0 154/0" {
			t.Errorf("%+v, %v, handled %s", r, err, &l)
		}
	})
	bubble(t, "a sub-record takes none of its aggregate along", func(t *testing.T) {
		in := []fetch.Answer{{Records: []fetch.Record{packed(t, 1, lane, 10, "a", "b", "c", "d"), packed(t, 2, nil, 0, "a", "b")}}}
		o := live(t, record.Position{Sequence: "1", SubSequence: 2}, in, Records, func(p *Policy) { p.OnError, p.MaxAttempts, p.MaxCrashes = Skip, 5, 3 })
		if o.err != nil || !o.r.Ended {
			t.Errorf("%+v, %v", o.r, o.err)
		}
		all(t, o, []string{"1/0", "1/1", "1/3", "2/0", "2/1"}, "")
	})
}

func TestCarefulReadingEndsWhenNobodyDies(t *testing.T) {
	start := func(n int) *bench {
		b := setUp(func(p *Policy) { p.Parallel, p.MaxCrashes = 4, 3 })
		b.answers = []fetch.Answer{{Records: numbers(1, n)}}
		b.Takeovers = 2
		return b
	}
	bubble(t, "after a thousand records", func(t *testing.T) {
		b := start(3000)
		var l list
		r, err := b.Run(t.Context(), b.stop, Records(l.handle))
		if err != nil || !r.Ended || len(l.got) != 3000 || b.row.suspect || b.row.writes != 2 {
			t.Errorf("%+v, %v, handled %d, %+v", r, err, len(l.got), b.row)
		}
		if n := len(b.at); n < 1000 || n > 1005 {
			t.Errorf("%d checkpoints", n)
		}
	})
	bubble(t, "after a minute", func(t *testing.T) {
		b := start(300)
		r, err := b.Run(t.Context(), b.stop, Records(func(context.Context, *record.Record) error {
			time.Sleep(time.Second)
			return nil
		}))
		if n := len(b.at); err != nil || !r.Ended || b.row.suspect || n < 60 || n > 110 {
			t.Errorf("%+v, %v, %+v, %d checkpoints", r, err, b.row, n)
		}
	})
	bubble(t, "nothing is written where nothing comes", func(t *testing.T) {
		b := start(0)
		b.open = true
		time.AfterFunc(time.Hour, func() { b.stop.Stop(Shutdown) })
		if r, err := b.Run(t.Context(), b.stop, Records((&list{}).handle)); err != nil || r.Stopped != Shutdown || b.row.writes != 0 {
			t.Errorf("%+v, %v, %+v", r, err, b.row)
		}
	})
	bubble(t, "stopped in the middle, it loses nothing and stays suspect", func(t *testing.T) {
		b := start(50)
		b.open = true
		var l list
		r, err := b.Run(t.Context(), b.stop, Records(func(ctx context.Context, r *record.Record) error {
			if r.Position.Sequence == "7" {
				b.stop.Stop(Handoff)
			}
			return l.handle(ctx, r)
		}))
		if err != nil || r.Stopped != Handoff || !r.Settled || !strings.HasSuffix(b.checkpoints(), "7/0") || !b.row.suspect || b.row.tried != 0 {
			t.Errorf("%+v, %v, checkpoints %s, %+v", r, err, b.checkpoints(), b.row)
		}
	})
	bubble(t, "stopped right behind the end of it, it loses nothing", func(t *testing.T) {
		b := start(1500)
		var handled atomic.Int64
		r, err := b.Run(t.Context(), b.stop, Records(func(context.Context, *record.Record) error {
			n := handled.Add(1)
			if n == calmRecords {
				time.AfterFunc(0, func() { b.stop.Stop(Shutdown) })
			}
			if n > calmRecords {
				time.Sleep(time.Second)
			}
			return nil
		}))
		if err != nil || r.Ended || r.Stopped != Shutdown || b.at[len(b.at)-1].Sequence == "1500" {
			t.Errorf("%+v, %v, checkpoint %v", r, err, b.at[len(b.at)-1])
		}
	})
}

// What merely fails is retried as ever, however often its workers are redeployed,
// and what merely lives in a process that dies is not blamed either.
func TestOnlyWhatKillsIsBlamed(t *testing.T) {
	bubble(t, "a handler that fails", func(t *testing.T) {
		b := setUp(func(p *Policy) { p.MaxCrashes = 3 })
		b.answers, b.Takeovers = []fetch.Answer{{Records: numbers(1, 3)}}, 2
		b.row.takeovers = 2
		for range 10 {
			time.AfterFunc(time.Minute, func() { b.stop.Stop(Shutdown) })
			if _, err := b.Run(t.Context(), b.stop, Records(func(context.Context, *record.Record) error { return errors.New("boom") })); err != nil {
				t.Fatal(err)
			}
			if b.row.tried != 0 || b.count(observe.HandlerErrors) == 0 {
				t.Fatalf("%+v, %v", b.row, b.counted)
			}
			b = b.after(true, func(p *Policy) { p.MaxCrashes = 3 })
		}
	})
	bubble(t, "a slow record beside one that kills", func(t *testing.T) {
		// Two shards of one process: the first one's record kills after a
		// second, the other one's takes ten.
		policy := func(p *Policy) { p.OnError, p.MaxAttempts, p.MaxCrashes = Skip, 5, 3 }
		one, two := setUp(policy), setUp(policy)
		one.answers, two.answers = []fetch.Answer{{Records: numbers(1, 3)}}, []fetch.Answer{{Records: numbers(1, 3)}}
		killed, handled := list{}, list{}
		for deaths := 0; ; deaths++ {
			if deaths > 20 {
				t.Fatal("nobody blames the record")
			}
			two.Policy = one.Policy
			ctx, cancel := context.WithCancelCause(t.Context())
			died := false
			ends := make(chan error, 2)
			go func() {
				_, err := one.Run(ctx, one.stop, Records(func(ctx context.Context, r *record.Record) error {
					time.Sleep(time.Second)
					if r.Position.Sequence == "2" && ctx.Err() == nil {
						died = true
						one.mu.Lock()
						one.fail = record.ErrLeaseLost
						one.mu.Unlock()
						two.mu.Lock()
						two.fail = record.ErrLeaseLost
						two.mu.Unlock()
						cancel(record.ErrLeaseLost)
						return context.Canceled
					}
					return killed.handle(ctx, r)
				}))
				ends <- err
			}()
			go func() {
				_, err := two.Run(ctx, two.stop, Records(func(ctx context.Context, r *record.Record) error {
					select {
					case <-time.After(10 * time.Second):
						return handled.handle(ctx, r)
					case <-ctx.Done():
						return context.Cause(ctx)
					}
				}))
				ends <- err
			}()
			<-ends
			<-ends
			cancel(nil)
			if !died {
				break
			}
			one, two = one.after(true, policy), two.after(true, policy)
		}
		if !strings.HasSuffix(killed.String(), "3/0") || !strings.HasPrefix(handled.String(), "1/0") || !strings.HasSuffix(handled.String(), "3/0") || two.count(observe.RecordsKilling) != 0 {
			t.Errorf("beside the one that kills %s, on the other shard %s, blamed there: %d", &killed, &handled, two.count(observe.RecordsKilling))
		}
	})
	bubble(t, "and nothing without a limit", func(t *testing.T) {
		b := setUp()
		b.answers = []fetch.Answer{{Records: numbers(1, 3)}}
		b.Takeovers, b.Life.Suspect, b.Tried = 100, true, 100
		var l list
		if r, err := b.Run(t.Context(), b.stop, Records(l.handle)); err != nil || !r.Ended || l.String() != "1/0 2/0 3/0" {
			t.Errorf("%+v, %v, %s", r, err, &l)
		}
	})
}

func TestAStoreThatIsAwayHoldsCarefulReading(t *testing.T) {
	bubble(t, "for a minute", func(t *testing.T) {
		b := setUp(func(p *Policy) { p.MaxCrashes = 3 })
		b.answers, b.Takeovers = []fetch.Answer{{Records: numbers(1, 3)}}, 2
		b.fail = errors.New("store is away")
		began := time.Now()
		time.AfterFunc(time.Minute, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.fail = nil
		})
		r, err := b.Run(t.Context(), b.stop, Records(func(context.Context, *record.Record) error {
			if time.Since(began) < time.Minute {
				t.Error("a record is tried before that was written")
			}
			return nil
		}))
		if err != nil || !r.Ended || b.checkpoints() != "1/0 2/0 3/0" {
			t.Errorf("%+v, %v, checkpoints %s", r, err, b.checkpoints())
		}
	})
}
