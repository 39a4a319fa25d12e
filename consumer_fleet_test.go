package vegas_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/observe"
)

// ways of reading.
var ways = map[string]func(*vegas.ConsumerOptions){
	"polling": func(*vegas.ConsumerOptions) {},
	"fan-out": func(o *vegas.ConsumerOptions) { o.FanOut = true },
}

func TestWorkersShareAStreamEvenly(t *testing.T) {
	for n := 2; n <= 3; n++ {
		fleetBench(t, fmt.Sprint(n), 8, func(f *fleet) {
			for i := range n {
				f.start(fmt.Sprint("w", i))
			}
			f.send(10 * time.Second)
			f.even()
			if repeated := f.finish(); repeated > 0 {
				f.Errorf("%d records came twice", repeated)
			}
		})
	}
}

func TestACrashIsTakenOverWithinTheLeaseTimeAndASecond(t *testing.T) {
	for _, lease := range []time.Duration{2 * time.Second, 5 * time.Second} {
		fleetBench(t, lease.String(), 8, func(f *fleet) {
			short := func(o *vegas.ConsumerOptions) { o.LeaseTime = lease }
			rnd := rand.New(rand.NewPCG(1, 2))
			for i := range 3 {
				f.start(fmt.Sprint("w", i), short)
			}
			f.send(5 * time.Second)
			for i := range 6 {
				f.send(time.Duration(rnd.IntN(1000)) * time.Millisecond)
				time.Sleep(time.Duration(rnd.IntN(100)) * time.Millisecond)
				at := time.Now()
				f.members[0].crash()
				f.send(lease + 3*time.Second)
				if d := f.silence(at); d > lease+time.Second {
					f.Errorf("crash %d silenced a shard for %v", i, d)
				}
				f.start(fmt.Sprint("x", i), short)
				f.send(5 * time.Second)
				f.even()
			}
			f.Logf("%d records came again after six crashes", f.finish())
		})
	}
}

func TestAStopHandsOverAtOnceAndWithoutARepeat(t *testing.T) {
	for name, way := range ways {
		fleetBench(t, name, 8, func(f *fleet) {
			for i := range 3 {
				f.start(fmt.Sprint("w", i), way)
			}
			f.send(8 * time.Second)
			for len(f.members) > 1 {
				m, at := f.members[0], time.Now()
				go f.send(4 * time.Second)
				time.Sleep(30 * time.Millisecond)
				told := time.Now()
				m.stop()
				if d := time.Since(told); d > time.Second {
					f.Errorf("the stop took %v", d)
				}
				time.Sleep(4 * time.Second)
				for _, next := range f.members {
					for _, e := range next.seen(observe.Acquired, at) {
						if d := e.Time.Sub(told); d > 500*time.Millisecond || e.How != "handoff" {
							f.Errorf("%s went to %s by %s after %v", e.Where.Shard, next.name, e.How, d)
						}
					}
				}
				if name == "polling" { // a subscription may wait five seconds
					if d := f.silence(at); d > time.Second {
						f.Errorf("a shard was silent for %v", d)
					}
				}
				f.even()
			}
			if repeated := f.finish(); repeated > 0 {
				f.Errorf("%d records came twice", repeated)
			}
		})
	}
}

func TestAJoinerGetsItsShareWithoutARepeatOrASilence(t *testing.T) {
	for name, way := range ways {
		fleetBench(t, name, 8, func(f *fleet) {
			f.start("w0", way)
			f.start("w1", way)
			f.send(10 * time.Second)
			at := time.Now()
			f.start("w2", way)
			go f.send(8 * time.Second)
			f.Logf("even after %v", f.settle(5*time.Second))
			time.Sleep(time.Until(at.Add(9 * time.Second)))
			f.mu.Lock()
			last := f.got[len(f.got)-1].at
			f.mu.Unlock()
			if d := f.silence(at) - time.Since(last); d > 500*time.Millisecond {
				f.Errorf("a shard was silent for %v", d)
			}
			f.even()
			if repeated := f.finish(); repeated > 0 {
				f.Errorf("%d records came twice", repeated)
			}
		})
	}
}

func TestShardsSplitAndMergeWhileWorkersJoinAndLeave(t *testing.T) {
	fleetBench(t, "", 3, func(f *fleet) {
		rnd := rand.New(rand.NewPCG(3, 4))
		f.start("w0")
		f.start("w1")
		for i := range 12 {
			f.send(time.Duration(500+rnd.IntN(1500)) * time.Millisecond)
			reshard(f.T, f.srv, rnd)
			f.send(time.Duration(rnd.IntN(300)) * time.Millisecond)
			if len(f.members) > 1 && rnd.IntN(2) == 0 {
				f.members[rnd.IntN(len(f.members))].stop()
			} else {
				f.start(fmt.Sprint("x", i))
			}
		}
		f.send(3 * time.Second)
		time.Sleep(3 * time.Second)
		f.even()
		if repeated := f.finish(); repeated > 0 {
			f.Errorf("%d records came twice", repeated)
		}
	})
}

// Rows tell streams apart: a group may read several, with workers of one name.
func TestAGroupMayReadSeveralStreams(t *testing.T) {
	fleetBench(t, "", 4, func(f *fleet) {
		if err := f.srv.CreateStream("returns", 2); err != nil {
			f.Fatal(err)
		}
		f.start("w")
		other, err := vegas.NewConsumer("returns", "g", func(o *vegas.ConsumerOptions) {
			o.AWS, o.Store, o.Worker, o.Logger = f.srv.AWS(), f.rows, "w", slog.New(slog.NewTextHandler(&f.log, nil))
		})
		if err != nil {
			f.Fatal(err)
		}
		var got deliveries
		stop := startRun(f.T, other, func(_ context.Context, r *vegas.Record) error { got.add(r); return nil })
		for i := range 20 {
			if _, err := f.srv.Put("returns", "key", "", fmt.Append(nil, i)); err != nil {
				f.Fatal(err)
			}
		}
		f.send(5 * time.Second)
		if s, err := other.Admin().Inspect(f.Context(), false); err != nil || len(s.Workers) != 1 || len(s.Leases) != 2 {
			f.Errorf("%+v, %v", s, err)
		}
		if s := f.state(); len(s.Workers) != 1 || len(s.Leases) != 4 {
			f.Errorf("%+v", s)
		}
		if err := stop(); err != nil || got.len() != 20 {
			f.Errorf("%d records of the other stream, %v", got.len(), err)
		}
		if repeated := f.finish(); repeated > 0 {
			f.Errorf("%d records came twice", repeated)
		}
	})
}

// possessions are the fencing tokens that the functions of each shard had.
type possessions struct {
	mu   sync.Mutex
	last map[string]uint64
	n    int
}

func (p *possessions) follow(f *fleet) func(*member, context.Context, *vegas.Consumer) error {
	return func(m *member, ctx context.Context, c *vegas.Consumer) error {
		return c.RunShards(ctx, func(ctx context.Context, s *vegas.Shard) error {
			p.mu.Lock()
			if s.Possession() <= p.last[s.ID()] {
				f.Errorf("%s has %s under %d, after %d", m.name, s.ID(), s.Possession(), p.last[s.ID()])
			}
			p.last[s.ID()] = s.Possession()
			p.n++
			p.mu.Unlock()
			for b, err := range s.Batches() {
				if err != nil {
					return err
				}
				for _, r := range b.Records {
					if err := m.handle(ctx, r); err != nil {
						return err
					}
				}
				if err := s.Checkpoint(ctx, b.End); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

func TestPossessionRisesWithEveryOwner(t *testing.T) {
	fleetBench(t, "", 4, func(f *fleet) {
		p := &possessions{last: map[string]uint64{}}
		f.startWith("w0", p.follow(f))
		f.send(3 * time.Second)
		for i := range 6 {
			f.startWith(fmt.Sprint("x", i), p.follow(f)) // by handoff
			f.send(3 * time.Second)
			if m := f.members[0]; i%2 == 0 {
				m.crash()
				f.send(7 * time.Second)
			} else {
				m.stop()
				f.send(2 * time.Second)
			}
		}
		f.finish()
		if p.n < 20 {
			f.Errorf("%d possessions", p.n)
		}
	})
}

func TestMaxShardsBoundsAWorker(t *testing.T) {
	fleetBench(t, "", 6, func(f *fleet) {
		two := func(o *vegas.ConsumerOptions) { o.MaxShards = 2 }
		f.start("w0", two)
		f.start("w1", two)
		f.send(8 * time.Second)
		if s := f.spread(); s["w0"] != 2 || s["w1"] != 2 || len(s) > 2 {
			f.Errorf("shards are read by %v", s)
		}
		if s := f.members[0].c.Stats(); s.Waiting != 2 || len(s.Shards) != 2 {
			f.Errorf("%+v", s)
		}
		f.start("w2")
		f.send(5 * time.Second)
		f.even()
		// What stops leaves more than the other may take; the unbounded one takes it.
		f.members[0].stop()
		f.send(3 * time.Second)
		if s := f.spread(); s["w1"] != 2 || s["w2"] != 4 {
			f.Errorf("shards are read by %v", s)
		}
		if repeated := f.finish(); repeated > 0 {
			f.Errorf("%d records came twice", repeated)
		}
	})
}

// A shard whose handler does not return is not given away before it does, even
// though its context ended with the grace time.
func TestAHandlerThatIgnoresItsContextHoldsItsShardBack(t *testing.T) {
	fleetBench(t, "", 4, func(f *fleet) {
		const stuck = "shardId-000000000000"
		free := make(chan struct{})
		var mu sync.Mutex
		inside, most := 0, 0
		deaf := func(m *member, ctx context.Context, c *vegas.Consumer) error {
			return c.Run(ctx, func(ctx context.Context, r *vegas.Record) error {
				if r.Shard == stuck {
					mu.Lock()
					inside++
					most = max(most, inside)
					mu.Unlock()
					defer func() {
						mu.Lock()
						defer mu.Unlock()
						inside--
					}()
					<-free
				}
				return m.handle(ctx, r)
			})
		}
		short := func(o *vegas.ConsumerOptions) { o.Grace = time.Second }
		f.startWith("w0", deaf, short)
		f.send(3 * time.Second)
		f.startWith("w1", deaf, short)
		f.startWith("w2", deaf, short)
		f.startWith("w3", deaf, short)
		f.send(10 * time.Second)
		for _, l := range f.state().Leases {
			if l.Shard == stuck && l.Owner != "w0" {
				f.Errorf("%s has %s", l.Owner, stuck)
			}
		}
		close(free)
		f.send(5 * time.Second)
		f.even()
		f.Logf("%d records came again", f.finish())
		mu.Lock()
		defer mu.Unlock()
		if most != 1 {
			f.Errorf("%d handlers of %s at once", most, stuck)
		}
	})
}
