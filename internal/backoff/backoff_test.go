package backoff

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestFullDoublesUpToMax(t *testing.T) {
	b := Backoff{Min: 100 * time.Millisecond, Max: 2 * time.Second}
	for _, c := range []struct {
		attempt int
		random  float64
		want    time.Duration
	}{
		{0, 0.5, 100 * time.Millisecond},
		{1, 0, 100 * time.Millisecond},
		{1, 0.5, 150 * time.Millisecond},
		{2, 0.5, 250 * time.Millisecond},
		{4, 0.5, 850 * time.Millisecond},
		{5, 0.5, 1050 * time.Millisecond}, // 3.2 s is cut to 2 s
		{math.MaxInt, 0.5, 1050 * time.Millisecond},
		{-1, 0.5, 100 * time.Millisecond},
	} {
		if got := b.Full(c.attempt, c.random); got != c.want {
			t.Errorf("attempt %d, random %v: %v, want %v", c.attempt, c.random, got, c.want)
		}
	}
}

func TestDecorrelatedTriplesTheLastWait(t *testing.T) {
	b := Backoff{Min: 100 * time.Millisecond, Max: 2 * time.Second}
	for _, c := range []struct {
		last   time.Duration
		random float64
		want   time.Duration
	}{
		{0, 0.5, 200 * time.Millisecond},
		{100 * time.Millisecond, 0.5, 200 * time.Millisecond},
		{400 * time.Millisecond, 0.5, 650 * time.Millisecond},
		{time.Second, 0.5, 1050 * time.Millisecond},
		{time.Hour, 0, 100 * time.Millisecond},
	} {
		if got := b.Decorrelated(c.last, c.random); got != c.want {
			t.Errorf("last %v, random %v: %v, want %v", c.last, c.random, got, c.want)
		}
	}
}

func TestWaitsStayInTheirBounds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		b := Backoff{Min: time.Duration(r.Int64() >> r.IntN(63)), Max: time.Duration(r.Int64() >> r.IntN(63))}
		top := max(b.Min, b.Max)
		random := r.Float64()
		if r.IntN(10) == 0 {
			random = math.Nextafter(1, 0)
		}
		if d := b.Full(r.IntN(80), random); d < b.Min || d > top {
			t.Fatalf("%+v: Full gives %v", b, d)
		}
		if d := b.Decorrelated(time.Duration(r.Int64()>>r.IntN(63)), random); d < b.Min || d > top {
			t.Fatalf("%+v: Decorrelated gives %v", b, d)
		}
	}
	if d := (Backoff{}).Full(9, 0.9); d != 0 {
		t.Errorf("the zero value waits %v", d)
	}
}
