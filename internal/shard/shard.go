// Package shard is the consumer's side of one leased shard: what a user's
// function sees of it, and the runner that reads it, opens aggregates, removes
// duplicates, calls the handler and writes checkpoints.
package shard

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/libvegas/vegas/internal/fetch"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

// Ending is why a shard has no more batches.
type Ending uint8

const (
	// NotEnding: the shard goes on.
	NotEnding Ending = iota
	// ShardEnd: the shard was closed by a split or a merge and read to its
	// end. Its children start when the function has returned nil.
	ShardEnd
	// Handoff: the lease goes to another worker.
	Handoff
	// Shutdown: the consumer stops.
	Shutdown
)

// String is a word for logs.
func (e Ending) String() string {
	switch e {
	case ShardEnd:
		return "shard end"
	case Handoff:
		return "handoff"
	case Shutdown:
		return "shutdown"
	}
	return "not ending"
}

// Shard is one leased shard, as the function given to RunShards sees it. It is
// valid until that function returns.
type Shard struct {
	life  *Life
	start record.Position
	stop  *Brake // ends the reading

	answers chan fetch.Answer // closed when reading has ended
	readErr error             // why, set before answers is closed; nil at shard end
	broken  error             // readErr, once it was handed out: reading failed for good
	open    unpacker

	mu        sync.Mutex
	ctx       context.Context // of the function
	ending    Ending
	delivered record.Position // end of the last batch handed out
	drained   bool            // the answer that ends the shard was taken
	children  []fetch.Child   // at shard end
	held      *fetch.Answer   // that the last batch came from
	opened    int             // so many of its entries are in batches; only next uses it
	pieces    bool            // a batch is a piece of an answer, and lasts until s.open forgets it
	rest      *record.Batch   // that next gives first
	restOf    *fetch.Answer   // that it came from
	kept      bool            // checkpoints are written for the function
	settled   bool            // the last of them covers all that is done with
	transacts bool            // they are committed together with what handlers wrote
}

// ID is the shard's ID, such as "shardId-000000000003".
func (s *Shard) ID() string { return s.life.ID }

// Stream is the name of the stream.
func (s *Shard) Stream() string { return s.life.Stream }

// Parents are the IDs of the shards that this one was split or merged from:
// none, one or two. They are finished.
func (s *Shard) Parents() []string { return append([]string(nil), s.life.Parents...) }

// Start is the checkpoint behind which the batches begin; a start position for
// a shard that was never checkpointed.
func (s *Shard) Start() record.Position { return s.start }

// Possession is the fencing token: it rises with every change of the lease's
// possession over the life of the group, so that a write to another system can
// be made conditional on nobody having written with a higher one.
func (s *Shard) Possession() uint64 { return s.life.Possession }

// Takeovers is how many workers in a row died while they owned the shard, without
// a checkpoint between. More than one or two can mean that a record behind Start
// kills whoever handles it.
func (s *Shard) Takeovers() int { return s.life.Takeovers }

// Ending tells why Batches ended.
func (s *Shard) Ending() Ending {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ending
}

// Batches reads the shard: one batch for each answer of the service, in stream
// order. It ends at the end of the shard, when the lease goes to another worker
// and when the consumer stops; Ending tells. An error is the last thing it yields, and means that reading failed
// for good or that the context of the function is over.
//
// While the loop's body runs nothing more than o.PrefetchBytes is read ahead.
func (s *Shard) Batches() iter.Seq2[*record.Batch, error] {
	return func(yield func(*record.Batch, error) bool) {
		for {
			s.life.unhandled.Store(0) // it has come for more
			b, answer, err := s.next()
			if err != nil {
				yield(nil, err)
				return
			}
			if b == nil {
				return
			}
			s.hold(answer)
			if !yield(b, nil) {
				return
			}
		}
	}
}

// hold releases the answer of the batch before, unless it is the same: the function
// has come for more.
func (s *Shard) hold(a *fetch.Answer) {
	s.mu.Lock()
	old := s.held
	s.held = a
	s.mu.Unlock()
	if old != nil && old != a {
		old.Release()
	}
}

// Checkpoint writes that everything up to p, which is a batch's End or the
// Position of a record, is done with. It returns once that is stored. A
// position that was not delivered yet, or that lies before the last
// checkpoint, is an error, and so is a lease that was lost (ErrLeaseLost).
func (s *Shard) Checkpoint(ctx context.Context, p record.Position) error {
	s.mu.Lock()
	delivered, ending := s.delivered, s.ending
	s.mu.Unlock()
	if p.IsShardEnd() {
		if ending != ShardEnd {
			return fmt.Errorf("checkpoint: stream %q %s: SHARD_END before the end of the shard was read", s.life.Stream, s.life.ID)
		}
		// The end itself is written when the function has returned nil, after
		// the children's leases.
		p = delivered
	}
	last := s.life.checkpoint()
	switch {
	case p.Compare(last) == 0:
		return nil // done before
	case p.IsStart():
		return fmt.Errorf("checkpoint: stream %q %s: %v is no record: pass a batch's End or a record's Position", s.life.Stream, s.life.ID, p)
	case p.Compare(delivered) > 0:
		return fmt.Errorf("checkpoint: stream %q %s: %v was not delivered yet: the last position handed out is %v", s.life.Stream, s.life.ID, p, delivered)
	case p.Compare(last) < 0:
		return fmt.Errorf("checkpoint: stream %q %s: %v lies before the last checkpoint %v: checkpoints never go back", s.life.Stream, s.life.ID, p, last)
	}
	return s.life.write(ctx, p, false)
}

// next is the next batch, nil at the end, with the answer it came from, which
// is the caller's to hold or to release. What the caller holds is released first,
// unless there is more in it: while it waits for more, reading must not wait for room.
func (s *Shard) next() (*record.Batch, *fetch.Answer, error) { return s.nextBefore(nil) }

// errDue: nothing came before it was time for something else.
var errDue = errors.New("no batch before the given time")

// nextBefore is next, unless nothing has come when due fires: errDue.
func (s *Shard) nextBefore(due <-chan time.Time) (*record.Batch, *fetch.Answer, error) {
	for {
		a := s.unopened()
		if a == nil {
			s.hold(nil)
		}
		if b, answer := s.takeBack(); b != nil {
			return b, answer, nil
		}
		if s.over() {
			return nil, nil, nil
		}
		// What was read ahead is left alone once the reading is stopped or the
		// lease is lost.
		select {
		case <-s.stop.Done():
			s.end(s.stop.Why())
			return nil, nil, nil
		case <-s.ctx.Done():
			return nil, nil, context.Cause(s.ctx)
		default:
		}
		if a == nil {
			var err error
			if a, err = s.await(due); a == nil {
				return nil, nil, err
			}
		}
		if err := s.life.expired(time.Now()); err != nil {
			s.hold(a)
			return nil, nil, err
		}
		b := s.take(a)
		if b != nil {
			return b, a, nil
		}
		s.life.refresh(s.ctx)
		s.hold(a)
	}
}

// await is the next answer; nil: there is none, because of the error or because the
// reading was stopped.
func (s *Shard) await(due <-chan time.Time) (*fetch.Answer, error) {
	select {
	case <-s.stop.Done():
		s.end(s.stop.Why())
		return nil, nil
	case <-s.ctx.Done():
		return nil, context.Cause(s.ctx)
	case <-due:
		return nil, errDue
	case a, ok := <-s.answers:
		if !ok {
			if s.ctx.Err() != nil {
				return nil, context.Cause(s.ctx)
			}
			if s.stopping() {
				s.end(s.stop.Why())
				return nil, nil
			}
			s.broken = s.readErr
			if s.broken == nil {
				s.broken = errNoEnd
			}
			return nil, s.broken
		}
		s.opened = 0
		if a.Trimmed {
			if s.broken = s.life.trimmed(); s.broken != nil {
				a.Release()
				return nil, s.broken
			}
		}
		return &a, nil
	}
}

// unopened is the answer that is held, if there is more in it.
func (s *Shard) unopened() *fetch.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil || s.opened == len(s.held.Records) {
		return nil
	}
	return s.held
}

// takeBack is what was put back, unless nothing more is to be begun.
func (s *Shard) takeBack() (*record.Batch, *fetch.Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rest == nil || s.stop.stopped() || s.ctx.Err() != nil {
		return nil, nil
	}
	b, answer := s.rest, s.restOf
	s.rest, s.restOf = nil, nil
	return b, answer
}

// errNoEnd is a source that stops without an error or an end.
var errNoEnd = errors.New("reading stopped before the end of the shard")

// over tells that there are no more batches. A shard ends when the function
// comes back after its last batch, and not before: until then it has not
// finished that one.
func (s *Shard) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drained && s.rest == nil {
		s.ending = ShardEnd
	}
	return s.ending != NotEnding
}

// take opens an answer, or the next piece of it. nil: that brought nothing new.
func (s *Shard) take(a *fetch.Answer) *record.Batch {
	from := s.opened
	p := s.piece(a)
	records, end := s.open.unpack(a.Records, from, s.opened)
	if !s.pieces {
		records = slices.Clone(records)
		s.open.forget()
	}
	s.life.took(&p, len(records), end)
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.End {
		s.drained, s.children = true, p.Children
	}
	moved := end.Compare(s.delivered) > 0
	if moved {
		s.delivered = end
	}
	if len(records) == 0 && !moved {
		return nil
	}
	return &record.Batch{Records: records, End: s.delivered, Behind: p.Behind}
}

// pieceBytes is how much of an answer is opened at a time for a handler of single
// records, unless it is one entry: what is still near to the processor when they are
// handled. Opened whole, an answer of 4 MiB became 40,000 records of 168 bytes, which
// were waited for again when their turn came.
const pieceBytes = 64 << 10

// piece is what is to be opened next of an answer. If more follows, it neither lies at
// the tip nor ends the shard.
func (s *Shard) piece(a *fetch.Answer) fetch.Answer {
	p, n := *a, len(a.Records)
	if s.pieces {
		n = s.opened
		for bytes := 0; n < len(a.Records) && (n == s.opened || bytes+len(a.Records[n].Data) <= pieceBytes); n++ {
			bytes += len(a.Records[n].Data)
		}
	}
	p.Records = a.Records[s.opened:n]
	if s.opened = n; n < len(a.Records) {
		p.End, p.Children, p.Behind = false, nil, max(p.Behind, time.Millisecond)
	}
	return p
}

func (s *Shard) end(e Ending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending == NotEnding {
		s.ending = e
	}
}

// unfinished takes back that the shard has ended if something of it was not
// handled: what was left when the reading was stopped.
func (s *Shard) unfinished(low record.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending == ShardEnd && low.Compare(s.delivered) < 0 {
		s.ending = s.stop.Why()
	}
}

// stopping tells that nothing more is to be begun: the consumer stops, or the
// lease goes to another worker.
func (s *Shard) stopping() bool { return s.stop.stopped() }

// read runs the source until it ends, and closes answers.
func (s *Shard) read(ctx context.Context, from fetch.From) {
	defer close(s.answers)
	s.readErr = s.life.Source(ctx, from, func(ctx context.Context, a fetch.Answer) error {
		select {
		case s.answers <- a:
			s.life.Observer.Gauge(observe.PrefetchBytes, s.life.where, s.life.prefetched())
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}
