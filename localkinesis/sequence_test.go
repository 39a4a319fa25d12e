package localkinesis

import (
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestSequenceIsABigInteger(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 5000 {
		created, index := r.Int64N(1<<31), r.Uint32()>>r.IntN(32)
		counter, second := r.Uint64()>>(1+r.IntN(60)), r.Int64N(1<<33)
		q := makeSequence(created, index, counter, second)
		if q.created() != created || q.index() != index || q.counter() != counter || q.second() != second {
			t.Fatalf("fields of %v do not come back", q)
		}
		var b [24]byte
		q.put(b[:])
		if want := new(big.Int).SetBytes(b[:]).String(); q.String() != want {
			t.Fatalf("String = %s, want %s", q, want)
		}
		if len(q.String()) != 56 || !strings.HasPrefix(q.String(), "49") {
			t.Fatalf("%s has not the shape of the service's", q)
		}
		back, err := parseSequence(q.String())
		if err != nil || back != q || readSequence(b[:]) != q {
			t.Fatalf("%s comes back as %s, %v", q, back, err)
		}
		if q.next().compare(q) != 1 || q.compare(q.next()) != -1 {
			t.Fatalf("next of %s is not above", q)
		}
	}
}

func TestSequenceOrder(t *testing.T) {
	rising := []sequence{
		makeSequence(1000, 3, 0, 1000), makeSequence(1000, 3, 1, 2000), makeSequence(1000, 3, 2, 1500),
		makeSequence(1000, 3, sequenceEnd, 1500), makeSequence(1001, 0, 0, 1001),
	}
	for i := 1; i < len(rising); i++ {
		if rising[i-1].compare(rising[i]) >= 0 || rising[i-1].String() >= rising[i].String() {
			t.Errorf("%s is not below %s", rising[i-1], rising[i])
		}
	}
}

func TestParseSequenceRefuses(t *testing.T) {
	good := makeSequence(1000, 3, 7, 1000).String()
	for _, s := range []string{"", "0", "49", good[1:], good + "0", "x" + good[1:], strings.Repeat("9", 56), good[:55] + "9"} {
		if q, err := parseSequence(s); err == nil {
			t.Errorf("parseSequence(%q) = %v", s, q)
		}
	}
}
