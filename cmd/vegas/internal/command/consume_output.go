package command

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/cmd/vegas/internal/format"
	"github.com/libvegas/vegas/cmd/vegas/internal/terminal"
	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/observe"
)

// lineWriter writes batches of lines, each batch in one go, and the events that
// happened in between. Events never wait for the output: a reader that stalls
// must not stall heartbeats.
type lineWriter struct {
	line    format.Line
	limited bool

	mu      sync.Mutex // held while writing
	out     io.Writer
	left    int64 // of the limit
	buf     []byte
	written int64
	broken  error

	events  sync.Mutex // guards waiting only
	waiting []byte     // lines of events
	wake    chan struct{}
}

func newLineWriter(out io.Writer, line format.Line, limit int64) *lineWriter {
	return &lineWriter{out: out, line: line, limited: limit > 0, left: limit, wake: make(chan struct{}, 1)}
}

const flushBytes = 1 << 20

// write writes records, the last of which lies at end or before, as many as the
// limit allows, and returns where it came to. done: the limit is reached.
func (w *lineWriter) write(records []*vegas.Record, end vegas.Position) (done bool, at vegas.Position, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.limited {
		if w.left == 0 {
			return true, vegas.Position{}, nil
		}
		if n := int64(len(records)); n >= w.left {
			done = true
			records = records[:w.left]
			if n > w.left {
				end = records[w.left-1].Position
			}
		}
		w.left -= int64(len(records))
	}
	w.takeEvents()
	for _, r := range records {
		if w.buf = w.line(w.buf, r); len(w.buf) >= flushBytes {
			if err := w.put(); err != nil {
				return true, vegas.Position{}, err
			}
		}
	}
	if err := w.put(); err != nil {
		return true, vegas.Position{}, err
	}
	w.written += int64(len(records))
	return done, end, nil
}

// takeEvents moves the waiting events to the buffer.
func (w *lineWriter) takeEvents() {
	w.events.Lock()
	defer w.events.Unlock()
	w.buf = append(w.buf, w.waiting...)
	w.waiting = w.waiting[:0]
}

func (w *lineWriter) put() error {
	if w.broken == nil && len(w.buf) > 0 {
		_, w.broken = w.out.Write(w.buf)
	}
	w.buf = w.buf[:0]
	return w.broken
}

// event queues an event's line behind the records written so far.
func (w *lineWriter) event(e observe.Event) {
	w.events.Lock()
	w.waiting = format.Event(w.waiting, e)
	w.events.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// flush writes the events that wait.
func (w *lineWriter) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.takeEvents()
	return w.put()
}

func (w *lineWriter) count() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written
}

// eventObserver passes the events that concern readers to the output.
type eventObserver struct {
	observe.Nop
	out *lineWriter
}

func (o *eventObserver) Event(e observe.Event) {
	switch e.Kind {
	case observe.Acquired, observe.HandedOver, observe.Ended, observe.Lost, observe.Checkpoint, observe.Stopping, observe.Stopped:
		o.out.event(e)
	}
}

// tips knows which shards have yet to be read up to what was in the stream at
// the start: those that were open. All others end in one of them, and are read
// before it.
type tips struct {
	mu   sync.Mutex
	left map[string]bool
	at   map[string]vegas.Position // written so far
}

func (c *consume) findTips(ctx context.Context, name kinesisapi.Name, cfg aws.Config) (*tips, error) {
	s := &streamClient{c.e, kinesisapi.New(name, kinesisapi.Options{AWS: cfg})}
	defer s.Close()
	shards, err := s.shards(ctx)
	if err != nil {
		return nil, err
	}
	found := &tips{left: map[string]bool{}, at: map[string]vegas.Position{}}
	for _, shard := range shards {
		if shard.Open {
			found.left[shard.ID] = true
		}
	}
	return found, nil
}

func (t *tips) written(shard string, end vegas.Position, behind time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at[shard] = end
	if behind == 0 {
		delete(t.left, shard)
	}
}

func (t *tips) reached(shard string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.left, shard)
}

// look finds shards whose last answer was empty: they bring no batch. What was
// handed out has to be written as well. It tells that nothing is left.
func (t *tips) look(shards []vegas.ShardStats) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range shards {
		at, wrote := t.at[s.Shard]
		if s.Read && s.Behind == 0 && (s.Records == 0 || wrote && at.Compare(s.Delivered) == 0) {
			delete(t.left, s.Shard)
		}
	}
	return len(t.left) == 0
}

// watch writes events as they come, shows progress on a terminal, and stops the
// consumer at the tip.
func (c *consume) watch(consumer *vegas.Consumer, ended <-chan struct{}) {
	var shown *progress
	// Records and progress on the same terminal would get in each other's way.
	if !terminal.Is(c.e.out) {
		shown = c.e.showProgress()
	}
	if shown != nil {
		defer shown.clear()
	}
	started := time.Now()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-c.out.wake:
			_ = c.out.flush() // the shards' functions meet the error
			continue
		case <-tick.C:
		}
		if shown == nil && c.tips == nil {
			continue
		}
		stats := consumer.Stats()
		if c.tips != nil && c.tips.look(stats.Shards) {
			c.stop()
		}
		if shown != nil {
			shown.paint(progressLine(c.out.count(), time.Since(started), stats))
		}
	}
}

func progressLine(n int64, took time.Duration, s vegas.ConsumerStats) string {
	behind := time.Duration(0)
	for _, shard := range s.Shards {
		behind = max(behind, shard.Behind)
	}
	text := fmt.Sprintf("%s records, %s/s, %s", thousands(n), thousands(int64(float64(n)/took.Seconds())), plural(len(s.Shards), "shard"))
	if behind > 0 {
		text += fmt.Sprintf(", %v behind", behind.Round(time.Second/10))
	}
	return text
}
