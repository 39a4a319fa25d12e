package localkinesis

import (
	"maps"

	"github.com/libvegas/vegas/internal/limits"
)

type streamModeDetails struct{ StreamMode string }

type createStreamInput struct {
	StreamName                 string
	MaxRecordSizeInKiB         *int32
	RecordDistributionStrategy string
	ShardCount                 *int32
	StreamModeDetails          *streamModeDetails
	Tags                       map[string]string
	WarmThroughputMiBps        *int32
}

type empty struct{}

func (in *createStreamInput) address(*call) (string, []string) { return in.StreamName, nil }

func (in *createStreamInput) mode() string {
	if in.StreamModeDetails == nil || in.StreamModeDetails.StreamMode == "" {
		return modeProvisioned
	}
	return in.StreamModeDetails.StreamMode
}

func (in *createStreamInput) validate(v *violations) {
	v.required("streamName", in.StreamName != "")
	v.pattern("streamName", in.StreamName, streamNameOK, "[a-zA-Z0-9_.-]+, 1 to 128 characters")
	v.between("shardCount", in.ShardCount, 1, 100000)
	v.between("maxRecordSizeInKiB", in.MaxRecordSizeInKiB, limits.RecordBytes>>10, limits.RecordBytesMax>>10)
	v.oneOf("recordDistributionStrategy", in.RecordDistributionStrategy, distributionAuto, distributionKey)
	v.oneOf("streamModeDetails.streamMode", in.mode(), modeProvisioned, modeOnDemand)
	v.tags(in.Tags, 50)
}

// shardsOnDemand is what a new on-demand stream starts with: "new data streams
// created with the on-demand capacity mode have 4 MB/s of write throughput",
// https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html,
// at 1 MB/s a shard.
const shardsOnDemand = 4

// creatingMax is how many streams may be CREATING: "You receive a
// LimitExceededException when ... you try to have more than five streams in
// the CREATING state at any point in time", API_CreateStream.
const creatingMax = 5

func createStream(c *call, in *createStreamInput) (*empty, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	now := c.now()
	if _, f := a.find(in.StreamName, now); f == nil {
		return nil, refuse(codeInUse, "Stream %s under account %s already exists.", in.StreamName, a.id)
	}
	var n int
	switch onDemand := in.mode() == modeOnDemand; {
	case onDemand && in.ShardCount != nil:
		return nil, refuse(codeValidation, "ShardCount cannot be set for a stream in the ON_DEMAND capacity mode.")
	case onDemand:
		n = shardsOnDemand
	case in.ShardCount == nil:
		return nil, refuse(codeValidation, "ShardCount must be set for a stream in the PROVISIONED capacity mode.")
	default:
		n = int(*in.ShardCount)
		if in.RecordDistributionStrategy == distributionAuto {
			return nil, refuse(codeArgument, "RecordDistributionStrategy AUTO is only supported for streams in the ON_DEMAND capacity mode.")
		}
		if in.WarmThroughputMiBps != nil {
			return nil, refuse(codeArgument, "WarmThroughputMiBps is only supported for streams in the ON_DEMAND capacity mode.")
		}
	}
	creating := 0
	for _, st := range a.sorted(now) {
		if st.status == statusCreating {
			creating++
		}
	}
	if a.limits && creating >= creatingMax {
		return nil, refuse(codeLimit, "Account %s already has %d streams in state CREATING.", a.id, creating)
	}
	if in.WarmThroughputMiBps != nil {
		if f := a.warmable(*in.WarmThroughputMiBps, now); f != nil {
			return nil, f
		}
		n = max(n, int(*in.WarmThroughputMiBps))
	}
	st := a.add(in.StreamName, n, in.mode(), now)
	if in.RecordDistributionStrategy != "" {
		st.distribution = in.RecordDistributionStrategy
	}
	if in.MaxRecordSizeInKiB != nil {
		st.recordMax = int(*in.MaxRecordSizeInKiB) << 10
	}
	if in.WarmThroughputMiBps != nil {
		st.warm = *in.WarmThroughputMiBps
	}
	maps.Copy(st.tags, in.Tags)
	return &empty{}, nil
}
