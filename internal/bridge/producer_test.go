package bridge

import (
	"io"
	"runtime"
	"testing"

	"github.com/libvegas/vegas"
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
