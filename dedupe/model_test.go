package dedupe

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/libvegas/vegas/layer"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/memory"
)

var nopObserver observe.Observer = observe.Nop{}

var errNo = errors.New("no")

// history is a shard's records, and what became of them by the words of doc.go.
type history struct {
	rnd    *rand.Rand
	window time.Duration
	all    []*record.Record

	last    map[string]int // by key, the record that was handled last
	handled map[int]bool   // and none that has failed since

	checkpoint int // records before it do not come again
}

func newHistory(seed uint64, n int) *history {
	h := &history{rnd: rand.New(rand.NewPCG(seed, 2)), window: time.Second, last: map[string]int{}, handled: map[int]bool{}}
	at := time.UnixMilli(1_700_000_000_000)
	keys := 2 + h.rnd.IntN(20)
	for i := range n {
		at = at.Add(time.Duration(1+h.rnd.IntN(100)) * time.Millisecond)
		if h.rnd.IntN(50) == 0 {
			at = at.Add(time.Duration(h.rnd.IntN(2000)) * time.Millisecond)
		}
		h.all = append(h.all, &record.Record{
			PartitionKey: fmt.Sprint("k", h.rnd.IntN(keys)), Shard: "shardId-9",
			Position: record.Position{Sequence: fmt.Sprint(1_000_000 + i/3), SubSequence: int64(i % 3)}, ArrivalTime: at,
		})
	}
	return h
}

// duplicate is what the model says of a record.
func (h *history) duplicate(i int) bool {
	j, ok := h.last[h.all[i].PartitionKey]
	return ok && j != i && h.follows(i, j)
}

// follows tells whether i arrived behind j, within the window.
func (h *history) follows(i, j int) bool {
	d := h.all[i].ArrivalTime.Sub(h.all[j].ArrivalTime)
	return d >= 0 && d < h.window
}

// excused tells whether there is any record for which i may be passed over.
func (h *history) excused(i int) bool {
	for j := range h.handled {
		if j != i && h.all[j].PartitionKey == h.all[i].PartitionKey && h.follows(i, j) {
			return true
		}
	}
	return false
}

// rollBack takes back what was handled from the checkpoint on, which comes again.
func (h *history) rollBack() (next int) {
	maps.DeleteFunc(h.handled, func(i int, _ bool) bool { return i >= h.checkpoint })
	return h.checkpoint
}

// position is the checkpoint.
func (h *history) position() record.Position {
	if h.checkpoint == 0 {
		return record.Position{}
	}
	return h.all[h.checkpoint-1].Position
}

// ended tells the model what came of a handler that was called.
func (h *history) ended(i int, ok bool) {
	key := h.all[i].PartitionKey
	if ok {
		h.last[key], h.handled[i] = i, true
		return
	}
	delete(h.handled, i)
	if j, known := h.last[key]; known && j == i {
		delete(h.last, key)
	}
}

// TestAgainstTheModel runs shards whose handlers fail and whose owners stop: the layer
// does exactly what the model says. Where they also die, or come back to the checkpoint
// since a transaction was rolled back, or have too little room or a bad store, then whatever happens nothing is passed over without
// another record of its key that was handled.
func TestAgainstTheModel(t *testing.T) {
	for name, c := range map[string]struct{ rewinds, crashes, small, away bool }{
		"in order": {}, "begun again": {rewinds: true}, "crashes": {rewinds: true, crashes: true},
		"few keys": {small: true}, "the store is away": {away: true, rewinds: true, crashes: true},
	} {
		t.Run(name, func(t *testing.T) {
			passed := 0
			for seed := range uint64(50) {
				passed += model(t, seed, c.rewinds, c.crashes, c.small, c.away)
			}
			if passed < 500 {
				t.Errorf("only %d records were passed over", passed)
			}
		})
	}
}

// unsteady is a store that fails now and then.
type unsteady struct {
	store.Store
	rnd *rand.Rand
}

func (u *unsteady) Swap(ctx context.Context, r store.Row) (store.Row, error) {
	if u.rnd != nil && u.rnd.IntN(3) == 0 {
		return store.Row{}, errNo
	}
	out, err := u.Store.Swap(ctx, r)
	if u.rnd != nil && u.rnd.IntN(3) == 0 {
		return store.Row{}, errNo
	}
	return out, err
}

func model(t *testing.T, seed uint64, rewinds, crashes, small, away bool) (passed int) {
	h := newHistory(seed, 400)
	kept := &unsteady{Store: memory.New()}
	if away {
		kept.rnd = h.rnd
	}
	d := newDedupe(PartitionKey(), h.window, []func(*Options){func(o *Options) {
		o.SaveEvery = time.Hour
		if small {
			o.MaxKeys = 1 + h.rnd.IntN(8)
		}
	}})
	d.slack = 0 // in this history times do not go back
	number := uint64(0)
	begin := func() *layer.Shard {
		number++
		s := possession(kept, number)
		s.Checkpoint = h.position
		return s
	}
	owner := begin()
	exact := !rewinds && !crashes && !small && !away
	for i := 0; i < len(h.all); i++ {
		switch p := h.rnd.IntN(40); {
		case p == 0: // an orderly end, and a later owner
			h.checkpoint = i
			owner.End(t.Context())
			owner = begin()
		case p == 1 && crashes:
			owner = begin()
			i = h.rollBack()
		case p == 2 && rewinds: // a transaction is rolled back
			i = h.rollBack()
		case p < 6:
			h.checkpoint = i
		case p < 9:
			st := owner.State(d, func() any { return d.begin(owner) }).(*state)
			if err := st.saver.save(t.Context()); err != nil && !away {
				t.Fatal(err)
			}
		}
		want, excused := h.duplicate(i), h.excused(i)
		for attempt := 0; ; attempt++ {
			called, ok := false, h.rnd.IntN(4) > 0
			err := d.handle(layer.With(t.Context(), owner), h.all[i], func(context.Context, *record.Record) error {
				called = true
				if ok {
					return nil
				}
				return errNo
			})
			if called && (err == nil) != ok || !called && err != nil {
				t.Fatalf("seed %d, record %d: %v", seed, i, err)
			}
			switch {
			case !called && !excused:
				t.Fatalf("seed %d, record %d: passed over, and no other of its key was handled in the window", seed, i)
			case exact && called == want:
				t.Fatalf("seed %d, record %d: handled: %v, a duplicate: %v", seed, i, called, want)
			}
			if !called {
				passed++
				break
			}
			h.ended(i, ok)
			if ok {
				break
			}
			if attempt == 2 { // skipped, which is written down
				h.checkpoint = i + 1
				break
			}
			want, excused = h.duplicate(i), h.excused(i)
		}
	}
	return passed
}

// A shard's keys are those of the shards that it comes from, also where one of them
// never had a record.
func TestKeysAreInherited(t *testing.T) {
	kept := memory.New()
	d := newDedupe(PartitionKey(), time.Minute, nil)
	handle := func(s *layer.Shard, key string, sequence int) (handled bool) {
		t.Helper()
		r := &record.Record{PartitionKey: key, Shard: s.ID, Position: record.Position{Sequence: fmt.Sprint(sequence)}, ArrivalTime: time.UnixMilli(int64(1e9 + sequence))}
		err := d.handle(layer.With(t.Context(), s), r, func(context.Context, *record.Record) error { handled = true; return nil })
		if err != nil {
			t.Error(err)
		}
		return handled
	}
	shard := func(id string, ancestors ...string) *layer.Shard {
		s := possession(kept, 1, ancestors...)
		s.ID = id
		return s
	}
	a, b := shard("a"), shard("b")
	if !handle(a, "x", 1) || !handle(b, "y", 2) || handle(a, "x", 3) || !handle(a, "y", 4) {
		t.Error("shards are not apart")
	}
	a.End(t.Context())
	b.End(t.Context())
	c := shard("c", "b", "a") // b was split into c and others, without a record after that
	if handle(c, "x", 5) || handle(c, "y", 6) || !handle(c, "z", 7) {
		t.Error("a child has not what its ancestors had")
	}
	c.End(t.Context())
	if e := shard("e", "d", "c", "b", "a"); handle(e, "x", 8) || handle(e, "z", 9) {
		t.Error("a grandchild has not what its ancestors had")
	}
	if e := shard("a:dedupe"); !handle(e, "x", 1) {
		t.Error("shards are mixed up by their names")
	}
	// A loss of the lease writes nothing more.
	rows := len(list(t, kept))
	lost, cancel := context.WithCancel(t.Context())
	cancel()
	f := shard("f")
	handle(f, "x", 1)
	f.End(lost)
	if got := list(t, kept); len(got) != rows {
		t.Errorf("%d rows, there were %d", len(got), rows)
	}
}

// counting counts what is observed.
type counting struct {
	observe.Nop
	n map[observe.Counter]int64
}

func (c *counting) Count(name observe.Counter, _ observe.Where, n int64) { c.n[name] += n }

func TestWhatIsCounted(t *testing.T) {
	c := &counting{n: map[observe.Counter]int64{}}
	var warned []string
	s := possession(memory.New(), 1)
	s.Observer, s.Warn = c, func(message string, _ ...any) { warned = append(warned, message) }
	d := newDedupe(PartitionKey(), time.Minute, []func(*Options){func(o *Options) { o.MaxKeys, o.InMemory = 2, true }})
	for i, key := range []string{"a", "a", "", "b", "c", "a", ""} {
		r := &record.Record{PartitionKey: key, Position: record.Position{Sequence: fmt.Sprint(i + 1)}}
		if err := d.handle(layer.With(t.Context(), s), r, func(context.Context, *record.Record) error { return nil }); err != nil {
			t.Error(err)
		}
	}
	if c.n[observe.Deduplicated] != 1 || c.n[observe.RecordsWithoutKey] != 2 || c.n[observe.KeysForgotten] != 2 || len(warned) != 2 || !strings.Contains(warned[0], "#dedupe-keys") {
		t.Error(c.n, warned)
	}
	s.End(t.Context())
	if got := list(t, s.Store); len(got) > 0 {
		t.Errorf("%d rows of a layer that is to have none", len(got))
	}
}
