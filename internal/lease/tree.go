package lease

import (
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/internal/fetch"
	"github.com/libvegas/vegas/internal/keyspace"
)

// Shard is what a listing, or a shard's end, tells of a shard.
type Shard struct {
	ID      string
	Parents []string
	Range   keyspace.Range
}

func listed(in []types.Shard) ([]Shard, error) {
	out := make([]Shard, 0, len(in))
	for _, s := range in {
		// Without a range nothing can be told to be misplaced.
		one := Shard{ID: aws.ToString(s.ShardId), Range: keyspace.Full}
		for _, p := range []*string{s.ParentShardId, s.AdjacentParentShardId} {
			if aws.ToString(p) != "" {
				one.Parents = append(one.Parents, *p)
			}
		}
		if s.HashKeyRange != nil {
			var err error
			one.Range, err = keyspace.ParseRange(aws.ToString(s.HashKeyRange.StartingHashKey), aws.ToString(s.HashKeyRange.EndingHashKey))
			if err != nil {
				return nil, err
			}
		}
		out = append(out, one)
	}
	return out, nil
}

func childrenOf(id string, all []Shard) []fetch.Child {
	var out []fetch.Child
	for _, s := range all {
		if slices.Contains(s.Parents, id) {
			out = append(out, fetch.Child{ID: s.ID, Parents: s.Parents, Range: s.Range})
		}
	}
	return out
}

// tree is what is known of the shards of a stream: those with a lease.
type tree map[string]*entry

// ready lists the shards that may be read: not ended, all parents finished. A
// parent without a lease is one whose records are gone; see unknownParent.
func (t tree) ready() []*entry {
	var out []*entry
	for _, e := range t {
		if !e.ended() && t.parentsDone(e) {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b *entry) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
	return out
}

func (t tree) parentsDone(e *entry) bool {
	for _, p := range e.parents {
		if parent := t[p]; parent != nil && !parent.ended() {
			return false
		}
	}
	return true
}

// unknownParent finds an unfinished shard one of whose parents has no lease and
// was not seen to be gone. Whether it is gone only a listing tells that is recent
// enough to hold the child: an older one may come before both.
func (t tree) unknownParent(gone map[string]bool) (child *entry) {
	for _, e := range t {
		if e.ended() || !e.at.IsStart() {
			continue // it was started once: its parents were finished
		}
		for _, p := range e.parents {
			if t[p] == nil && !gone[p] {
				return e
			}
		}
	}
	return nil
}

// startOf is where a shard begins that was never checkpointed: with its oldest
// record when something of a parent was delivered, so that nothing is left out
// between the two, and else where the group does. (A parent that ended before
// the group's start keeps its start, see setPosition.)
func (t tree) startOf(e *entry) time.Time {
	for _, p := range e.parents {
		if parent := t[p]; parent != nil && parent.start.IsZero() && !parent.at.IsStart() {
			return time.Time{}
		}
	}
	return e.start
}

// outlived lists the leases that are of no use any more: of ended shards that
// the stream has forgotten, and whose children have taken over their marks. A
// listing proves that a shard is forgotten only if it shows a descendant of it.
func (t tree) outlived(all []Shard) []*entry {
	there := map[string]bool{}
	for _, s := range all {
		there[s.ID] = true
	}
	proof := map[string]bool{}
	var prove func(of *entry)
	prove = func(of *entry) {
		for _, p := range of.parents {
			if t[p] != nil && !proof[p] {
				proof[p] = true
				prove(t[p])
			}
		}
	}
	needed := map[string]bool{}
	for _, e := range t {
		if there[e.id] {
			prove(e)
		}
		if e.at.IsStart() {
			for _, p := range e.parents {
				needed[p] = true
			}
		}
	}
	var out []*entry
	for _, e := range t {
		if e.ended() && !there[e.id] && proof[e.id] && !needed[e.id] {
			out = append(out, e)
		}
	}
	return out
}
