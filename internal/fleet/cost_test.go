package fleet

import "testing"

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
