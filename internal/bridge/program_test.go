package bridge

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/libvegas/vegas/localkinesis"
	"github.com/libvegas/vegas/record"
	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/memory"
)

// world is a stream in memory and the store of its groups, in a bubble.
type world struct {
	*testing.T
	srv  *localkinesis.Server
	cfg  aws.Config
	rows store.Store
	put  int // records that were put
}

// inWorld runs a test in a bubble, with a stream "orders" of some shards.
func inWorld(t *testing.T, name string, shards int, f func(w *world)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv := localkinesis.Start(t, func(o *localkinesis.Options) { o.Streams = map[string]int{"orders": shards} })
			f(&world{T: t, srv: srv, cfg: srv.AWS(), rows: memory.New()})
		})
	})
}

// puts stores n records, of keys k0 to k6, numbered on from the last one.
func (w *world) puts(n int) {
	w.Helper()
	for range n {
		if _, err := w.srv.Put("orders", fmt.Sprint("k", w.put%7), "", fmt.Append(nil, w.put)); err != nil {
			w.Fatal(err)
		}
		w.put++
	}
}

// program is a host that behaves, over pipes in memory.
type program struct {
	*world
	in    *io.PipeWriter
	out   *io.PipeReader
	dead  chan error    // of Serve
	heard chan struct{} // closed when all that the engine wrote was taken in

	writing sync.Mutex
	mu      sync.Mutex
	calls   int64
	waits   map[int64]chan arguments
	shards  map[uint32]*visible
	started []arguments
	ends    []string // "shard why"
	events  []arguments
	log     []string // what was handled
	failed  map[string]any
	opened  bool

	// What it does; set before anything is opened.
	handle func(d *delivery)
	start  func(m arguments) results
	end    func(m arguments) results
}

// visible is a shard that the program has.
type visible struct {
	id   string
	stop chan struct{} // closed at the first stop frame
	why  []byte
	busy bool
}

// delivery is a deliver frame.
type delivery struct {
	p                      *program
	consumer, shard, chunk uint32
	behind                 uint32
	flags                  byte
	text                   string
	rs                     []delivered
	at                     *visible
}

type delivered struct {
	record.Record
	attempt int
}

// program starts an engine and its host.
func (w *world) program(extensions ...Extension) *program {
	w.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	p := &program{world: w, in: inW, out: outR, dead: make(chan error, 1), heard: make(chan struct{}), waits: map[int64]chan arguments{}, shards: map[uint32]*visible{}}
	p.handle = (*delivery).handleAll
	extensions = append(extensions, Extension{Name: "shared", Store: func(string, *slog.Logger) (store.Store, error) { return unclosed{w.rows}, nil }})
	go func() {
		err := Serve(context.Background(), inR, outW, Config{Version: "1", aws: &w.cfg, Extensions: extensions})
		_ = outW.Close()
		<-p.heard // its last frame was taken in
		p.dead <- err
	}()
	p.put(kindHello, results{"protocol": []any{int64(1), int64(1)}, "log": "debug"})
	frames := newFrameReader(outR)
	if kind, _, err := frames.next(); kind != kindHello || err != nil {
		w.Fatal(kind, err)
	}
	go func() {
		defer close(p.heard)
		p.read(frames)
	}()
	w.Cleanup(func() {
		_ = inW.Close()
		<-p.heard
	})
	return p
}

func (p *program) put(kind byte, v results) {
	p.send(endFrame(appendValue(beginFrame(nil, kind), v), 0))
}

func (p *program) send(b []byte) {
	p.writing.Lock()
	defer p.writing.Unlock()
	_, _ = p.in.Write(b)
}

// kill ends the program as a signal does, and waits for the engine's end.
func (p *program) kill() error {
	_ = p.in.Close()
	return <-p.dead
}

func (p *program) read(frames *frameReader) {
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, c := range p.waits {
			close(c)
		}
	}()
	for {
		kind, body, err := frames.next()
		if err != nil {
			return
		}
		switch kind {
		case kindDeliver:
			d := p.delivery(body)
			go func() {
				p.handle(d)
			}()
		case kindStop:
			p.mu.Lock()
			if v := p.shards[littleEndian.Uint32(body[4:])]; v == nil {
				p.Errorf("stop of a shard that is not there")
			} else if v.why = append(v.why, body[8]); len(v.why) == 1 {
				close(v.stop)
			}
			p.mu.Unlock()
		default:
			m, err := parseMap(body)
			if err != nil {
				p.Errorf("frame of kind %d: %v", kind, err)
				return
			}
			p.took(kind, m)
		}
	}
}

func (p *program) took(kind byte, m arguments) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch kind {
	case kindAnswer:
		p.waits[m["call"].(int64)] <- m
		delete(p.waits, m["call"].(int64))
	case kindEvent:
		p.events = append(p.events, m)
	case kindFail:
		p.failed = m["error"].(map[string]any)
	case kindCall:
		if !p.opened {
			p.Errorf("%v before open_consumer was answered", m)
		}
		go p.called(m)
	}
}

func (p *program) called(m arguments) {
	number := uint32(m["shard"].(int64))
	var a results
	p.mu.Lock()
	if m["method"] == methodStartShard {
		p.started = append(p.started, m)
		p.shards[number] = &visible{id: m["id"].(string), stop: make(chan struct{})}
	} else {
		p.ends = append(p.ends, fmt.Sprint(p.shards[number].id, " ", m["why"]))
		if p.shards[number].busy {
			p.Errorf("end_shard with a chunk that is not settled")
		}
	}
	p.mu.Unlock()
	if m["method"] == methodStartShard && p.start != nil {
		a = p.start(m)
	}
	if m["method"] == methodEndShard && p.end != nil {
		a = p.end(m)
	}
	all := results{"call": m["call"]}
	maps.Copy(all, a)
	p.put(kindAnswer, all)
}

func (p *program) delivery(b []byte) *delivery {
	d := &delivery{p: p, consumer: littleEndian.Uint32(b), shard: littleEndian.Uint32(b[4:]), chunk: littleEndian.Uint32(b[8:]), behind: littleEndian.Uint32(b[12:]), flags: b[16]}
	count, text := int(littleEndian.Uint32(b[17:])), int(littleEndian.Uint32(b[21:]))
	d.text = string(b[25 : 25+text])
	rows, rest := b[25+text:25+text+count*deliverRow], b[25+text+count*deliverRow:]
	take := func(n int) []byte {
		x := bytes.Clone(rest[:n])
		rest = rest[n:]
		return x
	}
	sequence := ""
	for r := rows; len(r) > 0; r = r[deliverRow:] {
		one := delivered{attempt: int(littleEndian.Uint16(r[14:]))}
		one.PartitionKey, one.ExplicitHashKey = string(take(int(littleEndian.Uint16(r[8:])))), string(take(int(r[10])))
		if n := int(r[11]); n > 0 {
			sequence = string(take(n))
		}
		one.Position = record.Position{Sequence: sequence, SubSequence: int64(littleEndian.Uint64(r[16:]))}
		one.Aggregated = r[12]&flagAggregated != 0
		one.ArrivalTime = time.UnixMilli(int64(littleEndian.Uint64(r[24:])))
		hs, err := parseHeaders(nil, take(int(littleEndian.Uint32(r[4:]))))
		if err != nil {
			p.Errorf("headers: %v", err)
		}
		one.Headers, one.Data = hs, take(int(littleEndian.Uint32(r)))
		d.rs = append(d.rs, one)
	}
	if len(rest) > 0 {
		p.Errorf("%d bytes behind a chunk", len(rest))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if d.at = p.shards[d.shard]; d.at == nil || d.at.busy {
		p.Errorf("a chunk of shard %d: %+v", d.shard, d.at)
		d.at = &visible{}
	}
	d.at.busy = true
	return d
}

// note remembers that a record was handled.
func (d *delivery) note(i int) {
	d.p.mu.Lock()
	defer d.p.mu.Unlock()
	d.p.log = append(d.p.log, string(d.rs[i].Data))
}

func (d *delivery) stopped() bool {
	select {
	case <-d.at.stop:
		return true
	default:
		return false
	}
}

// failedRecord is a failure of a record.
type failedRecord struct {
	index int
	text  string
}

// settle says something about the chunk.
func (d *delivery) settle(last bool, ranges [][2]int, failures ...failedRecord) {
	if last {
		d.p.mu.Lock()
		d.at.busy = false
		d.p.mu.Unlock()
	}
	d.p.send(d.frame(last, ranges, failures...))
}

func (d *delivery) frame(last bool, ranges [][2]int, failures ...failedRecord) []byte {
	b := beginFrame(nil, kindSettle)
	for _, n := range []uint32{d.consumer, d.shard, d.chunk} {
		b = littleEndian.AppendUint32(b, n)
	}
	flags := byte(0)
	if last {
		flags = flagLast
	}
	b = append(b, flags)
	b = littleEndian.AppendUint32(b, uint32(len(ranges)))
	b = littleEndian.AppendUint32(b, uint32(len(failures)))
	for _, r := range ranges {
		b = littleEndian.AppendUint32(b, uint32(r[0]))
		b = littleEndian.AppendUint32(b, uint32(r[1]))
	}
	for _, f := range failures {
		b = littleEndian.AppendUint32(b, uint32(f.index))
		b = littleEndian.AppendUint32(b, uint32(len(f.text)))
		b = append(b, f.text...)
	}
	return endFrame(b, 0)
}

// handleAll handles a chunk in order, unless it is stopped.
func (d *delivery) handleAll() {
	for i := range d.rs {
		if d.stopped() {
			d.settle(true, ranges(0, i))
			return
		}
		d.note(i)
	}
	d.settle(true, ranges(0, len(d.rs)))
}

// ranges is one range, or none where it is empty.
func ranges(from, to int) [][2]int {
	if from == to {
		return nil
	}
	return [][2]int{{from, to}}
}

// call calls the engine.
func (p *program) call(method string, m results) (arguments, map[string]any) {
	p.mu.Lock()
	p.calls++
	number, answer := p.calls, make(chan arguments, 1)
	p.waits[number] = answer
	p.mu.Unlock()
	all := results{"call": number, "method": method}
	maps.Copy(all, m)
	p.put(kindCall, all)
	a := <-answer
	failed, _ := a["error"].(map[string]any)
	p.mu.Lock()
	p.opened = p.opened || method == methodOpenConsumer && failed == nil
	p.mu.Unlock()
	return a, failed
}

// consume opens consumer 1 of group "g".
func (p *program) consume(options map[string]any) {
	p.Helper()
	p.open(1, options)
}

func (p *program) open(number int, options map[string]any) {
	p.Helper()
	all := map[string]any{"store": "shared:rows"}
	maps.Copy(all, options)
	p.mu.Lock()
	p.opened = true // its answer may be in the queue behind this
	p.mu.Unlock()
	if a, failed := p.call(methodOpenConsumer, results{"consumer": number, "stream": "orders", "group": "g", "options": all}); failed != nil || a["worker"] == "" {
		p.Fatal(a)
	}
}

// close closes consumer 1, and returns what consumer_ended told.
func (p *program) close() map[string]any {
	p.Helper()
	if _, failed := p.call(methodCloseConsumer, results{"consumer": 1}); failed != nil {
		p.Error(failed)
	}
	return p.ended()
}

// ended is the error of consumer_ended; nil: there was none.
func (p *program) ended() map[string]any {
	p.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.events {
		if e["event"] == "consumer_ended" {
			failed, _ := e["error"].(map[string]any)
			return failed
		}
	}
	p.Error("the consumer has not ended")
	return nil
}

func (p *program) handled() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.log...)
}

func (p *program) endings() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.ends, ", ")
}

// takeovers is what the store says of a shard's deaths.
func (w *world) lease(field string) string {
	w.Helper()
	rows, err := w.rows.List(w.Context(), "g", "lease#")
	if err != nil || len(rows) == 0 {
		w.Fatal(rows, err)
	}
	return rows[0].Fields[field]
}

// unclosed is a store that outlives its consumers.
type unclosed struct{ store.Store }

// Close is store.Store's.
func (unclosed) Close() error { return nil }
