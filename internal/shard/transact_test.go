package shard

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/internal/fetch"
	"github.com/libvegas/vegas/internal/mark"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store"
)

// database is a lease in a database that handlers write to.
type database struct {
	*bench
	effects []string        // committed
	now     record.Position // the checkpoint
	late    *work           // a commit that has not arrived yet
	began   int
	sizes   []int // effects of each commit

	beginFails func() error
	// fate is what becomes of a commit: nil stores it.
	fate func(w *work) error
}

// work is a transaction.
type work struct {
	db       *database
	effects  []string
	from, to record.Position
	marks    []byte
	over     bool
}

// Fates of a commit.
var (
	errGone  = errors.New("the connection is gone, nothing is stored")
	errLater = errors.New("the connection is gone, and it is stored later")
)

type workKey struct{}

func setUpDatabase(change ...func(*Policy)) *database {
	d := &database{bench: setUp(change...)}
	d.Lease = d
	return d
}

func (d *database) Begin(ctx context.Context) (Transaction, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	d.began++
	if d.beginFails != nil {
		if err := d.beginFails(); err != nil {
			return nil, err
		}
	}
	return &work{db: d}, nil
}

func (w *work) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, workKey{}, w)
}

func (w *work) Rollback() { w.over = true }

func (w *work) Commit(_ context.Context, from, to record.Position, seen time.Time, marks []byte) error {
	d := w.db
	if w.over {
		return errors.New("committed after its end")
	}
	w.over = true
	w.from, w.to, w.marks = from, to, marks
	if d.fate != nil {
		err := d.fate(w)
		if errors.Is(err, errLater) {
			d.late = w
		}
		if err != nil {
			return err
		}
	}
	if l := d.late; l != nil {
		d.late = nil
		d.store(l)
	}
	if d.now != from {
		return &Moved{d.now, seen}
	}
	d.store(w)
	return nil
}

func (d *database) store(w *work) {
	if d.now != w.from {
		return
	}
	d.now = w.to
	d.effects = append(d.effects, w.effects...)
	d.sizes = append(d.sizes, len(w.effects))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = append(d.at, w.to)
	if w.marks != nil {
		d.bench.marks = append(d.bench.marks, w.marks)
	}
}

// Checkpoint is the plain one: nothing waits for it in these tests.
func (d *database) Checkpoint(ctx context.Context, p record.Position, seen time.Time) error {
	if err := d.bench.Checkpoint(ctx, p, seen); err != nil {
		return err
	}
	if p.Compare(d.now) > 0 {
		d.now = p
	}
	return nil
}

// effect is what a handler does: it writes the record down.
func effect(ctx context.Context, r *record.Record) error {
	w := ctx.Value(workKey{}).(*work)
	w.effects = append(w.effects, r.Position.String())
	return nil
}

func (d *database) String() string { return strings.Join(d.effects, " ") }

func TestEffectsAreCommittedWithTheirPosition(t *testing.T) {
	bubble(t, "records of an answer together", func(t *testing.T) {
		d := setUpDatabase()
		d.answers = []fetch.Answer{{Records: numbers(1, 3)}, {Records: []fetch.Record{packed(t, 4, lane, 1, "a", "b")}}}
		r, err := d.Run(t.Context(), d.stop, Transacted(effect))
		if err != nil || !r.Ended || !r.Settled || d.String() != "1/0 2/0 3/0 4/0 4/1" || d.checkpoints() != "3/0 4/1" {
			t.Errorf("%+v, %v, effects %v at %s", r, err, d, d.checkpoints())
		}
	})
	bubble(t, "for no longer than a moment", func(t *testing.T) {
		d := setUpDatabase()
		d.answers = []fetch.Answer{{Records: numbers(1, 6)}}
		_, err := d.Run(t.Context(), d.stop, Transacted(func(ctx context.Context, r *record.Record) error {
			time.Sleep(togetherFor / 2)
			return effect(ctx, r)
		}))
		if err != nil || !slices.Equal(d.sizes, []int{2, 2, 2}) {
			t.Errorf("%v, transactions of %v records", err, d.sizes)
		}
	})
	bubble(t, "batches", func(t *testing.T) {
		d := setUpDatabase()
		d.answers = []fetch.Answer{{Records: numbers(1, 3)}, {}, {Records: numbers(4, 2)}}
		r, err := d.Run(t.Context(), d.stop, TransactedBatches(func(ctx context.Context, b *record.Batch) error {
			for _, r := range b.Records {
				effect(ctx, r)
			}
			return nil
		}))
		if err != nil || !r.Ended || d.String() != "1/0 2/0 3/0 4/0 5/0" || !slices.Equal(d.sizes, []int{3, 2}) {
			t.Errorf("%+v, %v, effects %v", r, err, d)
		}
	})
	bubble(t, "a stop lets the transaction end", func(t *testing.T) {
		d := setUpDatabase()
		d.answers, d.open = []fetch.Answer{{Records: numbers(1, 5)}}, true
		r, err := d.Run(t.Context(), d.stop, Transacted(func(ctx context.Context, r *record.Record) error {
			if r.Position.Sequence == "2" {
				d.stop.Stop(Handoff)
			}
			return effect(ctx, r)
		}))
		if err != nil || r.Stopped != Handoff || !r.Settled || d.String() != "1/0 2/0" || d.now.Sequence != "2" {
			t.Errorf("%+v, %v, effects %v, at %v", r, err, d, d.now)
		}
	})
}

// One bad record meets the policy alone; the others take effect.
func TestABadRecordFailsAlone(t *testing.T) {
	boom := errors.New("boom")
	calls := map[string]int{}
	bad := func(ctx context.Context, r *record.Record) error {
		calls[r.Position.Sequence]++
		effect(ctx, r)
		switch r.Position.Sequence {
		case "3":
			return boom
		case "5":
			panic("ouch")
		}
		return nil
	}
	for name, c := range map[string]struct {
		change  func(*Policy)
		effects string
		skipped int64
	}{
		"skip": {func(p *Policy) { p.OnError, p.MaxAttempts = Skip, 3 }, "1/0 2/0 4/0 6/0", 2},
		"dead letter, in a transaction of its own": {func(p *Policy) {
			p.MaxAttempts = 3
			p.DeadLetter = func(ctx context.Context, r *record.Record, _ error) error {
				w := ctx.Value(workKey{}).(*work)
				w.effects = append(w.effects, "dead:"+r.Position.String())
				return nil
			}
		}, "1/0 2/0 dead:3/0 4/0 dead:5/0 6/0", 2},
	} {
		bubble(t, name, func(t *testing.T) {
			clear(calls)
			d := setUpDatabase(c.change)
			d.answers = []fetch.Answer{{Records: numbers(1, 6)}}
			r, err := d.Run(t.Context(), d.stop, Transacted(bad))
			if err != nil || !r.Ended || d.String() != c.effects || d.count(observe.RecordsSkipped) != c.skipped || d.now.Sequence != "6" {
				t.Errorf("%+v, %v, effects %v, at %v", r, err, d, d.now)
			}
			// Once together with those before it, then alone.
			if calls["3"] != 4 {
				t.Errorf("the bad record was handled %d times, want 4", calls["3"])
			}
		})
	}
	bubble(t, "stop, and alone it is counted from the first time on", func(t *testing.T) {
		clear(calls)
		d := setUpDatabase(func(p *Policy) { p.OnError, p.MaxAttempts = Stop, 3 })
		d.answers = []fetch.Answer{{Records: numbers(3, 2)}}
		_, err := d.Run(t.Context(), d.stop, Transacted(bad))
		if !errors.Is(err, boom) || calls["3"] != 3 || len(d.effects) != 0 {
			t.Errorf("%v, %d calls, effects %v", err, calls["3"], d)
		}
	})
	bubble(t, "what the database refuses at the end is the fault of one of them", func(t *testing.T) {
		d := setUpDatabase(func(p *Policy) { p.OnError, p.MaxAttempts = Skip, 2 })
		d.answers = []fetch.Answer{{Records: numbers(1, 5)}}
		d.fate = func(w *work) error {
			if slices.Contains(w.effects, "4/0") {
				return fmt.Errorf("foreign key: %w", store.ErrRolledBack)
			}
			return nil
		}
		r, err := d.Run(t.Context(), d.stop, Transacted(effect))
		if err != nil || !r.Ended || d.String() != "1/0 2/0 3/0 5/0" || d.count(observe.RecordsSkipped) != 1 {
			t.Errorf("%+v, %v, effects %v", r, err, d)
		}
	})
	bubble(t, "a batch as a whole", func(t *testing.T) {
		d := setUpDatabase(func(p *Policy) { p.OnError, p.MaxAttempts = Skip, 2 })
		d.answers = []fetch.Answer{{Records: numbers(1, 2)}, {Records: numbers(3, 2)}}
		r, err := d.Run(t.Context(), d.stop, TransactedBatches(func(ctx context.Context, b *record.Batch) error {
			for _, r := range b.Records {
				effect(ctx, r)
			}
			if b.End.Sequence == "2" {
				return boom
			}
			return nil
		}))
		if err != nil || !r.Ended || d.String() != "3/0 4/0" || d.count(observe.RecordsSkipped) != 2 || d.checkpoints() != "2/0 4/0" {
			t.Errorf("%+v, %v, effects %v at %s", r, err, d, d.checkpoints())
		}
	})
}

// A database that is away uses up nobody's attempts.
func TestADatabaseThatIsAwayIsNobodysFault(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		d := setUpDatabase(func(p *Policy) { p.OnError, p.MaxAttempts = Skip, 1 })
		d.answers = []fetch.Answer{{Records: numbers(1, 3)}}
		back := time.Now().Add(time.Minute)
		away := func() error {
			if time.Now().Before(back) {
				return errGone
			}
			return nil
		}
		first := true
		d.beginFails = func() error {
			if first {
				first = false // it goes away while the first handler runs
				return nil
			}
			return away()
		}
		r, err := d.Run(t.Context(), d.stop, Transacted(func(ctx context.Context, r *record.Record) error {
			if err := away(); err != nil {
				return err
			}
			return effect(ctx, r)
		}))
		if err != nil || !r.Ended || d.String() != "1/0 2/0 3/0" || d.count(observe.RecordsSkipped) != 0 {
			t.Errorf("%+v, %v, effects %v, counted %v", r, err, d, d.counted)
		}
		if !strings.Contains(d.log.String(), "could not be stored, trying again") {
			t.Errorf("nobody was told:\n%s", &d.log)
		}
	})
	bubble(t, "a stop meanwhile", func(t *testing.T) {
		d := setUpDatabase()
		d.answers, d.open = []fetch.Answer{{Records: numbers(1, 3)}}, true
		d.beginFails = func() error { return errGone }
		time.AfterFunc(time.Minute, func() { d.stop.Stop(Shutdown) })
		r, err := d.Run(t.Context(), d.stop, Transacted(effect))
		if err != nil || r.Stopped != Shutdown || len(d.effects) != 0 || !d.now.IsStart() {
			t.Errorf("%+v, %v, effects %v, at %v", r, err, d, d.now)
		}
	})
}

func TestALeaseThatIsLostRollsBack(t *testing.T) {
	bubble(t, "found at the commit", func(t *testing.T) {
		d := setUpDatabase()
		d.answers = []fetch.Answer{{Records: numbers(1, 3)}}
		d.fate = func(*work) error { return record.ErrLeaseLost }
		_, err := d.Run(t.Context(), d.stop, Transacted(effect))
		if !errors.Is(err, record.ErrLeaseLost) || len(d.effects) != 0 {
			t.Errorf("%v, effects %v", err, d)
		}
	})
	bubble(t, "while a handler runs", func(t *testing.T) {
		d := setUpDatabase(func(p *Policy) { p.OnError, p.MaxAttempts = Skip, 1 })
		d.answers = []fetch.Answer{{Records: numbers(1, 3)}}
		ctx, cancel := context.WithCancelCause(t.Context())
		_, err := d.Run(ctx, d.stop, Transacted(func(ctx context.Context, r *record.Record) error {
			effect(ctx, r)
			cancel(record.ErrLeaseLost)
			return ctx.Err()
		}))
		if !errors.Is(err, record.ErrLeaseLost) || len(d.effects) != 0 || !d.now.IsStart() {
			t.Errorf("%v, effects %v, at %v", err, d, d.now)
		}
	})
}

func TestAHandlerThatExitsRollsBack(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		d := setUpDatabase()
		d.answers = []fetch.Answer{{Records: numbers(1, 3)}}
		var w *work
		done := make(chan struct{})
		go func() {
			defer close(done)
			d.Run(t.Context(), d.stop, Transacted(func(ctx context.Context, _ *record.Record) error {
				w = ctx.Value(workKey{}).(*work)
				runtime.Goexit()
				return nil
			}))
		}()
		<-done
		if !w.over || len(d.effects) != 0 {
			t.Errorf("a transaction was left open, effects %v", d)
		}
	})
}

// A suspected record has a transaction of its own, and is dead-lettered in one.
func TestCarefulReadingIsTransactional(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		d := setUpDatabase(func(p *Policy) {
			p.MaxCrashes = 3
			p.DeadLetter = func(ctx context.Context, r *record.Record, _ error) error {
				w := ctx.Value(workKey{}).(*work)
				w.effects = append(w.effects, "dead:"+r.Position.String())
				return nil
			}
		})
		d.Life.Takeovers, d.Life.Suspect, d.Life.Tried = 3, true, 2
		d.answers = []fetch.Answer{{Records: numbers(1, 3)}}
		r, err := d.Run(t.Context(), d.stop, Transacted(effect))
		if err != nil || !r.Ended || d.String() != "dead:1/0 2/0 3/0" || !slices.Equal(d.sizes, []int{1, 1, 1}) {
			t.Errorf("%+v, %v, effects %v, transactions of %v", r, err, d, d.sizes)
		}
	})
}

// The marks of the position before go along with the first commit, so that
// whoever takes over knows what was sent twice.
func TestMarksAreCommittedToo(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		d := setUpDatabase()
		d.answers = []fetch.Answer{
			{Records: []fetch.Record{packed(t, 1, lane, 1, "a", "b")}},
			{Records: []fetch.Record{packed(t, 2, lane, 1, "a", "b"), packed(t, 3, lane, 3, "c")}}, // the first one again
		}
		r, err := d.Run(t.Context(), d.stop, Transacted(effect))
		if err != nil || !r.Ended || d.String() != "1/0 1/1 3/0" {
			t.Errorf("%+v, %v, effects %v", r, err, d)
		}
		if len(d.bench.marks) < 2 {
			t.Fatalf("marks were saved %d times, want at the first commit and at the end", len(d.bench.marks))
		}
		first, err := mark.Decode(d.bench.marks[0])
		if err != nil || !first.At.IsStart() {
			t.Errorf("the first marks are of %v, %v", first, err)
		}
		last, err := mark.Decode(d.bench.marks[len(d.bench.marks)-1])
		if err != nil || last.At.Sequence != "3" {
			t.Errorf("the last marks are of %v, %v", last, err)
		}
	})
}

// Whatever happens to commits, each record takes effect once and in order.
func TestEffectsHappenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for seed := range uint64(300) {
			r := rand.New(rand.NewPCG(seed, 1))
			d := setUpDatabase()
			var want []string
			for seq := 1; seq < 40; {
				n := 1 + r.IntN(8)
				d.answers = append(d.answers, fetch.Answer{Records: numbers(seq, n)})
				for i := seq; i < seq+n; i++ {
					want = append(want, fmt.Sprintf("%d/0", i))
				}
				seq += n
			}
			d.fate = func(w *work) error {
				switch r.IntN(8) {
				case 0:
					return errGone
				case 1:
					return errLater
				case 2:
					return fmt.Errorf("deferred constraint: %w", store.ErrRolledBack)
				}
				return nil
			}
			d.beginFails = func() error {
				if r.IntN(10) == 0 {
					return errGone
				}
				return nil
			}
			res, err := d.Run(t.Context(), d.stop, Transacted(func(ctx context.Context, rec *record.Record) error {
				time.Sleep(time.Duration(r.IntN(int(togetherFor))))
				if r.IntN(10) == 0 {
					return errors.New("boom")
				}
				return effect(ctx, rec)
			}))
			if err != nil || !res.Ended || !slices.Equal(d.effects, want) {
				t.Fatalf("seed %d: %+v, %v\neffects %v\nwant    %v", seed, res, err, d.effects, want)
			}
		}
	})
}
