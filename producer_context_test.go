package vegas_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/localkinesis"
)

func TestContextEndedBeforeTheRecordLeftWithdrawsIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1)
		slowly(srv, "ListShards", 5*time.Second, 1) // nothing leaves without a map
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := p.Send(ctx, "k", []byte("d"))
		if e := outcome(t, err); e.Outcome != vegas.NotStored || e.Attempts != 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %+v", e)
		}
		_, err = p.SendAll(ctx, []*vegas.Record{{PartitionKey: "k"}})
		if e := outcome(t, err); e.Outcome != vegas.NotStored {
			t.Errorf("got %+v", e)
		}
		if err := p.Send(t.Context(), "k", []byte("after")); err != nil {
			t.Error(err)
		}
		if got := contents(t, srv, "orders"); len(got) != 1 || string(got[0].data) != "after" {
			t.Errorf("stored %+v", got)
		}
		if s := p.Stats(); s.Open != 0 || s.BufferBytes != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestContextEndedLaterIsUnknownAndTheEngineGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1)
		slowly(srv, "PutRecords", 3*time.Second, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := p.Send(ctx, "k", []byte("d"))
		if e := outcome(t, err); e.Outcome != vegas.Unknown || e.Attempts == 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %+v", e)
		}
		if now := time.Since(begin()); now > 1100*time.Millisecond {
			t.Errorf("told only after %v", now)
		}
		p.Flush(t.Context())
		if got := contents(t, srv, "orders"); len(got) != 1 {
			t.Errorf("the engine did not go on: %+v", got)
		}
		if s := p.Stats(); s.Open != 0 || s.BufferBytes != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestSendAsyncsContextBoundsOnlyTheWaitForRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1, func(o *vegas.ProducerOptions) { o.BufferBytes = 4 << 10 })
		slowly(srv, "PutRecords", 5*time.Second, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var got []error
		done := func(_ vegas.Receipt, err error) { got = append(got, err) }
		if err := p.SendAsync(ctx, &vegas.Record{PartitionKey: "k", Data: make([]byte, 3<<10)}, done); err != nil {
			t.Fatal(err)
		}
		err := p.SendAsync(ctx, &vegas.Record{PartitionKey: "k", Data: make([]byte, 3<<10)}, done)
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, vegas.ErrBufferFull) || outcome(t, err).Outcome != vegas.NotStored {
			t.Errorf("no room: %v", err)
		}
		p.Flush(t.Context())
		synctest.Wait()
		if len(got) != 1 || got[0] != nil {
			t.Errorf("results %v: the ended context must not touch what was accepted", got)
		}
	})
}

// Whose patience ends is told what it was tried on.
func TestAnEndedContextTellsWhatHeldTheRecordUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1)
		send := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			return p.Send(ctx, "k", nil)
		}
		fault := srv.Inject(localkinesis.Fault{Op: "ListShards", Do: localkinesis.Fail})
		if err := send(); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "list shards") {
			t.Errorf("before the first map: %v", err)
		}
		fault.Remove()
		if err := p.Send(t.Context(), "k", nil); err != nil {
			t.Fatal(err)
		}
		fault = srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.Throttle})
		if err := send(); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, vegas.ErrThrottled) {
			t.Errorf("throttled: %v", err)
		}
		fault.Remove()
	})
}

// Of a SendAll whose patience ends every record has its own result: stored,
// under way, never left, no room.
func TestAnEndedContextTellsOfEachRecordOfSendAll(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1, func(o *vegas.ProducerOptions) { o.Linger, o.BufferBytes = 0, 12<<10 })
		p.Send(t.Context(), "warm", nil)
		srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.Delay, Delay: 5 * time.Second, After: 2, Count: 1})
		var rs []*vegas.Record
		for i := range 40 {
			rs = append(rs, &vegas.Record{PartitionKey: fmt.Sprint(i), Data: make([]byte, 1000)})
		}
		rs[3], rs[5] = nil, &vegas.Record{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		receipts, err := p.SendAll(ctx, rs)
		var errs vegas.SendErrors
		errors.As(err, &errs)
		count := map[string]int{}
		for i := range rs {
			if errs[i] == nil {
				if receipts[i].Shard == "" {
					t.Errorf("record %d has neither receipt nor error", i)
				}
				count["stored"]++
				continue
			}
			e := outcome(t, errs[i])
			count[e.Outcome.String()]++
			if i != 3 && i != 5 && !errors.Is(errs[i], context.DeadlineExceeded) {
				t.Errorf("record %d: %v", i, errs[i])
			}
		}
		if outcome(t, errs[3]).Outcome != vegas.NotStored || outcome(t, errs[5]).Outcome != vegas.NotStored {
			t.Errorf("%v, %v", errs[3], errs[5])
		}
		if count["stored"] == 0 || count["unknown"] == 0 || count["not stored"] < 3 {
			t.Errorf("%v", count)
		}
		p.Flush(t.Context())
		if s := p.Stats(); s.Open != 0 || s.BufferBytes != 0 || s.Sent != int64(1+count["stored"]+count["unknown"]) {
			t.Errorf("%v, %+v", count, s)
		}
	})
}
