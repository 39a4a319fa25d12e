package aggregate

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/libvegas/vegas/internal/keyspace"
)

// withIdentity is an aggregate of n records "x" of key "a" under the fields
// given in hex.
func withIdentity(t testing.TB, n int, fields string) []byte {
	t.Helper()
	msg := unhex(t, "0a0161"+strings.Repeat("1a0508001a0178", n))
	inside := unhex(t, fields)
	msg = append(msg, 0xc2, 0x3e)
	msg = binary.AppendUvarint(msg, uint64(len(inside)))
	return seal(append(msg, inside...))
}

const (
	id16 = "0a10 101112131415161718191a1b1c1d1e1f "
	last = "2210 0102030405060708090a0b0c0d0e0f10 "
)

func TestIdentities(t *testing.T) {
	lastHash := keyspace.Hash{Hi: 0x0102030405060708, Lo: 0x090a0b0c0d0e0f10}
	for name, c := range map[string]struct {
		n      int
		fields string
		want   Identity
	}{
		"producer alone": {3, id16, Identity{Producer: producer, Range: keyspace.Full, Counters: []uint64{0, 1, 2}}},
		"all fields": {3, id16 + "1001 1a0101 " + last + "2805 32020203", Identity{
			Producer: producer, Laned: true, Range: keyspace.Range{First: keyspace.Hash{Hi: 1 << 56}, Last: lastHash}, Counters: []uint64{5, 7, 10},
		}},
		"any order":         {2, "32017f 2805 1001" + id16, Identity{Producer: producer, Laned: true, Range: keyspace.Full, Counters: []uint64{5, 132}}},
		"unknown flags":     {1, id16 + "10ff01", Identity{Producer: producer, Laned: true, Range: keyspace.Full, Counters: []uint64{0}}},
		"unknown flag only": {1, id16 + "1002", Identity{Producer: producer, Range: keyspace.Full, Counters: []uint64{0}}},
		"unknown fields":    {1, id16 + "3801 4201ff 3dffffffff 7b 0801 7c", Identity{Producer: producer, Range: keyspace.Full, Counters: []uint64{0}}},
		"nothing trimmed": {1, id16 + "1a10" + strings.Repeat("00", 16) + "2210" + strings.Repeat("ff", 16),
			Identity{Producer: producer, Range: keyspace.Full, Counters: []uint64{0}}},
		"one hash":            {1, id16 + "1a0101 2210 01" + strings.Repeat("00", 15), Identity{Producer: producer, Range: keyspace.Range{First: keyspace.Hash{Hi: 1 << 56}, Last: keyspace.Hash{Hi: 1 << 56}}, Counters: []uint64{0}}},
		"counters to the end": {2, id16 + "28feffffffffffffffff01", Identity{Producer: producer, Range: keyspace.Full, Counters: []uint64{math.MaxUint64 - 1, math.MaxUint64}}},
		"deltas that are all 1": {3, id16 + "32020101",
			Identity{Producer: producer, Range: keyspace.Full, Counters: []uint64{0, 1, 2}}},
		"empty deltas": {3, id16 + "3200", Identity{Producer: producer, Range: keyspace.Full, Counters: []uint64{0, 1, 2}}},
		"a huge step":  {2, id16 + "320affffffffffffffffff01", Identity{Producer: producer, Range: keyspace.Full, Counters: []uint64{0, math.MaxUint64}}},
	} {
		a, err := DecodeBytes(withIdentity(t, c.n, c.fields))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !a.HasIdentity || a.IdentityError != nil || !reflect.DeepEqual(a.Identity, c.want) {
			t.Errorf("%s: %v, %v, %+v, want %+v", name, a.HasIdentity, a.IdentityError, a.Identity, c.want)
		}
	}
}

// A forged or broken identity costs the records nothing but itself.
func TestForgedIdentities(t *testing.T) {
	for name, c := range map[string]struct {
		n      int
		fields string
		want   error
	}{
		"empty":                    {1, "", errIdentityLength},
		"producer missing":         {1, "1001", errIdentityLength},
		"producer short":           {1, "0a0f" + strings.Repeat("10", 15), errIdentityLength},
		"producer long":            {1, "0a11" + strings.Repeat("10", 17), errIdentityLength},
		"producer as varint":       {1, "0805", errIdentityField},
		"flags as bytes":           {1, id16 + "1200", errIdentityField},
		"base as bytes":            {1, id16 + "2a00", errIdentityField},
		"deltas as varint":         {2, id16 + "3001", errIdentityField},
		"first too long":           {1, id16 + "1a11" + strings.Repeat("01", 17), errIdentityLength},
		"last too long":            {1, id16 + "2211" + strings.Repeat("01", 17), errIdentityLength},
		"first behind last":        {1, id16 + "1a0103 220101", errIdentityRange},
		"last behind first by one": {1, id16 + "1a0102 2210 01" + strings.Repeat("ff", 15), errIdentityRange},
		"one delta missing":        {3, id16 + "320102", errIdentityCount},
		"one delta too many":       {2, id16 + "32020101", errIdentityCount},
		"a delta for one record":   {1, id16 + "320101", errIdentityCount},
		"fewer deltas than bytes":  {3, id16 + "32028001", errIdentityCount},
		"delta 0":                  {3, id16 + "32020100", errIdentityCounter},
		"counters past the end":    {2, id16 + "28ffffffffffffffffff01", errIdentityCounter},
		"deltas past the end":      {2, id16 + "28feffffffffffffffff01 320102", errIdentityCounter},
		"deltas cut":               {3, id16 + "32020180", errIdentityField},
		"producer twice":           {1, id16 + id16, errIdentityTwice},
		"flags twice":              {1, id16 + "1001 1000", errIdentityTwice},
		"base twice":               {1, id16 + "2801 2801", errIdentityTwice},
		"deltas twice":             {2, id16 + "320101 320101", errIdentityTwice},
		"cut":                      {1, id16 + "1a05 01", errIdentityField},
		"a group that never ends":  {1, id16 + "7b", errIdentityField},
	} {
		data := withIdentity(t, c.n, c.fields)
		a, err := DecodeBytes(data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(a.Subs) != c.n || a.Subs[0].Key != "a" || string(a.Subs[c.n-1].Data) != "x" {
			t.Errorf("%s: the records suffered: %+v", name, a.Subs)
		}
		if a.HasIdentity || !errors.Is(a.IdentityError, c.want) {
			t.Errorf("%s: %v, %v, want %v", name, a.HasIdentity, a.IdentityError, c.want)
		}
		if a.Identity.Laned || a.Identity.Producer != [16]byte{} || len(a.Identity.Counters) != 0 {
			t.Errorf("%s: left %+v behind", name, a.Identity)
		}
	}
	for name, field := range map[string]string{
		"field twice":     "c23e12 " + id16 + "c23e12 " + id16,
		"field as varint": "c03e05",
	} {
		a, err := DecodeBytes(seal(unhex(t, "0a0161 1a0508001a0178"+field)))
		if err != nil || len(a.Subs) != 1 || a.HasIdentity || a.IdentityError == nil {
			t.Errorf("%s: %v, %+v", name, err, a)
		}
	}
}

// A sound identity after a forged one, in the same Aggregate.
func TestIdentityErrorsDoNotStick(t *testing.T) {
	var a Aggregate
	for range 2 {
		if err := Decode(withIdentity(t, 2, "1001"), &a); err != nil || a.IdentityError == nil {
			t.Fatalf("%v, %v", err, a.IdentityError)
		}
		if err := Decode(unhex(t, vectors[2].hex), &a); err != nil {
			t.Fatal(err)
		}
		checkSame(t, &a, vectors[2].id, vectors[2].subs)
		if err := Decode(unhex(t, vectors[0].hex), &a); err != nil {
			t.Fatal(err)
		}
		checkSame(t, &a, nil, vectors[0].subs)
	}
}

func TestTrimmedRangesReadBack(t *testing.T) {
	ranges := append(keyspace.Split(1000), keyspace.Split(7)...)
	ranges = append(ranges, keyspace.Full, keyspace.Range{}, keyspace.Range{First: keyspace.Max, Last: keyspace.Max})
	shortest, longest := math.MaxInt, 0
	for _, r := range ranges {
		id := &Identity{Producer: producer, Laned: true, Range: r, Counters: []uint64{1 << 40}}
		data := build(t, id, []Sub{{Key: "a"}})
		a, err := DecodeBytes(data)
		if err != nil || a.Identity.Range != r {
			t.Fatalf("%v became %v, %v", r, a.Identity.Range, err)
		}
		shortest, longest = min(shortest, len(data)), max(longest, len(data))
	}
	t.Logf("identity and all: %d to %d bytes", shortest, longest)
}

func FuzzIdentity(f *testing.F) {
	for _, s := range []string{id16, id16 + "1001 1a0101 " + last + "2805 32020203", id16 + "28feffffffffffffffff01", id16 + "1a0103 220101", "3200"} {
		b, _ := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		f.Add(b, uint8(3))
	}
	f.Fuzz(func(t *testing.T, inside []byte, records uint8) {
		n := int(records)%8 + 1
		var id Identity
		if err := id.decode(inside, n); err != nil {
			return
		}
		if len(id.Counters) != n || id.Range.Empty() {
			t.Fatalf("%d records: %+v", n, id)
		}
		for i := 1; i < n; i++ {
			if id.Counters[i] <= id.Counters[i-1] {
				t.Fatalf("counters %v", id.Counters)
			}
		}
		a, err := DecodeBytes(build(t, &id, make([]Sub, n)))
		if err != nil {
			t.Fatal(err)
		}
		checkSame(t, a, &id, make([]Sub, n))
	})
}
