package lease

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/internal/quiet"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/memory"
)

// flaky is a store whose writes fail, or are applied without an answer, as told.
type flaky struct {
	store.Store
	mu   sync.Mutex
	down bool // nothing gets through
	mute bool // writes are applied, their answers lost
	n    int  // writes
}

var errStoreAway = errors.New("the store is away")

func (f *flaky) set(down, mute bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down, f.mute = down, mute
}

func (f *flaky) Get(ctx context.Context, group, id string) (store.Row, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return store.Row{}, errStoreAway
	}
	return f.Store.Get(ctx, group, id)
}

func (f *flaky) Swap(ctx context.Context, r store.Row) (store.Row, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	if f.down {
		return store.Row{}, errStoreAway
	}
	out, err := f.Store.Swap(ctx, r)
	if err == nil && f.mute {
		return store.Row{}, errStoreAway
	}
	return out, err
}

// beating starts a heart on the group of s.
func beating(t *testing.T, s store.Store, worker string) (h *heart, live context.Context, stop func(), err error) {
	live, lost := context.WithCancelCause(t.Context())
	h = &heart{store: s, worker: worker, incarnation: rand.Text(), timing: DefaultTiming, warn: quiet.New(slog.New(slog.DiscardHandler)), lost: lost}
	if err := h.acquire(t.Context(), "g", "orders", "consumer#x"); err != nil {
		return h, live, func() {}, err
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.run(ctx)
	}()
	return h, live, func() { cancel(); <-done }, nil
}

func TestASecondConsumerIsRefusedWhileTheFirstLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		_, live, stop, err := beating(t, s, "one")
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		began := time.Now()
		_, _, _, err = beating(t, s, "two")
		var taken *Inhabited
		if !errors.As(err, &taken) || taken.Worker != "one" || !strings.Contains(err.Error(), "stop that one") {
			t.Errorf("got %v", err)
		}
		if d := time.Since(began); d > 3*time.Second {
			t.Errorf("refused after %v", d)
		}
		time.Sleep(time.Hour)
		if live.Err() != nil {
			t.Errorf("the first one was disturbed: %v", context.Cause(live))
		}
	})
}

func TestAConsumerThatStoppedIsFollowedAtOnceAndOneThatCrashedAfterItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		one, _, stop, err := beating(t, s, "one")
		if err != nil {
			t.Fatal(err)
		}
		stop()
		if err := one.release(t.Context()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, _, crash, err := beating(t, s, "two")
		if err != nil || time.Since(began) > 0 {
			t.Fatalf("after a release: %v, %v", time.Since(began), err)
		}
		crash()
		began = time.Now()
		_, _, stop, err = beating(t, s, "three")
		if d := time.Since(began); err != nil || d < DefaultTiming.Lease || d > 15*time.Second {
			t.Errorf("after a crash: %v, %v", d, err)
		}
		stop()
	})
}

func TestWaitingForACrashedConsumerIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		_, _, stop, err := beating(t, s, "one")
		if err != nil {
			t.Fatal(err)
		}
		stop() // without a word
		var log strings.Builder
		h := &heart{store: s, worker: "two", incarnation: rand.Text(), timing: DefaultTiming,
			warn: quiet.New(slog.New(slog.NewTextHandler(&log, nil))), lost: func(error) {}}
		if err := h.acquire(t.Context(), "g", "orders", "consumer#x"); err != nil {
			t.Fatal(err)
		}
		h.fuse.Stop()
		if got := log.String(); strings.Count(got, "waiting to see whether it lives") != 1 || !strings.Contains(got, "worker=one wait_max=10s") {
			t.Errorf("%s", got)
		}
	})
}

// The heartbeat that was under way when run was told to end arrived.
func TestAReleaseComesAfterTheLastHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		one, _, stop, err := beating(t, s, "one")
		if err != nil {
			t.Fatal(err)
		}
		stop()
		before := one.row
		if err := one.beat(t.Context()); err != nil {
			t.Fatal(err)
		}
		one.row = before
		if err := one.release(t.Context()); err != nil {
			t.Error(err)
		}
		began := time.Now()
		_, _, stop, err = beating(t, s, "two")
		if d := time.Since(began); err != nil || d > 0 {
			t.Errorf("the next one waited %v, %v", d, err)
		}
		stop()
	})
}

func TestOfTwoFollowersOneWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		_, _, crash, err := beating(t, s, "one")
		if err != nil {
			t.Fatal(err)
		}
		crash()
		errs := make(chan error, 2)
		for _, w := range []string{"two", "three"} {
			go func() {
				_, _, stop, err := beating(t, s, w)
				errs <- err
				time.Sleep(time.Minute)
				stop()
			}()
		}
		a, b := <-errs, <-errs
		if (a == nil) == (b == nil) {
			t.Errorf("%v and %v", a, b)
		}
		time.Sleep(2 * time.Minute)
	})
}

// The owner stops before anybody else can have waited long enough.
func TestWhatCannotBeProvenIsStoppedBeforeAnotherTakesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rows := memory.New()
		f := &flaky{Store: rows}
		_, live, stop, err := beating(t, f, "one")
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		time.Sleep(time.Minute + time.Millisecond) // just after a heartbeat
		f.set(true, false)
		taken := make(chan time.Time)
		go func() {
			_, _, stop, err := beating(t, rows, "two")
			if err != nil {
				t.Error(err)
			}
			taken <- time.Now()
			stop()
		}()
		<-live.Done()
		ended := time.Now()
		if !errors.Is(context.Cause(live), record.ErrLeaseLost) {
			t.Errorf("ended with %v", context.Cause(live))
		}
		if margin := (<-taken).Sub(ended); margin < DefaultTiming.Margin/2 {
			t.Errorf("taken %v after the first one stopped", margin)
		}
	})
}

func TestALostAnswerIsNoLostLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{Store: memory.New()}
		f.set(false, true) // every write is applied, none answered
		_, live, stop, err := beating(t, f, "one")
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		time.Sleep(time.Hour)
		if live.Err() != nil {
			t.Errorf("lost: %v", context.Cause(live))
		}
	})
}

func TestAShortOutageOfTheStoreCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{Store: memory.New()}
		_, live, stop, err := beating(t, f, "one")
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		for range 20 {
			f.set(true, false)
			time.Sleep(5 * time.Second)
			f.set(false, false)
			time.Sleep(5 * time.Second)
		}
		if live.Err() != nil {
			t.Errorf("lost: %v", context.Cause(live))
		}
	})
}

func TestIdleCostsFewWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{Store: memory.New()}
		_, _, stop, err := beating(t, f, "one")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		stop()
		if f.n > 2000 {
			t.Errorf("%d writes an hour", f.n)
		}
	})
}

func TestASupersededHeartSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rows := memory.New()
		_, live, stop, err := beating(t, rows, "one")
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		row, err := rows.Get(t.Context(), "g", "consumer#x")
		if err != nil {
			t.Fatal(err)
		}
		set(&row, fieldIncarnation, "somebody else")
		if _, err := rows.Swap(t.Context(), row); err != nil {
			t.Fatal(err)
		}
		<-live.Done()
		if cause := context.Cause(live); !errors.Is(cause, record.ErrLeaseLost) || !errors.Is(cause, errSuperseded) {
			t.Error(cause)
		}
	})
}

func TestRowsOfALaterVersionAreRefused(t *testing.T) {
	s := memory.New()
	row := newRow("g", "consumer#x")
	set(&row, fieldVersion, "2")
	if _, err := s.Swap(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	_, _, _, err := beating(t, s, "one")
	if err == nil || !strings.Contains(err.Error(), "newer vegas") {
		t.Error(err)
	}
}

func TestLeaseRows(t *testing.T) {
	good := leaseRow("g", "lease#x:", Shard{ID: "shardId-000000000001", Parents: []string{"a", "b"}}, time.UnixMilli(5), 9)
	e, err := readEntry(good, "lease#x:")
	if err != nil || e.id != "shardId-000000000001" || len(e.parents) != 2 || e.possession != 9 || !e.at.IsStart() || e.start.UnixMilli() != 5 {
		t.Fatalf("%+v, %v", e, err)
	}
	if err := store.Check(good); err != nil {
		t.Error(err)
	}
	moved := good.Clone()
	setPosition(&moved, record.Position{Sequence: "77", SubSequence: 3})
	if e, err := readEntry(moved, "lease#x:"); err != nil || e.at != (record.Position{Sequence: "77", SubSequence: 3}) || !e.start.IsZero() {
		t.Errorf("%+v, %v", e, err)
	}
	ended := good.Clone()
	setPosition(&ended, record.ShardEnd)
	if e, err := readEntry(ended, "lease#x:"); err != nil || !e.ended() || e.start.IsZero() {
		t.Errorf("%+v, %v: a shard without records keeps where it started", e, err)
	}
	for field, value := range map[string]string{fieldPossession: "x", fieldSequence: "12a", fieldSub: "-", fieldFirst: "", fieldStartTime: "soon", fieldVersion: "9"} {
		bad := moved.Clone()
		set(&bad, field, value)
		if _, err := readEntry(bad, "lease#x:"); err == nil || !strings.Contains(err.Error(), "lease#x:shardId-000000000001") {
			t.Errorf("%s=%q: %v", field, value, err)
		}
	}
}

func TestAPossessionThatIsOverWritesNothing(t *testing.T) {
	ctx := t.Context()
	s := memory.New()
	e, err := create(ctx, s, "g", "lease#x:", Shard{ID: "1"}, time.Time{}, 5)
	if err != nil {
		t.Fatal(err)
	}
	old, err := take(ctx, s, "orders", "one", e, 6)
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Checkpoint(ctx, record.Position{Sequence: "10"}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	old.marks = newRow("g", "mark#x:1")
	row, err := s.Get(ctx, "g", "lease#x:1")
	if err != nil {
		t.Fatal(err)
	}
	e, err = readEntry(row, "lease#x:")
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := take(ctx, s, "orders", "two", e, 7)
	if err != nil {
		t.Fatal(err)
	}
	fresh.marks = newRow("g", "mark#x:1")
	if err := fresh.SaveMarks(ctx, []byte("new")); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"checkpoint": old.Checkpoint(ctx, record.Position{Sequence: "99"}, time.Time{}),
		"marks":      old.SaveMarks(ctx, []byte("old")),
	} {
		if !errors.Is(err, record.ErrLeaseLost) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := old.end(ctx, "lease#x:", nil, time.Time{}); !errors.Is(err, record.ErrLeaseLost) {
		t.Errorf("end: %v", err)
	}
	if err := fresh.Checkpoint(ctx, record.Position{Sequence: "11"}, time.Time{}); err != nil {
		t.Error(err)
	}
	row, _ = s.Get(ctx, "g", "lease#x:1")
	if row.Fields[fieldSequence] != "11" {
		t.Errorf("%v", row)
	}
	// A checkpoint never goes back, even of its own owner.
	if err := fresh.Checkpoint(ctx, record.Position{Sequence: "3"}, time.Time{}); err != nil {
		t.Error(err)
	}
	if row, _ = s.Get(ctx, "g", "lease#x:1"); row.Fields[fieldSequence] != "11" {
		t.Errorf("went back: %v", row)
	}
}

func TestACheckpointWhoseAnswerWasLostIsTakenForDone(t *testing.T) {
	ctx := t.Context()
	f := &flaky{Store: memory.New()}
	e, err := create(ctx, f, "g", "lease#x:", Shard{ID: "1"}, time.Time{}, 5)
	if err != nil {
		t.Fatal(err)
	}
	h, err := take(ctx, f, "orders", "one", e, 6)
	if err != nil {
		t.Fatal(err)
	}
	f.set(false, true)
	if err := h.Checkpoint(ctx, record.Position{Sequence: "10"}, time.Time{}); err != nil {
		t.Errorf("applied without an answer: %v", err)
	}
	f.set(true, false)
	if err := h.Checkpoint(ctx, record.Position{Sequence: "11"}, time.Time{}); err == nil || errors.Is(err, record.ErrLeaseLost) {
		t.Errorf("while the store is away: %v", err)
	}
	f.set(false, false)
	if err := h.Checkpoint(ctx, record.Position{Sequence: "12"}, time.Time{}); err != nil {
		t.Error(err)
	}
}
