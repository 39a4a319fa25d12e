package demo

import (
	"testing"
	"time"
)

func TestMeterForgetsOldSeconds(t *testing.T) {
	var m meter
	for s := range 100 {
		m.add(time.Duration(s)*time.Second, int64(s))
	}
	if got := m.rate(100 * time.Second); got != 98 {
		t.Errorf("rate %v, want the average of 97, 98, 99", got)
	}
	if got := m.rate(105 * time.Second); got != 0 {
		t.Errorf("rate %v after five idle seconds", got)
	}
	if got := m.spark(105*time.Second, 10); got != "▇▇▇▇█▁▁▁▁▁" {
		t.Errorf("spark %q", got)
	}
	if m.total != 99*100/2 {
		t.Errorf("total %d", m.total)
	}
}

func TestPercentilesAreAnEighthApart(t *testing.T) {
	var h histogram
	for i := range 1000 {
		h.add(0, time.Duration(i+1)*time.Millisecond)
	}
	for i, got := range h.percentiles(0, 0, 50, 99, 100) {
		want := []time.Duration{time.Millisecond, 500 * time.Millisecond, 990 * time.Millisecond, time.Second}[i]
		if got < want || got > want*9/8+2*time.Millisecond {
			t.Errorf("percentile %d: %v, want about %v", i, got, want)
		}
	}
	if got := h.percentiles(20*time.Second, 50); got != nil {
		t.Errorf("%v after 20 idle seconds", got)
	}
	if got := h.percentiles(-1, 50); len(got) != 1 {
		t.Errorf("the whole time: %v", got)
	}
	for _, d := range []time.Duration{0, time.Microsecond, 7 * time.Microsecond, 8 * time.Microsecond, time.Millisecond, time.Hour, 1000 * time.Hour} {
		if c := class(d); upper(c) < d || c > 0 && upper(c-1) >= d {
			t.Errorf("%v is in class %d, up to %v", d, c, upper(c))
		}
	}
}
