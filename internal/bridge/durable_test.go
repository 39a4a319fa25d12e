package bridge

import (
	"testing"
	"time"

	"github.com/libvegas/vegas/record"
)

func TestDurableDirectoryIsFreeAsSoonAsTheHostIsGone(t *testing.T) {
	first := start(t, Config{})
	dir := t.TempDir()
	first.local(map[string]any{"orders": 1}, map[string]any{"durable": dir})
	first.call(methodStopLocal, results{"local": 0})
	first.send(0, 0, record.Record{PartitionKey: "k", Data: []byte("x")})
	for len(first.results) == 0 {
		first.step()
	}
	ended := make(chan error)
	go func() { ended <- first.close() }()
	second := start(t, Config{})
	began := time.Now()
	second.local(map[string]any{"orders": 1}, map[string]any{"durable": dir}) // waits for the first
	if took := time.Since(began); took > 1900*time.Millisecond {
		t.Errorf("the directory was free after %v: that is the grace of records which are not safe", took)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if a := second.call(methodFlush, results{"producer": 0, "timeout": 10_000_000}); a["left"] != int64(0) {
		t.Errorf("flush left %v", a["left"])
	}
	if err := second.close(); err != nil {
		t.Error(err)
	}
}
