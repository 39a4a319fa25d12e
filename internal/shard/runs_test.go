package shard

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/internal/fetch"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

// abroad is a host that notes what it gets and does what a test says.
type abroad struct {
	mu   sync.Mutex
	runs []string
	do   func(ctx context.Context, s *Shard, r *Run) ([]Failure, error)
}

func (a *abroad) host(ctx context.Context, s *Shard, r *Run) ([]Failure, error) {
	var names []string
	for i, one := range r.Records {
		name := one.Position.Sequence
		if r.Attempts[i] > 1 {
			name += fmt.Sprint("#", r.Attempts[i])
		}
		names = append(names, name)
	}
	a.mu.Lock()
	a.runs = append(a.runs, strings.Join(names, ","))
	a.mu.Unlock()
	return a.do(ctx, s, r)
}

func (a *abroad) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Join(a.runs, " ")
}

// runsOf makes a function of runs of n records.
func runsOf(n int, a *abroad) Func {
	return Runs(RunOptions{Room: func(*Shard) int { return n }, Cost: func(*record.Record) int { return 1 }}, a.host)
}

func allDone(_ context.Context, _ *Shard, r *Run) ([]Failure, error) {
	r.Done(0, len(r.Records))
	return nil, nil
}

var errBad = errors.New("bad record")

// bad fails records the first n times, and in order: what lies behind is not begun.
func bad(seq string, n int) func(context.Context, *Shard, *Run) ([]Failure, error) {
	return func(_ context.Context, _ *Shard, r *Run) ([]Failure, error) {
		for i, one := range r.Records {
			if one.Position.Sequence == seq && r.Attempts[i] <= n {
				return []Failure{{i, errBad}}, nil
			}
			r.Done(i, i+1)
		}
		return nil, nil
	}
}

func TestRunsCoverAShardInOrder(t *testing.T) {
	bubble(t, "to its end", func(t *testing.T) {
		b := setUp()
		b.answers = []fetch.Answer{{Records: numbers(1, 5)}, {}, {Records: []fetch.Record{packed(t, 6, nil, 0, "a", "b")}}}
		a := &abroad{do: allDone}
		r, err := b.Run(t.Context(), b.stop, runsOf(2, a))
		if err != nil || !r.Ended || !r.Settled || a.String() != "1,2 3,4 5 6,6" || b.checkpoints() != "6/1" || b.Snapshot().Unhandled != 0 {
			t.Errorf("%+v, %v, %s, checkpoints %s", r, err, a, b.checkpoints())
		}
	})
	bubble(t, "what is done moves the checkpoint while the run goes on", func(t *testing.T) {
		b := setUp()
		b.answers = []fetch.Answer{{Records: numbers(1, 4)}}
		a := &abroad{do: func(ctx context.Context, _ *Shard, r *Run) ([]Failure, error) {
			r.Done(0, 2)
			r.Done(0, 2)  // again
			r.Done(3, 99) // out of order, and beyond
			r.Done(-5, 0)
			pause(ctx, nil, 6*time.Second)
			if got := b.checkpoints(); got != "2/0" {
				t.Error(got)
			}
			if got := b.Snapshot().Unhandled; got != 1 {
				t.Error(got, "unhandled")
			}
			r.Done(2, 3)
			return nil, nil
		}}
		if _, err := b.Run(t.Context(), b.stop, runsOf(10, a)); err != nil || b.checkpoints() != "2/0 4/0" {
			t.Error(err, b.checkpoints())
		}
	})
	bubble(t, "a run that was over changes nothing", func(t *testing.T) {
		b := setUp()
		b.answers = []fetch.Answer{{Records: numbers(1, 2)}}
		var old *Run
		a := &abroad{}
		a.do = func(_ context.Context, _ *Shard, r *Run) ([]Failure, error) {
			if old != nil {
				old.Done(0, 2)
				if got := b.Snapshot().Unhandled; got != 1 {
					t.Error(got, "unhandled")
				}
			}
			old = r
			r.Done(0, 1)
			return nil, nil
		}
		if _, err := b.Run(t.Context(), b.stop, runsOf(10, a)); err != nil || a.String() != "1,2 2" {
			t.Error(err, a)
		}
	})
	bubble(t, "a handler that is slow is told of", func(t *testing.T) {
		b := setUp()
		b.answers = []fetch.Answer{{Records: numbers(1, 2)}}
		a := &abroad{do: func(ctx context.Context, _ *Shard, r *Run) ([]Failure, error) {
			pause(ctx, nil, 20*time.Second)
			r.Done(0, 1)
			pause(ctx, nil, 31*time.Second)
			r.Done(1, 2)
			return nil, nil
		}}
		_, err := b.Run(t.Context(), b.stop, runsOf(10, a))
		synctest.Wait()
		if err != nil || strings.Count(b.log.String(), "running for long") != 1 || !strings.Contains(b.log.String(), "sequence=2/0") {
			t.Error(err, b.log.String())
		}
	})
}

func TestRecordsOfRunsMeetThePolicyAlone(t *testing.T) {
	for _, c := range []struct {
		name   string
		policy func(*Policy)
		do     func(context.Context, *Shard, *Run) ([]Failure, error)
		runs   string
		fails  string
	}{
		{"hold", func(*Policy) {}, bad("2", 2), "1,2,3 2#2,3,4 2#3,3,4", ""},
		{"skip", func(p *Policy) { p.OnError, p.MaxAttempts = Skip, 2 }, bad("2", 9), "1,2,3 2#2,3,4 3,4", ""},
		{"stop", func(p *Policy) { p.OnError, p.MaxAttempts = Stop, 2 }, bad("2", 9), "1,2,3 2#2,3,4", "record 2/0: handler failed 2 times: bad record"},
		{"nonsense", func(*Policy) {}, func(_ context.Context, _ *Shard, r *Run) ([]Failure, error) {
			r.Done(0, len(r.Records))
			return []Failure{{-1, errBad}, {0, errBad}, {77, errBad}}, nil
		}, "1,2,3 4", ""},
		{"panic", func(p *Policy) { p.OnError, p.MaxAttempts = Stop, 1 }, func(context.Context, *Shard, *Run) ([]Failure, error) { panic("oh") }, "1,2,3", "panic: oh"},
	} {
		bubble(t, c.name, func(t *testing.T) {
			b := setUp(c.policy)
			b.answers = []fetch.Answer{{Records: numbers(1, 4)}}
			a := &abroad{do: c.do}
			_, err := b.Run(t.Context(), b.stop, runsOf(3, a))
			if a.String() != c.runs || (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%s, %v", a, err)
			}
		})
	}
	bubble(t, "dead letters", func(t *testing.T) {
		var buried []string
		b := setUp(func(p *Policy) {
			p.MaxAttempts = 1
			p.DeadLetter = func(_ context.Context, r *record.Record, err error) error {
				if buried = append(buried, r.Position.Sequence+err.Error()); len(buried) == 1 {
					return errors.New("not now")
				}
				return nil
			}
		})
		b.answers = []fetch.Answer{{Records: numbers(1, 3)}}
		a := &abroad{do: bad("2", 9)}
		if _, err := b.Run(t.Context(), b.stop, runsOf(3, a)); err != nil || fmt.Sprint(buried) != "[2bad record 2bad record]" || a.String() != "1,2,3 2#2,3 3" {
			t.Error(err, buried, a)
		}
		if b.count(observe.HandlerErrors) != 2 || b.count(observe.RecordsSkipped) != 1 || b.checkpoints() != "3/0" {
			t.Error(b.counted, b.checkpoints())
		}
	})
	bubble(t, "one that is not begun comes again, a little later", func(t *testing.T) {
		b := setUp()
		b.answers = []fetch.Answer{{Records: numbers(1, 2)}}
		a, began := &abroad{}, time.Now()
		a.do = func(ctx context.Context, s *Shard, r *Run) ([]Failure, error) {
			if time.Since(began) < time.Second {
				return nil, nil
			}
			return allDone(ctx, s, r)
		}
		if _, err := b.Run(t.Context(), b.stop, runsOf(3, a)); err != nil || len(a.runs) != 11 {
			t.Error(err, a)
		}
	})
}

func TestAFailedRecordHoldsUpItsKeyOnlyWhereRunsAreParallel(t *testing.T) {
	bubble(t, "others go on", func(t *testing.T) {
		b := setUp(func(p *Policy) { p.Parallel = 2 })
		b.answers = []fetch.Answer{{Records: numbers(1, 4)}, {Records: numbers(5, 4)}} // 1, 4, 7 have one key
		failing := true
		a := &abroad{}
		a.do = func(_ context.Context, _ *Shard, r *Run) ([]Failure, error) {
			var failed []Failure
			blocked := map[string]bool{}
			for i, one := range r.Records {
				if one.Position.Sequence == "1" && failing {
					failed = append(failed, Failure{i, errBad})
					blocked[one.PartitionKey] = true
				}
				if !blocked[one.PartitionKey] {
					r.Done(i, i+1)
				}
				if one.Position.Sequence == "8" {
					failing = false
				}
			}
			if got := b.checkpoints(); got != "" {
				t.Error("checkpoint ahead of the first record:", got)
			}
			return failed, nil
		}
		r, err := b.Run(t.Context(), b.stop, runsOf(4, a))
		last := a.runs[len(a.runs)-1]
		if err != nil || !r.Ended || b.checkpoints() != "8/0" || !strings.HasPrefix(a.String(), "1,2,3,4 5,6,8 ") || !strings.HasPrefix(last, "1#") || !strings.HasSuffix(last, ",4,7") {
			t.Error(r, err, a, b.checkpoints())
		}
	})
}

func TestAShardOfRunsStops(t *testing.T) {
	bubble(t, "within a run", func(t *testing.T) {
		b := setUp()
		b.answers, b.open = []fetch.Answer{{Records: numbers(1, 4)}}, true
		a := &abroad{do: func(_ context.Context, s *Shard, r *Run) ([]Failure, error) {
			r.Done(0, 1)
			b.stop.Stop(Handoff)
			<-Stopping(s).Done()
			r.Done(1, 2)
			return nil, nil
		}}
		r, err := b.Run(t.Context(), b.stop, runsOf(3, a))
		if err != nil || r.Stopped != Handoff || !r.Settled || a.String() != "1,2,3" || b.checkpoints() != "2/0" {
			t.Errorf("%+v, %v, %s, %s", r, err, a, b.checkpoints())
		}
	})
	bubble(t, "while a record waits for its next attempt", func(t *testing.T) {
		b := setUp()
		b.answers, b.open = []fetch.Answer{{Records: numbers(1, 4)}}, true
		time.AfterFunc(time.Minute, func() { b.stop.Stop(Shutdown) })
		r, err := b.Run(t.Context(), b.stop, runsOf(3, &abroad{do: bad("3", 1<<30)}))
		if err != nil || r.Stopped != Shutdown || b.checkpoints() != "2/0" {
			t.Errorf("%+v, %v, %s", r, err, b.checkpoints())
		}
	})
	bubble(t, "its lease is lost", func(t *testing.T) {
		b := setUp()
		b.answers, b.open = []fetch.Answer{{Records: numbers(1, 4)}}, true
		a := &abroad{do: func(ctx context.Context, _ *Shard, r *Run) ([]Failure, error) {
			b.mu.Lock()
			b.fail = record.ErrLeaseLost
			b.mu.Unlock()
			r.Done(0, 1)
			<-ctx.Done()
			r.Done(1, 2)
			return nil, nil
		}}
		_, err := b.Run(t.Context(), b.stop, runsOf(3, a))
		if !errors.Is(err, record.ErrLeaseLost) || b.checkpoints() != "" || a.String() != "1,2,3" {
			t.Error(err, b.checkpoints(), a)
		}
	})
}

func TestADeathAbroadIsADeathAtTheCheckpoint(t *testing.T) {
	bubble(t, "within a run", func(t *testing.T) {
		b := setUp()
		b.row.takeovers = 1
		b.answers, b.open = []fetch.Answer{{Records: numbers(1, 4)}}, true
		a := &abroad{do: func(_ context.Context, _ *Shard, r *Run) ([]Failure, error) {
			r.Done(0, 1)
			return nil, fmt.Errorf("%w: end of file", ErrDied)
		}}
		r, err := b.Run(t.Context(), b.stop, runsOf(3, a))
		if err != nil || !r.GivenBack || b.checkpoints() != "1/0" || b.row.takeovers != 1 || a.String() != "1,2,3" {
			t.Errorf("%+v, %v, %s, %s, %+v", r, err, a, b.checkpoints(), b.row)
		}
	})
	bubble(t, "again", func(t *testing.T) {
		b := setUp()
		b.row.takeovers = 1
		b.answers, b.open = []fetch.Answer{{Records: numbers(1, 4)}}, true
		a := &abroad{do: func(context.Context, *Shard, *Run) ([]Failure, error) { return nil, ErrDied }}
		if _, err := b.Run(t.Context(), b.stop, runsOf(3, a)); err != nil || b.checkpoints() != "" || b.row.takeovers != 2 {
			t.Error(err, b.checkpoints(), b.row)
		}
	})
	bubble(t, "carefully, so that the record is found", func(t *testing.T) {
		b := setUp(func(p *Policy) { p.MaxCrashes, p.OnError = 3, Skip })
		b.answers = []fetch.Answer{{Records: numbers(1, 4)}}
		a := &abroad{do: func(_ context.Context, _ *Shard, r *Run) ([]Failure, error) {
			for i, one := range r.Records {
				if one.Position.Sequence == "3" {
					return nil, ErrDied
				}
				r.Done(i, i+1)
			}
			return nil, nil
		}}
		for deaths := 0; ; deaths++ {
			if deaths > 5 {
				t.Fatal(a, b.row)
			}
			next := setUp(func(p *Policy) { p.MaxCrashes, p.OnError = 3, Skip })
			next.answers, next.row = b.answers, b.row
			next.At, next.Takeovers, next.Tried, next.Life.Suspect = b.at0(), b.row.takeovers, b.row.tried, b.row.suspect
			b = next
			r, err := b.Run(t.Context(), b.stop, runsOf(4, a))
			if err != nil {
				t.Fatal(err)
			}
			if r.Ended {
				break
			}
		}
		if !strings.HasSuffix(a.String(), " 4") || strings.Count(a.String(), "3") > 4 {
			t.Error(a)
		}
	})
}

// at0 is the checkpoint that the next owner finds.
func (b *bench) at0() record.Position {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.at) == 0 {
		return b.At
	}
	return b.at[len(b.at)-1]
}

func TestRunsOfBatchesAreDoneOrFailAsAWhole(t *testing.T) {
	bubble(t, "batches", func(t *testing.T) {
		var buried []string
		b := setUp(func(p *Policy) {
			p.MaxAttempts = 2
			p.DeadLetter = func(_ context.Context, r *record.Record, _ error) error {
				buried = append(buried, r.Position.Sequence)
				return nil
			}
		})
		b.answers = []fetch.Answer{{Records: numbers(1, 5)}}
		a := &abroad{do: func(_ context.Context, _ *Shard, r *Run) ([]Failure, error) {
			if r.Records[0].Position.Sequence == "3" {
				r.Done(0, 1) // no part of a batch counts
				return []Failure{{0, errBad}}, nil
			}
			r.Done(0, len(r.Records))
			return nil, nil
		}}
		f := Runs(RunOptions{Batch: true, Room: func(*Shard) int { return 2 }, Cost: func(*record.Record) int { return 1 }}, a.host)
		r, err := b.Run(t.Context(), b.stop, f)
		if err != nil || !r.Ended || a.String() != "1,2 3,4 3#2,4#2 5" || fmt.Sprint(buried) != "[3 4]" || b.checkpoints() != "5/0" {
			t.Errorf("%+v, %v, %s, %v, %s", r, err, a, buried, b.checkpoints())
		}
	})
}

// TestAnyHostKeepsThePromises lets a host do anything that the contract allows.
func TestAnyHostKeepsThePromises(t *testing.T) {
	for seed := range uint64(60) {
		bubble(t, fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			b := setUp(func(p *Policy) { p.Parallel, p.CheckpointEvery = 1+int(seed%2)*3, time.Second })
			const n = 60
			for i := 0; i < n; i += 6 {
				b.answers = append(b.answers, fetch.Answer{Records: numbers(i+1, 6)})
			}
			done := map[int]bool{}
			lastOf := map[string]int{} // of a key, handled last
			a := &abroad{do: func(ctx context.Context, _ *Shard, r *Run) (failures []Failure, err error) {
				for p := range strings.FieldsSeq(b.checkpoints()) {
					var at int
					_, _ = fmt.Sscanf(p, "%d/0", &at)
					for i := 1; i <= at; i++ {
						if !done[i] {
							t.Fatalf("checkpoint %d before %d is done", at, i)
						}
					}
				}
				blocked := map[string]bool{}
				for i, one := range r.Records {
					var seq int
					_, _ = fmt.Sscan(one.Position.Sequence, &seq)
					key := one.PartitionKey
					if b.Parallel == 1 {
						key = ""
					}
					switch {
					case blocked[key]:
						continue
					case rnd.IntN(8) == 0:
						failures = append(failures, Failure{i, errBad})
						blocked[key] = true
						continue
					case rnd.IntN(15) == 0:
						return failures, nil
					}
					if done[seq] || lastOf[key] >= seq {
						t.Errorf("%d behind %d of %q", seq, lastOf[key], key)
					}
					done[seq], lastOf[key] = true, seq
					r.Done(i, i+1)
					pause(ctx, nil, time.Duration(rnd.IntN(400))*time.Millisecond)
				}
				return failures, nil
			}}
			res, err := b.Run(t.Context(), b.stop, runsOf(1+rnd.IntN(9), a))
			if err != nil || !res.Ended || len(done) != n || b.at0().Sequence != fmt.Sprint(n) || b.Snapshot().Unhandled != 0 {
				t.Errorf("%+v, %v, %d done, at %v", res, err, len(done), b.at0())
			}
		})
	}
}
