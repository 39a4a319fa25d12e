package bridge

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/internal/filesys"
	"github.com/libvegas/vegas/internal/inner"
	"github.com/libvegas/vegas/internal/send"
	"github.com/libvegas/vegas/record"
)

// recordCost is what a record takes in the engine besides its bytes.
const recordCost = 384

// producer is one producer of a host. The session's reader puts what arrives into its
// queue, and a goroutine of its own gives that to the library, so that a producer
// without room holds up nobody else.
type producer struct {
	s      *session
	number uint32
	until  context.Context // ends what closing waits for
	cut    func()
	closed sync.Once

	mu        sync.Mutex
	sends     *vegas.Producer // nil while it is not open
	engine    *send.Engine    // its; nil with a durable buffer
	durable   bool
	window    int64
	next      uint64 // number of the record that the host sends next
	cost      int64  // of what has no report
	open      int    // records without report
	abandoned int    // records that closing did not wait for
	stopped   bool
	over      bool // run has returned
	queue     []queued
	work      *sync.Cond // queue has something, stopped changed, or open became 0
	reports   reports
	failing   said // the last failure
	dirty     bool // the writer knows of reports
}

// queued is a frame, or somebody who waits until all before has been given away.
type queued struct {
	frame   sendFrame
	reached chan struct{}
}

func newProducer(s *session, number uint32) *producer {
	p := &producer{s: s, number: number}
	p.work = sync.NewCond(&p.mu)
	until, cut := context.WithCancelCause(s.ctx)
	p.until, p.cut = until, func() { cut(record.ErrClosed) }
	return p
}

// openProducer answers open_producer.
func (s *session) openProducer(number uint32, m arguments) (results, error) {
	s.mu.Lock()
	p := s.producers[number]
	s.mu.Unlock()
	if p == nil { // it was closed before this
		return nil, record.ErrClosed
	}
	stream, err := m.text("stream")
	if err != nil {
		return nil, err
	}
	o := defaultProducerOptions()
	if err := readOptions(o.fields(), m["options"]); err != nil {
		return nil, err
	}
	cfg, err := s.awses.load(s.ctx, o.Region, o.Endpoint, o.Profile)
	if err != nil {
		return nil, err
	}
	sends, err := s.newProducer(stream, func(v *vegas.ProducerOptions) {
		v.AWS, v.Logger = cfg, s.log
		v.Linger, v.Aggregate, v.RequireOrder = o.Linger, o.Aggregate, o.RequireOrder
		v.Deadline, v.RequestTimeout, v.MaxRequests = o.Deadline, o.RequestTimeout, o.MaxRequests
		v.Durable, v.DurableBytes, v.DurableAge, v.WaitStored = o.Durable, o.DurableBytes, o.DurableAge, o.WaitStored
		v.BufferBytes = o.BufferBytes
		if o.OnFailure == "fail_key" {
			v.OnFailure = vegas.FailKey
		}
	})
	if err != nil {
		f := failureOf(err)
		if f.code == codeFailed && (o.Durable == "" || ofOption.MatchString(err.Error())) {
			f.code = codeBadOption // without a directory it does no I/O
		}
		return nil, f
	}
	if !p.opened(&o, sends) { // it was closed meanwhile, and has no record
		over, cancel := context.WithCancel(s.ctx)
		cancel()
		_ = sends.Close(over)
		return nil, record.ErrClosed
	}
	s.spawn(p.run)
	if o.StatsEvery > 0 {
		s.spawn(func() { s.tellStats(p.until, "producer", number, o.StatsEvery, p.stats) })
	}
	return results{"window_bytes": o.BufferBytes, "record_cost": recordCost}, nil
}

// opened lets the host send, unless it has closed the producer: what closes it finds
// none that is open then, and waits for nothing.
func (p *producer) opened(o *producerOptions, sends *vegas.Producer) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return false
	}
	p.window, p.durable, p.sends = o.BufferBytes, o.Durable != "", sends
	if p.engine = inner.Engine(sends); p.engine != nil {
		p.engine.TellEnds(p.ended)
	}
	return true
}

// ofOption is how errors of the library name the option that is wrong.
var ofOption = regexp.MustCompile(`: o\.[A-Z]`)

// leaving is how long the engine of a host that is gone may keep a durable directory.
const leaving = 3 * time.Second

// newProducer makes a producer. A program that was killed and starts again meets the
// engine of its predecessor, which is about to leave the durable directory.
func (s *session) newProducer(stream string, options func(*vegas.ProducerOptions)) (*vegas.Producer, error) {
	until := time.Now().Add(leaving)
	for {
		sends, err := vegas.NewProducer(stream, options)
		if err == nil || !errors.Is(err, filesys.ErrLocked) || time.Now().After(until) {
			return sends, err
		}
		select {
		case <-time.After(leaving / 60):
		case <-s.gone:
			return nil, err
		}
	}
}

// patience is how long a producer whose host is gone waits until what it was sent is
// accepted, and then until that is stored. What is in a durable directory is safe, and
// whoever starts the program again needs it: nothing waits to be stored then.
func (p *producer) patience(grace time.Duration) (accepting, storing time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.durable {
		return min(grace, leaving/3), 0
	}
	return grace, grace
}

// sent takes a send frame. It does not wait.
func (s *session) sent(body []byte) error {
	f, err := parseSend(body)
	if err != nil {
		return err
	}
	s.mu.Lock()
	p, known := s.producers[f.producer]
	s.mu.Unlock()
	switch {
	case !known:
		return protocolf("send: there is no producer %d", f.producer)
	case p == nil:
		s.refuse(&f)
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sends == nil {
		return protocolf("send: producer %d is not open", f.producer)
	}
	if f.first != p.next {
		return protocolf("send: record %d of producer %d comes as number %d", p.next, f.producer, f.first)
	}
	cost := int64(len(f.bytes)) + int64(f.count)*recordCost
	if p.cost+cost > p.window && (p.open > 0 || f.count > 1) {
		return failuref(codeOverrun, "the program has sent %d bytes to producer %d that it has no report of, and may send %d (see docs/troubleshooting.md#bridge-protocol)",
			p.cost+cost, f.producer, p.window)
	}
	p.next += uint64(f.count)
	p.cost += cost
	p.open += f.count
	if p.over {
		p.mu.Unlock()
		p.give(&f, make([]send.Row, 1), true)
		p.mu.Lock()
		return nil
	}
	f.rows, f.bytes = slices.Clone(f.rows), slices.Clone(f.bytes)
	p.queue = append(p.queue, queued{frame: f})
	p.work.Broadcast()
	return nil
}

// refuse reports the records of a frame that has come behind the end of its producer.
func (s *session) refuse(f *sendFrame) {
	var r reports
	text := string(appendValue(nil, failureOf(record.ErrClosed).value()))
	for i := range uint64(f.count) {
		r.add(f.producer, f.first+i, statusNotStored, &record.Receipt{}, text)
	}
	s.out.report(&r)
}

// mark is closed when all that was sent before has been given to the library.
func (p *producer) mark() <-chan struct{} {
	reached := make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sends == nil {
		close(reached)
		return reached
	}
	if n := len(p.queue); n > 0 && p.queue[n-1].reached != nil {
		return p.queue[n-1].reached // so that flushes make no queue
	}
	p.queue = append(p.queue, queued{reached: reached})
	p.work.Broadcast()
	return reached
}

// stop refuses what is sent from now on: it is reported as not stored.
func (p *producer) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	p.stopped = true
	p.queue = append(p.queue, queued{})
	p.work.Broadcast()
}

// run gives records to the library until the producer is closed.
func (p *producer) run() {
	var todo []queued
	var rows [rowsAtOnce]send.Row
	refuse := false
	for {
		p.mu.Lock()
		for len(p.queue) == 0 && p.until.Err() == nil {
			p.work.Wait()
		}
		todo, p.queue = p.queue, todo[:0]
		p.over = len(todo) == 0
		p.mu.Unlock()
		if len(todo) == 0 {
			return
		}
		for i := range todo {
			switch q := &todo[i]; {
			case q.reached != nil:
				close(q.reached)
			case q.frame.count == 0:
				refuse = true
			default:
				p.give(&q.frame, rows[:], refuse)
			}
			todo[i] = queued{}
		}
	}
}

// rowsAtOnce is how many records are given away at once.
const rowsAtOnce = 64

// give gives the records of a frame away, by way of rows. They have a report each,
// from the library or here.
func (p *producer) give(f *sendFrame, rows []send.Row, refuse bool) {
	for f.count > 0 {
		n, bad := f.fill(rows)
		for good := rows[:n]; len(good) > 0; {
			accepted, err := 0, record.ErrClosed
			if !refuse {
				accepted, err = p.accept(good)
			}
			if good = good[accepted:]; err != nil {
				p.end(good[0].Number, good[0].Cost, record.Receipt{}, err)
				good = good[1:]
			}
		}
		if bad != nil {
			p.end(rows[n].Number, rows[n].Cost, record.Receipt{}, protocolf("headers: %w", bad))
		}
		for i := range rows[:min(n+1, len(rows))] { // nothing holds the frame
			r := &rows[i].Record
			r.PartitionKey, r.ExplicitHashKey, r.Data = "", "", nil
		}
	}
}

// accept gives rows to the library, and returns how many it took, and why not the one
// behind those.
func (p *producer) accept(rows []send.Row) (int, error) {
	if p.engine != nil {
		return p.engine.SendRows(p.until, rows)
	}
	for i := range rows {
		number, cost := rows[i].Number, rows[i].Cost
		err := p.sends.SendAsync(p.until, &rows[i].Record, func(at record.Receipt, err error) { p.end(number, cost, at, err) })
		if err != nil {
			return i, err
		}
	}
	return len(rows), nil
}

// end reports one record.
func (p *producer) end(number uint64, cost uint32, at record.Receipt, err error) {
	p.ended([]send.End{{Number: number, Cost: cost, Receipt: at, Err: err}})
	p.tell()
}

// ended reports records; after the last ones for now there are none.
func (p *producer) ended(ends []send.End) {
	if len(ends) == 0 {
		p.tell()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range ends {
		p.report(&ends[i])
	}
	if p.open == 0 {
		p.work.Broadcast()
	}
}

// tell has the writer know of what was reported. When it returns, no frame that is
// written from then on overtakes that, whoever told.
func (p *producer) tell() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.dirty {
		p.dirty = true
		p.s.out.report(p)
	}
}

// report reports a record; the lock is held.
func (p *producer) report(e *send.End) {
	status, text := byte(statusStored), ""
	switch {
	case e.Err != nil:
		status, text = p.failure(e.Err)
	case e.Receipt.Durable:
		status = statusDurable
	}
	p.reports.add(p.number, e.Number, status, &e.Receipt, text)
	p.cost -= int64(e.Cost)
	p.open--
	if p.stopped && errors.Is(e.Err, record.ErrClosed) {
		p.abandoned++
	}
}

// failure is what a report says of a failed record. What fails seldom fails alone, so
// the last one is remembered; the lock is held.
func (p *producer) failure(err error) (status byte, text string) {
	now := said{text: err.Error()}
	if p.failing.text == now.text {
		return p.failing.status, p.failing.value
	}
	f := failureOf(err)
	now.value, now.status = string(appendValue(nil, f.value())), statusNotStored
	if f.unknown {
		now.status = statusUnknown
	}
	p.failing = now
	return now.status, now.value
}

// said is an error, whose text has its outcome, and what was made of it.
type said struct {
	text, value string
	status      byte
}

// take is the writer's.
func (p *producer) take(b []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dirty = false
	return p.reports.take(b)
}

// flush waits for what was sent before reached.
func (p *producer) flush(reached <-chan struct{}, limit time.Duration) (results, error) {
	if err := p.usable(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(p.until, limit)
	defer cancel()
	select {
	case <-reached:
	case <-ctx.Done():
		return results{"left": p.left(0)}, nil
	}
	left := int64(0)
	if p.sends.Flush(ctx) != nil { // for it has not sent all in time
		left = p.left(0)
	}
	p.tell() // before the answer
	return results{"left": left}, nil
}

// left is how many records are without an end, or in a durable buffer.
func (p *producer) left(abandoned int) int64 {
	p.mu.Lock()
	n := int64(p.open + abandoned)
	p.mu.Unlock()
	if p.durable {
		n += p.sends.Stats().Durable.Items
	}
	return n
}

// close ends the producer: what it was sent has one limit to be accepted, and another
// to end by itself. Whoever calls it again waits for the same end.
func (p *producer) close(accepting, storing time.Duration) results {
	r := results{"left": 0}
	p.stop()
	p.closed.Do(func() {
		defer p.cut()
		if p.usable() != nil {
			return
		}
		accept, cancel := context.WithTimeout(p.until, accepting)
		defer cancel()
		store, cancel := context.WithTimeout(p.until, storing)
		defer cancel()
		select {
		case <-p.mark():
		case <-accept.Done():
			p.cut() // whoever waits for room
		}
		_ = p.sends.Close(store) // records that it gives up have a report each
		p.mu.Lock()
		for p.open > 0 {
			p.work.Wait()
		}
		abandoned := p.abandoned
		p.mu.Unlock()
		p.tell() // before the answer
		r["left"] = p.left(abandoned)
	})
	p.mu.Lock()
	p.work.Broadcast()
	p.mu.Unlock()
	return r
}

// usable tells whether there is something to flush or close.
func (p *producer) usable() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sends == nil {
		return badOption("producer %d is not open", p.number)
	}
	return nil
}

func (p *producer) check(ctx context.Context) error {
	if err := p.usable(); err != nil {
		return err
	}
	return p.sends.Check(ctx)
}
