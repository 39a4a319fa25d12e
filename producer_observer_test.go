package vegas_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/localkinesis"
	"github.com/libvegas/vegas/observe"
)

// gathered is an observer that remembers.
type gathered struct {
	mu     sync.Mutex
	counts map[observe.Counter]int64
	gauges map[observe.Gauge]int64
	values map[observe.Histogram]int
	events []observe.Event
}

func (g *gathered) Count(c observe.Counter, _ observe.Where, n int64) {
	g.mu.Lock()
	g.counts[c] += n
	g.mu.Unlock()
}

func (g *gathered) Gauge(c observe.Gauge, _ observe.Where, v int64) {
	g.mu.Lock()
	g.gauges[c] = v
	g.mu.Unlock()
}

func (g *gathered) Observe(h observe.Histogram, _ observe.Where, _ int64) {
	g.mu.Lock()
	g.values[h]++
	g.mu.Unlock()
}

func (g *gathered) Event(e observe.Event) {
	g.mu.Lock()
	g.events = append(g.events, e)
	g.mu.Unlock()
}

func TestAnObserverSeesWhatHappens(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := &gathered{counts: map[observe.Counter]int64{}, gauges: map[observe.Gauge]int64{}, values: map[observe.Histogram]int{}}
		srv, p := start(t, 1, func(o *vegas.ProducerOptions) { o.Observer, o.Deadline = g, 20*time.Second })
		send := func(n int) {
			for i := range n {
				p.Send(t.Context(), fmt.Sprint(i), []byte("data"))
			}
		}
		send(10)
		srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.Split, Count: 1})
		srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.Throttle, Count: 3, After: 1})
		srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.DropAnswer, Count: 1, After: 4})
		send(100)
		p.Flush(t.Context())
		<-time.After(5 * time.Second)
		send(1)
		p.Flush(t.Context())
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.counts[observe.RecordsSent] != 111 || g.counts[observe.BytesSent] != 444 {
			t.Errorf("%v", g.counts)
		}
		for _, c := range []observe.Counter{observe.Requests, observe.EntriesSent, observe.Throttles, observe.RequestErrors, observe.RecordsResent, observe.MapRefreshes} {
			if g.counts[c] == 0 {
				t.Errorf("no %s", c)
			}
		}
		if g.values[observe.SendLatency] != 111 || g.values[observe.RequestLatency] == 0 || g.values[observe.RequestBytes] == 0 {
			t.Errorf("%v", g.values)
		}
		if g.gauges[observe.PaceBytes] == 0 {
			t.Errorf("%v", g.gauges)
		}
		var life []string
		for _, e := range g.events {
			life = append(life, fmt.Sprint(e.Kind, " ", strings.TrimPrefix(e.Where.Shard, "shardId-00000000000"), len(e.Parents)))
		}
		if got := fmt.Sprint(life); got != "[opened 00 closed 00 opened 11 opened 21]" {
			t.Errorf("the life of shards: %s", got)
		}
	})
}

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

func TestAnHourOfThrottlingIsAFewLogLinesWithoutKeysAndPayloads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log bytes.Buffer
		srv, p := start(t, 2, func(o *vegas.ProducerOptions) {
			o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		})
		srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.Throttle, EntryRate: 0.9})
		srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.Throttle, Rate: 0.1})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		for ctx.Err() == nil {
			p.SendAsync(ctx, &vegas.Record{PartitionKey: "private-key", Data: []byte("private-data")}, func(vegas.Receipt, error) {})
			<-time.After(time.Second)
		}
		p.Close(ctx)
		if n := strings.Count(log.String(), "\n"); n > 70 || n < 50 {
			t.Errorf("%d lines", n)
		}
		if strings.Contains(log.String(), "private") {
			t.Error("keys or payloads are in the log")
		}
	})
}
