package demo

import (
	"math/bits"
	"strings"
	"sync"
	"time"
)

// meter counts things per second and keeps the last minute for a picture. Its
// clock is the time since the start of the demo, in whole seconds.
type meter struct {
	mu      sync.Mutex
	total   int64
	seconds [64]int64 // by second, a ring
	last    int64     // the newest second
}

func (m *meter) add(at time.Duration, n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(int64(at / time.Second))
	m.seconds[m.last%64] += n
	m.total += n
}

// advance empties the seconds that passed. A late caller counts for the newest.
func (m *meter) advance(second int64) {
	for m.last < second {
		m.last++
		m.seconds[m.last%64] = 0
	}
}

// rate is the average of up to three whole seconds before now.
func (m *meter) rate(at time.Duration) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(int64(at / time.Second))
	n := min(m.last, 3)
	if n == 0 {
		return float64(m.seconds[0]) / max(at.Seconds(), 0.2)
	}
	var sum int64
	for i := m.last - n; i < m.last; i++ {
		sum += m.seconds[i%64]
	}
	return float64(sum) / float64(n)
}

// spark draws the last width whole seconds, at most 60.
func (m *meter) spark(at time.Duration, width int) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(int64(at / time.Second))
	first := max(m.last-int64(min(width, 60)), 0)
	top := int64(1)
	for i := first; i < m.last; i++ {
		top = max(top, m.seconds[i%64])
	}
	var b strings.Builder
	for i := first; i < m.last; i++ {
		b.WriteRune([]rune("▁▂▃▄▅▆▇█")[m.seconds[i%64]*7/top])
	}
	return b.String()
}

// histogram counts durations in classes an eighth apart, and knows the last
// ten seconds from the time before.
type histogram struct {
	mu     sync.Mutex
	all    [512]int64
	recent [2][512]int64 // two windows of five seconds, by turns
	window int64
}

func class(d time.Duration) int {
	v := uint64(max(d.Microseconds(), 0))
	if v < 8 {
		return int(v)
	}
	e := bits.Len64(v) - 4 // v>>e is 8..15
	return min((e+1)*8+int(v>>e)-8, 511)
}

// upper is the largest duration of a class.
func upper(class int) time.Duration {
	if class < 8 {
		return time.Duration(class) * time.Microsecond
	}
	e := class/8 - 1
	return time.Duration(uint64(class%8+9)<<e-1) * time.Microsecond
}

func (h *histogram) add(at, d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.turn(at)
	c := class(d)
	h.all[c]++
	h.recent[h.window%2][c]++
}

func (h *histogram) turn(at time.Duration) {
	if w := int64(at / (5 * time.Second)); w > h.window {
		h.recent[w%2] = [512]int64{}
		if w > h.window+1 {
			h.recent[(w+1)%2] = [512]int64{}
		}
		h.window = w
	}
}

// percentiles gives the p-th percent of the last five to ten seconds, and of
// the whole time if at is negative. Without any it gives nil.
func (h *histogram) percentiles(at time.Duration, ps ...float64) []time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	counts := h.all
	if at >= 0 {
		h.turn(at)
		for i := range counts {
			counts[i] = h.recent[0][i] + h.recent[1][i]
		}
	}
	var total int64
	for _, n := range counts {
		total += n
	}
	if total == 0 {
		return nil
	}
	out := make([]time.Duration, 0, len(ps))
	for _, p := range ps {
		want, seen := int64(p/100*float64(total)), int64(0)
		for c, n := range counts {
			if seen += n; seen > want || seen == total {
				out = append(out, upper(c))
				break
			}
		}
	}
	return out
}
