package fetch

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	const busy, idle = 250 * time.Millisecond, time.Second
	p := pace{idle: idle, busy: busy}
	for i, step := range []struct {
		records int
		bytes   int64
		behind  time.Duration
		want    time.Duration
	}{
		{records: 3, want: busy},
		{behind: time.Minute, want: busy}, // nothing yet, but more is there
		{want: 2 * busy},                  // let go of by and by
		{want: idle},
		{want: idle},
		{records: 1, want: busy},
		{records: 10, bytes: 10 << 20, want: 5 * time.Second}, // the shard's 2 MiB a second are used up
	} {
		if got := p.answered(step.records, step.bytes, step.behind, 0); got != step.want {
			t.Errorf("step %d: %v, want %v", i, got, step.want)
		}
	}
	// Throttled again and again it slows down to a bound, and recovers.
	var d time.Duration
	for range 50 {
		d = p.throttled(0.5)
	}
	if d.Round(time.Millisecond) != 8*busy {
		t.Errorf("throttled for long: %v", d)
	}
	for range 60 {
		d = p.answered(1, 0, 0, 0)
	}
	if d != busy {
		t.Errorf("recovered: %v", d)
	}
}

// Two readers of one shard, five answers a second: both keep reading.
func TestTwoReadersShareAShard(t *testing.T) {
	readers := []pace{{idle: time.Second, busy: 250 * time.Millisecond}, {idle: time.Second, busy: 250 * time.Millisecond}}
	next := []time.Duration{0, 0}
	reads, throttled := []int{0, 0}, 0
	var window []time.Duration // of the answers of the last second
	random := func() func() float64 {
		x := uint64(1)
		return func() float64 { x = x*6364136223846793005 + 1442695040888963407; return float64(x>>11) / (1 << 53) }
	}()
	for now := time.Duration(0); now < time.Minute; now += time.Millisecond {
		for i := range readers {
			if now < next[i] {
				continue
			}
			for len(window) > 0 && window[0] <= now-time.Second {
				window = window[1:]
			}
			if len(window) >= 5 {
				throttled++
				next[i] = now + readers[i].throttled(random())
				continue
			}
			window = append(window, now)
			reads[i]++
			next[i] = now + readers[i].answered(1, 100, 0, random())
		}
	}
	for i, n := range reads {
		if n < 60 { // one a second at least
			t.Errorf("reader %d read %d times in a minute", i, n)
		}
	}
	if total := reads[0] + reads[1]; total < 200 || throttled > total/4 {
		t.Errorf("%v reads, %d refused", reads, throttled)
	}
}
