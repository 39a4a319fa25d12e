package keyspace

import (
	"crypto/md5"
	"math/big"
	"math/rand/v2"
	"testing"
)

func bigOf(h Hash) *big.Int {
	b := h.Bytes()
	return new(big.Int).SetBytes(b[:])
}

func TestHashOfKeyIsMD5(t *testing.T) {
	for _, key := range []string{"", "a", "customer-42", "ключ", "\x00"} {
		sum := md5.Sum([]byte(key))
		want := new(big.Int).SetBytes(sum[:]).String()
		if got := OfKey(key).String(); got != want {
			t.Errorf("OfKey(%q) = %s, want %s", key, got, want)
		}
	}
}

func TestDecimalRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		h := Hash{r.Uint64() >> r.IntN(64), r.Uint64()}
		if r.IntN(4) == 0 {
			h.Hi = 0
		}
		if got, want := h.String(), bigOf(h).String(); got != want {
			t.Fatalf("String = %s, want %s", got, want)
		}
		back, err := Parse(h.String())
		if err != nil || back != h {
			t.Fatalf("Parse(%s) = %v, %v", h, back, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, s := range []string{
		"", "-1", "+1", "00", "01", "1x", " 1", "0x10",
		"340282366920938463463374607431768211456", // 2^128
		"999999999999999999999999999999999999999",
		"1000000000000000000000000000000000000000",
	} {
		if h, err := Parse(s); err == nil {
			t.Errorf("Parse(%q) = %v, want an error", s, h)
		}
	}
	if h, err := Parse("340282366920938463463374607431768211455"); err != nil || h != Max {
		t.Errorf("Parse(2^128-1) = %v, %v", h, err)
	}
}

func TestSplitTilesTheSpace(t *testing.T) {
	space := new(big.Int).Lsh(big.NewInt(1), 128)
	for _, n := range []int{1, 2, 3, 4, 5, 7, 8, 10, 16, 100, 1000, 1 << 16} {
		rs := Split(n)
		step := new(big.Int).Div(space, big.NewInt(int64(n)))
		at := Hash{}
		for i, r := range rs {
			if r.First != at {
				t.Fatalf("Split(%d)[%d] starts at %v, want %v", n, i, r.First, at)
			}
			if want := new(big.Int).Mul(step, big.NewInt(int64(i))); bigOf(r.First).Cmp(want) != 0 {
				t.Fatalf("Split(%d)[%d] starts at %v, want %v", n, i, r.First, want)
			}
			at = r.Last.Next()
		}
		if rs[n-1].Last != Max {
			t.Fatalf("Split(%d) ends at %v", n, rs[n-1].Last)
		}
	}
}

func TestRangeAlgebra(t *testing.T) {
	r := Range{Hash{0, 10}, Hash{0, 19}}
	if m := r.Middle(); m != (Hash{0, 15}) {
		t.Errorf("Middle = %v", m)
	}
	if m := Full.Middle(); m != (Hash{1 << 63, 0}) {
		t.Errorf("Middle of all = %v", m)
	}
	if !r.Has(r.First) || !r.Has(r.Last) || r.Has(r.Last.Next()) || r.Has(r.First.Prev()) {
		t.Error("Has is wrong at the ends")
	}
	if c := r.Cut(Range{Hash{0, 15}, Max}); c != (Range{Hash{0, 15}, Hash{0, 19}}) {
		t.Errorf("Cut = %v", c)
	}
	if r.Overlaps(Range{Hash{0, 20}, Max}) || !r.Overlaps(Range{Hash{0, 19}, Max}) {
		t.Error("Overlaps is wrong at the end")
	}
	if !Full.Covers(r) || r.Covers(Full) || !r.Covers(r) {
		t.Error("Covers is wrong")
	}
	if (Hash{}).Prev() != Max || Max.Next() != (Hash{}) {
		t.Error("the space does not wrap")
	}
	if f := Full.Middle().Fraction(); f != 0.5 {
		t.Errorf("Fraction of the middle = %v", f)
	}
}
