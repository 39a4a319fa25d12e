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
	"github.com/libvegas/vegas/internal/mark"
	"github.com/libvegas/vegas/internal/quiet"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

// bench is a shard on a table: answers that a test hands in, and a lease that
// remembers what is written.
type bench struct {
	*Life
	log  bytes.Buffer
	stop chan struct{}

	mu       sync.Mutex
	answers  []fetch.Answer
	froms    []fetch.From
	released int
	at       []record.Position
	times    []time.Time
	marks    [][]byte
	fail     error // of the next writes
	counted  map[observe.Counter]int64
	open     bool // behind the answers nothing comes; else the end of the shard
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
	b := &bench{stop: make(chan struct{}), counted: map[observe.Counter]int64{}}
	log := slog.New(slog.NewTextHandler(&b.log, nil))
	p := &Policy{CheckpointEvery: 5 * time.Second, Parallel: 1, Log: log, Warn: quiet.New(log), Observer: counter{b: b}}
	for _, f := range change {
		f(p)
	}
	b.Life = &Life{Policy: p, ID: "shardId-000000000001", Stream: "orders", Range: keyspace.Full, Possession: 3, Lease: b, Source: b.source}
	return b
}

func (b *bench) Checkpoint(_ context.Context, p record.Position) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return b.fail
	}
	b.at = append(b.at, p)
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

func TestDuplicatesMisplacedAndForeignRecords(t *testing.T) {
	low, high := keyspace.Split(2)[0], keyspace.Split(2)[1]
	var in, out []string // keys by the half they hash to
	for i := 0; len(in) < 3 || len(out) < 3; i++ {
		if k := fmt.Sprint("key", i); low.Has(keyspace.OfKey(k)) {
			in = append(in, k)
		} else {
			out = append(out, k)
		}
	}
	run := func(t *testing.T, b *bench) string {
		b.Range = low
		wide := &aggregate.Identity{Producer: [16]byte{2}, Laned: true, Range: keyspace.Full}
		narrow := &aggregate.Identity{Producer: [16]byte{3}, Laned: true, Range: high}
		b.answers = []fetch.Answer{{Records: []fetch.Record{
			packed(t, 1, wide, 1, in[0], out[0], in[1]), // the middle one is misplaced
			packed(t, 2, wide, 1, in[0], out[0], in[1]), // again, the answer was lost
			packed(t, 3, nil, 0, in[0], out[0]),         // foreign
			packed(t, 4, narrow, 1, out[1]),             // wholly misplaced
			packed(t, 5, wide, 4, in[2]),
		}}}
		var l list
		if _, err := b.Run(t.Context(), b.stop, Records(l.handle)); err != nil {
			t.Error(err)
		}
		if b.count(observe.Duplicates) != 2 || b.count(observe.Misplaced) != 3 || b.count(observe.Foreign) != 1 {
			t.Errorf("counted %v", b.counted)
		}
		return l.String()
	}
	bubble(t, "foreign delivered", func(t *testing.T) {
		if got := run(t, setUp()); got != "1/0 1/2 3/0 3/1 5/0" {
			t.Error(got)
		}
	})
	bubble(t, "foreign dropped", func(t *testing.T) {
		b := setUp(func(p *Policy) { p.DropForeign = true })
		if got := run(t, b); got != "1/0 1/2 3/0 5/0" {
			t.Error(got)
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
		close(b.stop)
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
		if err == nil || !strings.Contains(err.Error(), "ouch") || !strings.Contains(err.Error(), "shard_test.go") {
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

func TestAShutdownLetsTheRunningHandlerFinish(t *testing.T) {
	for _, parallel := range []int{1, 3} {
		bubble(t, fmt.Sprint("parallel ", parallel), func(t *testing.T) {
			b := setUp(func(p *Policy) { p.Parallel = parallel })
			b.answers = []fetch.Answer{{Records: numbers(1, 9)}} // and the end of the shard
			started := make(chan struct{}, 9)
			var l list
			done := make(chan Result)
			go func() {
				r, err := b.Run(t.Context(), b.stop, Records(func(ctx context.Context, r *record.Record) error {
					started <- struct{}{}
					time.Sleep(3 * time.Second)
					if ctx.Err() != nil {
						t.Error("the context of a running handler is over")
					}
					return l.handle(ctx, r)
				}))
				if err != nil {
					t.Error(err)
				}
				done <- r
			}()
			synctest.Wait()
			running := len(started) // keys may share a lane
			close(b.stop)
			if r := <-done; r.Ended || r.GivenBack {
				t.Errorf("%+v: not all records were handled", r)
			}
			// Those that were running, and what lay between them: with a gap
			// some of them would come again.
			if len(l.got) < running || running == 0 || running > parallel || len(l.got) == 9 {
				t.Errorf("%d were running, handled %s", running, &l)
			}
			for i := range l.got {
				if !slices.Contains(l.got, fmt.Sprintf("%d/0", i+1)) {
					t.Errorf("a gap in what was handled: %s", &l)
				}
			}
			if got := b.checkpoints(); !strings.HasSuffix(" "+got, fmt.Sprintf(" %d/0", len(l.got))) {
				t.Errorf("checkpoints %s, handled %s", got, &l)
			}
		})
	}
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

func TestParallelKeepsTheOrderOfAKeyAndChecksPointsAtTheLowest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setUp(func(p *Policy) { p.Parallel = 8 })
		var in []fetch.Record
		for i := 1; i <= 200; i++ {
			in = append(in, plain(i, fmt.Sprint("key", i%20)))
		}
		b.answers = []fetch.Answer{{Records: in[:100]}, {Records: in[100:]}}
		var mu sync.Mutex
		last := map[string]string{}
		most, now := 0, 0
		done := make(chan error)
		go func() {
			r, err := b.Run(t.Context(), b.stop, Records(func(_ context.Context, r *record.Record) error {
				mu.Lock()
				now++
				most = max(most, now)
				mu.Unlock()
				if r.PartitionKey == "key7" {
					time.Sleep(7 * time.Second)
				}
				time.Sleep(time.Duration(len(r.Data)) * 10 * time.Millisecond)
				mu.Lock()
				defer mu.Unlock()
				now--
				if old := last[r.PartitionKey]; old != "" && record.CompareSequence(r.Position.Sequence, old) < 0 {
					t.Errorf("%s: %s after %s", r.PartitionKey, r.Position.Sequence, old)
				}
				last[r.PartitionKey] = r.Position.Sequence
				return nil
			}))
			if !r.Ended {
				t.Error("not ended")
			}
			done <- err
		}()
		time.Sleep(6 * time.Second)
		if got := b.checkpoints(); got != "6/0" { // record 7 takes seven seconds
			t.Errorf("checkpoints %s", got)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if most < 5 {
			t.Errorf("at most %d handlers at once", most)
		}
		if n := len(b.at); b.at[n-1].Sequence != "200" {
			t.Errorf("checkpoints %s", b.checkpoints())
		}
	})
}

func TestParallelStopsAllWithTheFirstFinalError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setUp(func(p *Policy) { p.Parallel, p.OnError, p.MaxAttempts = 4, Stop, 1 })
		b.answers = []fetch.Answer{{Records: numbers(1, 100)}}
		boom := errors.New("boom")
		_, err := b.Run(t.Context(), b.stop, Records(func(_ context.Context, r *record.Record) error {
			if r.Position.Sequence == "10" {
				return boom
			}
			return nil
		}))
		if !errors.Is(err, boom) {
			t.Error(err)
		}
		for _, p := range b.at {
			if p.Compare(record.Position{Sequence: "10"}) >= 0 {
				t.Errorf("checkpoint %v covers the record that failed", p)
			}
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

func TestMarksAreSavedBehindTheCheckpointAndReadOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setUp()
		b.open = true
		b.answers = []fetch.Answer{{Records: []fetch.Record{packed(t, 1, lane, 1, "a", "b"), packed(t, 2, lane, 3, "c")}}}
		done := make(chan error)
		go func() {
			_, err := b.Run(t.Context(), b.stop, Records((&list{}).handle))
			done <- err
		}()
		time.Sleep(20 * time.Second)
		close(b.stop)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if len(b.marks) == 0 {
			t.Fatal("no marks were saved")
		}
		saved, err := mark.Decode(b.marks[len(b.marks)-1])
		if err != nil || saved.At.Sequence != "2" {
			t.Fatalf("marks of %v, %v", saved.At, err)
		}

		// The next one reads a resend of what was handled, then something new.
		next := setUp()
		next.At, next.Marks = record.Position{Sequence: "2"}, saved
		next.answers = []fetch.Answer{{Records: []fetch.Record{packed(t, 2, lane, 3, "c"), packed(t, 3, lane, 2, "b", "c"), packed(t, 4, lane, 4, "d")}}}
		var l list
		if _, err := next.Run(t.Context(), next.stop, Records(l.handle)); err != nil || l.String() != "4/0" {
			t.Errorf("%s, %v", &l, err)
		}

		// Its child inherits them.
		savedLast, err := mark.Decode(next.marks[len(next.marks)-1])
		if err != nil {
			t.Fatal(err)
		}
		child := setUp()
		child.ParentsMarks = []*mark.Saved{savedLast}
		child.answers = []fetch.Answer{{Records: []fetch.Record{packed(t, 7, lane, 4, "d", "e")}}}
		var c list
		if _, err := child.Run(t.Context(), child.stop, Records(c.handle)); err != nil || c.String() != "7/1" {
			t.Errorf("child: %s, %v", &c, err)
		}

		// Somebody moved the checkpoint back: what is to be read again is not
		// taken for duplicates.
		back := setUp()
		back.At, back.Marks = record.Position{Sequence: "1"}, savedLast
		back.answers = []fetch.Answer{{Records: []fetch.Record{packed(t, 1, lane, 1, "a", "b"), packed(t, 2, lane, 3, "c")}}}
		var again list
		if _, err := back.Run(t.Context(), back.stop, Records(again.handle)); err != nil || again.String() != "1/1 2/0" {
			t.Errorf("moved back: %s, %v", &again, err)
		}
	})
}

// A crash between two savings: what lies between the marks and the checkpoint is
// read again to raise the marks, and not delivered.
func TestMarksThatLagAreCaughtUpWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := mark.New(keyspace.Full, 0)
		one := packed(t, 1, lane, 1, "a")
		var a aggregate.Aggregate
		if err := aggregate.Decode(one.Data, &a); err != nil {
			t.Fatal(err)
		}
		tr.Decide(nil, "1", &a.Identity, &a)
		tr.Checkpointed(record.Position{Sequence: "1"})
		saved, err := mark.Decode(tr.Encode())
		if err != nil {
			t.Fatal(err)
		}
		b := setUp()
		b.At, b.Marks = record.Position{Sequence: "3"}, saved
		b.answers = []fetch.Answer{{Records: []fetch.Record{
			one, packed(t, 2, lane, 2, "b"), packed(t, 3, lane, 3, "c"),
			packed(t, 4, lane, 2, "b", "c"), packed(t, 5, lane, 4, "d"),
		}}}
		var l list
		if _, err := b.Run(t.Context(), b.stop, Records(l.handle)); err != nil || l.String() != "5/0" {
			t.Errorf("%s, %v (read from %+v)", &l, err, b.froms)
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
