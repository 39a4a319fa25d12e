package localkinesis

type updateStreamRecordDistributionStrategyInput struct {
	streamRef
	RecordDistributionStrategy string
}

func (in *updateStreamRecordDistributionStrategyInput) validate(v *violations) {
	in.check(v)
	v.required("streamARN", in.StreamARN != "")
	v.required("recordDistributionStrategy", in.RecordDistributionStrategy != "")
	v.oneOf("recordDistributionStrategy", in.RecordDistributionStrategy, distributionAuto, distributionKey)
}

// updateStreamRecordDistributionStrategy takes effect at once: "the change takes
// effect immediately without downtime",
// API_UpdateStreamRecordDistributionStrategy.
func updateStreamRecordDistributionStrategy(c *call, in *updateStreamRecordDistributionStrategyInput) (*empty, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	st, err := in.with(c, (*account).idle)
	if err != nil {
		return nil, err
	}
	if st.mode != modeOnDemand && in.RecordDistributionStrategy == distributionAuto {
		return nil, refuse(codeArgument, "Stream %s under account %s is in the PROVISIONED capacity mode: "+
			"RecordDistributionStrategy AUTO is only supported for ON_DEMAND.", st.name, a.id)
	}
	st.distribution = in.RecordDistributionStrategy
	return &empty{}, nil
}
