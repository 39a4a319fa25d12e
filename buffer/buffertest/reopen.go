package buffertest

import (
	"testing"
	"time"

	"github.com/libvegas/vegas/buffer"
)

func backlog(t *testing.T, p Place) {
	b := open(t, p)
	old := numbered(0, 30)
	first := put(t, b, old...)
	items := take(t, b, 20) // the others never came out
	b.Ack(seqs(items[:10]...))
	closeIt(t, b)

	b = open(t, p)
	if n := b.Stats().Items; n != 20 {
		t.Fatalf("%d of 20 records are there", n)
	}
	fresh := numbered(30, 40)
	put(t, b, fresh...)
	again := take(t, b, 30)
	want(t, again, first+10, append(old[10:], fresh...))
	wantSame(t, again[:10], items[10:])
	b.Ack(seqs(again...))
	closeIt(t, b)

	b = open(t, p)
	last := put(t, b, numbered(40, 41)...)
	want(t, take(t, b, 1), last, numbered(40, 41))
}

func identities(t *testing.T, p Place) {
	seen := map[[16]byte]bool{}
	for i := range 5 {
		b := open(t, p)
		before := time.Now()
		put(t, b, numbered(i, i+1)...)
		items := take(t, b, i+1)
		if it := items[i]; seen[it.Producer] || it.Producer == [16]byte{} {
			t.Fatalf("opening %d has the producer %x", i, it.Producer)
		}
		if at := items[i].Accepted; at.UnixMilli() < before.UnixMilli() || at.After(time.Now()) {
			t.Errorf("accepted at %v, which was at %v", at, before)
		}
		seen[items[i].Producer] = true
		for j := range items {
			if !seen[items[j].Producer] || j > 0 && items[j].Producer == items[j-1].Producer {
				t.Fatalf("opening %d changed what earlier ones accepted:%s", i, list(items))
			}
		}
		closeIt(t, b)
	}
}

// Nothing is left of what was given, but that it was.
func numbersRise(t *testing.T, p Place) {
	last := uint64(0)
	for range 4 {
		b := open(t, p)
		if s := b.Stats(); s.Items != 0 || s.First != last+1 {
			t.Errorf("of a buffer where all %d records are acknowledged: %+v", last, s)
		}
		if first := put(t, b, numbered(0, 5)...); first != last+1 {
			t.Fatalf("a batch begins at %d, want %d", first, last+1)
		}
		last += 5
		b.Ack(seqs(take(t, b, 5)...))
		closeIt(t, b)
		closeIt(t, open(t, p)) // an opening in which nothing happens
	}
}

func holes(t *testing.T, p Place) {
	b := open(t, p)
	put(t, b, numbered(0, 100)...)
	var acked, left []buffer.Item
	for i, it := range take(t, b, 100) {
		if i%3 == 0 || i > 80 || i < 10 {
			acked = append(acked, it)
		} else {
			left = append(left, it)
		}
	}
	b.Ack(seqs(acked...))
	for range 3 {
		if s := b.Stats(); s.Items != int64(len(left)) || s.First != left[0].Seq {
			t.Fatalf("with holes: %d items from %d on, want %d from %d on", s.Items, s.First, len(left), left[0].Seq)
		}
		closeIt(t, b)
		b = open(t, p)
		wantSame(t, take(t, b, len(left)), left)
		b.Ack(seqs(left[3], left[0])) // out of order
		left = append(left[1:3:3], left[4:]...)
	}
}

func unknownAcks(t *testing.T, p Place) {
	b := open(t, p)
	b.Ack(nil)
	b.Ack([]uint64{0, 1, 2, 1 << 63, 1<<64 - 1})
	put(t, b, numbered(0, 4)...)
	items := take(t, b, 4)
	b.Ack([]uint64{5, 6, 1000, 0, items[1].Seq, items[1].Seq})
	b.Ack([]uint64{items[1].Seq})
	put(t, b, numbered(4, 6)...)
	items = append(items, take(t, b, 2)...)
	if s := b.Stats(); s.Items != 5 {
		t.Errorf("%d items, want 5", s.Items)
	}
	closeIt(t, b)
	b = open(t, p)
	b.Ack([]uint64{items[1].Seq, 7, 8})
	put(t, b, numbered(6, 8)...)
	again := take(t, b, 7)
	wantSame(t, again[:5], append(items[:1:1], items[2:]...))
	want(t, again[5:], 7, numbered(6, 8))
}

func refused(t *testing.T, p Place) {
	b := open(t, p)
	if err := p.New(t).Open(t.Context()); err == nil {
		t.Error("a buffer was opened while another had it")
	}
	put(t, b, numbered(0, 1)...)
	closeIt(t, b)
	take(t, open(t, p), 1)
}

// Who appends and is told of the end before its Sync finds it all the same.
func closeKeeps(t *testing.T, p Place) {
	b := open(t, p)
	records := numbered(0, 20)
	first := add(t, b, records...)
	closeIt(t, b)
	b = open(t, p)
	want(t, take(t, b, 20), first, records)
}

func stats(t *testing.T, p Place) {
	b := open(t, p)
	if s := b.Stats(); s.Items != 0 || s.First != 1 || s.Limit != 0 || !s.Oldest.IsZero() ||
		s.Dead != 0 || s.Lost != 0 || s.Quarantined != 0 || s.Syncs != 0 || s.Appended != 0 || s.Stalled != nil {
		t.Errorf("of a new one: %+v", s)
	}
	put(t, b, heavy(3)...)
	put(t, b, heavy(2)...)
	items := take(t, b, 5)
	check := func(what string, first, left, dead int, appended int64) {
		t.Helper()
		s := b.Stats()
		if s.Items != int64(left) || s.First != uint64(first) || s.Dead != int64(dead) || s.Appended != appended ||
			s.Lost != 0 || s.Quarantined != 0 || s.Limit != 0 || s.Stalled != nil || s.Bytes < int64(left)*full/60 {
			t.Errorf("%s: %+v", what, s)
		}
		if first > 5 && !s.Oldest.IsZero() || first <= 5 && s.Oldest.UnixMilli() != items[first-1].Accepted.UnixMilli() {
			t.Errorf("%s: the oldest is of %v", what, s.Oldest)
		}
	}
	check("of 5 records", 1, 5, 0, 5)
	if s := b.Stats(); s.Syncs < 2 || s.Syncs > 5 {
		t.Errorf("two batches, one after the other, were made durable by %d writes", s.Syncs)
	}
	b.Ack(seqs(items[0], items[2]))
	check("when 1 and 3 are acknowledged", 2, 3, 0, 5)
	if err := b.Bury(t.Context(), []buffer.Dead{{Item: items[1], Reason: "x"}}); err != nil {
		t.Fatal(err)
	}
	check("when 2 is dead", 4, 2, 1, 5)
	closeIt(t, b)
	b = open(t, p)
	check("when it is opened again", 4, 2, 1, 0)
	b.Ack(seqs(items...))
	check("when all are acknowledged", 6, 0, 1, 0)
}
