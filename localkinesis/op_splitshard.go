package localkinesis

import (
	"time"

	"github.com/libvegas/vegas/internal/keyspace"
)

type splitShardInput struct {
	streamRef
	ShardToSplit       string
	NewStartingHashKey string
}

func (in *splitShardInput) validate(v *violations) {
	in.check(v)
	v.shardID("shardToSplit", in.ShardToSplit)
	v.required("newStartingHashKey", in.NewStartingHashKey != "")
	v.pattern("newStartingHashKey", in.NewStartingHashKey, hashKeyOK, `0|([1-9]\d{0,38})`)
}

func (in *splitShardInput) address(c *call) (string, []string) {
	return in.resolve(c), []string{in.ShardToSplit}
}

// provisioned wants a stream whose shards the user manages. Source:
// "ValidationException: Specifies that you tried to invoke this API for a data
// stream with the on-demand capacity mode", API_SplitShard, API_MergeShards,
// API_UpdateShardCount.
func (st *stream) provisioned() error {
	if st.mode == modeOnDemand {
		return refuse(codeValidation, "Stream %s under account %s is in the ON_DEMAND capacity mode: its shards cannot be changed.", st.name, st.account.id)
	}
	return nil
}

// splittable finds an open shard and checks where it is to be split. Source of
// the bounds: "all of the hash key values in the range ... greater than one
// plus the shard's StartingHashKey and less than its EndingHashKey", the
// service's message as kinesalite records it, actions/splitShard.js.
func (st *stream) splittable(id, at string, now time.Time) (*shard, keyspace.Hash, error) {
	sh, f := st.openShard(id, now)
	if f != nil {
		return nil, keyspace.Hash{}, f
	}
	h, err := keyspace.Parse(at)
	if err != nil || !sh.keys.First.Next().Less(h) || !h.Less(sh.keys.Last) || !sh.keys.First.Less(sh.keys.Last) {
		return nil, h, refuse(codeArgument, "NewStartingHashKey %s used in SplitShard() on shard %s in stream %s under account %s "+
			"is not both greater than one plus the shard's StartingHashKey %s and less than the shard's EndingHashKey %s.",
			at, id, st.name, st.account.id, sh.keys.First, sh.keys.Last)
	}
	return sh, h, nil
}

// openShard finds a shard that can be split or merged.
func (st *stream) openShard(id string, now time.Time) (*shard, *failure) {
	sh, f := st.shard(id, now)
	if f == nil && sh.closed {
		return nil, refuse(codeArgument, "Shard %s in stream %s under account %s has already been merged or split, "+
			"and thus is not eligible for merging or splitting.", id, st.name, st.account.id)
	}
	return sh, f
}

func splitShard(c *call, in *splitShardInput) (*empty, error) {
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
	sh, at, err := st.splittable(in.ShardToSplit, in.NewStartingHashKey, c.now())
	if err != nil {
		return nil, err
	}
	st.enter(statusUpdating, c.now(), func(st *stream, now time.Time) {
		if !sh.closed { // a fault may have split it meanwhile
			st.split(sh, at, now)
		}
	})
	return &empty{}, nil
}
