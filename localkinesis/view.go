package localkinesis

import (
	"fmt"
	"time"
)

// Stream is what the server remembers of a stream, as of one moment.
type Stream struct {
	Name, ARN string
	Status    string // CREATING, ACTIVE, UPDATING, DELETING
	Created   time.Time
	OnDemand  bool
	Auto      bool // record distribution strategy AUTO
	Retention time.Duration
	Shards    []Shard // by index, expired ones left out
}

// Shard is what the server remembers of a shard, without its records.
type Shard struct {
	ID             string
	First, Last    string // of the range of hash keys, in decimal
	Parent         string // "" for a first shard
	AdjacentParent string // "" unless made by a merge
	Children       []string
	Open           bool
	Start, End     string // sequence numbers; End is "" while open
	Records        int    // stored and not trimmed
	Trimmed        int    // records that retention took
	Bytes          int64  // of data and partition keys
}

// Record is one stored record.
type Record struct {
	Shard        string
	Sequence     string
	PartitionKey string
	HashKey      string // that the record was routed by
	Data         []byte // not to be changed
	Arrival      time.Time
}

// Streams gives the names of all streams in order.
func (s *Server) Streams() []string {
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	out := []string{}
	for _, st := range s.account.sorted(s.clock.now()) {
		out = append(out, st.name)
	}
	return out
}

// Stream gives a stream and its shards, past the wire, its limits and faults.
func (s *Server) Stream(name string) (Stream, error) {
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	now := s.clock.now()
	st, f := s.account.find(name, now)
	if f != nil {
		return Stream{}, f
	}
	out := Stream{
		Name: st.name, ARN: s.account.streamARN(st.name), Status: st.status, Created: st.created,
		OnDemand: st.mode == modeOnDemand, Auto: st.distribution == distributionAuto, Retention: st.retention(),
	}
	for _, sh := range st.visible(now) {
		sh.trim(now)
		d := sh.describe(st.version())
		v := Shard{
			ID: sh.id, First: d.HashKeyRange.StartingHashKey, Last: d.HashKeyRange.EndingHashKey,
			Parent: d.ParentShardId, AdjacentParent: d.AdjacentParentShardId, Open: !sh.closed,
			Start: d.SequenceNumberRange.StartingSequenceNumber, End: d.SequenceNumberRange.EndingSequenceNumber,
			Records: len(sh.records), Trimmed: sh.dropped, Bytes: sh.bytes,
		}
		for _, ch := range sh.children {
			v.Children = append(v.Children, ch.id)
		}
		out.Shards = append(out.Shards, v)
	}
	return out, nil
}

// Records gives what is stored in a shard, or with an empty shard id in all
// shards of the stream, closed ones too: shard by shard, in the order of their
// sequence numbers.
func (s *Server) Records(streamName, shardID string) ([]Record, error) {
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	now := s.clock.now()
	st, f := s.account.find(streamName, now)
	if f != nil {
		return nil, f
	}
	shards := st.visible(now)
	if shardID != "" {
		sh, f := st.shard(shardID, now)
		if f != nil {
			return nil, f
		}
		shards = []*shard{sh}
	}
	out := []Record{}
	for _, sh := range shards {
		sh.trim(now)
		for i := range sh.records {
			r := &sh.records[i]
			out = append(out, Record{sh.id, r.number.String(), r.key, r.hash.String(), r.data, time.UnixMilli(r.arrival)})
		}
	}
	return out, nil
}

// BytesStored is how much of Options.MemoryBytes is in use.
func (s *Server) BytesStored() int64 {
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	return s.account.bytes
}

func wrap(what, stream string, err error) error {
	return fmt.Errorf("localkinesis: %s: stream %q: %w", what, stream, err)
}
