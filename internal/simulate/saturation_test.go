package simulate

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/libvegas/vegas/internal/lane"
	"github.com/libvegas/vegas/internal/limits"
)

// TestSaturatedShardRunsNearItsLimit lets producers send as fast as one shard
// of the service takes it: together they have to use more than 90 % of it with
// few entries refused, whether bytes or records are what is scarce.
func TestSaturatedShardRunsNearItsLimit(t *testing.T) {
	if raced {
		t.Skip("much arithmetic in one goroutine: nothing for the race detector")
	}
	for _, c := range []struct {
		name      string
		producers int
		raw       bool
		size      int
		rtt       time.Duration // there; as much back
		refused   float64       // at most
	}{
		{"aggregates, alone", 1, false, 1000, 20 * time.Millisecond, 0.03},
		{"aggregates, 3 producers", 3, false, 1000, 20 * time.Millisecond, 0.04},
		{"aggregates, 8 producers", 8, false, 1000, 20 * time.Millisecond, 0.08},
		{"aggregates, 3 producers, far away", 3, false, 1000, 150 * time.Millisecond, 0.06},
		{"raw small, alone", 1, true, 100, 20 * time.Millisecond, 0.01},
		{"raw small, 3 producers", 3, true, 100, 20 * time.Millisecond, 0.01},
		{"raw large, alone", 1, true, 200_000, 20 * time.Millisecond, 0.05},
		{"raw large, 3 producers", 3, true, 200_000, 20 * time.Millisecond, 0.1},
	} {
		t.Run(c.name, func(t *testing.T) {
			const warm, length = 10 * time.Second, 70 * time.Second
			r := rand.New(rand.NewPCG(7, 7))
			p := &plan{latency: c.rtt, lane: lane.Config{Linger: 10 * time.Millisecond, Raw: c.raw}}
			w := newWorld(r, 1)
			w.limits = true
			var senders []*sender
			for i := range c.producers {
				s := newSender(w, p, fmt.Sprint(i), t.Errorf)
				senders = append(senders, s)
				data := make([]byte, c.size)
				var feed func()
				feed = func() {
					early := false
					for n := 0; s.m.Open() < max(20, 400_000/c.size); n++ {
						x := &sent{owner: s}
						x.item.Key, x.item.Hash, x.item.Accepted, x.item.Tag, x.item.Data = slotKey(n%slots), slotHash(n%slots), s.now, x, data
						x.item.Hash.Lo = r.Uint64()
						early = s.m.Accept(s.now, &x.item) || early
					}
					if early {
						s.poll()
					}
					s.after(5*time.Millisecond, feed)
				}
				s.after(0, feed)
			}
			w.run(warm)
			sh := w.shards[0]
			at, refused := len(sh.log), refusals(senders)
			w.run(length)
			bytes, records := 0, len(sh.log)-at
			per := map[[16]byte]int{}
			for _, st := range sh.log[at:] {
				bytes += st.what.bytes
				per[st.what.producer] += st.what.bytes
			}
			refused = refusals(senders) - refused
			seconds := (length - warm).Seconds()
			use := max(float64(bytes)/limits.ShardWriteBytes, float64(records)/limits.ShardWriteRecords) / seconds
			share := float64(refused) / float64(records+refused)
			least := 1.0
			for _, s := range senders {
				least = min(least, float64(per[s.id])/float64(bytes)*float64(c.producers))
			}
			t.Logf("%.1f %% of the limit, %.2f %% of %d entries refused, the poorest producer has %.0f %% of its fair part",
				100*use, 100*share, records+refused, 100*least)
			if use < .9 {
				t.Errorf("the shard is used to %.1f %%", 100*use)
			}
			if share > c.refused {
				t.Errorf("%.1f %% of the entries were refused", 100*share)
			}
			if least < .5 {
				t.Errorf("one producer gets %.0f %% of its fair part", 100*least)
			}
		})
	}
}

func refusals(senders []*sender) (n int) {
	for _, s := range senders {
		n += int(s.m.Counts().Throttled)
	}
	return n
}

// TestUnlimitedShardIsFoundOut: against a server without limits the pace gets
// out of the way within seconds.
func TestUnlimitedShardIsFoundOut(t *testing.T) {
	if raced {
		t.Skip("as above")
	}
	r := rand.New(rand.NewPCG(7, 7))
	w := newWorld(r, 1)
	s := newSender(w, &plan{latency: time.Millisecond}, "alone", t.Errorf)
	data := make([]byte, 10_000)
	var feed func()
	feed = func() {
		for s.m.Open() < 100 {
			x := &sent{owner: s}
			x.item.Hash, x.item.Tag, x.item.Data, x.item.Accepted = slotHash(0), x, data, s.now
			s.m.Accept(s.now, &x.item)
		}
		s.poll()
		s.after(time.Millisecond, feed)
	}
	s.after(0, feed)
	w.run(5 * time.Second)
	from := len(w.shards[0].log)
	w.run(6 * time.Second)
	bytes := 0
	for _, st := range w.shards[0].log[from:] {
		bytes += st.what.bytes
	}
	t.Logf("%d MB/s after 5 s", bytes/1e6)
	if bytes < 20e6 {
		t.Errorf("only %d bytes/s after 5 s", bytes)
	}
}
