package send

import (
	"context"
	"crypto/md5" //nolint:gosec // the format's checksum; nothing here is a secret
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/internal/kinesisapi"
	"github.com/libvegas/vegas/internal/lane"
	"github.com/libvegas/vegas/internal/md5many"
	"github.com/libvegas/vegas/internal/wire"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

// hand gives a request to an idle worker, or to a new one: there are as many as
// requests were ever under way at once, which the machine bounds. They end with
// the engine.
func (e *Engine) hand(r *lane.Request) {
	select {
	case e.work <- r:
	default:
		e.wg.Go(func() {
			e.put(r)
			for r := range e.work {
				e.put(r)
			}
		})
	}
}

// scratch is memory for the encoding of one request.
type scratch struct {
	builder  aggregate.Builder
	body     []byte   // of all aggregates of the request
	ends     []int    // of each entry in body; -1: the entry is not in it
	unsealed [][]byte // the aggregates in body
	entries  []types.PutRecordsRequestEntry
	results  []lane.Result
}

// put sends one request and feeds the answer back.
func (e *Engine) put(r *lane.Request) {
	s := e.scratch.Get().(*scratch)
	defer e.scratch.Put(s)
	e.encode(s, r)

	ctx, cancel := context.WithTimeout(e.ctx, e.cfg.RequestTimeout)
	began := time.Now()
	answer, err := e.cfg.API.PutRecords(ctx, s.entries)
	took := time.Since(began)
	cancel()
	clear(s.entries)
	e.sums.requests.Add(1)

	if err != nil {
		status, err := e.judge(err)
		e.observeRequest(r, took, true)
		e.mu.Lock()
		now := e.now()
		e.doubt.contact = now
		e.machine.Fail(now, r, status, err)
		if kinesisapi.NotFound(err) {
			e.gone()
		}
		e.failRefused()
		e.mu.Unlock()
		e.wake()
		return
	}
	s.results = s.results[:0]
	var throttles int64
	for i := range answer.Results {
		a := &answer.Results[i]
		if a.Stored() {
			s.results = append(s.results, lane.Result{Status: lane.Stored, Shard: a.Shard, Sequence: a.Sequence})
			continue
		}
		status := statusOf(kinesisapi.EntryClass(a))
		if status == lane.Throttled {
			throttles++
		}
		s.results = append(s.results, lane.Result{Status: status, Err: entryError(status, a)})
	}
	if throttles > 0 {
		e.throttled(throttles, r)
	}
	e.observeRequest(r, took, false)
	if answer.Fallback && e.cfg.Observer != nil {
		e.cfg.Observer.Count(observe.Fallbacks, e.at, 1)
	}
	e.mu.Lock()
	e.doubt.contact = e.now()
	e.machine.Answer(e.doubt.contact, r, s.results)
	e.failRefused()
	e.mu.Unlock()
	e.wake()
	clear(s.results)
}

// encode makes the entries of a request. An entry that leaves again comes out
// the same, byte for byte, as long as its items are the same.
func (e *Engine) encode(s *scratch, r *lane.Request) {
	s.body, s.ends, s.entries = slices.Grow(s.body[:0], r.Bytes), s.ends[:0], s.entries[:0]
	for _, entry := range r.Entries {
		first := entry.Items[0]
		if entry.Raw {
			out := types.PutRecordsRequestEntry{PartitionKey: &first.Key, Data: first.Data}
			if out.Data == nil {
				out.Data = []byte{} // the SDK refuses a record without data, not one with none
			}
			if first.ExplicitHashKey != "" {
				out.ExplicitHashKey = &first.ExplicitHashKey
			}
			s.entries, s.ends = append(s.entries, out), append(s.ends, -1)
			continue
		}
		producer := &e.producer
		if entry.Producer != nil {
			producer = entry.Producer
		}
		s.builder.Reset(&aggregate.Identity{Producer: *producer, Laned: entry.Laned, Range: entry.Range})
		for _, it := range entry.Items {
			// Counters rise: the machine orders by them.
			_ = s.builder.Add(aggregate.Sub{
				Key: it.Key, ExplicitHashKey: it.ExplicitHashKey, Data: it.Data, Headers: it.Headers,
			}, it.Counter)
		}
		from := len(s.body)
		s.body = s.builder.AppendUnsealed(s.body)
		entry.Wire = len(s.body) - from + len(aggregate.PartitionKey)
		if entry.HashKey == "" {
			entry.HashKey = entry.Hash().String()
		}
		s.entries = append(s.entries, types.PutRecordsRequestEntry{
			PartitionKey: aws.String(aggregate.PartitionKey), ExplicitHashKey: &entry.HashKey,
		})
		s.ends = append(s.ends, len(s.body))
		// An aggregate takes half a millisecond, a request many of them: let those
		// in who wait for a turn, above all whoever writes a durable buffer. (Two
		// processors, 64 or 256 senders: 5 to 10 % more of them get through.)
		runtime.Gosched()
	}
	s.builder.Reset(nil) // lets go of the records
	start := 0
	s.unsealed = s.unsealed[:0]
	for i, end := range s.ends {
		if end >= 0 {
			s.entries[i].Data = s.body[start:end:end]
			s.unsealed = append(s.unsealed, s.entries[i].Data)
			start = end
		}
	}
	for some := range slices.Chunk(s.unsealed, md5many.AtOnce) {
		seal(some)
		runtime.Gosched()
	}
}

// seal fills in the checksums of a few aggregates, at once: of four it takes a third
// of the time that one after the other takes. (For 100 bytes a record it was a fifth
// of the engine's time, for 1 KiB most of it.)
func seal(aggregates [][]byte) {
	var bodies [md5many.AtOnce][]byte
	var sums [md5many.AtOnce][md5.Size]byte
	for i, a := range aggregates {
		bodies[i], _ = aggregate.Unsealed(a)
	}
	n := len(aggregates)
	md5many.Sum(sums[:n], bodies[:n])
	for i, a := range aggregates {
		_, room := aggregate.Unsealed(a)
		copy(room, sums[i][:])
	}
}

// judge is what a failed request means to the machine.
func (e *Engine) judge(err error) (lane.Status, error) {
	class := kinesisapi.Classify(err)
	switch class {
	case kinesisapi.Throttled:
		e.throttled(1, nil)
		return lane.Throttled, fmt.Errorf("%w: %w", record.ErrThrottled, err)
	case kinesisapi.Fatal, kinesisapi.Refused:
		if class == kinesisapi.Fatal && e.cfg.Ledger != nil {
			e.warn.Warn("put records refused, what is buffered is held until that changes", slog.Any("error", err))
			break
		}
		e.warn.Warn("put records refused", slog.Any("error", err))
	default:
		if !errors.Is(err, context.Canceled) || e.ctx.Err() == nil {
			e.warn.Warn("put records failed, trying again", slog.Any("error", err))
		}
	}
	return statusOf(class), err
}

func statusOf(c kinesisapi.Class) lane.Status {
	switch c {
	case kinesisapi.Throttled:
		return lane.Throttled
	case kinesisapi.Retry:
		return lane.NotStored
	case kinesisapi.Refused:
		return lane.Refused
	case kinesisapi.Fatal:
		return lane.Fatal
	}
	return lane.Unknown
}

// entryError is the cause of one entry's failure.
func entryError(status lane.Status, a *wire.PutResult) error {
	if status == lane.Throttled {
		return fmt.Errorf("%w: %s: %s", record.ErrThrottled, a.Code, a.Message)
	}
	return fmt.Errorf("put records: entry refused: %s: %s", a.Code, a.Message)
}

// throttled counts and, once a minute, tells of refusals for a rate.
func (e *Engine) throttled(n int64, r *lane.Request) {
	e.sums.throttles.Add(n)
	if e.cfg.Observer != nil {
		e.cfg.Observer.Count(observe.Throttles, e.at, n)
	}
	shard := "" // the whole request
	if r != nil {
		shard = r.Entries[0].Shard
	}
	e.warn.Warn("throttled, slowing down", slog.String("shard", shard))
}

func (e *Engine) observeRequest(r *lane.Request, took time.Duration, failed bool) {
	if failed {
		e.sums.requestErrors.Add(1)
	}
	o := e.cfg.Observer
	if o == nil {
		return
	}
	o.Count(observe.Requests, e.at, 1)
	o.Count(observe.EntriesSent, e.at, int64(len(r.Entries)))
	o.Observe(observe.RequestLatency, e.at, int64(took))
	o.Observe(observe.RequestBytes, e.at, int64(r.Bytes))
	if failed {
		o.Count(observe.RequestErrors, e.at, 1)
	}
}
