package server

import (
	"github.com/libvegas/vegas/bench/contest"
	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/localkinesis"
)

// Stored is what a producer left in its stream.
type Stored struct {
	Distinct int `json:"distinct"` // records of the work
	Twice    int `json:"twice"`    // and these once more
	// Behind counts records that stand behind a newer one of their key.
	Behind int `json:"behind"`
	// Astray counts records in another shard than their key's, where no reader of
	// the KPL's format looks for them.
	Astray int `json:"astray"`
	// Rekeyed counts records that are stored under another's key.
	Rekeyed int `json:"rekeyed"`
	// Wrong counts records that nobody sent, or of another size.
	Wrong int `json:"wrong"`
	// Carriers are the Kinesis records that these are in.
	Carriers int `json:"carriers"`
}

// count reads a producer's stream.
func count(srv *localkinesis.Server, w *contest.Work) (Stored, error) {
	var s Stored
	st, err := srv.Stream(w.Stream)
	if err != nil {
		return s, err
	}
	keys, seen := w.AllKeys(), make([]bool, w.Records)
	hashes := make([]keyspace.Hash, len(keys))
	for i, key := range keys {
		hashes[i] = keyspace.OfKey(key)
	}
	for _, shard := range st.Shards {
		records, err := srv.Records(w.Stream, shard.ID)
		if err != nil {
			return s, err
		}
		in, err := keyspace.ParseRange(shard.First, shard.Last)
		if err != nil {
			return s, err
		}
		last := make([]int, len(keys)) // the newest record of a key so far, from 1
		one := func(key string, data []byte) {
			i, err := contest.Number(data)
			if err != nil || i < 0 || i >= len(seen) || len(data) != w.Size {
				s.Wrong++
				return
			}
			k := w.KeyIndex(i)
			if keys[k] != key {
				s.Rekeyed++
			}
			if !holds(in, hashes[k]) {
				s.Astray++
			}
			if seen[i] {
				s.Twice++
				return
			}
			seen[i] = true
			s.Distinct++
			if i+1 < last[k] {
				s.Behind++
			}
			last[k] = max(last[k], i+1)
		}
		var a aggregate.Aggregate
		for _, r := range records {
			s.Carriers++
			if aggregate.Decode(r.Data, &a) != nil {
				one(r.PartitionKey, r.Data)
				continue
			}
			for _, sub := range a.Subs {
				one(sub.Key, sub.Data)
			}
		}
	}
	return s, nil
}

// fill puts the work's records into its stream, without the wire.
func fill(srv *localkinesis.Server, w *contest.Work) error {
	st, err := srv.Stream(w.Stream)
	if err != nil {
		return err
	}
	keys := w.AllKeys()
	if !w.Aggregated {
		for i := range w.Records {
			if _, err := srv.Put(w.Stream, keys[w.KeyIndex(i)], "", w.AppendPayload(nil, i)); err != nil {
				return err
			}
		}
		return nil
	}
	of := make([]int, len(keys)) // a key's shard
	builders := make([]aggregate.Builder, len(st.Shards))
	for n, shard := range st.Shards {
		in, err := keyspace.ParseRange(shard.First, shard.Last)
		if err != nil {
			return err
		}
		for k, key := range keys {
			if holds(in, keyspace.OfKey(key)) {
				of[k] = n
			}
		}
	}
	put := func(b *aggregate.Builder) error {
		hash, err := b.Hash()
		if err != nil || b.Len() == 0 {
			return err
		}
		_, err = srv.Put(w.Stream, aggregate.PartitionKey, hash.String(), b.AppendTo(nil))
		b.Reset(nil)
		return err
	}
	for i := range w.Records {
		k := w.KeyIndex(i)
		b, sub := &builders[of[k]], aggregate.Sub{Key: keys[k], Data: w.AppendPayload(nil, i)}
		if b.SizeWith(sub, 0) > aggregateBytes {
			if err := put(b); err != nil {
				return err
			}
		}
		if err := b.Add(sub, 0); err != nil {
			return err
		}
	}
	for n := range builders {
		if err := put(&builders[n]); err != nil {
			return err
		}
	}
	return nil
}

// aggregateBytes is what an aggregate holds, as the KPL makes them.
const aggregateBytes = 50 << 10

func holds(r keyspace.Range, h keyspace.Hash) bool {
	return r.Covers(keyspace.Range{First: h, Last: h})
}
