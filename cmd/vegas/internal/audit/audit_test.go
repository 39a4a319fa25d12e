package audit

import (
	"encoding/json"
	"testing"
	"time"
)

// send makes one key's records as a stream would hold them.
func send(a *Auditor, key string, n int) []Stamp {
	var out []Stamp
	for range n {
		out = append(out, a.Next(key, time.UnixMicro(1_700_000_000_000_000)))
	}
	return out
}

func payload(s Stamp) []byte { return s.Append(nil, 120) }

// Each case tells the story of a faulty stream or sender, and what the auditor
// has to make of it.
func TestPlantedFaults(t *testing.T) {
	type books struct {
		a *Auditor
		r *Reader
		s []Stamp
	}
	ack := func(b books, of ...int) {
		for _, i := range of {
			b.a.Answer(b.s[i], Acknowledged)
		}
	}
	deliver := func(b books, of ...int) {
		for _, i := range of {
			_, _ = b.r.Deliver(b.s[i].Key, payload(b.s[i]))
		}
	}
	for _, c := range []struct {
		name string
		do   func(b books)
		want Sums
	}{
		{"all is well", func(b books) { ack(b, 0, 1, 2); deliver(b, 0, 1, 2) },
			Sums{Acknowledged: 3, Delivered: 3}},
		{"delivered before acknowledged", func(b books) { deliver(b, 0, 1, 2); ack(b, 2, 1, 0) },
			Sums{Acknowledged: 3, Delivered: 3}},
		{"the middle one is lost", func(b books) { ack(b, 0, 1, 2); deliver(b, 0, 2) },
			Sums{Acknowledged: 3, Delivered: 2, Lost: 1}},
		{"two swapped", func(b books) { ack(b, 0, 1, 2); deliver(b, 0, 2, 1) },
			Sums{Acknowledged: 3, Delivered: 3, OutOfOrder: 1}},
		{"one delivered twice, late", func(b books) { ack(b, 0, 1, 2); deliver(b, 0, 1, 2, 0) },
			Sums{Acknowledged: 3, Delivered: 3, Duplicated: 1}},
		{"one delivered three times", func(b books) { ack(b, 0, 1, 2); deliver(b, 0, 0, 0, 1, 2) },
			Sums{Acknowledged: 3, Delivered: 3, Duplicated: 2}},
		{"one failed and is a gap, as reported",
			func(b books) { ack(b, 0, 2); b.a.Answer(b.s[1], NotStored); deliver(b, 0, 2) },
			Sums{Acknowledged: 2, NotStored: 1, Delivered: 2}},
		{"one of unknown outcome arrives late, which it may",
			func(b books) { ack(b, 0, 2); b.a.Answer(b.s[1], Unknown); deliver(b, 0, 2, 1) },
			Sums{Acknowledged: 2, Unknown: 1, Delivered: 3}},
		{"one of unknown outcome never arrives, which it may",
			func(b books) { ack(b, 0, 2); b.a.Answer(b.s[1], Unknown); deliver(b, 0, 2) },
			Sums{Acknowledged: 2, Unknown: 1, Delivered: 2}},
		{"one reported as not stored arrives",
			func(b books) { ack(b, 0, 2); b.a.Answer(b.s[1], NotStored); deliver(b, 0, 1, 2) },
			Sums{Acknowledged: 2, NotStored: 1, Delivered: 3, Ghosts: 1}},
		{"one never gets an answer", func(b books) { ack(b, 0, 2); deliver(b, 0, 1, 2) },
			Sums{Acknowledged: 2, Delivered: 3, Unanswered: 1}},
		{"one gets two answers", func(b books) { ack(b, 0, 1, 2, 1); deliver(b, 0, 1, 2) },
			Sums{Acknowledged: 3, Delivered: 3, AnsweredTwice: 1}},
		{"a payload changed", func(b books) {
			ack(b, 0, 1, 2)
			deliver(b, 0, 1)
			p := payload(b.s[2])
			p[12] ^= 1
			if _, err := b.r.Deliver("k", p); err == nil {
				t.Error("a changed payload was accepted")
			}
		}, Sums{Acknowledged: 3, Delivered: 2, Lost: 1, Corrupt: 1}},
		{"a record arrives under another key", func(b books) {
			ack(b, 0, 1, 2)
			deliver(b, 0, 1)
			_, _ = b.r.Deliver("other", payload(b.s[2]))
		}, Sums{Acknowledged: 3, Delivered: 2, Lost: 1, Corrupt: 1}},
		{"a record that nobody sent", func(b books) {
			ack(b, 0, 1, 2)
			deliver(b, 0, 1, 2)
			_, _ = b.r.Deliver("k", payload(Stamp{Key: "k", Number: 3}))
		}, Sums{Acknowledged: 3, Delivered: 3, Corrupt: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := books{a: New()}
			b.r = b.a.Reader()
			b.s = send(b.a, "k", 3)
			c.do(b)
			c.want.Sent, c.want.Keys = 3, 1
			got := b.r.Sums()
			if b.r.Complete() != (c.want.Lost == 0) {
				t.Errorf("Complete is %v for %+v", b.r.Complete(), got)
			}
			if got != c.want {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
			blame := c.want.Lost + c.want.OutOfOrder + c.want.Duplicated + c.want.Corrupt + c.want.Unanswered + c.want.AnsweredTwice + c.want.Ghosts
			if got.Clean() != (blame == 0) {
				t.Errorf("Clean is %v for %+v", got.Clean(), got)
			}
		})
	}
}

func TestKeysDoNotMix(t *testing.T) {
	a := New()
	r, other := a.Reader(), a.Reader()
	x, y := send(a, "x", 2), send(a, "y", 2)
	for _, s := range []Stamp{x[0], y[0], y[1], x[1]} {
		a.Answer(s, Acknowledged)
	}
	for _, s := range []Stamp{y[0], x[0], x[1], y[1]} {
		if _, err := r.Deliver(s.Key, payload(s)); err != nil {
			t.Error(err)
		}
	}
	if s := r.Sums(); !s.Clean() || s.Delivered != 4 || s.Keys != 2 {
		t.Errorf("%+v", s)
	}
	if s := other.Sums(); s.Lost != 4 || other.Complete() {
		t.Errorf("a reader who read nothing: %+v", s)
	}
}

func TestPayloadIsJSONOfTheWantedSize(t *testing.T) {
	s := Stamp{Key: "customer-7", Number: 12, Sent: time.UnixMicro(1_700_000_000_000_001)}
	for _, size := range []int{0, 100, 1000} {
		p := s.Append(nil, size)
		if !json.Valid(p) || len(p) < size || size > 0 && len(p) != size {
			t.Errorf("%d bytes for %d: %s", len(p), size, p)
		}
		got, err := Parse(p)
		if err != nil || got.Key != s.Key || got.Number != s.Number || !got.Sent.Equal(s.Sent) {
			t.Errorf("%+v, %v", got, err)
		}
		for i := range p {
			p[i] ^= 0x01
			if got, err := Parse(p); err == nil {
				t.Errorf("byte %d flipped and accepted: %+v", i, got)
			}
			p[i] ^= 0x01
		}
	}
}
