package fleet

import (
	"slices"
	"testing"
	"time"
)

// A Poll without news looks at no lease, and keeps nothing.
func TestPollWithoutNewsAllocatesNothing(t *testing.T) {
	s := world(20, 200)
	m := s.actors[3].m
	if n := testing.AllocsPerRun(100, func() { m.Poll(s.now) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// What a shard costs in requests does not grow with the number of shards.
func TestRequestsPerShard(t *testing.T) {
	per := func(shards int) float64 {
		s := world(10, shards)
		s.do("crash worker-3")
		s.do("run 10s")
		s.do("start worker-10")
		s.do("run 10s")
		return float64(s.requests) / float64(shards)
	}
	if few, many := per(100), per(1000); many > few {
		t.Errorf("%.1f requests per shard with 100 shards, %.1f with 1,000", few, many)
	}
}

// How long shards are silent in a fleet of ten with a lease time of 4 s, when the
// store takes 10 ms.
func TestSilence(t *testing.T) {
	const lease = 4 * time.Second
	for _, c := range []struct {
		name   string
		do     string
		within time.Duration
		shards int
		each   time.Duration
	}{
		{"one more joins", "start worker-x", 4 * time.Second, 9, 100 * time.Millisecond},
		{"one stops", "stop worker-3", 2 * time.Second, 10, 450 * time.Millisecond},
		{"one is killed", "crash worker-3", 6 * time.Second, 10, lease + 500*time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := world(10, 100)
			s.gaps, s.silent = nil, nil
			s.do(c.do)
			s.run(s.now + c.within)
			if len(s.gaps) != c.shards || len(s.silent) > 0 {
				t.Errorf("%d shards have moved, want %d; %d are still silent", len(s.gaps), c.shards, len(s.silent))
			}
			longest := slices.Max(append(s.gaps, 0))
			t.Logf("silent for %v at most", longest)
			if longest > c.each {
				t.Errorf("silent for %v", longest)
			}
		})
	}
}
