package localkinesis

type describeStreamSummaryInput struct{ streamRef }

func (in *describeStreamSummaryInput) validate(v *violations) { in.check(v) }

type warmThroughput struct{ CurrentMiBps, TargetMiBps int32 }

type streamDescriptionSummary struct {
	StreamName                 string
	StreamARN                  string
	StreamStatus               string
	StreamModeDetails          streamModeDetails
	StreamCreationTimestamp    moment
	RetentionPeriodHours       int32
	EnhancedMonitoring         []enhancedMetrics
	EncryptionType             string
	KeyId                      string
	OpenShardCount             int32
	ConsumerCount              int32
	ChannelCount               int32
	MaxRecordSizeInKiB         int32
	RecordDistributionStrategy string
	WarmThroughput             *warmThroughput
}

type describeStreamSummaryOutput struct{ StreamDescriptionSummary streamDescriptionSummary }

func describeStreamSummary(c *call, in *describeStreamSummaryInput) (*describeStreamSummaryOutput, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	st, err := in.with(c, (*account).find)
	if err != nil {
		return nil, err
	}
	out := &describeStreamSummaryOutput{streamDescriptionSummary{
		StreamName: st.name, StreamARN: a.streamARN(st.name), StreamStatus: st.status,
		StreamModeDetails: streamModeDetails{st.mode}, StreamCreationTimestamp: moment{st.created},
		RetentionPeriodHours: int32(st.hours), EnhancedMonitoring: []enhancedMetrics{{orEmpty(st.metrics)}},
		EncryptionType: st.encryption, KeyId: st.keyID,
		OpenShardCount: int32(len(st.open)), ConsumerCount: int32(len(st.consumers)),
		MaxRecordSizeInKiB: int32(st.recordMax >> 10),
	}}
	if st.mode == modeOnDemand {
		out.StreamDescriptionSummary.RecordDistributionStrategy = st.distribution
		if st.warm > 0 {
			out.StreamDescriptionSummary.WarmThroughput = &warmThroughput{st.warm, st.warm}
		}
	}
	return out, nil
}
