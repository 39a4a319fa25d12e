package aggregate

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/record"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// seal makes an aggregate of a protobuf message.
func seal(msg []byte) []byte {
	sum := md5.Sum(msg)
	return append(append([]byte(magic), msg...), sum[:]...)
}

func build(t testing.TB, id *Identity, subs []Sub) []byte {
	t.Helper()
	var b Builder
	b.Reset(id)
	for i, s := range subs {
		var counter uint64
		if id != nil {
			counter = id.Counters[i]
		}
		want := b.SizeWith(s, counter)
		if err := b.Add(s, counter); err != nil {
			t.Fatal(err)
		}
		if b.Size() != want {
			t.Fatalf("after sub-record %d: Size is %d, SizeWith said %d", i, b.Size(), want)
		}
	}
	data := b.AppendTo(nil)
	if len(data) != b.Size() {
		t.Fatalf("%d bytes, Size said %d", len(data), b.Size())
	}
	return data
}

var producer = [16]byte{0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f}

// The upper half of a stream of two shards, as it is split by default.
var upper = keyspace.Split(2)[1]

var vectors = []struct {
	name string
	id   *Identity
	subs []Sub
	hex  string
}{
	{
		// The bytes of the KPL, without anything of vegas.
		name: "plain",
		subs: []Sub{{Key: "a", Data: []byte("x")}, {Key: "bc", ExplicitHashKey: "123", Data: []byte("yz")}},
		hex: `f3899ac2 0a0161 0a026263 1203313233 1a05 0800 1a0178 1a08 0801 1000 1a02797a
		      d928d6fb6e49ac46729468cc820f5896`,
	},
	{
		name: "headers",
		subs: []Sub{
			{Key: "a", Data: []byte("x"), Headers: []record.Header{{Key: "h", Value: "1"}, {Key: "h", Value: ""}}},
			{Key: "a", Data: nil},
		},
		hex: `f3899ac2 0a0161 1a14 0800 1a0178 2206 0a0168 120131 2205 0a0168 1200 1a04 0800 1a00
		      ` + md5Of("0a0161 1a14 0800 1a0178 2206 0a0168 120131 2205 0a0168 1200 1a04 0800 1a00"),
	},
	{
		// The lane of the upper half: 80 is its first hash, less the zeros
		// behind; its last is 2^128-1, left out.
		name: "laned",
		id:   &Identity{Producer: producer, Laned: true, Range: upper, Counters: []uint64{300, 301}},
		subs: []Sub{{Key: "a", Data: []byte("x")}, {Key: "a", Data: []byte("y")}},
		hex: `f3899ac2 0a0161 1a05 0800 1a0178 1a05 0800 1a0179
		      c23e 1a 0a10 101112131415161718191a1b1c1d1e1f 1001 1a0180 28ac02
		      ` + md5Of(`0a0161 1a05 0800 1a0178 1a05 0800 1a0179
		      c23e 1a 0a10 101112131415161718191a1b1c1d1e1f 1001 1a0180 28ac02`),
	},
	{
		name: "gaps between counters, not laned",
		id:   &Identity{Producer: producer, Range: keyspace.Full, Counters: []uint64{0, 1, 201}},
		subs: []Sub{{Key: "a"}, {Key: "b"}, {Key: "a"}},
		hex: `f3899ac2 0a0161 0a0162 1a04 0800 1a00 1a04 0801 1a00 1a04 0800 1a00
		      c23e 17 0a10 101112131415161718191a1b1c1d1e1f 3203 01c801
		      ` + md5Of(`0a0161 0a0162 1a04 0800 1a00 1a04 0801 1a00 1a04 0800 1a00
		      c23e 17 0a10 101112131415161718191a1b1c1d1e1f 3203 01c801`),
	},
}

// md5Of leaves the checksum of a vector to the standard library; the first
// vector states its own.
func md5Of(message string) string {
	b, err := hex.DecodeString(strings.Join(strings.Fields(message), ""))
	if err != nil {
		return err.Error()
	}
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

func TestVectors(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			want := unhex(t, v.hex)
			if got := build(t, v.id, v.subs); !bytes.Equal(got, want) {
				t.Errorf("built\n%x, want\n%x", got, want)
			}
			a, err := DecodeBytes(want)
			if err != nil {
				t.Fatal(err)
			}
			checkSame(t, a, v.id, v.subs)
		})
	}
}

// checkSame compares an aggregate with what it was built from.
func checkSame(t testing.TB, a *Aggregate, id *Identity, subs []Sub) {
	t.Helper()
	if len(a.Subs) != len(subs) {
		t.Fatalf("%d sub-records, want %d", len(a.Subs), len(subs))
	}
	for i, want := range subs {
		got := a.Subs[i]
		if got.Key != want.Key || got.ExplicitHashKey != want.ExplicitHashKey || !bytes.Equal(got.Data, want.Data) ||
			len(got.Headers) != len(want.Headers) || len(want.Headers) > 0 && !reflect.DeepEqual(got.Headers, want.Headers) {
			t.Fatalf("sub-record %d: %+v, want %+v", i, got, want)
		}
	}
	if a.IdentityError != nil || a.HasIdentity != (id != nil) {
		t.Fatalf("identity: %v, %v", a.HasIdentity, a.IdentityError)
	}
	if id != nil && !reflect.DeepEqual(a.Identity, *id) {
		t.Fatalf("identity %+v, want %+v", a.Identity, *id)
	}
}

func TestPlainRecordsAreNotAggregates(t *testing.T) {
	good := unhex(t, vectors[0].hex)
	flipped := bytes.Clone(good)
	flipped[7] ^= 1
	for name, data := range map[string][]byte{
		"empty":           {},
		"text":            []byte("paid"),
		"magic alone":     []byte(magic),
		"no message":      seal(nil),
		"wrong checksum":  flipped,
		"cut":             good[:len(good)-1],
		"something after": append(bytes.Clone(good), 0),
	} {
		if _, err := DecodeBytes(data); !errors.Is(err, ErrNotAggregate) {
			t.Errorf("%s: %v, want ErrNotAggregate", name, err)
		}
		if LooksLikeAggregate(data) {
			t.Errorf("%s looks like an aggregate", name)
		}
	}
	if !LooksLikeAggregate(good) {
		t.Error("an aggregate does not look like one")
	}
}

func TestMalformedAggregates(t *testing.T) {
	groups := strings.Repeat("2b", groupDepth+1) + strings.Repeat("2c", groupDepth+1)
	for name, message := range map[string]string{
		"no record":                   "0a0161",
		"no record but others":        "0a0161 1800",
		"length past the end":         "0a0161 1a06 0800 1a0178",
		"length of the data":          "0a0161 1a05 0800 1a0278",
		"huge length":                 "0a0161 1affffffffffffffffff01 0800",
		"varint of 11 bytes":          "0a0161 1a05 0800 1a0178 28ffffffffffffffffffff01",
		"varint cut":                  "0a0161 1a05 0800 1a0178 28ff",
		"field number 0":              "0a0161 1a05 0800 1a0178 0200",
		"field number too high":       "0a0161 1a05 0800 1a0178 808080801000",
		"wire type 6":                 "0a0161 1a05 0800 1a0178 2e",
		"fixed64 cut":                 "0a0161 1a05 0800 1a0178 2901020304050607",
		"fixed32 cut":                 "0a0161 1a05 0800 1a0178 2d010203",
		"group not closed":            "0a0161 1a05 0800 1a0178 2b",
		"group closed twice":          "0a0161 1a05 0800 1a0178 2b2c2c",
		"group closed by another":     "0a0161 1a05 0800 1a0178 2b34",
		"groups too deep":             "0a0161 1a05 0800 1a0178" + groups,
		"no key index":                "0a0161 1a03 1a0178",
		"key index of the wrong type": "0a0161 1a06 0a0100 1a0178",
		"no data":                     "0a0161 1a02 0800",
		"key index outside":           "0a0161 1a05 0801 1a0178",
		"key index huge":              "0a0161 1a0e 08ffffffffffffffffff01 1a0178",
		"no keys":                     "1a05 0800 1a0178",
		"hash key index outside":      "0a0161 1a07 0800 1000 1a0178",
		"hash key not a number":       "0a0161 12027831 1a07 0800 1000 1a0178",
		"hash key too large":          "0a0161 1227" + hex.EncodeToString([]byte("340282366920938463463374607431768211456")) + "1a07 0800 1000 1a0178",
		"tag without key":             "0a0161 1a0a 0800 1a0178 2203 120131",
		"tag cut":                     "0a0161 1a09 0800 1a0178 2202 0a02",
		"second record bad":           "0a0161 1a05 0800 1a0178 1a05 0801 1a0178",
	} {
		a := Aggregate{Subs: []Sub{{Key: "stale"}}}
		err := Decode(seal(unhex(t, message)), &a)
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
		if len(a.Subs) != 0 || a.HasIdentity {
			t.Errorf("%s: left %+v behind", name, a)
		}
	}
}

func TestUnusualButWellFormed(t *testing.T) {
	groups := strings.Repeat("2b", groupDepth) + strings.Repeat("2c", groupDepth)
	x := Sub{Key: "a", Data: []byte("x")}
	for name, c := range map[string]struct {
		message string
		want    Sub
	}{
		"tables behind":                   {"1a05 0800 1a0178 0a0161", x},
		"unknown fields":                  {"2005 290102030405060708 2d01020304 2b 0801 33 34 2c 0a0161 1a10 0800 2d01020304 32 0178 1a0178 a001 05", x},
		"deep groups":                     {"0a0161 1a05 0800 1a0178" + groups, x},
		"index repeated, the last counts": {"0a0162 0a0161 1a0a 0800 1a0179 0801 1a0178 ", x},
		"known number, other type":        {"0a0161 0805 1a07 0800 1805 1a0178", x},
		"long varints":                    {"0a0161 1a07 08808000 1a0178", x},
		"no value in a tag":               {"0a0161 1a0a 0800 1a0178 2203 0a0168", Sub{Key: "a", Data: []byte("x"), Headers: []record.Header{{Key: "h"}}}},
		"empty hash key":                  {"0a0161 1200 1a07 0800 1000 1a0178", x},
		"empty key":                       {"0a00 1a05 0800 1a0178", Sub{Data: []byte("x")}},
	} {
		a, err := DecodeBytes(seal(unhex(t, c.message)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		t.Run(name, func(t *testing.T) { checkSame(t, a, nil, []Sub{c.want}) })
	}
}

func TestDecodingAgainLeavesEarlierRecordsAlone(t *testing.T) {
	var a Aggregate
	first := build(t, nil, []Sub{
		{Key: "k1", Data: []byte("d1"), Headers: []record.Header{{Key: "h1", Value: "v1"}}},
		{Key: "k2", Data: []byte("d2"), Headers: []record.Header{{Key: "h2", Value: "v2"}}},
	})
	if err := Decode(first, &a); err != nil {
		t.Fatal(err)
	}
	kept := append([]Sub(nil), a.Subs...)
	second := build(t, nil, []Sub{{Key: "xx", ExplicitHashKey: "77", Data: []byte("yyyy"), Headers: []record.Header{{Key: "zz", Value: "zz"}}}})
	if err := Decode(second, &a); err != nil {
		t.Fatal(err)
	}
	want := []Sub{
		{Key: "k1", Data: []byte("d1"), Headers: []record.Header{{Key: "h1", Value: "v1"}}},
		{Key: "k2", Data: []byte("d2"), Headers: []record.Header{{Key: "h2", Value: "v2"}}},
	}
	if !reflect.DeepEqual(kept, want) {
		t.Errorf("%+v, want %+v", kept, want)
	}
	if got := append(kept[0].Data, '!'); &got[0] == &kept[0].Data[0] {
		t.Error("appending to Data writes over its neighbour")
	}
}

func TestBuilderIsReusable(t *testing.T) {
	var b Builder
	if b.Len() != 0 || b.Size() != 0 || len(b.AppendTo(nil)) != 0 {
		t.Error("the zero Builder is not empty")
	}
	for round := range 3 {
		for _, v := range vectors {
			b.Reset(v.id)
			for i, s := range v.subs {
				var c uint64
				if v.id != nil {
					c = v.id.Counters[i]
				}
				if err := b.Add(s, c); err != nil {
					t.Fatal(err)
				}
			}
			if got := b.AppendTo([]byte("before")); string(got[:6]) != "before" || !bytes.Equal(got[6:], unhex(t, v.hex)) {
				t.Errorf("round %d, %s: %x", round, v.name, got)
			}
		}
	}
}

func TestCountersMustRise(t *testing.T) {
	var b Builder
	b.Reset(&Identity{})
	if err := b.Add(Sub{Key: "a"}, 5); err != nil {
		t.Fatal(err)
	}
	for _, c := range []uint64{5, 4, 0} {
		if err := b.Add(Sub{Key: "a"}, c); !errors.Is(err, ErrCounter) {
			t.Errorf("counter %d after 5: %v", c, err)
		}
	}
	if b.Len() != 1 {
		t.Errorf("%d sub-records, want 1", b.Len())
	}
	b.Reset(nil)
	for range 2 {
		if err := b.Add(Sub{Key: "a"}, 0); err != nil {
			t.Errorf("without identity: %v", err)
		}
	}
}

func TestAggregatesGoWhereTheirFirstRecordGoes(t *testing.T) {
	var b Builder
	for _, s := range []Sub{{Key: "bc", ExplicitHashKey: "123"}, {Key: "bc"}} {
		b.Reset(nil)
		if err := b.Add(s, 0); err != nil {
			t.Fatal(err)
		}
		if err := b.Add(Sub{Key: "other"}, 0); err != nil {
			t.Fatal(err)
		}
		want, _ := s.Hash()
		if got, err := b.Hash(); err != nil || got != want {
			t.Errorf("%+v: %v, %v, want %v", s, got, err, want)
		}
	}
}

func TestSizeIsExact(t *testing.T) {
	// Lengths and indexes around the places where varints grow.
	var subs []Sub
	id := &Identity{Producer: producer, Laned: true, Range: keyspace.Range{First: keyspace.Hash{Hi: 5}, Last: keyspace.Hash{Hi: 9, Lo: 1 << 63}}}
	counter := uint64(1)
	for i := range 400 {
		s := Sub{Key: fmt.Sprintf("%0*d", 1+i%140, i%200), Data: make([]byte, 60+i)}
		if i%3 == 0 {
			s.ExplicitHashKey = fmt.Sprint(1 + i*i)
		}
		if i%5 == 0 {
			s.Headers = []record.Header{{Key: "k", Value: strings.Repeat("v", i)}, {}}
		}
		subs = append(subs, s)
		id.Counters = append(id.Counters, counter)
		counter += 1 + uint64(i%7)*uint64(i)
	}
	a, err := DecodeBytes(build(t, id, subs))
	if err != nil {
		t.Fatal(err)
	}
	checkSame(t, a, id, subs)
}
