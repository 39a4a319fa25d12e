package localkinesis

import (
	"fmt"
	"math"

	"time"
)

type shardFilter struct {
	Type      string
	ShardId   string
	Timestamp moment
}

const (
	afterShardID    = "AFTER_SHARD_ID"
	atTrimHorizon   = "AT_TRIM_HORIZON"
	fromTrimHorizon = "FROM_TRIM_HORIZON"
	atLatest        = "AT_LATEST"
	atTimestamp     = "AT_TIMESTAMP"
	fromTimestamp   = "FROM_TIMESTAMP"
)

type listShardsInput struct {
	streamRef
	ExclusiveStartShardId   string
	MaxResults              *int32
	NextToken               string
	ShardFilter             *shardFilter
	StreamCreationTimestamp moment
}

func (in *listShardsInput) validate(v *violations) {
	in.check(v)
	v.pattern("exclusiveStartShardId", in.ExclusiveStartShardId, shardIDOK, "[a-zA-Z0-9_.-]+, 1 to 128 characters")
	v.between("maxResults", in.MaxResults, 1, 10000)
	if in.ShardFilter != nil {
		v.required("shardFilter.type", in.ShardFilter.Type != "")
		v.pattern("shardFilter.shardId", in.ShardFilter.ShardId, shardIDOK, "[a-zA-Z0-9_.-]+, 1 to 128 characters")
		v.oneOf("shardFilter.type", in.ShardFilter.Type, afterShardID, atTrimHorizon, fromTrimHorizon, atLatest, atTimestamp, fromTimestamp)
	}
}

func (in *listShardsInput) address(c *call) (string, []string) {
	if in.NextToken != "" {
		if p, f := parsePage(tokenShards, in.NextToken, c.now()); f == nil {
			return p.name, nil
		}
	}
	return in.resolve(c), nil
}

type listShardsOutput struct {
	Shards    []shardDescription
	NextToken string
}

// listedShards is how many shards one ListShards gives at most: "The default
// value is 1000. If you specify a value greater than 1000, at most 1000 results
// are returned", API_ListShards.
const listedShards = 1000

// listShards answers as API_ListShards documents: six filters, pages of a
// token that excludes every other way to name the stream. What each filter
// keeps is in API_ShardFilter.
func listShards(c *call, in *listShardsInput) (*listShardsOutput, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	now := c.now()
	filter := in.ShardFilter
	after, serial, ref := in.ExclusiveStartShardId, uint64(0), in.streamRef
	if in.NextToken != "" {
		if in.StreamName != "" || in.StreamARN != "" || in.ExclusiveStartShardId != "" || !in.StreamCreationTimestamp.IsZero() || filter != nil {
			return nil, refuse(codeArgument, "NextToken and any of StreamName, StreamARN, StreamCreationTimestamp, "+
				"ExclusiveStartShardId and ShardFilter cannot be provided together.")
		}
		p, f := parsePage(tokenShards, in.NextToken, now)
		if f != nil {
			return nil, f
		}
		after, serial, ref, filter = p.after, p.stream, streamRef{StreamName: p.name}, readFilter(p.filter)
	} else if filter != nil && in.ExclusiveStartShardId != "" {
		return nil, refuse(codeArgument, "ExclusiveStartShardId and ShardFilter cannot be provided together.")
	}
	st, err := ref.with(c, (*account).find)
	if err != nil {
		return nil, err
	}
	switch {
	case serial != 0 && serial != st.serial,
		!in.StreamCreationTimestamp.IsZero() && in.StreamCreationTimestamp.UnixMilli()/1000 != st.created.Unix():
		return nil, refuse(codeNotFound, "Stream %s under account %s was created at another time.", st.name, a.id)
	case st.status == statusCreating || st.status == statusDeleting:
		// Source: the Java KCL reads ResourceInUseException of ListShards as "the
		// stream is not in ACTIVE or UPDATING state", KinesisShardDetector.
		return nil, refuse(codeInUse, "Stream %s under account %s not ACTIVE, instead in state %s", st.name, a.id, st.status)
	}
	version := st.version()
	if c.stale != nil {
		version = st.versionBefore(now, *c.stale)
	}
	keep, err := filterShards(filter, st, version, now)
	if err != nil {
		return nil, err
	}
	if filter != nil && filter.Type == afterShardID && filter.ShardId > after {
		after = filter.ShardId
	}
	most := listedShards
	if in.MaxResults != nil {
		most = min(most, int(*in.MaxResults))
	}
	out := &listShardsOutput{Shards: []shardDescription{}}
	for _, sh := range st.visible(now) {
		if sh.born > version || sh.id <= after || !keep(sh) {
			continue
		}
		if n := len(out.Shards); n == most {
			out.NextToken = pageToken{now.UnixMilli(), st.serial, out.Shards[n-1].ShardId, st.name, writeFilter(filter)}.seal(tokenShards)
			break
		}
		out.Shards = append(out.Shards, sh.describe(version))
	}
	return out, nil
}

// versionBefore is the version of the shard map that long ago; 0 stands for
// just before the last change.
func (st *stream) versionBefore(now time.Time, ago time.Duration) int {
	n := st.version()
	if ago == 0 {
		return max(0, n-1)
	}
	for n > 0 && st.versions[n-1].After(now.Add(-ago)) {
		n--
	}
	return n
}

// filterShards gives the test a filter means. Shards that have expired are out
// already.
func filterShards(filter *shardFilter, st *stream, version int, now time.Time) (func(*shard) bool, error) {
	if filter == nil {
		return func(*shard) bool { return true }, nil
	}
	at := filter.Timestamp.Time
	switch filter.Type {
	case afterShardID:
		if filter.ShardId == "" {
			return nil, refuse(codeArgument, "ShardId must be specified for ShardFilter %s.", filter.Type)
		}
		return func(*shard) bool { return true }, nil
	case atLatest:
		return func(sh *shard) bool { return !sh.closed || sh.died > version }, nil
	case fromTrimHorizon:
		return func(*shard) bool { return true }, nil
	case atTrimHorizon:
		at = now.Add(-st.retention())
	case atTimestamp, fromTimestamp:
		switch {
		case filter.Timestamp.IsZero():
			return nil, refuse(codeArgument, "Timestamp must be specified for ShardFilter %s.", filter.Type)
		case at.After(now):
			return nil, refuse(codeArgument, "Timestamp of ShardFilter cannot be in the future.")
		}
	}
	ended := func(sh *shard) bool {
		return sh.closed && sh.died <= version && sh.closedAt.UnixMilli() < at.UnixMilli()
	}
	if filter.Type == fromTimestamp {
		return func(sh *shard) bool { return !ended(sh) }, nil
	}
	// The first shards count as open from ever: TRIM_HORIZON, or the time asked
	// for, may be before the stream or while it was CREATING.
	return func(sh *shard) bool {
		return (sh.born == 0 || sh.created.UnixMilli() <= at.UnixMilli()) && !ended(sh)
	}, nil
}

// noTime stands for no timestamp in a NextToken.
const noTime = math.MinInt64

func writeFilter(f *shardFilter) string {
	if f == nil {
		return ""
	}
	ms := int64(noTime)
	if !f.Timestamp.IsZero() {
		ms = f.Timestamp.UnixMilli()
	}
	return fmt.Sprintf("%s %d %s", f.Type, ms, f.ShardId)
}

func readFilter(s string) *shardFilter {
	f := &shardFilter{}
	var ms int64
	if n, _ := fmt.Sscanf(s, "%s %d %s", &f.Type, &ms, &f.ShardId); n < 2 {
		return nil
	}
	if ms != noTime {
		f.Timestamp = moment{time.UnixMilli(ms)}
	}
	return f
}
