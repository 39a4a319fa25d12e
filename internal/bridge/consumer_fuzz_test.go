package bridge

import (
	"bytes"
	"testing"
	"time"

	"github.com/libvegas/vegas/internal/shard"
	"github.com/libvegas/vegas/record"
)

// FuzzSettle gives a chunk of three records to a host that settles anything. It costs
// an error at most, and no record ends twice.
func FuzzSettle(f *testing.F) {
	d := &delivery{consumer: 1, shard: 1}
	for _, b := range [][]byte{
		d.frame(true, ranges(0, 3)),
		d.frame(true, [][2]int{{0, 1}, {2, 3}}, failedRecord{1, "no"}),
		d.frame(true, ranges(2, 9)),
		d.frame(false, nil, failedRecord{0, ""}, failedRecord{0, ""}),
	} {
		f.Add(b[frameHead:], []byte{})
		f.Add(d.frame(false, ranges(0, 1))[frameHead:], b[frameHead:])
	}
	rs := []*record.Record{{PartitionKey: "a"}, {PartitionKey: "b"}, {PartitionKey: "c"}}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		w := &worker{shards: map[uint32]*leased{}}
		c := &chunk{run: shard.NewRun(rs, []int{1, 1, 1}, 0), last: make(chan struct{}), state: make([]byte, 3)}
		w.shards[1] = &leased{w: w, number: 1, out: c}
		for _, body := range [][]byte{first, second} {
			if len(body) < 4 {
				continue // the session's
			}
			if err := w.settle(bytes.Clone(body)); err != nil {
				if failureOf(err).code != codeProtocol {
					t.Errorf("%v", err)
				}
				return
			}
		}
		seen := map[int]bool{}
		for _, f := range c.failures {
			if f.Index < 0 || f.Index > 2 || seen[f.Index] || c.state[f.Index] != recordFailed {
				t.Errorf("failures %v, states %v", c.failures, c.state)
			}
			seen[f.Index] = true
		}
		if done := c.run.End(); done != bytes.Equal(c.state, []byte{recordDone, recordDone, recordDone}) {
			t.Errorf("done %v, states %v", done, c.state)
		}
	})
}

// FuzzDeliver takes records of anybody's making apart again.
func FuzzDeliver(f *testing.F) {
	f.Add("key", "12", "49", []byte("data"), "id", "value", 1)
	f.Add("", "", "", []byte{}, "", "", 0)
	f.Add(string(make([]byte, 70000)), string(make([]byte, 300)), "1", []byte("x"), string(make([]byte, 70000)), "v", 70000)
	f.Fuzz(func(t *testing.T, key, hash, sequence string, data []byte, name, value string, count int) {
		if len(sequence) > 255 {
			return // opaque, but digits of a number of 128 bits or so
		}
		r := &record.Record{PartitionKey: key, ExplicitHashKey: hash, Data: data, ArrivalTime: time.UnixMilli(7), Position: record.Position{Sequence: sequence, SubSequence: 3}}
		for range min(max(0, count), 70000) {
			r.Headers = append(r.Headers, record.Header{Key: name, Value: value})
			if len(r.Headers)*(len(name)+len(value)) > 1<<20 {
				break
			}
		}
		p := &program{world: &world{T: t}, shards: map[uint32]*visible{2: {}}}
		run := shard.NewRun([]*record.Record{r, r}, []int{1, 70000}, time.Hour)
		d := p.delivery(appendDeliver(nil, 1, 2, 3, flagDeadLetters, "text", run))
		if d.consumer != 1 || d.shard != 2 || d.chunk != 3 || d.behind != 3600000 || d.text != "text" || len(d.rs) != 2 {
			t.Errorf("%+v", d)
		}
		want := crossable(r)
		for _, got := range d.rs {
			if got.PartitionKey != want.PartitionKey || got.ExplicitHashKey != want.ExplicitHashKey || !bytes.Equal(got.Data, data) ||
				got.Position != r.Position || !got.ArrivalTime.Equal(r.ArrivalTime) || len(got.Headers) != len(want.Headers) {
				t.Errorf("%+v, want %+v", got, want)
			}
		}
	})
}
