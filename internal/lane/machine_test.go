package lane

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/shardmap"
)

// BenchmarkMachine is what a record costs from acceptance to its end, without
// hashing, encoding and calls.
func BenchmarkMachine(b *testing.B) {
	for _, n := range []int{1, 16, 1000} {
		b.Run(map[int]string{1: "1 shard", 16: "16 shards", 1000: "1000 shards"}[n], func(b *testing.B) {
			m := New(Config{Linger: time.Millisecond, Rand: rand.New(rand.NewPCG(1, 1))})
			var listing []shardmap.Shard
			for i, r := range keyspace.Split(n) {
				listing = append(listing, shardmap.Shard{ID: string(rune('a' + i)), Range: r})
			}
			m.Poll(0)
			m.Learn(0, listing)
			const batch = 20_000
			items := make([]Item, batch)
			r := rand.New(rand.NewPCG(2, 2))
			data := make([]byte, 100)
			now := time.Duration(0)
			var done []*Item
			var res []Result
			b.ReportAllocs()
			for b.Loop() {
				for i := range items {
					items[i] = Item{Key: "key-0123456", Data: data, Hash: keyspace.Hash{Hi: r.Uint64()}, Accepted: now, Deadline: now + time.Minute}
					m.Accept(now, &items[i])
				}
				for m.Open() > 0 {
					now += 5 * time.Millisecond
					turn := m.Poll(now)
					for _, q := range turn.Requests {
						res = res[:0]
						for _, e := range q.Entries {
							res = append(res, Result{Status: Stored, Shard: e.Shard, Sequence: "1"})
						}
						m.Answer(now+time.Millisecond, q, res)
					}
					done, _ = m.TakeFinished(done[:0])
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch, "ns/record")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// TestAnswersAreTakenOnce: a request answered twice changes nothing.
func TestAnswersAreTakenOnce(t *testing.T) {
	m := New(Config{Rand: rand.New(rand.NewPCG(1, 1))})
	m.Poll(0)
	m.Learn(0, []shardmap.Shard{{ID: "0", Range: keyspace.Full}})
	it := &Item{Key: "k", Data: []byte("x")}
	m.Accept(0, it)
	r := m.Poll(0).Requests[0]
	m.Answer(1, r, []Result{{Status: Stored, Shard: "0", Sequence: "7"}})
	m.Fail(1, r, Unknown, nil)
	m.Answer(1, r, nil)
	if got, failed := m.TakeFinished(nil); failed || len(got) != 1 || got[0] != it || it.Err != nil || it.Sequence != "7" || m.Open() != 0 || m.Requests() != 0 {
		t.Errorf("got %v, err %v, sequence %q, %d open, %d requests", got, it.Err, it.Sequence, m.Open(), m.Requests())
	}
}

// TestResendIsTheSameEntry: while the shard is open the very entry leaves
// again, so that its bytes are the same.
func TestResendIsTheSameEntry(t *testing.T) {
	m := New(Config{Rand: rand.New(rand.NewPCG(1, 1))})
	m.Poll(0)
	m.Learn(0, []shardmap.Shard{{ID: "0", Range: keyspace.Full}})
	m.Accept(0, &Item{Key: "k"})
	first := m.Poll(0).Requests[0]
	m.Accept(0, &Item{Key: "k"})
	m.Fail(0, first, Unknown, nil)
	second := m.Poll(time.Second).Requests[0]
	if first.Entries[0] != second.Entries[0] || len(second.Entries[0].Items) != 1 {
		t.Error("another entry left")
	}
}
