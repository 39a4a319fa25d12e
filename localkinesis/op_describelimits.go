package localkinesis

type describeLimitsInput struct{}

type describeLimitsOutput struct {
	ShardLimit               int32
	OpenShardCount           int32
	OnDemandStreamCount      int32
	OnDemandStreamCountLimit int32
}

const (
	shardLimit    = 20000 // the account's; the embedded server does not enforce it
	onDemandLimit = 50    // "you can create up to 50 data streams with the on-demand capacity mode", quotas page
)

func describeLimits(c *call, _ *describeLimitsInput) (*describeLimitsOutput, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	out := &describeLimitsOutput{ShardLimit: shardLimit, OnDemandStreamCountLimit: onDemandLimit}
	for _, st := range a.sorted(c.now()) {
		out.OpenShardCount += int32(len(st.open))
		if st.mode == modeOnDemand {
			out.OnDemandStreamCount++
		}
	}
	return out, nil
}
