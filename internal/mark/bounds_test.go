package mark

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"
	"strconv"
	"testing"

	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store"
)

var one = &hashes{of: []int{1}}

// mark decides an aggregate of one record.
func (t *Tracker) mark(seq int, id *aggregate.Identity) Verdict {
	return t.Decide(nil, strconv.Itoa(seq), id, one)[0]
}

func TestProducersSeenLeastRecentlyAreForgotten(t *testing.T) {
	tr := New(keyspace.Full, 3)
	for i, p := range []int{1, 2, 3, 1, 4} { // 2 goes
		tr.mark(i, laned(p, keyspace.Full, uint64(10*i+10)))
	}
	if n := tr.Producers(); n != 3 {
		t.Errorf("%d producers, want 3", n)
	}
	for p, known := range map[int]bool{1: true, 2: false, 3: true, 4: true} {
		if got := tr.live.find(pid(p)) != nil; got != known {
			t.Errorf("producer %d: known %v", p, got)
		}
	}
	// Which one is next survives the store.
	tr.Checkpointed(record.Position{Sequence: "9"})
	s, err := Decode(tr.Encode())
	if err != nil {
		t.Fatal(err)
	}
	again := New(keyspace.Full, 3)
	again.Restore(s, s.At)
	again.mark(10, laned(5, keyspace.Full, 1))
	if again.live.find(pid(3)) != nil || again.live.find(pid(1)) == nil {
		t.Error("another than the one seen least recently was forgotten")
	}
}

func TestTheLowestMarkOfAProducerIsForgotten(t *testing.T) {
	tr := New(keyspace.Full, 0)
	for i := range marksKept + 2 { // disjoint ranges, 100 the lowest
		h := keyspace.Hash{Hi: uint64(i)}
		tr.mark(i, laned(1, keyspace.Range{First: h, Last: h}, 100+uint64(i)))
	}
	marks := tr.live.find(pid(1)).marks
	if len(marks) != marksKept {
		t.Fatalf("%d marks, want %d", len(marks), marksKept)
	}
	for _, m := range marks {
		if m.top < 102 {
			t.Errorf("mark %d was kept, a higher one forgotten", m.top)
		}
	}
}

func TestRaisesWaitingForACheckpointAreBounded(t *testing.T) {
	tr := New(keyspace.Full, 0)
	const n = 5 * queueKept
	for i := range n {
		tr.mark(i+1, laned(i%2, keyspace.Full, uint64(i)))
		if len(tr.queue.waiting) > queueKept {
			t.Fatalf("%d waiting", len(tr.queue.waiting))
		}
	}
	for at := 1; at <= n; at += n / 50 {
		tr.Checkpointed(record.Position{Sequence: strconv.Itoa(at)})
		for p := range 2 {
			if q := tr.saved.find(pid(p)); q != nil && q.marks[0].top >= uint64(at) {
				t.Fatalf("checkpoint at %d: the mark leads, it is %d", at, q.marks[0].top)
			}
		}
		// Thinned four times at most: the marks lag, and not by much more
		// than the steps that are left.
		if p := tr.saved.find(pid(0)); at > n/2 && (p == nil || at-int(p.marks[0].top) > 200) {
			t.Fatalf("checkpoint at %d: the mark lags, it is %v", at, p)
		}
	}
	tr.Checkpointed(record.Position{Sequence: strconv.Itoa(n)})
	for p := range 2 {
		if got, want := tr.saved.find(pid(p)).marks[0].top, uint64(n-2+p); got != want {
			t.Errorf("producer %d: the last raise is %d, want %d", p, got, want)
		}
	}
	if len(tr.queue.waiting) != 0 || tr.queue.bytes != 0 {
		t.Errorf("%d waiting, %d bytes", len(tr.queue.waiting), tr.queue.bytes)
	}
}

// However much of others comes behind it, the only raise of a mark is not
// thinned out.
func TestTheOnlyRaiseOfAMarkIsKept(t *testing.T) {
	tr := New(keyspace.Full, 0)
	tr.mark(1, laned(1, keyspace.Full, 5))
	for i := range 3 * queueKept {
		tr.mark(i+2, laned(2, keyspace.Full, uint64(i)))
	}
	tr.Checkpointed(record.Position{Sequence: "2"})
	if p := tr.saved.find(pid(1)); p == nil || p.marks[0].top != 5 {
		t.Errorf("%+v, want a mark at 5", p)
	}
}

// Thinning cannot help when every raise is of another mark.
func TestRaisesOfManyProducersAreBounded(t *testing.T) {
	tr := New(keyspace.Full, 0)
	for i := range 2 * queueKept {
		tr.Decide(nil, strconv.Itoa(i+1), laned(i, keyspace.Full, 1, 3), &hashes{of: []int{1, 2}})
		if len(tr.queue.waiting) > queueKept {
			t.Fatalf("%d waiting", len(tr.queue.waiting))
		}
	}
	tr.Rewind()
	if len(tr.queue.waiting) != 0 || tr.queue.bytes != 0 || tr.Producers() != 0 {
		t.Errorf("after Rewind: %d waiting, %d bytes, %d producers", len(tr.queue.waiting), tr.queue.bytes, tr.Producers())
	}
}

func TestCountersWithGapsAreBounded(t *testing.T) {
	tr := New(keyspace.Full, 0)
	id := laned(1, keyspace.Full)
	of := make([]int, 50_000)
	var next uint64
	for seq := range 40 {
		id.Counters = id.Counters[:0]
		for range of {
			next += 2
			id.Counters = append(id.Counters, next)
		}
		tr.Decide(nil, strconv.Itoa(seq+1), id, &hashes{of: of})
		if tr.queue.bytes > queueBytes {
			t.Fatalf("%d bytes", tr.queue.bytes)
		}
	}
	tr.Checkpointed(record.Position{Sequence: "40", SubSequence: 7}) // no room for this one's counters
	if got, want := tr.saved.find(pid(1)).marks[0].top, uint64(2*39*len(of)); got != want {
		t.Errorf("inside: %d, want %d", got, want)
	}
	tr.Checkpointed(record.Position{Sequence: "40", SubSequence: int64(len(of)) - 1})
	if got := tr.saved.find(pid(1)).marks[0].top; got != next {
		t.Errorf("behind: %d, want %d", got, next)
	}
	if len(tr.queue.waiting) != 0 || tr.queue.bytes != 0 {
		t.Errorf("%d waiting, %d bytes", len(tr.queue.waiting), tr.queue.bytes)
	}
}

func TestEncodedMarksFitIntoARow(t *testing.T) {
	if EncodedBytes+2*store.NameBytes+1024 > store.RowBytes {
		t.Errorf("EncodedBytes %d leaves no room in a row of %d", EncodedBytes, store.RowBytes)
	}
	// As many as there can be, each as long as it can be.
	tr := New(keyspace.Full, 0)
	for p := range ProducersKept {
		for i := range uint64(8) {
			h := keyspace.Hash{Hi: i, Lo: 1}
			tr.mark(p*8+int(i)+1, laned(p, keyspace.Range{First: h, Last: h}, ^uint64(0)-i))
		}
		tr.Checkpointed(record.Position{Sequence: strconv.Itoa(p*8 + 8)})
	}
	b := tr.Encode()
	if len(b) > EncodedBytes || len(b) < EncodedBytes-1000 {
		t.Errorf("%d bytes, the limit is %d", len(b), EncodedBytes)
	}
	s, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	again := New(keyspace.Full, 0)
	again.Restore(s, s.At)
	if again.live.find(pid(ProducersKept-1)) == nil || again.live.find(pid(0)) != nil {
		t.Error("not the producers seen last were kept")
	}
	t.Logf("%d of %d producers in %d bytes", again.Producers(), ProducersKept, len(b))

	// The usual: one mark each, over the whole shard.
	tr = New(span(0, 31), 0)
	for p := range ProducersKept {
		tr.mark(p+1, laned(p, span(0, 31), 1_000_000))
	}
	tr.Checkpointed(record.Position{Sequence: "5000"})
	b = tr.Encode()
	if s, err = Decode(b); err != nil {
		t.Fatal(err)
	}
	again = New(span(0, 31), 0)
	again.Restore(s, s.At)
	if again.Producers() != ProducersKept {
		t.Errorf("%d producers, want all", again.Producers())
	}
	t.Logf("%d producers in %d bytes", again.Producers(), len(b))
}

func encoded() []byte {
	tr := New(span(0, 31), 0)
	tr.mark(1, laned(1, keyspace.Full, 300))
	tr.mark(2, laned(2, span(3, 4), 1))
	tr.Checkpointed(record.Position{Sequence: "2", SubSequence: 300})
	return tr.Encode()
}

func TestDamagedMarksAreRefused(t *testing.T) {
	good := encoded()
	if _, err := Decode(good); err != nil {
		t.Fatal(err)
	}
	for n := range good {
		if _, err := Decode(good[:n]); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
		bad := append([]byte(nil), good...)
		bad[n] ^= 0x10
		if _, err := Decode(bad); !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d flipped: %v", n, err)
		}
		// A cut that comes with a right checksum must be seen too, unless it
		// falls between two producers.
		sealed := binary.BigEndian.AppendUint32(good[:n:n], crc32.Checksum(good[:n], castagnoli))
		if s, err := Decode(sealed); err == nil && len(s.marks) > 2 {
			t.Errorf("cut to %d bytes and sealed: %v", n, s)
		}
	}
}

func FuzzDecodeMarks(f *testing.F) {
	good := encoded()
	f.Add(good[:len(good)-crc32.Size])
	f.Add([]byte(encodingMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Decode(binary.BigEndian.AppendUint32(slices.Clip(b), crc32.Checksum(b, castagnoli)))
		if err != nil {
			return
		}
		tr := New(s.Shard, 0)
		if !tr.Restore(s, s.At) {
			t.Fatal("marks lead the position that they name")
		}
		again, err := Decode(tr.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if again.At != s.At || again.Shard != s.Shard || len(again.marks) > len(s.marks) {
			t.Fatalf("%+v became %+v", s, again)
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	of := make([]int, 200)
	for i := range of {
		of[i] = i % space
	}
	for _, c := range []struct {
		name  string
		shard keyspace.Range
		lane  keyspace.Range
		gap   uint64
	}{
		{"whole lane", keyspace.Full, keyspace.Full, 1},
		{"whole lane, gaps", keyspace.Full, keyspace.Full, 3},
		{"parent's lane", span(0, 31), keyspace.Full, 1},
	} {
		b.Run(c.name, func(b *testing.B) {
			tr := New(c.shard, 0)
			id := laned(1, c.lane)
			id.Counters = make([]uint64, len(of))
			hs := &hashes{of: of}
			var next uint64
			var out []Verdict
			b.ReportAllocs()
			for b.Loop() {
				for i := range id.Counters {
					id.Counters[i] = next
					next += c.gap
				}
				out = tr.Decide(out[:0], "49590338271490256608559692538361571095921575989136588898", id, hs)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(of)), "ns/record")
		})
	}
}
