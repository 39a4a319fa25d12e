package localkinesis

import (
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/limits"
)

type putRecordInput struct {
	streamRef
	Data                      []byte
	DryRun                    *bool
	ExplicitHashKey           string
	PartitionKey              *string
	SequenceNumberForOrdering string
}

func (in *putRecordInput) validate(v *violations) {
	in.check(v)
	checkEntry(v, "", in.Data, in.PartitionKey, in.ExplicitHashKey)
	v.pattern("sequenceNumberForOrdering", in.SequenceNumberForOrdering, sequenceOK, `0|([1-9]\d{0,128})`)
}

// checkEntry checks what does not depend on the stream. Source: API_PutRecord,
// API_PutRecordsRequestEntry.
func checkEntry(v *violations, prefix string, data []byte, key *string, explicit string) {
	if data == nil {
		v.required(prefix+"data", false)
	}
	if len(data) > limits.RecordBytesMax {
		v.add("java.nio.HeapByteBuffer", prefix+"data", "have length less than or equal to %d", limits.RecordBytesMax)
	}
	if key != nil && *key == "" {
		v.add("''", prefix+"partitionKey", "have length greater than or equal to 1")
	} else if key != nil && len(*key) > limits.PartitionKeyRunes {
		v.length(prefix+"partitionKey", *key, 1, limits.PartitionKeyRunes)
	}
	if explicit != "" && !hashKeyOK.MatchString(explicit) {
		v.pattern(prefix+"explicitHashKey", explicit, hashKeyOK, `0|([1-9]\d{0,38})`)
	}
}

func (in *putRecordInput) address(c *call) (string, []string) {
	name := in.resolve(c)
	if !c.server.faults.shards.Load() {
		return name, nil
	}
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	st, f := a.live(name, c.now())
	if f != nil {
		return name, nil
	}
	h, err := keyspace.Effective(deref(in.PartitionKey), in.ExplicitHashKey)
	if err != nil {
		return name, nil
	}
	return name, []string{st.at(h).id}
}

type putRecordOutput struct {
	ShardId        string
	SequenceNumber string
	EncryptionType string
}

func putRecord(c *call, in *putRecordInput) (*putRecordOutput, error) {
	h, f := hashOf(in.PartitionKey, in.ExplicitHashKey)
	if f != nil {
		return nil, f
	}
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	now := c.now()
	st, err := in.with(c, (*account).live)
	if err != nil {
		return nil, err
	}
	r := stored{key: deref(in.PartitionKey), keyed: in.PartitionKey != nil, hash: h, data: in.Data, kms: st.encryption != "NONE"}
	if f := st.accepts(r); f != nil {
		return nil, f
	}
	if f := st.ordering(in.SequenceNumberForOrdering); f != nil {
		return nil, f
	}
	if in.DryRun != nil && *in.DryRun {
		return nil, dryRun()
	}
	if f := a.room(r.held(), now); f != nil {
		return nil, f
	}
	sh := st.route(h)
	if sh.trim(now); !sh.admit(r.size(), now) {
		return nil, sh.throttled()
	}
	q := sh.store(r, now)
	return &putRecordOutput{ShardId: sh.id, SequenceNumber: q.String(), EncryptionType: st.encryption}, nil
}

// hashOf is where a record goes on a stream that goes by keys.
func hashOf(key *string, explicit string) (keyspace.Hash, *failure) {
	h, err := keyspace.Effective(deref(key), explicit)
	if err != nil {
		return h, refuse(codeArgument, "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was %s", explicit)
	}
	return h, nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// route gives the shard of a record. Source: "AUTO - Amazon Kinesis Data
// Streams distributes records evenly across shards and ignores any partition
// key and ExplicitHashKey", API_UpdateStreamRecordDistributionStrategy.
func (st *stream) route(h keyspace.Hash) *shard {
	if st.distribution == distributionAuto {
		return st.spread()
	}
	return st.at(h)
}

// accepts checks what the stream's settings say about a record.
func (st *stream) accepts(r stored) *failure {
	if !r.keyed && st.distribution != distributionAuto {
		return refuse(codeValidation, "1 validation error detected: Value null at 'partitionKey' failed to satisfy constraint: Member must not be null")
	}
	if r.size() > st.recordMax {
		return refuse(codeValidation, "1 validation error detected: Value at 'data' failed to satisfy constraint: "+
			"Member must have length less than or equal to %d: partition key and data have %d bytes and stream %s has MaxRecordSizeInKiB %d",
			st.recordMax, r.size(), st.name, st.recordMax>>10)
	}
	return nil
}

// ordering checks a SequenceNumberForOrdering: it must have been given by this
// stream, by whichever shard. Source: "Guarantees strictly increasing sequence
// numbers, for puts from the same client and to the same partition key",
// API_PutRecord; that others are refused is what kinesalite found,
// actions/putRecord.js.
func (st *stream) ordering(s string) *failure {
	switch {
	case s == "":
		return nil
	case st.distribution == distributionAuto:
		return refuse(codeArgument, "SequenceNumberForOrdering is not supported for streams with the record distribution strategy AUTO.")
	}
	if q, err := parseSequence(s); err == nil && int(q.index()) < len(st.shards) {
		sh := st.shards[q.index()]
		if sh.start.created() == q.created() && q.compare(sh.last.between()) <= 0 {
			return nil
		}
	}
	return refuse(codeArgument, "ExclusiveMinimumSequenceNumber %s used in PutRecord on stream %s under account %s is invalid.", s, st.name, st.account.id)
}
