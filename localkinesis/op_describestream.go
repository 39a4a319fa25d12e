package localkinesis

type describeStreamInput struct {
	streamRef
	ExclusiveStartShardId string
	Limit                 *int32
}

func (in *describeStreamInput) validate(v *violations) {
	in.check(v)
	v.pattern("exclusiveStartShardId", in.ExclusiveStartShardId, shardIDOK, "[a-zA-Z0-9_.-]+, 1 to 128 characters")
	v.between("limit", in.Limit, 1, 10000)
}

type hashKeyRange struct{ StartingHashKey, EndingHashKey string }

type sequenceNumberRange struct{ StartingSequenceNumber, EndingSequenceNumber string }

type shardDescription struct {
	ShardId               string
	ParentShardId         string
	AdjacentParentShardId string
	HashKeyRange          hashKeyRange
	SequenceNumberRange   sequenceNumberRange
}

// describe is the shard as it is on the wire, as of a version of the shard map.
func (sh *shard) describe(version int) shardDescription {
	d := shardDescription{
		ShardId:             sh.id,
		HashKeyRange:        hashKeyRange{sh.keys.First.String(), sh.keys.Last.String()},
		SequenceNumberRange: sequenceNumberRange{StartingSequenceNumber: sh.start.String()},
	}
	if len(sh.parents) > 0 {
		d.ParentShardId = sh.parents[0].id
	}
	if len(sh.parents) > 1 {
		d.AdjacentParentShardId = sh.parents[1].id
	}
	if sh.closed && sh.died <= version {
		d.SequenceNumberRange.EndingSequenceNumber = sh.end.String()
	}
	return d
}

type enhancedMetrics struct{ ShardLevelMetrics []string }

type streamDescription struct {
	StreamName              string
	StreamARN               string
	StreamStatus            string
	StreamModeDetails       streamModeDetails
	StreamCreationTimestamp moment
	RetentionPeriodHours    int32
	EnhancedMonitoring      []enhancedMetrics
	EncryptionType          string
	KeyId                   string
	Shards                  []shardDescription
	HasMoreShards           bool
}

type describeStreamOutput struct{ StreamDescription streamDescription }

// describedMost is how many shards one DescribeStream gives: "The default value
// is 100. If you specify a value greater than 100, at most 100 results are
// returned", API_DescribeStream.
const describedMost = 100

func describeStream(c *call, in *describeStreamInput) (*describeStreamOutput, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	st, err := in.with(c, (*account).find)
	if err != nil {
		return nil, err
	}
	most := describedMost
	if in.Limit != nil {
		most = min(most, int(*in.Limit))
	}
	out := &describeStreamOutput{streamDescription{
		StreamName: st.name, StreamARN: a.streamARN(st.name), StreamStatus: st.status,
		StreamModeDetails: streamModeDetails{st.mode}, StreamCreationTimestamp: moment{st.created},
		RetentionPeriodHours: int32(st.hours), EnhancedMonitoring: []enhancedMetrics{{orEmpty(st.metrics)}},
		EncryptionType: st.encryption, KeyId: st.keyID, Shards: []shardDescription{},
	}}
	d := &out.StreamDescription
	for _, sh := range st.visible(c.now()) {
		if in.ExclusiveStartShardId != "" && sh.id <= in.ExclusiveStartShardId {
			continue
		}
		if d.HasMoreShards = len(d.Shards) == most; d.HasMoreShards {
			break
		}
		d.Shards = append(d.Shards, sh.describe(st.version()))
	}
	return out, nil
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
