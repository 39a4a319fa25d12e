package fleet

import (
	"fmt"
	"testing"
	"time"
)

// world is a fleet at rest.
func world(workers, shards int) *stage {
	s := &stage{timing: TimingOf(4 * time.Second), table: newTable()}
	for i := range shards {
		s.shards = append(s.shards, Shard{ID: fmt.Sprintf("shardId-%012d", i)})
	}
	for i := range workers {
		s.start([]string{fmt.Sprintf("worker-%d", i)})
	}
	s.run(10 * time.Second)
	return s
}

// A Poll without news looks at no lease.
func BenchmarkPollWithoutNews(b *testing.B) {
	s := world(20, 1000)
	m := s.actors[3].m
	asks, _, next := m.Poll(s.now)
	if len(asks) > 0 || next <= s.now {
		b.Fatalf("%d asks, next at %v", len(asks), next)
	}
	b.ReportAllocs()
	for b.Loop() {
		m.Poll(s.now)
	}
}

// A fleet at rest for a minute: mostly looks and heartbeats, whatever the number
// of shards.
func BenchmarkMinuteAtRest(b *testing.B) {
	for _, shards := range []int{100, 1000} {
		b.Run(fmt.Sprint(shards, "-shards"), func(b *testing.B) {
			s := world(10, shards)
			b.ReportAllocs()
			for b.Loop() {
				s.run(s.now + time.Minute)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*shards), "ns/shard")
		})
	}
}

// A fleet that starts, loses a worker and gets another one. The cost per shard
// does not grow with their number.
func BenchmarkLife(b *testing.B) {
	for _, shards := range []int{100, 1000} {
		b.Run(fmt.Sprint(shards, "-shards"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s := world(10, shards)
				s.do("crash worker-3")
				s.do("run 10s")
				s.do("start worker-10")
				s.do("run 10s")
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*shards), "ns/shard")
		})
	}
}
