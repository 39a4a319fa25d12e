package fetch

import (
	"testing"
	"time"
)

// TestBeat: times come together, and are moved by half a beat at most.
func TestBeat(t *testing.T) {
	const every = 100 * time.Millisecond
	var b beat
	start := time.Now()
	for _, to := range []struct{ at, want time.Duration }{
		{0, 0}, {1, 0}, {49 * time.Millisecond, 0}, {50 * time.Millisecond, every}, {every, every}, {1049 * time.Millisecond, 10 * every},
		{-49 * time.Millisecond, 0}, {-51 * time.Millisecond, -every},
	} {
		if got := b.nearest(start.Add(to.at), every).Sub(start); got != to.want {
			t.Errorf("%v is moved to %v, want %v", to.at, got, to.want)
		}
	}
	if got := b.nearest(start.Add(7), 0).Sub(start); got != 7 {
		t.Errorf("without a beat 7 is moved to %v", got)
	}
}

// TestBetween: few shards are asked together, many in parts of the time.
func TestBetween(t *testing.T) {
	for shards, want := range map[int]time.Duration{
		0: time.Second, 1: time.Second, 100: time.Second, 199: time.Second, 200: time.Second / 2, 500: time.Second / 5, 10_000: time.Second / 5,
	} {
		if got := between(time.Second, shards); got != want {
			t.Errorf("%d shards: %v between two beats, want %v", shards, got, want)
		}
	}
}
