package bridge

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/localkinesis"
	"github.com/libvegas/vegas/record"
)

// TestNoAnswerOvertakesReports holds up whoever tells the writer of reports: until that
// knows, nobody is to find that it does.
func TestNoAnswerOvertakesReports(t *testing.T) {
	s := &session{ctx: t.Context(), out: newOutput(io.Discard)}
	p := newProducer(s, 0)
	told := make(chan struct{})
	s.out.mu.Lock()
	go func() {
		defer close(told)
		p.tell()
	}()
	for range 10_000 {
		if p.mu.TryLock() {
			if p.dirty {
				t.Error("the writer is taken to know of reports before it does")
			}
			p.mu.Unlock()
		}
		runtime.Gosched()
	}
	s.out.mu.Unlock()
	<-told
	if !p.dirty || len(s.out.reports) != 1 {
		t.Errorf("dirty: %v, %d that have reports", p.dirty, len(s.out.reports))
	}
}

// TestCallsMakeNoQueue flushes and closes a producer that gets no further.
func TestCallsMakeNoQueue(t *testing.T) {
	p := newProducer(&session{ctx: t.Context()}, 0)
	p.sends = new(vegas.Producer)
	for range 100 {
		p.mark()
	}
	for range 100 {
		p.stop()
		p.mark()
	}
	if len(p.queue) != 3 {
		t.Errorf("%d wait for it", len(p.queue))
	}
}

// TestCloseGivesUpInTime closes a producer whose stream takes nothing.
func TestCloseGivesUpInTime(t *testing.T) {
	h := start(t, Config{})
	l := h.call(methodStartLocal, results{"local": 0, "streams": []any{"orders"}})
	h.call(methodOpenProducer, results{"producer": 0, "stream": "orders", "options": map[string]any{"endpoint": l["endpoint"], "buffer_bytes": 4000}})
	h.call(methodStopLocal, results{"local": 0})
	for i := range uint64(8) {
		h.send(0, i, record.Record{PartitionKey: "k"})
	}
	if a := h.call(methodFlush, results{"producer": 0, "timeout": 20_000}); a["left"] != int64(8) {
		t.Errorf("flush left %v", a["left"])
	}
	if a := h.call(methodCloseProducer, results{"producer": 0, "timeout": 20_000}); a["left"] != int64(8) {
		t.Errorf("close left %v", a["left"])
	}
	if len(h.results) != 8 {
		t.Errorf("%d reports", len(h.results))
	}
	for i, r := range h.results {
		if r.failure["code"] != codeClosed {
			t.Errorf("record %d: %+v", i, r)
		}
	}
	if err := h.close(); err != nil {
		t.Error(err)
	}
}

// TestAProducerWithoutRoomHoldsUpNobody fills one whose stream does not answer.
func TestAProducerWithoutRoomHoldsUpNobody(t *testing.T) {
	h := start(t, Config{})
	l := h.call(methodStartLocal, results{"local": 5, "streams": []any{"orders"}})
	h.call(methodOpenProducer, results{"producer": 5, "stream": "orders", "options": map[string]any{"endpoint": l["endpoint"], "buffer_bytes": 1000}})
	h.call(methodStopLocal, results{"local": 5})
	h.send(5, 0, record.Record{PartitionKey: "k", Data: make([]byte, 100_000)}) // alone it may be larger
	h.local(map[string]any{"orders": 1}, nil)
	h.send(0, 0, record.Record{PartitionKey: "k"})
	h.call(methodFlush, results{"producer": 0})
	if len(h.results) != 1 || h.results[0].status != statusStored {
		t.Errorf("%+v", h.results)
	}
}

// alone is a session without a host, and with a configuration that is never used.
func alone(t *testing.T) *session {
	s := &session{
		cfg: Config{aws: &aws.Config{Region: localRegion}}, log: slog.New(slog.DiscardHandler),
		out: newOutput(io.Discard), gone: make(chan struct{}), grace: time.Second, producers: map[uint32]*producer{},
	}
	s.ctx, s.cancel = context.WithCancel(t.Context())
	s.awses.s = s
	t.Cleanup(func() {
		s.cancel()
		s.group.Wait()
	})
	return s
}

// do does what a call does.
func (s *session) do(method string, m arguments) (results, error) {
	do, err := s.method(method, m)
	if err != nil {
		return nil, err
	}
	return do()
}

// TestClosedProducersLeaveTheirNumber also opens one that cannot be opened.
func TestClosedProducersLeaveTheirNumber(t *testing.T) {
	s := alone(t)
	for n := range int64(10) {
		if _, err := s.do(methodOpenProducer, arguments{"producer": n, "stream": "orders"}); err != nil {
			t.Fatal(err)
		}
		p := s.producers[uint32(n)]
		for range 2 {
			if r, err := s.do(methodCloseProducer, arguments{"producer": n}); err != nil || r["left"] != 0 && r["left"] != int64(0) {
				t.Fatal(r, err)
			}
		}
		if p.until.Err() == nil {
			t.Error("what a closed producer waits for goes on")
		}
	}
	if _, err := s.do(methodOpenProducer, arguments{"producer": int64(10), "stream": "no/name"}); err == nil {
		t.Error("no error")
	}
	if len(s.producers) != 11 {
		t.Error(s.producers)
	}
	for n, p := range s.producers {
		if p != nil {
			t.Errorf("producer %d is still there", n)
		}
		if _, err := s.do(methodFlush, arguments{"producer": int64(n)}); !errors.Is(err, record.ErrClosed) {
			t.Errorf("producer %d: flush: %v", n, err)
		}
	}
}

// TestAProducerIsClosedAsItOpens looks for what is open when that has just been tried.
func TestAProducerIsClosedAsItOpens(t *testing.T) {
	s := alone(t)
	m := arguments{"producer": int64(1), "stream": "orders"}
	if _, err := s.reserve(m, "producer"); err != nil {
		t.Fatal(err)
	}
	p := s.producers[1]
	p.stop()
	if _, err := s.openProducer(1, m); !errors.Is(err, record.ErrClosed) {
		t.Errorf("open: %v", err)
	}
	closed := make(chan results, 1)
	go func() { closed <- p.close(time.Hour, time.Hour) }()
	select {
	case r := <-closed:
		if r["left"] != 0 {
			t.Error(r)
		}
	case <-time.After(10 * time.Second):
		t.Error("closing it waits for what nobody does")
		p.cut()
	}
}

// TestNoCallBehindTheEnd has the reader find one in its buffer.
func TestNoCallBehindTheEnd(t *testing.T) {
	s := alone(t)
	close(s.gone)
	if err := s.called(arguments{"call": int64(1), "method": methodStats, "producer": int64(1)}); !errors.Is(err, errHostGone) || s.answering != 0 {
		t.Error(err, s.answering)
	}
}

// TestALocalServerIsStoppedAsItStarts stops it before its streams take large records.
func TestALocalServerIsStoppedAsItStarts(t *testing.T) {
	l := &local{}
	if err := l.start(0, map[string]int{"orders": 1}, func(*localkinesis.Options) {}); err != nil {
		t.Fatal(err)
	}
	l.close()
	if err := l.raise(t.Context(), 2<<20); !errors.Is(err, record.ErrClosed) {
		t.Error(err)
	}
}
