package bridge

import (
	"context"
	"errors"
	"fmt"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/internal/shard"
	"github.com/libvegas/vegas/record"
)

const (
	// chunkBytes is what a chunk has at most, unless it is one record.
	chunkBytes = 512 << 10
	// surelyBytes is what a shard may have in a chunk however full the window is.
	surelyBytes = 64 << 10
)

// leased is one shard as the host knows it, from start_shard to end_shard.
type leased struct {
	w      *worker
	number uint32
	s      *vegas.Shard
	turn   chan struct{} // a chunk is on its way; capacity 1

	gathering gathering

	// Of the worker's mutex.
	reserved  int // of the window, for the next chunk
	chunks    uint32
	out       *chunk
	delivered record.Position
	ctx       context.Context //nolint:containedctx // of the shard's function; nil before it begins
}

// chunk is a run of records that the host has.
type chunk struct {
	number uint32
	run    *shard.Run
	last   chan struct{} // closed when the host has said its last word

	// Of the worker's mutex.
	state    []byte // of each record
	failures []shard.Failure
}

// What is known of a record of a chunk.
const (
	recordOpen = iota
	recordDone
	recordFailed
)

// hostError is a handler's error, as the host tells it.
type hostError struct{ text string }

func (e hostError) Error() string { return e.text }

// errDied: the host ended while it had records.
var errDied = fmt.Errorf("%w: it closed its side with records in its handlers", shard.ErrDied)

// room is how much the shard's next chunk may have. It is taken from the window.
func (l *leased) room(*shard.Shard) int {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	l.w.used -= int64(l.reserved)
	free := min(l.w.o.Window-l.w.used, chunkBytes)
	l.reserved = int(max(free, surelyBytes))
	l.w.used += int64(l.reserved)
	return l.reserved
}

// host is the shard.Host of the shard.
func (l *leased) host(ctx context.Context, _ *shard.Shard, r *shard.Run) ([]shard.Failure, error) {
	return l.deliver(ctx, r, 0, "")
}

// bury gives a record to the host's dead letters.
func (l *leased) bury(ctx context.Context, r *record.Record, cause error) error {
	run := shard.NewRun([]*record.Record{r}, []int{max(1, l.w.attempts)}, 0)
	failures, err := l.deliver(ctx, run, flagDeadLetters, brief(cause.Error(), 64<<10))
	switch done := run.End(); {
	case err != nil:
		return err
	case len(failures) > 0:
		return failures[0].Err
	case !done:
		return shard.ErrNotBegun
	}
	return nil
}

// deliver sends a chunk and waits for the host's last word on it, whatever becomes of
// the shard: its handlers run until then.
func (l *leased) deliver(ctx context.Context, run *shard.Run, flags byte, text string) ([]shard.Failure, error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	w := l.w
	size := 0
	for _, r := range run.Records {
		size += deliverCost(r)
	}
	c := &chunk{run: run, last: make(chan struct{}), state: make([]byte, len(run.Records))}
	w.mu.Lock()
	c.number = l.chunks
	l.chunks++
	l.out = c
	w.used += int64(size - l.reserved)
	l.reserved = 0
	if end := run.Records[len(run.Records)-1].Position; end.Compare(l.delivered) > 0 {
		l.delivered = end
	}
	w.mu.Unlock()
	w.s.write(kindDeliver, func(b []byte) []byte {
		return appendDeliver(b, w.number, l.number, c.number, flags, text, run)
	})
	gone := false
	select {
	case <-c.last:
	case <-w.s.gone:
		gone = true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.used -= int64(size)
	said := l.out != c
	l.out = nil
	switch {
	case said:
		return c.failures, nil
	case gone && w.closing:
		return nil, errHostGone // it had said goodbye
	}
	return nil, errDied
}

// settle takes what the host says about the shard's chunk. The caller holds the
// worker's mutex. An error ends the session.
func (l *leased) settle(f *settleFrame) error {
	c := l.out
	if c == nil || c.number != f.chunk {
		return protocolf("settle: shard %d has no chunk %d that is open", l.number, f.chunk)
	}
	n := uint32(len(c.state))
	for r := f.ranges; len(r) > 0; r = r[8:] {
		from, to := littleEndian.Uint32(r), littleEndian.Uint32(r[4:])
		if from >= to || to > n {
			return protocolf("settle: records %d to %d of a chunk of %d", from, to, n)
		}
		for i := from; i < to; i++ {
			if c.state[i] != recordOpen {
				return protocolf("settle: record %d of a chunk a second time", i)
			}
			c.state[i] = recordDone
		}
		c.run.Done(int(from), int(to))
	}
	for range f.failures {
		i, text := f.failure()
		if i >= n || c.state[i] != recordOpen {
			return protocolf("settle: the failure of record %d, which a chunk of %d has not open", i, n)
		}
		c.state[i] = recordFailed
		c.failures = append(c.failures, shard.Failure{Index: int(i), Err: hostError{brief(text, 64<<10)}})
	}
	if f.last {
		l.out = nil
		close(c.last)
	}
	return nil
}

// watch tells the host when nothing more of the shard is to be begun, and when its
// handlers are to return.
func (l *leased) watch(ctx context.Context) (end func()) {
	over, ended := make(chan struct{}), make(chan struct{})
	brake := shard.Stopping(l.s)
	go func() {
		defer close(ended)
		stop := brake.Done()
		for {
			select {
			case <-over:
				return
			case <-stop:
				stop = nil
				why := byte(reasonShutdown)
				if brake.Why() == shard.Handoff {
					why = reasonHandoff
				}
				l.stop(why)
			case <-ctx.Done():
				why := byte(reasonGraceOver)
				if errors.Is(context.Cause(ctx), record.ErrLeaseLost) {
					why = reasonLeaseLost
				}
				l.stop(why)
				return
			}
		}
	}()
	return func() {
		close(over)
		<-ended
	}
}

func (l *leased) stop(why byte) {
	l.w.s.write(kindStop, func(b []byte) []byte {
		b = littleEndian.AppendUint32(b, l.w.number)
		return append(littleEndian.AppendUint32(b, l.number), why)
	})
}

// checkpoint stores what the host names.
func (l *leased) checkpoint(p record.Position) error {
	l.w.mu.Lock()
	delivered, ctx := l.delivered, l.ctx
	l.w.mu.Unlock()
	if ctx == nil {
		return badOption("checkpoint: stream %q %s has not begun: answer start_shard first, which may name a position", l.s.Stream(), l.s.ID())
	}
	if !p.IsShardEnd() && p.Compare(delivered) > 0 {
		return badOption("checkpoint: stream %q %s: %v was not delivered yet: the last record handed out is %v", l.s.Stream(), l.s.ID(), p, delivered)
	}
	err := l.s.Checkpoint(ctx, p)
	if err != nil && ctx.Err() != nil {
		return lostLease(l.s.ID())
	}
	return err
}

func lostLease(what string) error {
	return failuref(codeLeaseLost, "checkpoint: %s: %w (see docs/troubleshooting.md#lease-lost)", what, record.ErrLeaseLost)
}
