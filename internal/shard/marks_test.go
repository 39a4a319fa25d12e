package shard

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/internal/fetch"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/mark"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

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
		b.stop.Stop(Shutdown)
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

// A second identity field, made up: the aggregate is delivered like another
// producer's, and raises no marks.
func TestAForgedIdentityIsDeliveredAndRaisesNoMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := setUp()
		forged := packed(t, 1, lane, 900, "a", "b")
		message := forged.Data[4 : len(forged.Data)-16]
		forged.Data = aggregateOf(append(slices.Clone(message), "\xc2\x3e\x01\x00"...)) // field 1000 again
		b.answers = []fetch.Answer{{Records: []fetch.Record{forged, packed(t, 2, lane, 1, "a", "b")}}}
		var l list
		if _, err := b.Run(t.Context(), b.stop, Records(l.handle)); err != nil || l.String() != "1/0 1/1 2/0 2/1" {
			t.Errorf("%s, %v", &l, err)
		}
		if b.count(observe.IdentityErrors) != 1 || !strings.Contains(b.log.String(), "identity") {
			t.Errorf("counted %v, logged %s", b.counted, &b.log)
		}
	})
}
