package vegas_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/buffer/memory"
	"github.com/libvegas/vegas/localkinesis"
	"github.com/libvegas/vegas/observe"
)

// frail is a buffer that fails when it is told to.
type frail struct {
	buffer.Buffer
	mu               sync.Mutex
	sync, next, bury error
	lost             int64
	buried           int // attempts
}

func (b *frail) fail(set func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	set()
}

func (b *frail) Sync(ctx context.Context, seq uint64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sync != nil {
		return b.sync
	}
	return b.Buffer.Sync(ctx, seq)
}

func (b *frail) Next(ctx context.Context, bytes int) ([]buffer.Item, error) {
	items, err := b.Buffer.Next(ctx, bytes)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next != nil {
		return nil, b.next
	}
	return items, err
}

func (b *frail) Bury(ctx context.Context, dead []buffer.Dead) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.buried++; b.bury != nil {
		return b.bury
	}
	return b.Buffer.Bury(ctx, dead)
}

func (b *frail) Stats() buffer.Stats {
	s := b.Buffer.Stats()
	b.mu.Lock()
	defer b.mu.Unlock()
	s.Lost = b.lost
	return s
}

func TestASyncThatFailsIsToldToEverybodyWhoWaits(t *testing.T) {
	for cause, want := range map[error]vegas.Outcome{buffer.ErrNotBuffered: vegas.NotStored, buffer.ErrUnknown: vegas.Unknown} {
		for _, waitStored := range []bool{false, true} {
			bubble(t, func(t *testing.T) {
				b := &frail{Buffer: memory.New(), sync: fmt.Errorf("fsync: %w", cause)}
				srv, p := start(t, 1, on(b), func(o *vegas.ProducerOptions) { o.WaitStored = waitStored })
				outage(srv, "PutRecords")
				check := func(what string, err error) {
					t.Helper()
					if e := outcome(t, err); e.Outcome != want || !errors.Is(err, cause) || e.Key != "k" {
						t.Errorf("%s: %+v", what, e)
					}
				}
				r := &vegas.Record{PartitionKey: "k"}
				check("Send", p.Send(t.Context(), "k", nil))
				_, err := p.SendAll(t.Context(), []*vegas.Record{r})
				check("SendAll", err)
				var errs []error
				note := func(err error) { errs = append(errs, err) }
				if err := p.SendAsync(t.Context(), r, func(_ vegas.Receipt, err error) { note(err) }); err != nil {
					t.Error(err)
				}
				if err := p.SendStaged(t.Context(), r, note, func(_ vegas.Receipt, err error) { note(err) }); err != nil {
					t.Error(err)
				}
				synctest.Wait()
				if len(errs) != 3 {
					t.Fatalf("%d calls", len(errs))
				}
				for _, err := range errs {
					check("callback", err)
				}
				p.Close(canceled)
			})
		}
	}
}

func TestABufferThatCannotBeReadIsSaidAndLeftToTheNextStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := &frail{Buffer: memory.New(), next: errors.New("the disk is gone")}
		_, p := start(t, 1, on(b))
		if err := p.Send(t.Context(), "k", nil); err != nil {
			t.Error(err)
		}
		for what, err := range map[string]error{"flush": p.Flush(t.Context()), "close": p.Close(t.Context())} {
			if err == nil || !strings.Contains(err.Error(), "the disk is gone") || !strings.Contains(err.Error(), "1 records are left") {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

// stuttering gives every record the same number.
type stuttering struct{ buffer.Buffer }

func (b stuttering) Next(ctx context.Context, bytes int) ([]buffer.Item, error) {
	items, err := b.Buffer.Next(ctx, bytes)
	for i := range items {
		items[i].Seq = 1
	}
	return items, err
}

func TestABufferThatGivesANumberTwiceIsSaidAndNotBelieved(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1, on(stuttering{memory.New()}))
		for _, data := range []string{"0", "1"} {
			if err := p.Send(t.Context(), "k", []byte(data)); err != nil {
				t.Error(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for what, err := range map[string]error{"flush": p.Flush(ctx), "close": p.Close(ctx)} {
			if err == nil || !strings.Contains(err.Error(), "record 1 came after record 1") || !strings.Contains(err.Error(), "records are left") {
				t.Errorf("%s: %v", what, err)
			}
		}
		if got := data(t, srv)["k"]; got != "0 " {
			t.Errorf("%q was sent", got)
		}
	})
}

func TestWhatCannotBeBuriedStaysAndIsSentWhenTheStreamTakesIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := &frail{Buffer: memory.New(), bury: errors.New("no space left")}
		srv, p := start(t, 1, on(b), func(o *vegas.ProducerOptions) { o.DurableAge = time.Minute })
		over := outage(srv, "PutRecords")
		var l told
		l.send(t, p, "a", 0)
		<-time.After(30 * time.Minute)
		tries := 0
		b.fail(func() { tries = b.buried })
		if tries < 10 || tries > 3000 || len(l.stored) != 0 || p.Stats().Durable.Items != 1 {
			t.Errorf("%d attempts, %+v, %+v", tries, l, p.Stats())
		}
		over()
		if err := p.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		if got := data(t, srv)["a"]; got != "0 " || l.errs[0] != nil {
			t.Errorf("%q, %+v", got, l)
		}
		// Nothing overtakes what can never be sent and is not buried yet.
		b.fail(func() { b.bury = nil })
		over = outage(srv, "PutRecords")
		l.send(t, p, "a", 1)
		<-time.After(2 * time.Minute)
		over()
		if err := p.Close(t.Context()); err != nil || !errors.Is(l.errs[1], vegas.ErrDeadline) || p.Stats().Durable.Dead != 1 {
			t.Errorf("%v, %+v", err, l)
		}
	})
}

func TestACallbackThatEndsItsGoroutineConcernsNoOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, p := start(t, 1, on(memory.New()))
		var order []int
		for i := range 6 {
			err := p.SendAsync(t.Context(), &vegas.Record{PartitionKey: "k"}, func(vegas.Receipt, error) {
				if order = append(order, i); i%2 == 0 {
					runtime.Goexit()
				}
			})
			if err != nil {
				t.Error(err)
			}
		}
		if err := p.Close(t.Context()); err != nil || fmt.Sprint(order) != "[0 1 2 3 4 5]" {
			t.Errorf("%v, %v", err, order)
		}
	})
}

// Close's context can end before the last callback returns: then nothing is left,
// and nothing is said to be.
func TestCloseWhoseLastCallbackIsLateHasClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, p := start(t, 1, on(memory.New()))
		err := p.SendAsync(t.Context(), &vegas.Record{PartitionKey: "k"}, func(vegas.Receipt, error) { <-time.After(90 * time.Second) })
		if err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute+29500*time.Millisecond)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := p.Flush(t.Context()); err != nil { // as without a buffer
			t.Error(err)
		}
	})
}

// Nor does a callback that never returns hold up Close for longer than its context
// and a second.
func TestACallbackThatNeverReturnsDoesNotHoldUpClose(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1, on(memory.New()))
		over := outage(srv, "PutRecords")
		defer over()
		never := make(chan struct{})
		defer close(never)
		for range 3 {
			if err := p.SendAsync(t.Context(), &vegas.Record{PartitionKey: "k"}, func(vegas.Receipt, error) { <-never }); err != nil {
				t.Error(err)
			}
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := p.Close(ctx)
		if err == nil || !strings.Contains(err.Error(), "3 records are left") || time.Since(began) > time.Minute+5*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if err := p.Flush(t.Context()); !errors.Is(err, vegas.ErrClosed) {
			t.Error(err)
		}
		if err := p.Send(t.Context(), "k", nil); !errors.Is(err, vegas.ErrClosed) {
			t.Error(err)
		}
	})
}

func TestTheLogTellsHowTheBufferFares(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log lockedBuffer
		logging := func(o *vegas.ProducerOptions) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) }
		b := &frail{Buffer: memory.New()}
		srv, p := start(t, 1, on(b))
		over := outage(srv, "PutRecords")
		for range 3 {
			if err := p.Send(t.Context(), "secret", []byte("secret")); err != nil {
				t.Error(err)
			}
		}
		<-time.After(time.Hour)
		p.Close(canceled)

		p = producer(t, srv, on(b), logging)
		<-time.After(10*time.Minute + time.Second)
		b.fail(func() { b.lost = 7 })
		over()
		<-time.After(time.Minute)
		p.Close(t.Context())
		got := log.String()
		for want, times := range map[string]int{
			`msg="durable buffer opened"`:         1,
			`records=3`:                           11,
			`oldest=1h0m0s`:                       1,
			`msg="durable buffer does not drain"`: 10,
			`InternalFailure`:                     10,
			`msg="durable buffer has drained"`:    1,
			`level=ERROR msg="records of the durable buffer are lost`: 1,
			`secret`: 0,
		} {
			if n := strings.Count(got, want); n != times && (n < times || want != "InternalFailure") {
				t.Errorf("%q comes %d times, want %d", want, n, times)
			}
		}
		if t.Failed() {
			t.Log(got)
		}
	})
}

func TestAnObserverSeesTheBuffer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := &gathered{counts: map[observe.Counter]int64{}, gauges: map[observe.Gauge]int64{}, values: map[observe.Histogram]int{}}
		b := &frail{Buffer: memory.New()}
		srv, p := start(t, 1, on(b), func(o *vegas.ProducerOptions) { o.Observer, o.DurableAge = g, time.Minute })
		over := outage(srv, "PutRecords")
		for range 5 {
			if err := p.Send(t.Context(), "k", nil); err != nil {
				t.Error(err)
			}
		}
		b.fail(func() { b.lost = 2 })
		<-time.After(30*time.Second + time.Millisecond)
		g.mu.Lock()
		if g.gauges[observe.DurableRecords] != 5 || g.gauges[observe.DurableBytes] == 0 || g.gauges[observe.DurableOldest] != 30_000 {
			t.Errorf("%v", g.gauges)
		}
		g.mu.Unlock()
		<-time.After(time.Minute)
		over()
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if g.counts[observe.RecordsDurable] != 5 || g.counts[observe.RecordsDead] != 5 || g.counts[observe.RecordsLost] != 2 ||
			g.values[observe.DurableLatency] != 5 || g.gauges[observe.DurableRecords] != 0 {
			t.Errorf("%v %v %v", g.counts, g.values, g.gauges)
		}
	})
}

func TestWhatCannotBeMeantIsRefused(t *testing.T) {
	for want, option := range map[string]func(*vegas.ProducerOptions){
		"o.Durable and o.Buffer": func(o *vegas.ProducerOptions) { o.Durable, o.Buffer = "x", memory.New() },
		"o.DurableBytes":         func(o *vegas.ProducerOptions) { o.DurableBytes = -1 },
		"o.DurableAge":           func(o *vegas.ProducerOptions) { o.DurableAge = -1 },
	} {
		if _, err := vegas.NewProducer("orders", option); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := vegas.NewProducer("orders", func(o *vegas.ProducerOptions) { o.Durable = file }); err == nil {
		t.Error("a file is accepted as a directory")
	}
}

func TestWithoutABufferBothStagesAreToldAtTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv, p := start(t, 1, func(o *vegas.ProducerOptions) { o.Deadline = time.Minute })
		var calls []string
		send := func() {
			err := p.SendStaged(t.Context(), &vegas.Record{PartitionKey: "k"},
				func(err error) { calls = append(calls, fmt.Sprint("durable ", err == nil)) },
				func(r vegas.Receipt, err error) { calls = append(calls, fmt.Sprint("stored ", err == nil, r.Durable)) })
			if err != nil {
				t.Error(err)
			}
			p.Flush(t.Context())
		}
		send()
		srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.Fail})
		send()
		if got := strings.Join(calls, ", "); got != "durable true, stored true false, durable false, stored false false" {
			t.Error(got)
		}
	})
}
