package localkinesis

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/limits"
)

const (
	statusCreating = "CREATING"
	statusActive   = "ACTIVE"
	statusUpdating = "UPDATING"
	statusDeleting = "DELETING"

	modeProvisioned = "PROVISIONED"
	modeOnDemand    = "ON_DEMAND"

	distributionAuto = "AUTO"
	distributionKey  = "USER_PARTITION_KEY"
)

// stream is one data stream; its account's lock guards it.
type stream struct {
	account *account
	name    string
	serial  uint64 // tells it from an earlier stream of the same name
	created time.Time

	status string
	due    time.Time                      // when the state below ends
	then   func(st *stream, at time.Time) // what then happens

	mode         string
	distribution string
	turn         int // of the next record on an AUTO stream
	hours        int // retention
	recordMax    int // bytes of data and key
	keyID        string
	encryption   string
	metrics      []string
	labels
	warm   int32
	scales []time.Time // of the last UpdateShardCount calls
	modes  []time.Time // of the last UpdateStreamMode calls

	shards    []*shard // by index, expired ones too
	open      []*shard // by hash range
	consumers []*consumer
	rates     rates
	versions  []time.Time // of the shard map: when each split and merge happened
}

// add makes a stream with n shards. It is CREATING for the account's delay.
func (a *account) add(name string, n int, mode string, now time.Time) *stream {
	a.serial++
	st := &stream{
		account: a, name: name, serial: a.serial, created: now.Truncate(time.Millisecond),
		mode: mode, distribution: distributionKey, encryption: "NONE",
		hours: limits.RetentionHours, recordMax: limits.RecordBytes, labels: labels{tags: map[string]string{}}, rates: rates{},
	}
	a.streams[name] = st
	st.enter(statusCreating, now, func(st *stream, at time.Time) {
		for _, r := range keyspace.Split(n) {
			st.addShard(r, nil, at)
		}
	})
	return st
}

// enter puts the stream in a passing state; then runs when it ends.
func (st *stream) enter(status string, now time.Time, then func(*stream, time.Time)) {
	st.status, st.due, st.then = status, now.Add(st.account.delay), then
	st.wake()
	st.settle(now)
}

// settle ends a passing state whose time has come.
func (st *stream) settle(now time.Time) {
	if !st.due.IsZero() && !now.Before(st.due) {
		then, due := st.then, st.due
		st.due, st.then = time.Time{}, nil
		if st.status == statusDeleting {
			st.remove()
			return
		}
		st.status = statusActive
		if then != nil {
			then(st, due)
		}
		st.wake()
	}
	st.settleConsumers(now)
}

func (st *stream) remove() {
	for _, sh := range st.shards {
		sh.drop(len(sh.records))
	}
	delete(st.account.streams, st.name)
	st.wake()
	st.shards, st.open, st.consumers = nil, nil, nil
}

// wake makes all waiting subscriptions look again.
func (st *stream) wake() {
	for _, sh := range st.shards {
		sh.wake()
	}
}

func (st *stream) retention() time.Duration { return time.Duration(st.hours) * time.Hour }

// addShard opens a shard; it starts above all its parents.
func (st *stream) addShard(r keyspace.Range, parents []*shard, now time.Time) *shard {
	second := now.Unix()
	if len(parents) > 0 {
		second++ // as the service does, so that children start above what was given
	}
	for _, p := range parents {
		second = max(second, p.start.created()+1)
	}
	index := uint32(len(st.shards))
	sh := &shard{
		stream: st, index: index, id: shardID(index), keys: r, parents: parents,
		start: makeSequence(second, index, 0, second), created: now, born: st.version(),
	}
	sh.last = sh.start
	for _, p := range parents {
		p.children = append(p.children, sh)
	}
	st.shards = append(st.shards, sh)
	at, _ := slices.BinarySearchFunc(st.open, r.First, func(o *shard, h keyspace.Hash) int { return o.keys.First.Compare(h) })
	st.open = slices.Insert(st.open, at, sh)
	return sh
}

func shardID(index uint32) string { return fmt.Sprintf("shardId-%012d", index) }

// close ends a shard: no record follows.
func (st *stream) close(sh *shard, now time.Time) {
	sh.closed, sh.closedAt, sh.died = true, now, st.version()
	sh.end = makeSequence(sh.start.created(), sh.index, sequenceEnd, now.Unix())
	st.open = slices.DeleteFunc(st.open, func(o *shard) bool { return o == sh })
}

// version counts the splits and merges so far.
func (st *stream) version() int { return len(st.versions) }

// split closes an open shard and opens two, the upper one from at.
func (st *stream) split(sh *shard, at keyspace.Hash, now time.Time) (lower, upper *shard) {
	st.versions = append(st.versions, now)
	st.close(sh, now)
	lower = st.addShard(keyspace.Range{First: sh.keys.First, Last: at.Prev()}, []*shard{sh}, now)
	upper = st.addShard(keyspace.Range{First: at, Last: sh.keys.Last}, []*shard{sh}, now)
	st.wake()
	return lower, upper
}

// merge closes two adjacent open shards and opens one. The first is the
// child's ParentShardId, the second its AdjacentParentShardId.
func (st *stream) merge(sh, adjacent *shard, now time.Time) *shard {
	r := keyspace.Range{First: sh.keys.First, Last: adjacent.keys.Last}
	if adjacent.keys.First.Less(sh.keys.First) {
		r = keyspace.Range{First: adjacent.keys.First, Last: sh.keys.Last}
	}
	st.versions = append(st.versions, now)
	st.close(sh, now)
	st.close(adjacent, now)
	child := st.addShard(r, []*shard{sh, adjacent}, now)
	st.wake()
	return child
}

// scale splits and merges until n shards of equal size are open. Source: "To
// update the shard count, Kinesis Data Streams performs splits or merges on
// individual shards. This can cause short-lived shards to be created",
// API_UpdateShardCount.
func (st *stream) scale(n int, now time.Time) {
	for _, want := range keyspace.Split(n) {
		if sh := st.at(want.First); sh.keys.First != want.First {
			st.split(sh, want.First, now)
		}
	}
	for _, want := range keyspace.Split(n) {
		for sh := st.at(want.First); sh.keys.Last != want.Last; {
			sh = st.merge(sh, st.at(sh.keys.Last.Next()), now)
		}
	}
}

// at gives the open shard whose range holds h.
func (st *stream) at(h keyspace.Hash) *shard {
	i, ok := slices.BinarySearchFunc(st.open, h, func(o *shard, h keyspace.Hash) int { return o.keys.First.Compare(h) })
	if !ok {
		i--
	}
	return st.open[i]
}

// spread gives the open shard that an AUTO stream puts its next record in.
func (st *stream) spread() *shard {
	st.turn++
	return st.open[st.turn%len(st.open)]
}

// shard gives a shard that has not expired, open or closed.
func (st *stream) shard(id string, now time.Time) (*shard, *failure) {
	var index uint32
	if n, err := fmt.Sscanf(id, "shardId-%d", &index); err == nil && n == 1 && int(index) < len(st.shards) && shardID(index) == id {
		if sh := st.shards[index]; !sh.expired(now) {
			return sh, nil
		}
	}
	return nil, refuse(codeNotFound, "Could not find shard %s in stream %s under account %s.", id, st.name, st.account.id)
}

// visible gives the shards that have not expired, by index.
func (st *stream) visible(now time.Time) []*shard {
	out := make([]*shard, 0, len(st.shards))
	for _, sh := range st.shards {
		if !sh.expired(now) {
			out = append(out, sh)
		}
	}
	return out
}

// widest gives the open shard with the largest range, the lowest of equals.
func (st *stream) widest() *shard {
	return slices.MaxFunc(st.open, func(a, b *shard) int { return cmp.Or(size(a).Compare(size(b)), cmp.Compare(b.index, a.index)) })
}

func size(sh *shard) keyspace.Hash {
	lo := sh.keys.Last.Lo - sh.keys.First.Lo
	hi := sh.keys.Last.Hi - sh.keys.First.Hi
	if sh.keys.Last.Lo < sh.keys.First.Lo {
		hi--
	}
	return keyspace.Hash{Hi: hi, Lo: lo}
}
