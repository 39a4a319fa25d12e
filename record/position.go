package record

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Position is a place in a shard: a record, or with one of the Sequence values
// below a place that has no record.
//
// The zero Position is TrimHorizon: before everything.
type Position struct {
	// Sequence is the sequence number of the stored Kinesis record, decimal
	// digits that are opaque but for their order; or one of SequenceTrimHorizon,
	// SequenceLatest and SequenceShardEnd. Empty means SequenceTrimHorizon.
	Sequence string
	// SubSequence is the index inside an aggregate, from 0; 0 for a record
	// that is not aggregated.
	SubSequence int64
}

// Places in a shard that have no record. The words are those that the KCL
// writes into its lease table.
const (
	SequenceTrimHorizon = "TRIM_HORIZON"
	SequenceLatest      = "LATEST"
	SequenceShardEnd    = "SHARD_END"
)

// ShardEnd is the position behind the last record of a closed shard.
var ShardEnd = Position{Sequence: SequenceShardEnd}

// IsStart tells that nothing was finished yet: TrimHorizon or Latest.
func (p Position) IsStart() bool {
	return p.Sequence == "" || p.Sequence == SequenceTrimHorizon || p.Sequence == SequenceLatest
}

// IsShardEnd tells that the shard is finished.
func (p Position) IsShardEnd() bool { return p.Sequence == SequenceShardEnd }

// Compare orders positions of one shard: -1, 0 or 1. Sequence numbers compare
// as big integers, starts before them, ShardEnd behind them.
func (p Position) Compare(q Position) int {
	if c := cmp.Compare(p.rank(), q.rank()); c != 0 || p.rank() != 1 {
		return c
	}
	if c := CompareSequence(p.Sequence, q.Sequence); c != 0 {
		return c
	}
	return cmp.Compare(p.SubSequence, q.SubSequence)
}

func (p Position) rank() int {
	switch {
	case p.IsStart():
		return 0
	case p.IsShardEnd():
		return 2
	}
	return 1
}

// CompareSequence orders two sequence numbers as big integers.
func CompareSequence(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if c := cmp.Compare(len(a), len(b)); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

// String is the form for people and logs: the sequence number, and "/n" for a
// sub-record.
func (p Position) String() string {
	switch {
	case p.Sequence == "":
		return SequenceTrimHorizon
	case p.IsStart() || p.IsShardEnd():
		return p.Sequence
	}
	return p.Sequence + "/" + strconv.FormatInt(p.SubSequence, 10)
}

// CheckSequence tells whether s can be a sequence number: decimal digits.
func CheckSequence(s string) error {
	if s == "" || len(s) > 128 || strings.Trim(s, "0123456789") != "" {
		return fmt.Errorf("sequence number %.60q: want decimal digits", s)
	}
	return nil
}
