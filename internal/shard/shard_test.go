package shard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/internal/fetch"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/quiet"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

// bench is a shard on a table: answers that a test hands in, and a lease that
// remembers what is written.
type bench struct {
	*Life
	log  bytes.Buffer
	stop *Brake

	mu      sync.Mutex
	answers []fetch.Answer
	froms   []fetch.From
	at      []record.Position
	times   []time.Time
	seen    []time.Time // stored with positions, and later ones of the same
	marks   [][]byte
	fail    error // of the next writes
	counted map[observe.Counter]int64
	row     suspects
	open    bool // behind the answers nothing comes; else the end of the shard
}

type counter struct {
	observe.Nop
	b *bench
}

func (c counter) Count(k observe.Counter, _ observe.Where, n int64) {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	c.b.counted[k] += n
}

func setUp(change ...func(*Policy)) *bench {
	b := &bench{stop: NewBrake(), counted: map[observe.Counter]int64{}}
	log := slog.New(slog.NewTextHandler(&b.log, nil))
	p := &Policy{CheckpointEvery: 5 * time.Second, Parallel: 1, Log: log, Warn: quiet.New(log), Observer: counter{b: b}}
	for _, f := range change {
		f(p)
	}
	b.Life = &Life{Policy: p, ID: "shardId-000000000001", Stream: "orders", Range: keyspace.Full, Possession: 3, Lease: b, Source: b.source}
	return b
}

func (b *bench) Checkpoint(_ context.Context, p record.Position, seen time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return b.fail
	}
	b.seen = append(b.seen, seen)
	if len(b.at) > 0 && b.at[len(b.at)-1] == p || p == b.At {
		return nil // only its time is new
	}
	b.at = append(b.at, p)
	b.row.takeovers, b.row.tried = 0, 0
	b.times = append(b.times, time.Now())
	return nil
}

func (b *bench) SaveMarks(_ context.Context, m []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return b.fail
	}
	b.marks = append(b.marks, m)
	return nil
}

// suspects is what a lease keeps about records that kill.
type suspects struct {
	takeovers, tried int
	suspect          bool
	writes           int
}

func (b *bench) Suspect(_ context.Context, tried int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return b.fail
	}
	b.row.suspect, b.row.tried = true, tried
	b.row.writes++
	return nil
}

func (b *bench) Died(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return b.fail
	}
	b.row.takeovers++
	return nil
}

func (b *bench) Calm(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return b.fail
	}
	b.row = suspects{writes: b.row.writes + 1}
	return nil
}

func (b *bench) source(ctx context.Context, from fetch.From, deliver func(context.Context, fetch.Answer) error) error {
	b.mu.Lock()
	b.froms = append(b.froms, from)
	answers, open := b.answers, b.open
	b.mu.Unlock()
	for i, a := range answers {
		a.Records = slices.DeleteFunc(slices.Clone(a.Records), func(r fetch.Record) bool {
			return from.Sequence != "" && record.CompareSequence(r.Sequence, from.Sequence) < 0
		})
		a.End = !open && i == len(answers)-1
		if err := deliver(ctx, a); err != nil {
			return err
		}
	}
	if open {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (b *bench) checkpoints() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, p := range b.at {
		out = append(out, p.String())
	}
	return strings.Join(out, " ")
}

func (b *bench) count(c observe.Counter) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.counted[c]
}

// plain is a Kinesis record that is no aggregate.
func plain(seq int, key string) fetch.Record {
	return fetch.Record{Sequence: fmt.Sprint(seq), Key: key, Data: fmt.Append(nil, seq), Arrival: time.Now()}
}

// packed is an aggregate of keys; with a lane their counters start at first.
func packed(t *testing.T, seq int, id *aggregate.Identity, first uint64, keys ...string) fetch.Record {
	t.Helper()
	var a aggregate.Builder
	a.Reset(id)
	for i, k := range keys {
		if err := a.Add(aggregate.Sub{Key: k, Data: fmt.Appendf(nil, "%d/%d", seq, i)}, first+uint64(i)); err != nil {
			t.Fatal(err)
		}
	}
	return fetch.Record{Sequence: fmt.Sprint(seq), Key: "a", Data: a.AppendTo(nil), Arrival: time.Now()}
}

var lane = &aggregate.Identity{Producer: [16]byte{1}, Laned: true, Range: keyspace.Full}

func numbers(from, n int) []fetch.Record {
	var out []fetch.Record
	for i := from; i < from+n; i++ {
		out = append(out, plain(i, fmt.Sprint("key", i%3)))
	}
	return out
}

// list is a handler that remembers.
type list struct {
	mu  sync.Mutex
	got []string
}

func (l *list) handle(_ context.Context, r *record.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.got = append(l.got, r.Position.String())
	return nil
}

func (l *list) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.got, " ")
}

func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

func TestRecordsAreDeliveredInOrderToTheEnd(t *testing.T) {
	bubble(t, "handler", func(t *testing.T) {
		b := setUp()
		b.answers = []fetch.Answer{{Records: numbers(1, 3)}, {}, {Records: []fetch.Record{packed(t, 4, nil, 0, "a", "b")}}}
		var l list
		r, err := b.Run(t.Context(), b.stop, Records(l.handle))
		if err != nil || !r.Ended || l.String() != "1/0 2/0 3/0 4/0 4/1" || b.checkpoints() != "4/1" {
			t.Errorf("%+v, %v, %s, checkpoints %s", r, err, &l, b.checkpoints())
		}
	})
	bubble(t, "batches", func(t *testing.T) {
		b := setUp()
		b.answers = []fetch.Answer{{Records: numbers(1, 3)}, {Records: numbers(4, 2), Behind: time.Second}}
		var got []string
		r, err := b.Run(t.Context(), b.stop, BatchesFunc(func(_ context.Context, x *record.Batch) error {
			got = append(got, fmt.Sprint(len(x.Records), x.End, x.Behind))
			return nil
		}))
		if err != nil || !r.Ended || fmt.Sprint(got) != "[3 3/0 0s 2 5/0 1s]" {
			t.Errorf("%+v, %v, %v", r, err, got)
		}
	})
}

func TestARestartInMidAggregateResumesAtTheNextSubRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setUp()
		b.At = record.Position{Sequence: "4", SubSequence: 1}
		b.answers = []fetch.Answer{{Records: []fetch.Record{plain(3, "k"), packed(t, 4, lane, 10, "a", "b", "c", "d"), plain(5, "k")}}}
		var l list
		if _, err := b.Run(t.Context(), b.stop, Records(l.handle)); err != nil || l.String() != "4/2 4/3 5/0" {
			t.Errorf("%s, %v", &l, err)
		}
		if b.froms[0].Sequence != "4" {
			t.Errorf("reading started at %+v", b.froms[0])
		}
	})
}

func TestAMalformedAggregateIsDeliveredRawAndCostsNoNeighbour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setUp()
		bad := packed(t, 2, nil, 0, "a")
		bad.Data = aggregateOf([]byte("\x1a\x02\x08\x07")) // a record without data, of a key that is not there
		b.answers = []fetch.Answer{{Records: []fetch.Record{plain(1, "k"), bad, packed(t, 3, nil, 0, "a", "b")}}}
		var l list
		var raw []byte
		_, err := b.Run(t.Context(), b.stop, Records(func(ctx context.Context, r *record.Record) error {
			if r.Position.Sequence == "2" {
				raw = r.Data
			}
			return l.handle(ctx, r)
		}))
		if err != nil || l.String() != "1/0 2/0 3/0 3/1" || !bytes.Equal(raw, bad.Data) || b.count(observe.Malformed) != 1 {
			t.Errorf("%s, %v, %x, %d counted", &l, err, raw, b.count(observe.Malformed))
		}
	})
}

func TestCheckpointsAreRareAndNeverAheadOfTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setUp()
		b.open = true
		b.answers = []fetch.Answer{{Records: numbers(1, 30)}}
		handled := 0
		began := time.Now()
		check := func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			if n := len(b.at); n > 0 && b.at[n-1].Compare(record.Position{Sequence: fmt.Sprint(handled)}) > 0 {
				t.Errorf("checkpoint %v, handled %d", b.at[n-1], handled)
			}
		}
		done := make(chan error)
		go func() {
			_, err := b.Run(t.Context(), b.stop, Records(func(context.Context, *record.Record) error {
				time.Sleep(time.Second)
				check()
				handled++
				return nil
			}))
			done <- err
		}()
		time.Sleep(time.Hour)
		b.stop.Stop(Shutdown)
		if err := <-done; err != nil {
			t.Error(err)
		}
		// 30 s of progress, then an hour without any.
		if n := len(b.at); n < 5 || n > 7 || b.at[n-1].Sequence != "30" {
			t.Errorf("checkpoints %s", b.checkpoints())
		}
		for i, at := range b.times {
			before := began
			if i > 0 {
				before = b.times[i-1]
			}
			if at.Sub(before) < 5*time.Second {
				t.Errorf("checkpoint %d came %v after the one before", i, at.Sub(before))
			}
		}
	})
}

func TestAHangingHandlerDoesNotHoldBackTheCheckpointOfWhatIsFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setUp()
		b.answers = []fetch.Answer{{Records: numbers(1, 3)}}
		go b.Run(t.Context(), b.stop, Records(func(ctx context.Context, r *record.Record) error {
			if r.Position.Sequence == "3" {
				<-ctx.Done()
			}
			return nil
		}))
		time.Sleep(6 * time.Second)
		if got := b.checkpoints(); got != "2/0" {
			t.Errorf("checkpoints %s", got)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := strings.Count(b.log.String(), "running for long"); n != 1 || !strings.Contains(b.log.String(), "key_hash=") ||
			!strings.Contains(b.log.String(), "shardId-000000000001") || strings.Contains(b.log.String(), "key0 ") {
			t.Errorf("%d warnings:\n%s", n, &b.log)
		}
	})
}

// Nobody is told of a handler that has returned.
func TestAnIdleShardHasNoSlowHandler(t *testing.T) {
	var l list
	for name, f := range map[string]Func{"records": Records(l.handle), "batches": byBatch(l.handle)} {
		for _, parallel := range []int{1, 2} {
			bubble(t, fmt.Sprint(name, parallel), func(t *testing.T) {
				b := setUp(func(p *Policy) { p.Parallel = parallel })
				b.open = true
				b.answers = []fetch.Answer{{Records: numbers(1, 2)}}
				ended := make(chan error)
				go func() {
					_, err := b.Run(t.Context(), b.stop, f)
					ended <- err
				}()
				time.Sleep(time.Hour)
				b.stop.Stop(Shutdown)
				if err := <-ended; err != nil || strings.Contains(b.log.String(), "running for long") {
					t.Errorf("%v, log:\n%s", err, &b.log)
				}
			})
		}
	}
}

func TestManualCheckpointsOutOfRangeAreClearErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setUp()
		b.At = record.Position{Sequence: "2"}
		b.answers = []fetch.Answer{{Records: numbers(1, 5)}, {Records: numbers(6, 5)}}
		_, err := b.Run(t.Context(), b.stop, func(ctx context.Context, s *Shard) error {
			if s.ID() != "shardId-000000000001" || s.Stream() != "orders" || s.Possession() != 3 || s.Start().Sequence != "2" || len(s.Parents()) != 0 {
				t.Errorf("%+v", s)
			}
			first := true
			for x, err := range s.Batches() {
				if err != nil {
					return err
				}
				if !first {
					if err := s.Checkpoint(ctx, x.End); err != nil {
						return err
					}
					continue
				}
				first = false
				for _, c := range []struct {
					at   record.Position
					want string
				}{
					{record.Position{Sequence: "6"}, "not delivered yet"},
					{record.Position{Sequence: "1"}, "never go back"},
					{record.Position{}, "is no record"},
					{record.ShardEnd, "before the end"},
					{record.Position{Sequence: "2"}, ""}, // as it is
					{record.Position{Sequence: "5"}, ""},
					{record.Position{Sequence: "4"}, "never go back"},
				} {
					err := s.Checkpoint(ctx, c.at)
					if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
						t.Errorf("checkpoint at %v: %v, want %q", c.at, err, c.want)
					}
				}
			}
			if s.Ending() != ShardEnd {
				t.Errorf("ending %v", s.Ending())
			}
			return s.Checkpoint(ctx, record.ShardEnd)
		})
		if err != nil || b.checkpoints() != "5/0 10/0" {
			t.Errorf("%v, checkpoints %s", err, b.checkpoints())
		}
	})
}

func TestReturningEarlyGivesTheLeaseBackAndEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setUp()
		b.answers = []fetch.Answer{{Records: numbers(1, 5)}}
		// The one batch there is is the last; it was not drained.
		r, err := b.Run(t.Context(), b.stop, func(_ context.Context, s *Shard) error {
			for range s.Batches() {
				return nil
			}
			return nil
		})
		if err != nil || r.Ended || !r.GivenBack || b.checkpoints() != "" {
			t.Errorf("%+v, %v, checkpoints %s", r, err, b.checkpoints())
		}
	})
}

func TestTheContextEndsWithItsCauseAndWhatWasFinishedIsWritten(t *testing.T) {
	for cause, written := range map[error]string{record.ErrGraceOver: "1/0", record.ErrLeaseLost: ""} {
		bubble(t, cause.Error(), func(t *testing.T) {
			b := setUp()
			b.answers = []fetch.Answer{{Records: numbers(1, 3)}}
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			done := make(chan error)
			go func() {
				_, err := b.Run(ctx, b.stop, Records(func(ctx context.Context, r *record.Record) error {
					if r.Position.Sequence == "1" {
						return nil
					}
					<-ctx.Done()
					return context.Cause(ctx)
				}))
				done <- err
			}()
			synctest.Wait()
			cancel(cause)
			if err := <-done; !errors.Is(err, cause) {
				t.Errorf("ended with %v", err)
			}
			if got := b.checkpoints(); got != written {
				t.Errorf("checkpoints %q, want %q", got, written)
			}
		})
	}
}
