package localkinesis

import (
	"time"

	"github.com/libvegas/vegas/internal/keyspace"
)

type mergeShardsInput struct {
	streamRef
	ShardToMerge         string
	AdjacentShardToMerge string
}

func (in *mergeShardsInput) validate(v *violations) {
	in.check(v)
	v.shardID("shardToMerge", in.ShardToMerge)
	v.shardID("adjacentShardToMerge", in.AdjacentShardToMerge)
}

func (in *mergeShardsInput) address(c *call) (string, []string) {
	return in.resolve(c), []string{in.ShardToMerge, in.AdjacentShardToMerge}
}

// mergeable finds two open shards side by side. Source: "Two shards are
// considered adjacent if the union of the hash key ranges for the two shards
// form a contiguous set with no gaps", API_MergeShards; that the lower one comes
// first is what kinesalite found, actions/mergeShards.js.
func (st *stream) mergeable(id, adjacent string, now time.Time) (x, y *shard, err error) {
	x, f := st.openShard(id, now)
	if f != nil {
		return nil, nil, f
	}
	if y, f = st.openShard(adjacent, now); f != nil {
		return nil, nil, f
	}
	if x.keys.Last == keyspace.Max || x.keys.Last.Next() != y.keys.First {
		return nil, nil, refuse(codeArgument, "Shards %s and %s in stream %s under account %s are not an adjacent pair of shards eligible for merging",
			id, adjacent, st.name, st.account.id)
	}
	return x, y, nil
}

func mergeShards(c *call, in *mergeShardsInput) (*empty, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	st, err := in.with(c, (*account).idle)
	if err != nil {
		return nil, err
	}
	if err := st.provisioned(); err != nil {
		return nil, err
	}
	x, y, err := st.mergeable(in.ShardToMerge, in.AdjacentShardToMerge, c.now())
	if err != nil {
		return nil, err
	}
	st.enter(statusUpdating, c.now(), func(st *stream, now time.Time) {
		if !x.closed && !y.closed { // a fault may have changed them meanwhile
			st.merge(x, y, now)
		}
	})
	return &empty{}, nil
}
