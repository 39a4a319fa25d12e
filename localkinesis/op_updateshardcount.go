package localkinesis

import (
	"slices"
	"time"
)

type updateShardCountInput struct {
	streamRef
	ScalingType      string
	TargetShardCount *int32
}

func (in *updateShardCountInput) validate(v *violations) {
	in.check(v)
	v.required("scalingType", in.ScalingType != "")
	v.oneOf("scalingType", in.ScalingType, "UNIFORM_SCALING")
	v.required("targetShardCount", in.TargetShardCount != nil)
	v.between("targetShardCount", in.TargetShardCount, 1, 100000)
}

type updateShardCountOutput struct {
	StreamName        string
	StreamARN         string
	CurrentShardCount int32
	TargetShardCount  int32
}

const (
	scalesPerDay = 10    // "more than ten times per rolling 24-hour period per stream"
	shardsMost   = 10000 // "Scale up to more than 10000 shards in a stream"
)

// updateShardCount enforces the limits that API_UpdateShardCount lists: ten
// calls a day, at most double, at least half (here rounded up).
func updateShardCount(c *call, in *updateShardCountInput) (*updateShardCountOutput, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	now := c.now()
	st, err := in.with(c, (*account).idle)
	if err != nil {
		return nil, err
	}
	if err := st.provisioned(); err != nil {
		return nil, err
	}
	open, target := len(st.open), int(*in.TargetShardCount)
	st.scales = recent(st.scales, now)
	switch {
	case target > 2*open:
		return nil, refuse(codeLimit, "UpdateShardCount cannot scale up over double your current open shard count. Current open shard count: %d Target shard count: %d", open, target)
	case 2*target < open:
		return nil, refuse(codeLimit, "UpdateShardCount cannot scale down below half your current open shard count. Current open shard count: %d Target shard count: %d", open, target)
	case target > shardsMost:
		return nil, refuse(codeLimit, "UpdateShardCount cannot scale up to more than %d shards.", shardsMost)
	case a.limits && len(st.scales) >= scalesPerDay:
		return nil, refuse(codeLimit, "UpdateShardCount was called %d times within 24 hours for stream %s under account %s.", len(st.scales), st.name, a.id)
	}
	st.scales = append(st.scales, now)
	st.enter(statusUpdating, now, func(st *stream, now time.Time) { st.scale(target, now) })
	return &updateShardCountOutput{st.name, a.streamARN(st.name), int32(open), int32(target)}, nil
}

// recent keeps the times of the last 24 hours.
func recent(times []time.Time, now time.Time) []time.Time {
	return slices.DeleteFunc(times, func(t time.Time) bool { return now.Sub(t) >= 24*time.Hour })
}
