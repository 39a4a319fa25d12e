package disk

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/record"
)

// group is what is written and synced at once.
type group struct {
	buf      []byte // its header and frames, as they stand in the file
	entries  []entry
	first    uint64
	accepted int64 // of its first record

	done chan struct{} // closed when err is final
	err  error
	// touched: some of it may have been written.
	touched bool
	// lent: items that Next gave out point into it.
	lent bool
	seg  *segment // where it was written, and where it ends there
	end  int64
}

// entry is a record in a group: the caller's strings, and where the rest is.
type entry struct {
	key, hashKey  string
	frame         int // where in buf
	headers, data int // from there
}

func (g *group) last() uint64 { return g.first + uint64(len(g.entries)) - 1 }

func (g *group) has(seq uint64) bool { return g != nil && seq >= g.first && seq <= g.last() }

// largest is the room that its largest record takes.
func (g *group) largest() int {
	most := 0
	for i, e := range g.entries {
		end := len(g.buf)
		if i+1 < len(g.entries) {
			end = g.entries[i+1].frame
		}
		most = max(most, end-e.frame)
	}
	return most
}

// item is the record i.
func (g *group) item(i int, producer [16]byte) buffer.Item {
	e := &g.entries[i]
	b := g.buf[e.frame:]
	var head frameHead
	head.read(b)
	it := buffer.Item{
		Producer: producer, Seq: head.seq, Accepted: unixNano(head.accepted),
		Key: e.key, ExplicitHashKey: e.hashKey,
		Data: b[e.data : frameBytes+int(head.length) : frameBytes+int(head.length)],
	}
	if e.data > e.headers+1 {
		it.Headers, _, _ = readHeaders(b[e.headers:e.data])
	}
	return it
}

// add encodes a record where it will be written from.
func (g *group) add(r *record.Record, seq uint64, accepted int64) {
	e := entry{key: r.PartitionKey, hashKey: r.ExplicitHashKey, frame: len(g.buf)}
	g.buf = appendFrame(g.buf, seq, accepted, func(b []byte) []byte {
		return appendBody(b, r.PartitionKey, r.ExplicitHashKey, r.Headers, r.Data)
	})
	e.headers = frameBytes + textBytes(r.PartitionKey) + textBytes(r.ExplicitHashKey)
	e.data = len(g.buf) - len(r.Data) - e.frame
	g.entries = append(g.entries, e)
}

// Append takes records in; see buffer.Buffer.
func (l *Log) Append(ctx context.Context, records []*record.Record, assigned func(first uint64)) (uint64, error) {
	if len(records) == 0 {
		return 0, fmt.Errorf("durable buffer %s: append: no records", l.dir)
	}
	size := 0
	for _, r := range records {
		size += frameBytes + bodyBytes(r)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.admit(ctx, size); err != nil {
		return 0, err
	}
	if len(l.queue) == 0 {
		l.refused = 0
	}
	first := l.next
	l.gather(records, time.Now().UnixNano(), size)
	if assigned != nil {
		assigned(first)
	}
	return first, nil
}

// gather puts records, of a size, into the group that the writer takes next.
// They are encoded in place, although l.mu is held: that takes little longer than
// copying what was encoded before.
func (l *Log) gather(records []*record.Record, accepted int64, size int) {
	g := l.gathering
	if g == nil {
		g = l.newGroup()
		g.first, g.accepted = l.next, accepted
		l.gathering = g
		l.writer.wake()
	}
	g.buf = slices.Grow(g.buf, size)
	for _, r := range records {
		g.add(r, l.next, accepted)
		l.next++
	}
	l.items += int64(len(records))
}

// admit waits, first come, first served, until n bytes can be taken in.
func (l *Log) admit(ctx context.Context, n int) error {
	if l.state != open {
		return l.notOpen()
	}
	if len(l.queue) == 0 && l.fits(n) {
		return nil
	}
	turn := make(chan struct{}, 1)
	l.queue = append(l.queue, turn)
	defer func() {
		l.queue = slices.DeleteFunc(l.queue, func(c chan struct{}) bool { return c == turn })
		l.wakeAppender()
	}()
	for {
		if l.state != open {
			return l.notOpen()
		}
		if l.queue[0] == turn {
			if l.fits(n) {
				return nil
			}
			l.refused = n
		}
		l.makeRoom()
		l.mu.Unlock()
		select {
		case <-turn:
		case <-ctx.Done():
		}
		l.mu.Lock()
		if err := ctx.Err(); err != nil && !(l.queue[0] == turn && l.state == open && l.fits(n)) {
			return l.noRoom(err)
		}
	}
}

func (l *Log) notOpen() error {
	if l.state == fresh {
		return errNotOpen
	}
	return l.errClosed()
}

func (l *Log) noRoom(ended error) error {
	why := l.blocked()
	if why == nil { // the disk is slow
		why = fmt.Errorf("durable buffer %s: what was appended before waits for the disk", l.dir)
	}
	return fmt.Errorf("%w: %w: %w", record.ErrBufferFull, ended, why)
}

// fits tells whether n bytes can be taken in now.
func (l *Log) fits(n int) bool {
	if l.stalled != nil {
		return false
	}
	waiting := 0
	if l.gathering != nil {
		waiting = len(l.gathering.buf)
	}
	most := gatherBytes
	if l.tight {
		most = tightBytes
	}
	if waiting > 0 && waiting+n > most {
		return false
	}
	return !l.exceeds(n)
}

// exceeds tells that n bytes more would exceed the limit. What would do so even in
// an empty log is let in when there are no records: it would wait for ever.
func (l *Log) exceeds(n int) bool {
	switch {
	case l.o.Bytes <= 0:
		return false
	case dataStart+2*groupBytes+int64(n) > l.o.Bytes:
		return l.items > 0
	}
	return l.taken()+int64(n+groupBytes) > l.o.Bytes
}

// blocked is why nothing can be appended at present; nil: it can.
func (l *Log) blocked() error {
	if l.stalled == nil && l.short() {
		return l.limitReached()
	}
	return l.stalled
}

// short tells that the limit keeps out whoever is first, or was and could not wait.
func (l *Log) short() bool { return l.refused > 0 && l.exceeds(l.refused) }

// taken is the room that is taken, or about to be: also by the closing group of
// the last segment, and the next one's header.
func (l *Log) taken() int64 {
	n := l.bytes
	for _, g := range []*group{l.writing, l.gathering} {
		if g != nil {
			n += int64(len(g.buf))
		}
	}
	if l.last == nil {
		n += dataStart
	}
	return n + groupBytes
}

// wakeAppender lets the first that waits look again.
func (l *Log) wakeAppender() {
	if l.state != open {
		for _, turn := range l.queue {
			poke(turn)
		}
		return
	}
	if len(l.queue) > 0 {
		poke(l.queue[0])
	}
}

// Sync waits until a record is durable; see buffer.Buffer.
func (l *Log) Sync(ctx context.Context, seq uint64) error {
	l.mu.Lock()
	g := l.writing
	if !g.has(seq) {
		g = l.gathering
	}
	if !g.has(seq) {
		defer l.mu.Unlock()
		switch {
		case l.state == fresh:
			return errNotOpen
		case seq >= l.next:
			return fmt.Errorf("durable buffer %s: sync: no record has the number %d yet: %w", l.dir, seq, buffer.ErrNotBuffered)
		}
		return l.failed.of(seq)
	}
	l.mu.Unlock()
	if ctx.Done() == nil { // to wait for one channel costs half of what two do
		<-g.done
		return g.err
	}
	select {
	case <-g.done:
		return g.err
	default:
	}
	select {
	case <-g.done:
		return g.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// memory is a group's, while no group has it.
type memory struct {
	buf     []byte
	entries []entry
}

// newGroup is an empty group, whose memory may have been another's, or is as much
// as the last one had.
func (l *Log) newGroup() *group {
	var m memory
	if n := len(l.free); n > 0 {
		m, l.free = l.free[n-1], l.free[:n-1]
	} else {
		m = memory{make([]byte, 0, groupBytes+l.usual.bytes), make([]entry, 0, l.usual.records)}
	}
	return &group{buf: append(m.buf[:0], make([]byte, groupBytes)...), entries: m.entries[:0], done: make(chan struct{})}
}

// recycle keeps the memory of a group whose records nobody uses any more.
func (l *Log) recycle(g *group) {
	if len(l.free) < 4 && cap(g.buf) <= 2<<20 {
		clear(g.entries)
		l.free = append(l.free, memory{g.buf, g.entries})
	}
	g.buf, g.entries = nil, nil
}

// failures are the numbers of records that did not get durable. The last of them
// are remembered; of what is older than that nothing is promised.
type failures struct {
	ranges    []failure
	forgotten uint64
}

type failure struct {
	span
	err error
}

func (f *failures) add(s span, err error) {
	if len(f.ranges) == 1024 {
		f.forgotten = f.ranges[0].last
		f.ranges = slices.Delete(f.ranges, 0, 1)
	}
	f.ranges = append(f.ranges, failure{s, err})
}

func (f *failures) of(seq uint64) error {
	for _, r := range f.ranges {
		if seq >= r.first && seq <= r.last {
			return r.err
		}
	}
	if seq <= f.forgotten {
		return fmt.Errorf("it was written while the disk failed, and too many others since: %w", buffer.ErrUnknown)
	}
	return nil
}
