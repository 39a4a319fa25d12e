package vegas_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/localkinesis"
	"github.com/libvegas/vegas/observe"
)

// dials is an observer that shows the last value of every gauge.
type dials struct {
	observe.Nop
	mu     sync.Mutex
	values map[string]int64 // by gauge and the last digit of the shard
}

func (d *dials) Gauge(g observe.Gauge, at observe.Where, v int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.values[strings.TrimSpace(fmt.Sprint(g, " ", strings.TrimPrefix(at.Shard, "shardId-00000000000")))] = v
}

func (d *dials) read(name string) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.values[name]
}

func TestGaugesTellOfWhatIsUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &dials{values: map[string]int64{}}
		srv, p := start(t, 4, func(o *vegas.ProducerOptions) { o.Observer, o.RequestTimeout = d, 20*time.Second })
		slowly(srv, "PutRecords", 10*time.Second, 1)
		for i := range 20 {
			p.SendAsync(t.Context(), &vegas.Record{PartitionKey: fmt.Sprint(i), Data: make([]byte, 100)}, nil)
		}
		<-time.After(5 * time.Second)
		if n := d.read("requests_in_flight"); n != 1 {
			t.Errorf("%d requests in flight: one with four entries is", n)
		}
		if n := d.read("oldest_unacked_ms 0"); n < 4000 {
			t.Errorf("the oldest record is %d ms old", n)
		}
		for _, l := range p.Stats().Lanes {
			if l.Records == 0 || l.Bytes < 100*l.Records || l.Bytes > 200*l.Records || l.InFlight != 1 || l.Oldest < 4*time.Second {
				t.Errorf("%+v", l)
			}
		}
		p.Flush(t.Context())
		<-time.After(2 * time.Second)
		for name, v := range d.values {
			if v != 0 && !strings.HasPrefix(name, "pace") {
				t.Errorf("%s is %d when nothing is left", name, v)
			}
		}
		for _, l := range p.Stats().Lanes {
			if l.Records != 0 || l.Bytes != 0 || l.InFlight != 0 || l.Oldest != 0 {
				t.Errorf("when nothing is left: %+v", l)
			}
		}
	})
}

func TestGaugesOfAClosedShardEndAtZero(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &dials{values: map[string]int64{}}
		srv, p := start(t, 1, func(o *vegas.ProducerOptions) { o.Observer = d })
		srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.Split, Count: 1, After: 20})
		for i := range 100 {
			p.Send(t.Context(), fmt.Sprint(i), nil)
			<-time.After(100 * time.Millisecond)
			if i == 15 && d.read("pace_bytes_per_second 0") == 0 {
				t.Error("no gauge of the open shard")
			}
		}
		if d.read("pace_bytes_per_second 0") != 0 || d.read("pace_bytes_per_second 1") == 0 {
			t.Errorf("after the split: %v", d.values)
		}
	})
}
