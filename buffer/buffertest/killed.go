package buffertest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/record"
)

// leave gives the place that a process leaves that is killed now.
func leave(t *testing.T, p Place, b buffer.Buffer) Place {
	t.Helper()
	left := p.Copy(t)
	closeIt(t, b)
	return left
}

func killed(t *testing.T, p Place) {
	for i := range 5 {
		b := open(t, p)
		records := numbered(0, 10)
		first := put(t, b, records...)
		if first != uint64(10*i)+1 {
			t.Fatalf("life %d: a batch begins at %d, want %d", i, first, 10*i+1)
		}
		items := take(t, b, 10)
		b.Ack(seqs(items[:5]...))
		p = leave(t, p, b)

		b = open(t, p)
		n := int(b.Stats().Items) // acknowledgements may be forgotten
		if n < 5 || n > 10 {
			t.Fatalf("life %d: %d items came back, want the 5 that were not acknowledged, and of the others", i, n)
		}
		wantSame(t, take(t, b, n)[n-5:], items[5:])
		b.Ack(seqs(items...))
		closeIt(t, b)
	}
}

func killedDead(t *testing.T, p Place) {
	b := open(t, p)
	put(t, b, numbered(0, 4)...)
	items := take(t, b, 4)
	one, two := letter(items[0], "one", true), letter(items[2], "two", false)
	bury(t, b, one, two)
	p = leave(t, p, b)

	b = open(t, p)
	wantLetters(t, letters(t, b), one, two)
	wantSame(t, take(t, b, 2), []buffer.Item{items[1], items[3]})
	if n, err := b.Replay(t.Context()); n != 2 || err != nil {
		t.Fatalf("replay of 2: %d, %v", n, err)
	}
	p = leave(t, p, b)

	b = open(t, p)
	wantLetters(t, letters(t, b))
	again := take(t, b, 4)
	wantSame(t, again[:2], []buffer.Item{items[1], items[3]})
	want(t, again[2:], 5, []*record.Record{numbered(0, 1)[0], numbered(2, 3)[0]})
}

// A backup that is started beside its original sends the backlog as true
// duplicates, and what is new under identities of its own.
func copies(t *testing.T, p Place) {
	b := open(t, p)
	put(t, b, numbered(0, 5)...)
	old := take(t, b, 5)
	twin := p.Copy(t) // while it runs
	put(t, b, numbered(5, 8)...)
	closeIt(t, b)
	third := p.Copy(t)

	seen := map[string]string{}
	for name, place := range map[string]Place{"original": p, "copy of the open one": twin, "copy of the closed one": third} {
		b := open(t, place)
		n := int(b.Stats().Items)
		put(t, b, numbered(100, 105)...)
		items := take(t, b, n+5)
		wantSame(t, items[:5], old)
		for _, it := range items[n:] {
			id := fmt.Sprintf("%x/%d", it.Producer, it.Seq)
			if seen[id] != "" {
				t.Errorf("%s: identity %s is also that of a record of the %s", name, id, seen[id])
			}
			seen[id] = name
		}
		closeIt(t, b)
	}
}

// A longLife is what a buffer goes through, at random, beside a model of it.
func longLife(t *testing.T, p Place) {
	for seed := range uint64(3) {
		l := &life{t: t, place: p, rand: rand.New(rand.NewPCG(seed, 5))}
		if seed > 0 { // goes on where the one before ended
			l.adopt()
		}
		l.open()
		for range 150 {
			l.step()
		}
		l.b.Ack(seqs(l.live...))
		closeIt(t, l.b)
		p = l.place
	}
}

type life struct {
	t     *testing.T
	place Place
	rand  *rand.Rand
	b     buffer.Buffer

	live  []buffer.Item // in the order of their numbers
	out   int           // so many of live have come out in this opening
	acked []buffer.Item // since the last Close: a kill may bring them back
	dead  []buffer.Dead
	next  uint64
}

// adopt takes over what the life before left in the place. Of what that had
// acknowledged when it was killed some may have come back.
func (l *life) adopt() {
	b := open(l.t, l.place)
	b.Ack(seqs(take(l.t, b, int(b.Stats().Items))...))
	l.dead, l.next = letters(l.t, b), b.Stats().First
	closeIt(l.t, b)
}

func (l *life) open() {
	l.b = open(l.t, l.place)
	l.out = 0
	if l.next == 0 {
		l.next = 1
	}
}

func (l *life) step() {
	t := l.t
	switch n := l.rand.IntN(100); {
	case n < 40:
		l.append()
	case n < 65:
		l.take(l.rand.IntN(len(l.live) - l.out + 1))
	case n < 80:
		l.acknowledge()
	case n < 88:
		if i := l.out - 1 - l.rand.IntN(8); i >= 0 {
			d := letter(l.live[i], fmt.Sprint("reason ", i), i%2 == 0)
			bury(t, l.b, d)
			l.dead = append(l.dead, d)
			l.live = slices.Delete(l.live, i, i+1)
			l.out--
		}
	case n < 90:
		l.replay()
	case n < 95:
		closeIt(t, l.b)
		l.acked = nil
		l.open()
	default:
		l.place = leave(t, l.place, l.b)
		l.open()
		l.reconcile()
	}
	s := l.b.Stats()
	first := l.next
	if len(l.live) > 0 {
		first = l.live[0].Seq
	}
	if s.Items != int64(len(l.live)) || s.First != first || s.Dead != int64(len(l.dead)) || s.Lost != 0 || s.Quarantined != 0 {
		t.Fatalf("%d items from %d on and %d dead letters, want %d from %d on and %d (lost %d, quarantined %d)",
			s.Items, s.First, s.Dead, len(l.live), first, len(l.dead), s.Lost, s.Quarantined)
	}
	wantLetters(t, letters(t, l.b), l.dead...)
}

func (l *life) append() {
	var records []*record.Record
	for range 1 + l.rand.IntN(12) {
		data := make([]byte, 1+l.rand.IntN(3000))
		for i := range data {
			data[i] = byte(l.rand.Uint32())
		}
		records = append(records, &record.Record{PartitionKey: fmt.Sprint(l.rand.IntN(5)), Data: data})
	}
	l.accepted(put(l.t, l.b, records...), records)
}

// accepted adds to the model what was appended; what only the buffer knows of it
// is learnt when it comes out.
func (l *life) accepted(first uint64, records []*record.Record) {
	if first != l.next {
		l.t.Fatalf("a batch begins at %d, want %d", first, l.next)
	}
	for _, r := range records {
		l.live = append(l.live, buffer.Item{Seq: l.next, Key: r.PartitionKey, Data: r.Data})
		l.next++
	}
}

func (l *life) take(n int) {
	for _, it := range take(l.t, l.b, n) {
		l.check(it)
		l.out++
	}
}

// check compares an item with the one that should come out.
func (l *life) check(it buffer.Item) {
	model := &l.live[l.out]
	if model.Producer == [16]byte{} {
		model.Producer, model.Accepted = it.Producer, it.Accepted
	}
	if !same(&it, model) {
		l.t.Fatalf("came out: %s\nwant: %s", list([]buffer.Item{it}), list([]buffer.Item{*model}))
	}
}

func (l *life) acknowledge() {
	var acked []buffer.Item
	kept := l.live[:0:0]
	most := l.rand.IntN(100)
	out := 0
	for i, it := range l.live {
		if i < l.out && l.rand.IntN(100) < most {
			acked = append(acked, it)
			continue
		}
		if i < l.out {
			out++
		}
		kept = append(kept, it)
	}
	l.rand.Shuffle(len(acked), func(i, j int) { acked[i], acked[j] = acked[j], acked[i] })
	l.b.Ack(seqs(acked...))
	l.live, l.out = kept, out
	l.acked = append(l.acked, acked...)
}

func (l *life) replay() {
	if n, err := l.b.Replay(l.t.Context()); err != nil || n != len(l.dead) {
		l.t.Fatalf("replay of %d dead letters: %d, %v", len(l.dead), n, err)
	}
	var records []*record.Record
	for _, d := range l.dead {
		records = append(records, &record.Record{PartitionKey: d.Key, Data: d.Data})
	}
	l.dead = nil
	l.accepted(l.next, records)
}

// reconcile finds out which acknowledgements a kill has undone.
func (l *life) reconcile() {
	n := int(l.b.Stats().Items)
	back := n - len(l.live)
	if back < 0 || back > len(l.acked) {
		l.t.Fatalf("killed with %d items and %d acknowledged: %d came back", len(l.live), len(l.acked), n)
	}
	came := take(l.t, l.b, n)
	for _, it := range came {
		if i := slices.IndexFunc(l.acked, func(a buffer.Item) bool { return a.Seq == it.Seq }); i >= 0 {
			l.live = append(l.live, l.acked[i])
			l.acked = slices.Delete(l.acked, i, i+1)
		}
	}
	slices.SortFunc(l.live, func(a, b buffer.Item) int { return int(a.Seq) - int(b.Seq) })
	if len(l.live) != n {
		l.t.Fatalf("killed: %d items came back that are neither live nor acknowledged", n-len(l.live))
	}
	for _, it := range came {
		l.check(it)
		l.out++
	}
}
