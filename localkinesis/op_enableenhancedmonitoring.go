package localkinesis

import (
	"slices"
	"time"
)

var metricNames = []string{"IncomingBytes", "IncomingRecords", "OutgoingBytes", "OutgoingRecords",
	"WriteProvisionedThroughputExceeded", "ReadProvisionedThroughputExceeded", "IteratorAgeMilliseconds", "ALL"}

// monitoringInput is what both monitoring operations ask for.
type monitoringInput struct {
	streamRef
	ShardLevelMetrics []string
}

func (in *monitoringInput) validate(v *violations) {
	in.check(v)
	if v.required("shardLevelMetrics", in.ShardLevelMetrics != nil); in.ShardLevelMetrics != nil && len(in.ShardLevelMetrics) == 0 {
		v.add("[]", "shardLevelMetrics", "have length greater than or equal to 1")
	}
	for _, m := range in.ShardLevelMetrics {
		v.oneOf("shardLevelMetrics", m, metricNames...)
	}
}

type monitoringOutput struct {
	StreamName               string
	StreamARN                string
	CurrentShardLevelMetrics []string
	DesiredShardLevelMetrics []string
}

// monitor sets which metrics the stream says it has; none are published.
func (in *monitoringInput) monitor(c *call, change func(have, names []string) []string) (*monitoringOutput, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	st, err := in.with(c, (*account).idle)
	if err != nil {
		return nil, err
	}
	names := in.ShardLevelMetrics
	if slices.Contains(names, "ALL") {
		names = metricNames[:len(metricNames)-1]
	}
	desired := change(slices.Clone(st.metrics), names)
	slices.Sort(desired)
	desired = slices.Compact(desired)
	out := &monitoringOutput{st.name, a.streamARN(st.name), orEmpty(st.metrics), orEmpty(desired)}
	st.enter(statusUpdating, c.now(), func(st *stream, _ time.Time) { st.metrics = desired })
	return out, nil
}

type enableEnhancedMonitoringInput struct{ monitoringInput }

func enableEnhancedMonitoring(c *call, in *enableEnhancedMonitoringInput) (*monitoringOutput, error) {
	return in.monitor(c, func(have, names []string) []string { return append(have, names...) })
}
