package vegas_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/buffer/memory"
	"github.com/libvegas/vegas/localkinesis"
)

// on is an option that puts a buffer before the producer.
func on(b buffer.Buffer) func(*vegas.ProducerOptions) {
	return func(o *vegas.ProducerOptions) { o.Buffer = b }
}

// outage makes every call of the given operations fail until it is removed.
func outage(srv *localkinesis.Server, ops ...string) (over func()) {
	var fs []*localkinesis.Injected
	for _, op := range ops {
		fs = append(fs, srv.Inject(localkinesis.Fault{Op: op, Do: localkinesis.Fail}))
	}
	return func() {
		for _, f := range fs {
			f.Remove()
		}
	}
}

// told is what the two stages of records said, in their order.
type told struct {
	durable, stored []int
	errs            map[int]error
}

func (l *told) send(t *testing.T, p *vegas.Producer, key string, n int) {
	t.Helper()
	err := p.SendStaged(t.Context(), &vegas.Record{PartitionKey: key, Data: fmt.Append(nil, n)},
		func(err error) {
			if err == nil {
				l.durable = append(l.durable, n)
			}
		},
		func(r vegas.Receipt, err error) {
			if l.errs == nil {
				l.errs = map[int]error{}
			}
			l.stored = append(l.stored, n)
			l.errs[n] = err
			if err == nil && (r.Shard == "" || r.Durable) {
				l.errs[n] = fmt.Errorf("receipt %+v", r)
			}
		})
	if err != nil {
		t.Error(err)
	}
}

// data are the payloads of a stream as readers get them, per key.
func data(t *testing.T, srv *localkinesis.Server) map[string]string {
	t.Helper()
	got := map[string]string{}
	for _, s := range firsts(contents(t, srv, "orders")) {
		got[s.key] += string(s.data) + " "
	}
	return got
}

func TestSendReturnsOnceDurableAndAnOutageOfAnHourLosesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 2, on(memory.New()))
		over := outage(srv, "PutRecords")
		began := time.Now()
		r, err := p.SendRecord(t.Context(), &vegas.Record{PartitionKey: "a", Data: []byte("0")})
		if err != nil || !r.Durable || r.Shard != "" {
			t.Errorf("%+v, %v", r, err)
		}
		for i := 1; i < 50; i++ {
			if err := p.Send(t.Context(), "a", fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
		}
		rs, err := p.SendAll(t.Context(), []*vegas.Record{{PartitionKey: "b", Data: []byte("0")}, {}, {PartitionKey: "b", Data: []byte("1")}})
		var each vegas.SendErrors
		if !errors.As(err, &each) || each[0] != nil || each[1] == nil || each[2] != nil || !rs[0].Durable || rs[1].Durable || !rs[2].Durable {
			t.Errorf("%+v, %v", rs, err)
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("sending took %v", d)
		}
		var l told
		l.send(t, p, "b", 2)
		l.send(t, p, "b", 3)
		<-time.After(time.Hour)
		if s := p.Stats(); s.Durable.Items != 54 || s.Failed+s.Unknown+s.Sent != 0 {
			t.Errorf("%+v", s)
		}
		if fmt.Sprint(l.durable) != "[2 3]" || len(l.stored) != 0 {
			t.Errorf("%+v", l)
		}
		over()
		if err := p.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		if fmt.Sprint(l.stored) != "[2 3]" || l.errs[2] != nil || l.errs[3] != nil {
			t.Errorf("%+v", l)
		}
		got := data(t, srv)
		if !strings.HasPrefix(got["a"], "0 1 2 3 4 5 ") || !strings.HasSuffix(got["a"], " 48 49 ") || got["b"] != "0 1 2 3 " {
			t.Errorf("%q", got)
		}
		if s := p.Stats(); s.Durable.Items != 0 || s.Sent != 54 {
			t.Errorf("%+v", s)
		}
	})
}

func TestWaitStoredWaitsForTheStream(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 2, on(memory.New()), func(o *vegas.ProducerOptions) { o.WaitStored = true })
		over := outage(srv, "PutRecords")
		time.AfterFunc(10*time.Minute, over)
		began := time.Now()
		r, err := p.SendRecord(t.Context(), &vegas.Record{PartitionKey: "a", Data: []byte("0")})
		if err != nil || r.Durable || r.Shard == "" || time.Since(began) < 10*time.Minute {
			t.Errorf("%+v, %v after %v", r, err, time.Since(began))
		}
		var results []vegas.Receipt
		for i := 1; i < 4; i++ {
			err := p.SendAsync(t.Context(), &vegas.Record{PartitionKey: "a", Data: fmt.Append(nil, i)}, func(r vegas.Receipt, err error) {
				if err != nil || r.Shard == "" {
					t.Errorf("%+v, %v", r, err)
				}
				results = append(results, r)
			})
			if err != nil {
				t.Error(err)
			}
		}
		rs, err := p.SendAll(t.Context(), []*vegas.Record{{PartitionKey: "a", Data: []byte("4")}, {PartitionKey: "a", Data: []byte("5")}})
		if err != nil || rs[1].Shard == "" {
			t.Errorf("%+v, %v", rs, err)
		}
		if err := p.Flush(t.Context()); err != nil || len(results) != 3 {
			t.Errorf("%v, %d results", err, len(results))
		}

		over = outage(srv, "PutRecords")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err = p.Send(ctx, "a", []byte("6"))
		if e := outcome(t, err); e.Outcome != vegas.Unknown || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "will be sent") {
			t.Errorf("%v", err)
		}
		over()
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if got := data(t, srv)["a"]; got != "0 1 2 3 4 5 6 " {
			t.Errorf("%q", got)
		}
		if _, err := p.SendAll(t.Context(), []*vegas.Record{{PartitionKey: "a"}}); !errors.Is(err, vegas.ErrClosed) {
			t.Errorf("%v", err)
		}
	})
}

func TestFlushAndCloseSayHowManyAreLeftAndTheNextStartSendsThem(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := memory.New()
		srv, p := start(t, 2, on(b))
		over := outage(srv, "PutRecords", "ListShards")
		var l told
		for i := range 10 {
			l.send(t, p, fmt.Sprint("k", i%2), i)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := p.Flush(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "10 records") || !strings.Contains(err.Error(), "InternalFailure") {
			t.Errorf("flush: %v", err)
		}
		err = p.Close(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "10 records") || !strings.Contains(err.Error(), "next start") {
			t.Errorf("close: %v", err)
		}
		if len(l.stored) != 10 || outcome(t, l.errs[3]).Outcome != vegas.Unknown || !errors.Is(l.errs[3], vegas.ErrClosed) {
			t.Errorf("%+v", l)
		}
		if err := p.Send(t.Context(), "k", nil); !errors.Is(err, vegas.ErrClosed) {
			t.Errorf("send: %v", err)
		}
		if again := p.Close(t.Context()); !errors.Is(again, err) {
			t.Errorf("close again: %v", again)
		}
		over()

		p = producer(t, srv, on(b))
		for i := 10; i < 20; i++ {
			if err := p.Send(t.Context(), fmt.Sprint("k", i%2), fmt.Append(nil, i)); err != nil {
				t.Error(err)
			}
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if got := data(t, srv); got["k0"] != "0 2 4 6 8 10 12 14 16 18 " || got["k1"] != "1 3 5 7 9 11 13 15 17 19 " {
			t.Errorf("%q", got)
		}
		ids := map[string]bool{}
		for _, s := range contents(t, srv, "orders") {
			ids[strings.Split(s.id, "/")[0]] = true
		}
		if len(ids) != 2 {
			t.Errorf("two openings sent under %d identities", len(ids))
		}
	})
}
