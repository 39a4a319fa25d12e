package aggregate

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/record"
)

// slow is a second decoder, written for nothing but being plain: a message is
// parsed whole into a list of its fields, then looked at.
type slow struct {
	number, wire, value uint64
	bytes               []byte
}

// parse reads fields up to the end of b or, inside a group, up to its end.
func parse(b []byte, group uint64, depth int) (fields []slow, rest []byte, ok bool) {
	for len(b) > 0 {
		key, n := binary.Uvarint(b)
		if n <= 0 || key>>3 == 0 || key>>3 >= 1<<29 {
			return nil, nil, false
		}
		b = b[n:]
		f := slow{number: key >> 3, wire: key & 7}
		switch f.wire {
		case 0:
			if f.value, n = binary.Uvarint(b); n <= 0 {
				return nil, nil, false
			}
			b = b[n:]
		case 1, 5:
			size := 8
			if f.wire == 5 {
				size = 4
			}
			if len(b) < size {
				return nil, nil, false
			}
			b = b[size:]
		case 2:
			size, n := binary.Uvarint(b)
			if n <= 0 || uint64(len(b)-n) < size {
				return nil, nil, false
			}
			f.bytes, b = b[n:n+int(size)], b[n+int(size):]
		case 3:
			if depth == groupDepth {
				return nil, nil, false
			}
			if _, b, ok = parse(b, f.number, depth+1); !ok {
				return nil, nil, false
			}
		case 4:
			return fields, b, f.number == group
		default:
			return nil, nil, false
		}
		fields = append(fields, f)
	}
	return fields, nil, group == 0
}

// slowDecode is nil if the message is malformed.
func slowDecode(msg []byte) (subs []Sub) {
	fields, _, ok := parse(msg, 0, 0)
	if !ok {
		return nil
	}
	var keys, hashes []string
	for _, f := range fields {
		switch {
		case f.number == 1 && f.wire == 2:
			keys = append(keys, string(f.bytes))
		case f.number == 2 && f.wire == 2:
			h := string(f.bytes)
			if _, err := keyspace.Parse(h); err != nil && h != "" {
				return nil
			}
			hashes = append(hashes, h)
		}
	}
	for _, f := range fields {
		if f.number != 3 || f.wire != 2 {
			continue
		}
		inner, _, ok := parse(f.bytes, 0, 0)
		if !ok {
			return nil
		}
		var s Sub
		key, hash := -1, -1
		data := false
		for _, f := range inner {
			switch {
			case f.number == 1 && f.wire == 0:
				key = int(min(f.value, 1<<40))
			case f.number == 2 && f.wire == 0:
				hash = int(min(f.value, 1<<40))
			case f.number == 3 && f.wire == 2:
				s.Data, data = f.bytes, true
			case f.number == 4 && f.wire == 2:
				tag, _, ok := parse(f.bytes, 0, 0)
				h, named := record.Header{}, false
				for _, f := range tag {
					if f.number == 1 && f.wire == 2 {
						h.Key, named = string(f.bytes), true
					}
					if f.number == 2 && f.wire == 2 {
						h.Value = string(f.bytes)
					}
				}
				if !ok || !named {
					return nil
				}
				s.Headers = append(s.Headers, h)
			}
		}
		if !data || key < 0 || key >= len(keys) || hash >= len(hashes) {
			return nil
		}
		s.Key = keys[key]
		if hash >= 0 {
			s.ExplicitHashKey = hashes[hash]
		}
		subs = append(subs, s)
	}
	return subs
}

// FuzzDecode feeds messages under a right checksum. What decodes is what the
// plain decoder sees, and written again it means the same.
func FuzzDecode(f *testing.F) {
	for _, v := range vectors {
		data := unhex(f, v.hex)
		f.Add(data[len(magic) : len(data)-16])
	}
	for _, s := range []string{
		"1a05 0800 1a0178 0a0161",
		"0a0161 1a05 0801 1a0178",
		"2005 290102030405060708 2d01020304 2b 0801 33 34 2c 0a0161 1a10 0800 2d01020304 320178 1a0178 a00105",
		"0a0161 1a05 0800 1a0178 c23e12 0a10 101112131415161718191a1b1c1d1e1f",
		"0a0161 1200 1a07 0800 1000 1a0178",
	} {
		f.Add(unhex(f, s))
	}
	var a Aggregate
	f.Fuzz(func(t *testing.T, msg []byte) {
		_ = Decode(msg, &a) // as it is
		err := Decode(seal(msg), &a)
		want := slowDecode(msg)
		if len(want) == 0 {
			if len(msg) == 0 && !errors.Is(err, ErrNotAggregate) || len(msg) > 0 && !errors.Is(err, ErrMalformed) {
				t.Fatalf("%v, the plain decoder refuses it", err)
			}
			return
		}
		if err != nil {
			t.Fatalf("%v, the plain decoder takes it", err)
		}
		var id *Identity
		if a.HasIdentity {
			c := a.Identity
			c.Counters = append([]uint64(nil), c.Counters...)
			id = &c
		}
		a.IdentityError = nil
		checkSame(t, &a, id, want)
		again, err := DecodeBytes(build(t, id, want))
		if err != nil {
			t.Fatal(err)
		}
		checkSame(t, again, id, want)
	})
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestHostileInputTakesMemoryInProportion(t *testing.T) {
	const size = 256 << 10
	for name, unit := range map[string]string{
		"empty records":            "1a04 0800 1a00",
		"empty keys":               "0a00",
		"empty tags":               "1a08 0800 1a00 2202 0a00",
		"broken records":           "1a00",
		"unknown fields":           "2000",
		"group starts":             "2b",
		"empty hash keys":          "1200",
		"identities":               "c23e00",
		"identities of one record": "c23e12 " + id16,
	} {
		msg := append(unhex(t, "0a0161 1a0508001a0178"), bytes.Repeat(unhex(t, unit), size/len(unhex(t, unit)))...)
		data := seal(msg)
		used := allocated(func() { _, _ = DecodeBytes(data) })
		if factor := float64(used) / float64(len(data)); factor > 30 {
			t.Errorf("%s: %.1f times as much", name, factor)
		} else {
			t.Logf("%s: %.1f times as much", name, factor)
		}
	}
	// One record of very many headers, and an identity that claims more
	// counters than there are records.
	many := bytes.Repeat(unhex(t, "22020a00"), size/4)
	rec := append(unhex(t, "08001a00"), many...)
	msg := append(binary.AppendUvarint(unhex(t, "0a01611a"), uint64(len(rec))), rec...)
	data := seal(msg)
	if factor := float64(allocated(func() { _, _ = DecodeBytes(data) })) / float64(len(data)); factor > 30 {
		t.Errorf("headers: %.1f times as much", factor)
	}
	data = withIdentity(t, 1, id16+"32808040"+strings.Repeat("01", size))
	a := Aggregate{}
	if factor := float64(allocated(func() { _ = Decode(data, &a) })) / float64(len(data)); factor > 2 || a.IdentityError == nil {
		t.Errorf("counters: %.1f times as much, %v", factor, a.IdentityError)
	}
}

func TestScratchOfLargeAggregatesIsNotKept(t *testing.T) {
	var a Aggregate
	if err := Decode(seal(append(unhex(t, "0a0161"), bytes.Repeat(unhex(t, "1a0408001a00"), 2*scratchKept)...)), &a); err != nil {
		t.Fatal(err)
	}
	if err := Decode(unhex(t, vectors[0].hex), &a); err != nil {
		t.Fatal(err)
	}
	if cap(a.Subs) > scratchKept || cap(a.scratch.records) > scratchKept {
		t.Errorf("%d sub-records kept", cap(a.Subs))
	}
}

// usual is an aggregate of a busy lane: a thousand records of 100 bytes, of
// about 200 keys.
func usual(headers bool) (*Identity, []Sub) {
	r := rand.New(rand.NewPCG(1, 2))
	id := &Identity{Producer: producer, Laned: true, Range: keyspace.Split(4)[2]}
	var subs []Sub
	for i := range uint64(1000) {
		s := Sub{Key: "customer-" + string(rune('a'+r.IntN(20))) + string(rune('a'+r.IntN(10))), Data: make([]byte, 100)}
		if headers {
			s.Headers = []record.Header{{Key: "traceparent", Value: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}
		}
		subs = append(subs, s)
		id.Counters = append(id.Counters, 1_000_000+3*i)
	}
	return id, subs
}

func BenchmarkDecode(b *testing.B) {
	for name, headers := range map[string]bool{"plain": false, "headers": true} {
		b.Run(name, func(b *testing.B) {
			id, subs := usual(headers)
			data := build(b, id, subs)
			var a Aggregate
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if err := Decode(data, &a); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(subs)), "ns/record")
		})
	}
}

func BenchmarkBuild(b *testing.B) {
	for name, headers := range map[string]bool{"plain": false, "headers": true} {
		b.Run(name, func(b *testing.B) {
			id, subs := usual(headers)
			var dst []byte
			var bu Builder
			b.ReportAllocs()
			for b.Loop() {
				bu.Reset(id)
				for i := range subs {
					if bu.SizeWith(subs[i], id.Counters[i]) > 1<<20 {
						b.Fatal("full")
					}
					if err := bu.Add(subs[i], id.Counters[i]); err != nil {
						b.Fatal(err)
					}
				}
				dst = bu.AppendTo(dst[:0])
			}
			b.SetBytes(int64(len(dst)))
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(subs)), "ns/record")
		})
	}
}

func TestAllocations(t *testing.T) {
	id, subs := usual(false)
	var bu Builder
	var dst []byte
	write := func() {
		bu.Reset(id)
		for i := range subs {
			if err := bu.Add(subs[i], id.Counters[i]); err != nil {
				t.Fatal(err)
			}
		}
		dst = bu.AppendTo(dst[:0])
	}
	write()
	if n := testing.AllocsPerRun(10, write); n != 0 {
		t.Errorf("building allocates %v times, want none", n)
	}
	var a Aggregate
	read := func() {
		if err := Decode(dst, &a); err != nil {
			t.Fatal(err)
		}
	}
	read()
	if n := testing.AllocsPerRun(10, read); n > 1 {
		t.Errorf("decoding allocates %v times, want once, for the keys", n)
	}
}
