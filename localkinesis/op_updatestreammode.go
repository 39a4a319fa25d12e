package localkinesis

import "time"

type updateStreamModeInput struct {
	streamRef
	StreamModeDetails   *streamModeDetails
	WarmThroughputMiBps *int32
}

func (in *updateStreamModeInput) validate(v *violations) {
	in.check(v)
	v.required("streamARN", in.StreamARN != "")
	if v.required("streamModeDetails", in.StreamModeDetails != nil); in.StreamModeDetails != nil {
		v.required("streamModeDetails.streamMode", in.StreamModeDetails.StreamMode != "")
		v.oneOf("streamModeDetails.streamMode", in.StreamModeDetails.StreamMode, modeProvisioned, modeOnDemand)
	}
}

// modesPerDay: "you can switch between the on-demand and provisioned capacity
// modes twice within 24 hours",
// https://docs.aws.amazon.com/streams/latest/dev/switchingmodes.html.
const modesPerDay = 2

func updateStreamMode(c *call, in *updateStreamModeInput) (*empty, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	now := c.now()
	st, err := in.with(c, (*account).idle)
	if err != nil {
		return nil, err
	}
	mode := in.StreamModeDetails.StreamMode
	if in.WarmThroughputMiBps != nil {
		if mode != modeOnDemand {
			return nil, refuse(codeArgument, "WarmThroughputMiBps is only supported for streams in the ON_DEMAND capacity mode.")
		}
		if f := a.warmable(*in.WarmThroughputMiBps, now); f != nil {
			return nil, f
		}
	}
	if st.modes = recent(st.modes, now); a.limits && len(st.modes) >= modesPerDay {
		return nil, refuse(codeLimit, "The capacity mode of stream %s under account %s was changed %d times within 24 hours.", st.name, a.id, len(st.modes))
	}
	st.modes = append(st.modes, now)
	st.enter(statusUpdating, now, func(st *stream, _ time.Time) {
		if st.mode = mode; mode == modeProvisioned {
			// A provisioned stream has no AUTO, API_UpdateStreamRecordDistributionStrategy.
			st.distribution, st.warm = distributionKey, 0
		}
		if in.WarmThroughputMiBps != nil {
			st.warm = *in.WarmThroughputMiBps
		}
	})
	return &empty{}, nil
}
