package localkinesis

import (
	"time"
)

const (
	fromAt          = "AT_SEQUENCE_NUMBER"
	fromAfter       = "AFTER_SEQUENCE_NUMBER"
	fromTime        = "AT_TIMESTAMP"
	fromTrim        = "TRIM_HORIZON"
	fromLatest      = "LATEST"
	iteratorsSecond = 5
)

type getShardIteratorInput struct {
	streamRef
	ShardId                string
	ShardIteratorType      string
	DryRun                 *bool
	StartingSequenceNumber string
	Timestamp              moment
}

func (in *getShardIteratorInput) validate(v *violations) {
	in.check(v)
	v.shardID("shardId", in.ShardId)
	v.required("shardIteratorType", in.ShardIteratorType != "")
	v.oneOf("shardIteratorType", in.ShardIteratorType, fromAfter, fromLatest, fromTime, fromAt, fromTrim)
	v.pattern("startingSequenceNumber", in.StartingSequenceNumber, sequenceOK, `0|([1-9]\d{0,128})`)
}

func (in *getShardIteratorInput) address(c *call) (string, []string) {
	return in.resolve(c), []string{in.ShardId}
}

type getShardIteratorOutput struct{ ShardIterator string }

func getShardIterator(c *call, in *getShardIteratorInput) (*getShardIteratorOutput, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	now := c.now()
	st, err := in.with(c, (*account).live)
	if err != nil {
		return nil, err
	}
	sh, f := st.shard(in.ShardId, now)
	if f != nil {
		return nil, f
	}
	sh.trim(now)
	from, f := sh.position(in.ShardIteratorType, in.StartingSequenceNumber, in.Timestamp, now)
	if f != nil {
		return nil, f
	}
	if in.DryRun != nil && *in.DryRun {
		return nil, dryRun()
	}
	// "GetShardIterator has a limit of five transactions per second per account
	// per open shard", API_GetShardIterator.
	if a.limits && !sh.iterators.take(now, 1, iteratorsSecond, iteratorsSecond) {
		return nil, sh.throttled()
	}
	it := iterator{st.serial, st.name, sh.index, from, now.UnixMilli(), a.expiry}
	return &getShardIteratorOutput{it.String()}, nil
}

// position is where a reader starts: at the first record at or above it.
// Sources: API_GetShardIterator and, for the wording of refusals, kinesalite's
// actions/getShardIterator.js.
func (sh *shard) position(kind, number string, at moment, now time.Time) (sequence, *failure) {
	if number != "" && kind != fromAt && kind != fromAfter {
		return sequence{}, refuse(codeArgument, "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or "+
			"(2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified %s and also a StartingSequenceNumber.", kind)
	}
	switch kind {
	case fromTrim:
		return sh.start, nil
	case fromLatest:
		return sh.last.next(), nil
	case fromTime:
		if at.IsZero() {
			return sequence{}, refuse(codeArgument, "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. "+
				"Current request has no timestamp parameter.")
		}
		if at.UnixMilli() > now.UnixMilli() {
			return sequence{}, refuse(codeArgument, "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. "+
				"timestampInMillis: %d, currentTimestampInMillis: %d", at.UnixMilli(), now.UnixMilli())
		}
		return sh.since(at.Time), nil
	}
	if number == "" {
		return sequence{}, refuse(codeArgument, "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or "+
			"(2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified %s and no StartingSequenceNumber.", kind)
	}
	q, err := parseSequence(number)
	st := sh.stream
	switch {
	case err != nil:
		return q, refuse(codeArgument, "StartingSequenceNumber %s used in GetShardIterator on shard %s in stream %s under account %s is invalid.",
			number, sh.id, st.name, st.account.id)
	case q.index() != sh.index:
		return q, refuse(codeArgument, "Invalid StartingSequenceNumber. It encodes %s, while it was used in a call to a shard with %s",
			shardID(q.index()), sh.id)
	case q.created() != sh.start.created() || q.compare(sh.last.between()) > 0 && q != sh.end:
		return q, refuse(codeArgument, "StartingSequenceNumber %s used in GetShardIterator on shard %s in stream %s under account %s is invalid "+
			"because it did not come from this stream.", number, sh.id, st.name, st.account.id)
	}
	if kind == fromAfter {
		q = q.next()
	}
	return q, nil
}
