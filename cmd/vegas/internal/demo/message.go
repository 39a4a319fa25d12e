package demo

import (
	"encoding/gob"
	"io"
	"sync"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/observe"
)

// message is what a worker process tells the demo on its standard output: records
// that it handles, or a step in the life of a shard.
//
// The demo answers each message with records by one byte on the worker's standard
// input, when it has put them to the books. Only then has the worker handled
// them, so that what another worker handles afterwards comes to the books
// afterwards as well, and what a worker handled before it was killed is there.
type message struct {
	Shard   string
	Records []delivered

	Event observe.EventKind // empty with records
	How   string            // the shard was acquired
	Other string            // its former or its next owner
}

type delivered struct {
	Key  string
	Data []byte
}

// reporter is the worker's end.
type reporter struct {
	mu      sync.Mutex
	enc     *gob.Encoder
	waiting []chan struct{} // for answers, in the order of the messages
}

func newReporter(out io.Writer) *reporter { return &reporter{enc: gob.NewEncoder(out)} }

// handled reports records. What it returns is closed when they are in the books.
func (r *reporter) handled(shard string, records []*vegas.Record) (<-chan struct{}, error) {
	m := message{Shard: shard, Records: make([]delivered, len(records))}
	for i, rec := range records {
		m.Records[i] = delivered{rec.PartitionKey, rec.Data}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	answer := make(chan struct{})
	r.waiting = append(r.waiting, answer)
	return answer, r.enc.Encode(&m)
}

func (r *reporter) event(e observe.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.enc.Encode(&message{Shard: e.Where.Shard, Event: e.Kind, How: e.How, Other: e.Worker})
}

// answers takes the demo's answers until they end, which they do when it wants the
// worker to stop or is gone.
func (r *reporter) answers(in io.Reader) {
	buf := make([]byte, 512)
	for {
		n, err := in.Read(buf)
		r.mu.Lock()
		for range min(n, len(r.waiting)) {
			close(r.waiting[0])
			r.waiting = r.waiting[1:]
		}
		r.mu.Unlock()
		if err != nil {
			return
		}
	}
}
