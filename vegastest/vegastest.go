// Package vegastest runs handlers and shard functions without a server: it
// feeds them the records of a shard, by the same code that feeds them in a
// Consumer, and tells what they checkpointed.
//
//	res := vegastest.Run(t.Context(), vegastest.Shard{
//		Records: []*vegas.Record{{PartitionKey: "customer-42", Data: []byte("paid")}},
//	}, handler)
//	if res.Err != nil || !res.Ended { … }
//
// No time passes and nothing is retried: the first error ends the run. To test
// a whole program, splits and faults included, use package localkinesis.
package vegastest

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/internal/fetch"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/quiet"
	"github.com/libvegas/vegas/internal/shard"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

// Shard is what a shard holds and what happens to it.
type Shard struct {
	// Records are delivered in their order. Where a record has no sequence
	// number it gets one above those before; its other fields for received
	// records are filled in as well.
	Records []*record.Record
	// Batch is how many records arrive at once. Default 0: all.
	Batch int
	// Open: the shard is not closed; behind the records the consumer stops.
	// Default false: the records are followed by the end of the shard.
	Open bool
	// From is the checkpoint: only records behind it are delivered.
	From record.Position
	// Possession is the fencing token. Default 1.
	Possession uint64

	// ID and Stream are the names it bears. Defaults "shardId-000000000000" and
	// "test".
	ID, Stream string
	// Parents are its parents' IDs.
	Parents []string
}

// Result is how a run ended.
type Result struct {
	// Err is the error of the handler or function, if it failed; a panic is one.
	Err error
	// Ended tells that the shard is finished: it was read to its end and the
	// handler or function was content.
	Ended bool
	// Checkpoint is the last position that was checkpointed, From if none was.
	// All before it is done with.
	Checkpoint record.Position
	// Checkpoints are all that were written, in order. When exactly a handler's
	// progress is written between the records is not defined.
	Checkpoints []record.Position
}

// Run feeds a record handler.
func Run(ctx context.Context, s Shard, h record.Handler) Result {
	return s.run(ctx, shard.Records(h))
}

// RunBatches feeds a batch handler.
func RunBatches(ctx context.Context, s Shard, h func(context.Context, *record.Batch) error) Result {
	return s.run(ctx, shard.BatchesFunc(h))
}

// RunShard runs a shard function, such as is given to Consumer.RunShards.
func RunShard(ctx context.Context, s Shard, f func(context.Context, *shard.Shard) error) Result {
	return s.run(ctx, f)
}

func (s Shard) run(ctx context.Context, f shard.Func) Result {
	if s.ID == "" {
		s.ID = "shardId-000000000000"
	}
	if s.Stream == "" {
		s.Stream = "test"
	}
	if s.Possession == 0 {
		s.Possession = 1
	}
	answers, err := s.answers()
	if err != nil {
		return Result{Err: err, Checkpoint: s.From}
	}
	stop := shard.NewBrake()
	lease := &lease{at: s.From}
	log := slog.New(slog.DiscardHandler)
	life := &shard.Life{
		Policy: &shard.Policy{
			CheckpointEvery: time.Hour, OnError: shard.Stop, MaxAttempts: 1, Parallel: 1,
			Log: log, Warn: quiet.New(log), Observer: observe.Nop{},
		},
		ID: s.ID, Stream: s.Stream, Parents: s.Parents, Range: keyspace.Full, Possession: s.Possession,
		Lease: lease, At: s.From, Where: observe.Where{Stream: s.Stream},
		Source: func(ctx context.Context, _ fetch.From, deliver func(context.Context, fetch.Answer) error) error {
			for _, a := range answers {
				if err := deliver(ctx, a); err != nil {
					return err
				}
			}
			if !s.Open {
				return nil
			}
			// Two more, without records: when the second one is taken in, the
			// first was asked for, and so the last record is done with.
			for range 2 {
				if err := deliver(ctx, fetch.Answer{}); err != nil {
					return err
				}
			}
			stop.Stop(shard.Shutdown)
			<-ctx.Done()
			return ctx.Err()
		},
	}
	r, err := life.Run(ctx, stop, f)
	lease.mu.Lock()
	defer lease.mu.Unlock()
	return Result{Err: err, Ended: r.Ended, Checkpoint: lease.at, Checkpoints: lease.all}
}

// answers are the records as the service would give them.
func (s Shard) answers() ([]fetch.Answer, error) {
	var out []fetch.Answer
	size := s.Batch
	if size <= 0 {
		size = max(1, len(s.Records))
	}
	last := ""
	for i, r := range s.Records {
		seq := r.Position.Sequence
		if seq == "" {
			seq = fmt.Sprintf("495903382714902566085596925383615710959215%014d", i+1)
		}
		if err := record.CheckSequence(seq); err != nil {
			return nil, fmt.Errorf("vegastest: record %d: %w", i, err)
		}
		if last != "" && record.CompareSequence(seq, last) <= 0 {
			return nil, fmt.Errorf("vegastest: record %d: sequence number %s is not above the one before", i, seq)
		}
		last = seq
		raw := fetch.Record{Sequence: seq, Key: r.PartitionKey, Data: r.Data, Arrival: r.ArrivalTime}
		if raw.Arrival.IsZero() {
			raw.Arrival = time.Now()
		}
		if r.ExplicitHashKey != "" || len(r.Headers) > 0 || aggregate.LooksLikeAggregate(r.Data) {
			// These travel inside an aggregate only.
			var b aggregate.Builder
			b.Reset(nil)
			if err := b.Add(aggregate.Sub{Key: r.PartitionKey, ExplicitHashKey: r.ExplicitHashKey, Data: r.Data, Headers: r.Headers}, 0); err != nil {
				return nil, fmt.Errorf("vegastest: record %d: %w", i, err)
			}
			raw.Key, raw.Data = aggregate.PartitionKey, b.AppendTo(nil)
		}
		if i%size == 0 {
			out = append(out, fetch.Answer{})
		}
		a := &out[len(out)-1]
		a.Records = append(a.Records, raw)
	}
	if !s.Open {
		if len(out) == 0 {
			out = append(out, fetch.Answer{})
		}
		out[len(out)-1].End = true
	}
	return out, nil
}

// lease remembers what is written.
type lease struct {
	mu  sync.Mutex
	at  record.Position
	all []record.Position
}

func (l *lease) Checkpoint(_ context.Context, p record.Position, _ time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = p
	l.all = append(l.all, p)
	return nil
}

func (l *lease) SaveMarks(context.Context, []byte) error { return nil }

func (l *lease) Suspect(context.Context, int) error { return nil }

func (l *lease) Calm(context.Context) error { return nil }

func (l *lease) Died(context.Context) error { return nil }
