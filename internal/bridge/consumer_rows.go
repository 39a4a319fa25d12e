package bridge

import (
	"math"
	"slices"
	"time"

	"github.com/libvegas/vegas/internal/shard"
	"github.com/libvegas/vegas/record"
)

const (
	deliverRow = 32
	settleHead = 21 // consumer, shard, chunk, flags, ranges, failures

	flagDeadLetters = 1 // of a deliver frame
	flagAggregated  = 1 // of its rows
	flagLast        = 1 // of a settle frame
)

// deliverCost is what a record counts in a consumer's window.
func deliverCost(r *record.Record) int {
	return deliverRow + len(r.PartitionKey) + len(r.ExplicitHashKey) + len(r.Position.Sequence) + headersBytes(r.Headers) + len(r.Data)
}

// appendDeliver appends the body of a deliver frame.
func appendDeliver(b []byte, consumer, number, chunk uint32, flags byte, text string, run *shard.Run) []byte {
	b = littleEndian.AppendUint32(b, consumer)
	b = littleEndian.AppendUint32(b, number)
	b = littleEndian.AppendUint32(b, chunk)
	b = littleEndian.AppendUint32(b, uint32(min(max(0, run.Behind/time.Millisecond), math.MaxUint32)))
	b = append(b, flags)
	b = littleEndian.AppendUint32(b, uint32(len(run.Records)))
	b = littleEndian.AppendUint32(b, uint32(len(text)))
	b = append(b, text...)
	before := ""
	for i, r := range run.Records {
		r = crossable(r)
		b = littleEndian.AppendUint32(b, uint32(len(r.Data)))
		b = littleEndian.AppendUint32(b, uint32(headersBytes(r.Headers)))
		b = littleEndian.AppendUint16(b, uint16(len(r.PartitionKey)))
		sequence := len(r.Position.Sequence)
		if r.Position.Sequence == before {
			sequence = 0
		}
		before = r.Position.Sequence
		flags := byte(0)
		if r.Aggregated {
			flags = flagAggregated
		}
		b = append(b, byte(len(r.ExplicitHashKey)), byte(sequence), flags, 0)
		b = littleEndian.AppendUint16(b, uint16(min(run.Attempts[i], math.MaxUint16)))
		b = littleEndian.AppendUint64(b, uint64(r.Position.SubSequence))
		b = littleEndian.AppendUint64(b, uint64(r.ArrivalTime.UnixMilli()))
	}
	before = ""
	for _, r := range run.Records {
		r = crossable(r)
		b = append(append(b, r.PartitionKey...), r.ExplicitHashKey...)
		if r.Position.Sequence != before {
			b = append(b, r.Position.Sequence...)
		}
		before = r.Position.Sequence
		b = append(appendHeaders(b, r.Headers), r.Data...)
	}
	return b
}

// crossable is the record, or a copy without what has no room in a row: the stream
// takes aggregates from anybody, with keys and headers of any length.
func crossable(r *record.Record) *record.Record {
	long := func(h record.Header) bool { return len(h.Key) > math.MaxUint16 }
	if len(r.PartitionKey) <= math.MaxUint16 && len(r.ExplicitHashKey) <= math.MaxUint8 &&
		len(r.Headers) <= math.MaxUint16 && !slices.ContainsFunc(r.Headers, long) {
		return r
	}
	c := *r
	c.PartitionKey = c.PartitionKey[:min(len(c.PartitionKey), math.MaxUint16)]
	c.ExplicitHashKey = c.ExplicitHashKey[:min(len(c.ExplicitHashKey), math.MaxUint8)]
	c.Headers = slices.DeleteFunc(slices.Clone(c.Headers), long)
	c.Headers = c.Headers[:min(len(c.Headers), math.MaxUint16)]
	return &c
}

// settleFrame is the body of a settle frame that was checked for itself.
type settleFrame struct {
	shard, chunk uint32
	last         bool
	ranges       []byte // 8 bytes each
	failures     int
	left         []byte // of them
}

// parseSettle checks the body of a settle frame: that what it speaks of fills it.
func parseSettle(body []byte) (settleFrame, error) {
	var f settleFrame
	if len(body) < settleHead {
		return f, protocolf("settle: cut off")
	}
	f.shard, f.chunk, f.last = littleEndian.Uint32(body[4:]), littleEndian.Uint32(body[8:]), body[12]&flagLast != 0
	ranges, failures := uint64(littleEndian.Uint32(body[13:])), uint64(littleEndian.Uint32(body[17:]))
	rest := body[settleHead:]
	if ranges*8+failures*8 > uint64(len(rest)) {
		return f, protocolf("settle: %d ranges and %d failures in %d bytes", ranges, failures, len(rest))
	}
	f.ranges, f.left, f.failures = rest[:ranges*8], rest[ranges*8:], int(failures)
	left := f.left
	for range failures {
		if len(left) < 8 || uint64(littleEndian.Uint32(left[4:])) > uint64(len(left)-8) {
			return f, protocolf("settle: a failure is cut off")
		}
		left = left[8+littleEndian.Uint32(left[4:]):]
	}
	if len(left) > 0 {
		return f, protocolf("settle: %d bytes behind the last failure", len(left))
	}
	return f, nil
}

// failure takes the first failure out of the frame; there are f.failures of them.
func (f *settleFrame) failure() (index uint32, text string) {
	size := littleEndian.Uint32(f.left[4:])
	index, text = littleEndian.Uint32(f.left), string(f.left[8:8+size])
	f.left = f.left[8+size:]
	return index, text
}
