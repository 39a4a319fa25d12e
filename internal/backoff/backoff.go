// Package backoff says how long to wait before trying again: exponentially
// longer with every failure, and at random, so that clients that failed
// together do not come back together.
//
// It has no clock and draws no numbers: the caller passes one in and does the
// waiting. The two kinds of jitter are those of
// https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
package backoff

import "time"

// Backoff is a range of waits. The zero value waits not at all.
type Backoff struct {
	// Min is the shortest wait.
	Min time.Duration
	// Max is the longest wait. Below Min it counts as Min.
	Max time.Duration
}

// Full is the wait after the attempt-th failure in a row, counted from 1: at
// random between Min and Min doubled attempt times, but at most Max. random is
// a number from 0 up to but not including 1, drawn anew for each wait.
func (b Backoff) Full(attempt int, random float64) time.Duration {
	ceiling, top := b.Min, max(b.Min, b.Max)
	for ; attempt > 0 && ceiling < top; attempt-- {
		ceiling = double(ceiling)
	}
	return between(b.Min, min(ceiling, top), random)
}

// Decorrelated is the wait after one that was last long (0: there was none): at
// random between Min and three times last, but at most Max. It needs no count
// of attempts and forgets a long wait sooner than Full.
func (b Backoff) Decorrelated(last time.Duration, random float64) time.Duration {
	top := max(b.Min, b.Max)
	last = min(max(last, b.Min), top)
	ceiling := top
	if last <= top/3 {
		ceiling = 3 * last
	}
	return between(b.Min, ceiling, random)
}

// double is 2d without overflow.
func double(d time.Duration) time.Duration {
	const most = time.Duration(1<<63 - 1)
	if d > most/2 {
		return most
	}
	return 2 * d
}

func between(low, high time.Duration, random float64) time.Duration {
	low, high = max(low, 0), max(high, 0)
	random = min(max(random, 0), 1)
	return min(low+time.Duration(random*float64(high-low)), high)
}
