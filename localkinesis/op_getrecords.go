package localkinesis

import (
	"slices"
	"strconv"
	"time"

	"github.com/emmansun/base64" // as encoding/base64, by vector instructions

	"github.com/libvegas/vegas/internal/limits"
)

type getRecordsInput struct {
	ShardIterator string
	DryRun        *bool
	Limit         *int32
	StreamARN     string
	StreamId      string
}

func (in *getRecordsInput) validate(v *violations) {
	v.required("shardIterator", in.ShardIterator != "")
	if in.Limit != nil && *in.Limit < 1 {
		v.between("limit", in.Limit, 1, limits.GetRecordsRecords)
	}
	v.pattern("streamARN", in.StreamARN, streamARNOK, `arn:aws.*:kinesis:.*:\d{12}:stream/\S+`)
}

func (in *getRecordsInput) address(*call) (string, []string) {
	it, f := parseIterator(in.ShardIterator)
	if f != nil {
		return "", nil
	}
	return it.name, []string{shardID(it.shard)}
}

type childShard struct {
	ShardId      string
	ParentShards []string
	HashKeyRange hashKeyRange
}

// childrenOf describes the shards a finished shard goes on in.
func childrenOf(sh *shard) []childShard {
	out := []childShard{}
	for _, ch := range sh.children {
		d := childShard{ShardId: ch.id, HashKeyRange: hashKeyRange{ch.keys.First.String(), ch.keys.Last.String()}}
		for _, p := range ch.parents {
			d.ParentShards = append(d.ParentShards, p.id)
		}
		out = append(out, d)
	}
	return out
}

// recordOut is a record on the wire.
type recordOut struct {
	SequenceNumber              string
	ApproximateArrivalTimestamp moment
	Data                        []byte
	PartitionKey                string
	EncryptionType              string
}

func recordsOut(records []stored) []recordOut {
	out := make([]recordOut, len(records))
	for i := range records {
		r := &records[i]
		out[i] = recordOut{r.number.String(), moment{time.UnixMilli(r.arrival)}, r.data, r.key, r.encryption()}
	}
	return out
}

func (r *stored) encryption() string {
	if r.kms {
		return "KMS"
	}
	return ""
}

type getRecordsOutput struct {
	Records            []recordOut
	NextShardIterator  string
	MillisBehindLatest int64
	ChildShards        []childShard

	raw []stored // of the JSON encoder, instead of Records
}

func getRecords(c *call, in *getRecordsInput) (*getRecordsOutput, error) {
	it, f := parseIterator(in.ShardIterator)
	if f != nil {
		return nil, f
	}
	out, err := in.read(c, it)
	if err == nil && c.cbor {
		out.Records = recordsOut(out.raw)
	}
	return out, err
}

func (in *getRecordsInput) read(c *call, it iterator) (*getRecordsOutput, error) {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	now := c.now()
	most := limits.GetRecordsRecords
	if in.Limit != nil {
		if most = int(*in.Limit); most > limits.GetRecordsRecords {
			return nil, refuse(codeArgument, "Limit %d is greater than %d.", most, limits.GetRecordsRecords)
		}
	}
	st, f := a.live(it.name, now)
	if f != nil {
		return nil, f
	}
	if st.serial != it.stream || int(it.shard) >= len(st.shards) || st.shards[it.shard].expired(now) {
		return nil, refuse(codeNotFound, "Shard %s in stream %s under account %s does not exist", shardID(it.shard), it.name, a.id)
	}
	if f := it.expired(now, a.expiry); f != nil {
		return nil, f
	}
	if in.StreamARN != "" && in.StreamARN != a.streamARN(st.name) {
		return nil, refuse(codeArgument, "The ShardIterator is not of stream %s.", in.StreamARN)
	}
	if in.DryRun != nil && *in.DryRun {
		return nil, dryRun()
	}
	sh := st.shards[it.shard]
	sh.trim(now)
	if !sh.readable(now) {
		return nil, sh.throttled()
	}
	out := &getRecordsOutput{}
	var next sequence
	out.raw, next = sh.take(it.from, most, limits.GetRecordsBytes)
	size := 0
	for i := range out.raw {
		size += out.raw[i].size()
	}
	sh.readBytes.overdraw(float64(size))
	if sh.finished(next) {
		// Source: "If the shard has been closed, the shard iterator can't return
		// more data and GetRecords returns null in NextShardIterator"; ChildShards,
		// "returned in the GetRecords API's response only when the end of the
		// current shard is reached".
		out.ChildShards = childrenOf(sh)
		return out, nil
	}
	out.MillisBehindLatest = sh.behind(next, now)
	out.NextShardIterator = iterator{st.serial, st.name, sh.index, next, now.UnixMilli(), a.expiry}.String()
	return out, nil
}

// readable takes one GetRecords call off the shard's limits. Sources: "This
// operation has a limit of five transactions per second per shard"; "If a call
// returns [10 MiB], subsequent calls made within the next 5 seconds throw
// ProvisionedThroughputExceededException", API_GetRecords: an answer above what is
// left of 2 MiB/s is in debt for all of its size.
func (sh *shard) readable(now time.Time) bool {
	if !sh.stream.account.limits {
		return true
	}
	sh.readBytes.refill(now, limits.ShardReadBytes, limits.ShardReadBytes)
	if sh.readBytes.level <= 0 {
		return false
	}
	return sh.reads.take(now, 1, limits.ShardReads, limits.ShardReads)
}

// appendJSON is the encoder of the hot path.
func (out *getRecordsOutput) appendJSON(b []byte) []byte {
	b = slices.Grow(b, encodedSize(out.raw)+1024)
	b = append(b, `{"Records":[`...)
	for i := range out.raw {
		if i > 0 {
			b = append(b, ',')
		}
		b = out.raw[i].appendJSON(b)
	}
	b = append(b, `],"MillisBehindLatest":`...)
	b = strconv.AppendInt(b, out.MillisBehindLatest, 10)
	if out.NextShardIterator != "" {
		b = append(b, `,"NextShardIterator":`...)
		b = appendString(b, out.NextShardIterator)
	} else {
		b = append(b, `,"NextShardIterator":null,"ChildShards":`...)
		b = appendAny(b, out.ChildShards)
	}
	return append(b, '}')
}

// encodedSize is about how much records take in JSON, rather more.
func encodedSize(records []stored) int {
	n := 0
	for i := range records {
		n += 256 + len(records[i].key) + base64.StdEncoding.EncodedLen(len(records[i].data))
	}
	return n
}

func (r *stored) appendJSON(b []byte) []byte {
	b = append(b, `{"SequenceNumber":"`...)
	b = r.number.append(b)
	b = append(b, `","ApproximateArrivalTimestamp":`...)
	b = appendMoment(b, r.arrival)
	b = append(b, `,"Data":"`...)
	b = base64.StdEncoding.AppendEncode(b, r.data)
	b = append(b, '"')
	if r.keyed {
		b = append(b, `,"PartitionKey":`...)
		b = appendString(b, r.key)
	}
	if r.kms {
		b = append(b, `,"EncryptionType":"KMS"`...)
	}
	return append(b, '}')
}
