package buffertest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/record"
)

// died is when the records of these tests were given up.
var died = time.UnixMilli(1_750_000_000_123)

func letter(it buffer.Item, reason string, unknown bool) buffer.Dead {
	return buffer.Dead{Item: it, Reason: reason, Unknown: unknown, At: died.Add(time.Duration(it.Seq) * time.Second)}
}

func bury(t *testing.T, b buffer.Buffer, dead ...buffer.Dead) {
	t.Helper()
	if err := b.Bury(t.Context(), dead); err != nil {
		t.Fatal(err)
	}
}

func wantLetters(t *testing.T, got []buffer.Dead, want ...buffer.Dead) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d dead letters, want %d", len(got), len(want))
	}
	for i := range got {
		g, w := &got[i], &want[i]
		if !same(&g.Item, &w.Item) || g.Reason != w.Reason || g.Unknown != w.Unknown || g.At.UnixMilli() != w.At.UnixMilli() {
			t.Fatalf("dead letter %d is %+v, want %+v", i, g, w)
		}
	}
}

// mixed are records with everything that a record can have.
func mixed() []*record.Record {
	return append(numbered(0, 8),
		&record.Record{PartitionKey: strings.Repeat("ü", 256), ExplicitHashKey: "17", Data: []byte{0, 0xff}, Headers: []record.Header{{Key: "a", Value: "\xff"}, {}}},
		&record.Record{PartitionKey: "empty"})
}

func deadLetters(t *testing.T, p Place) {
	b := open(t, p)
	if got := letters(t, b); len(got) != 0 {
		t.Errorf("a new buffer has %d dead letters", len(got))
	}
	put(t, b, mixed()...)
	items := take(t, b, 10)
	one := letter(items[2], `put records: "x" and ünknown things`, true)
	two := letter(items[8], "", false)
	three := letter(items[9], strings.Repeat("long ", 10000), false)
	bury(t, b, one)
	bury(t, b)
	bury(t, b, two, three)
	wantLetters(t, letters(t, b), one, two, three)
	seen := 0
	if err := b.Dead(t.Context(), func(*buffer.Dead) bool { seen++; return seen < 2 }); err != nil || seen != 2 {
		t.Errorf("a reader that stops after two saw %d, %v", seen, err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Dead(over, func(*buffer.Dead) bool { return true }); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("Dead with a context that is over: %v", err)
	}
	// Not yet given out, and not given out any more.
	put(t, b, numbered(10, 12)...)
	closeIt(t, b)
	b = open(t, p)
	wantLetters(t, letters(t, b), one, two, three)
	first := take(t, b, 1)
	want(t, first, 1, numbered(0, 1))
	bury(t, b, letter(items[1], "before its turn", true))
	left := take(t, b, 7)
	wantSame(t, left[:5], items[3:8])
	want(t, left[5:7], 11, numbered(10, 12))
}

func deadKept(t *testing.T, p Place) {
	var all []buffer.Dead
	for i := range 5 {
		b := open(t, p)
		put(t, b, numbered(3*i, 3*i+3)...)
		items := take(t, b, 3)
		one, two := letter(items[0], "first", false), letter(items[2], "last", true)
		bury(t, b, one, two)
		b.Ack(seqs(items...))
		all = append(all, one, two)
		closeIt(t, b)
		b = open(t, p)
		wantLetters(t, letters(t, b), all...)
		if s := b.Stats(); s.Items != 0 || s.Dead != int64(len(all)) {
			t.Errorf("%d letters: %+v", len(all), s)
		}
		closeIt(t, b)
	}
}

// Who was told of an error does not know what happened, and does it again.
func buriedAgain(t *testing.T, p Place) {
	b := open(t, p)
	put(t, b, numbered(0, 4)...)
	items := take(t, b, 4)
	one, two := letter(items[0], "one", false), letter(items[1], "two", false)
	bury(t, b, one)
	bury(t, b, one, two)
	bury(t, b, two, one)
	wantLetters(t, letters(t, b), one, two)
	closeIt(t, b)
	b = open(t, p)
	bury(t, b, one)
	wantLetters(t, letters(t, b), one, two)
	if s := b.Stats(); s.Items != 2 || s.First != 3 || s.Dead != 2 {
		t.Errorf("buried two of four, again and again: %+v", s)
	}
}

func replays(t *testing.T, p Place) {
	b := open(t, p)
	if n, err := b.Replay(t.Context()); n != 0 || err != nil {
		t.Errorf("replay of nothing: %d, %v", n, err)
	}
	records := mixed()
	put(t, b, records...)
	items := take(t, b, len(records))
	bury(t, b, letter(items[1], "one", false), letter(items[8], "two", true))
	bury(t, b, letter(items[9], "three", true))
	b.Ack(seqs(items...))
	closeIt(t, b)

	b = open(t, p)
	before := time.Now()
	if n, err := b.Replay(t.Context()); n != 3 || err != nil {
		t.Fatalf("replay of 3: %d, %v", n, err)
	}
	if n, err := b.Replay(t.Context()); n != 0 || err != nil {
		t.Errorf("replay when all are replayed: %d, %v", n, err)
	}
	if s := b.Stats(); s.Dead != 0 || s.Items != 3 || s.First != 11 {
		t.Fatalf("after the replay of 3: %+v", s)
	}
	again := take(t, b, 3)
	want(t, again, 11, []*record.Record{records[1], records[8], records[9]})
	for i := range again {
		if again[i].Producer == items[0].Producer {
			t.Error("a record was replayed under its old identity, which consumers may take for a duplicate")
		}
		if again[i].Accepted.UnixMilli() < before.UnixMilli() {
			t.Error("a replayed record keeps its age, and dies of it again")
		}
	}
	bury(t, b, letter(again[1], "dead again", false))
	wantLetters(t, letters(t, b), letter(again[1], "dead again", false))
	closeIt(t, b)

	b = open(t, p)
	wantLetters(t, letters(t, b), letter(again[1], "dead again", false))
	wantSame(t, take(t, b, 2), []buffer.Item{again[0], again[2]})
}

// Whoever buries and replays at the same time, each record is one thing: a record
// or a dead letter.
func replaysAtOnce(t *testing.T, p Place) {
	const rounds = 60
	b := open(t, p)
	var buried atomic.Bool
	var replaying sync.WaitGroup
	for range 2 {
		replaying.Go(func() {
			for !buried.Load() {
				if _, err := b.Replay(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	seen := map[string]bool{}
	for i := range rounds {
		put(t, b, numbered(4*i, 4*i+4)...)
		for _, it := range take(t, b, 4) {
			if !seen[string(it.Data)] { // else it was replayed
				bury(t, b, letter(it, "once", false))
			}
			seen[string(it.Data)] = true
		}
	}
	buried.Store(true)
	replaying.Wait()
	closeIt(t, b)

	b = open(t, p)
	times := map[string]int{}
	for _, d := range letters(t, b) {
		times[string(d.Data)]++
	}
	for _, it := range take(t, b, int(b.Stats().Items)) {
		times[string(it.Data)]++
	}
	for _, r := range numbered(0, 4*rounds) {
		if n := times[string(r.Data)]; n != 1 {
			t.Errorf("%q is there %d times, as a record or a dead letter", r.Data, n)
		}
	}
}
