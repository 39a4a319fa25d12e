package localkinesis

import "time"

type updateStreamWarmThroughputInput struct {
	streamRef
	WarmThroughputMiBps *int32
}

func (in *updateStreamWarmThroughputInput) validate(v *violations) {
	in.check(v)
	v.required("warmThroughputMiBps", in.WarmThroughputMiBps != nil)
	if in.WarmThroughputMiBps != nil && *in.WarmThroughputMiBps < 0 {
		v.add(*in.WarmThroughputMiBps, "warmThroughputMiBps", "have value greater than or equal to 0")
	}
}

type updateStreamWarmThroughputOutput struct {
	StreamName     string
	StreamARN      string
	WarmThroughput warmThroughput
}

func updateStreamWarmThroughput(c *call, in *updateStreamWarmThroughputInput) (*updateStreamWarmThroughputOutput, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	st, err := in.with(c, (*account).idle)
	if err != nil {
		return nil, err
	}
	if st.mode != modeOnDemand {
		return nil, refuse(codeValidation, "Stream %s under account %s is in the PROVISIONED capacity mode.", st.name, a.id)
	}
	target := *in.WarmThroughputMiBps
	if f := a.warmable(target, c.now()); f != nil {
		return nil, f
	}
	out := &updateStreamWarmThroughputOutput{st.name, a.streamARN(st.name), warmThroughput{st.warm, target}}
	st.enter(statusUpdating, c.now(), func(st *stream, _ time.Time) { st.warm = target })
	return out, nil
}
