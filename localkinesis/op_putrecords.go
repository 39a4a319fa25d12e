package localkinesis

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/limits"
)

type putRecordsEntry struct {
	Data            []byte
	ExplicitHashKey string
	PartitionKey    *string
}

type putRecordsInput struct {
	streamRef
	Records []putRecordsEntry
	DryRun  *bool
}

func (in *putRecordsInput) validate(v *violations) {
	in.check(v)
	switch n := len(in.Records); {
	case in.Records == nil:
		v.required("records", false)
	case n < 1 || n > limits.PutRecordsEntries:
		v.add(fmt.Sprintf("'%d records'", n), "records", "have length between 1 and %d", limits.PutRecordsEntries)
	}
	for i := range in.Records {
		r := &in.Records[i]
		if before := len(*v); r.Data == nil || len(r.Data) > limits.RecordBytes || r.PartitionKey == nil || *r.PartitionKey == "" ||
			len(*r.PartitionKey) > limits.PartitionKeyRunes || r.ExplicitHashKey != "" {
			checkEntry(v, "records."+strconv.Itoa(i+1)+".member.", r.Data, r.PartitionKey, r.ExplicitHashKey)
			if len(*v) > before && len(*v) > 10 {
				return
			}
		}
	}
}

func (in *putRecordsInput) hashes() ([]keyspace.Hash, *failure) {
	out := make([]keyspace.Hash, len(in.Records))
	for i := range in.Records {
		h, f := hashOf(in.Records[i].PartitionKey, in.Records[i].ExplicitHashKey)
		if f != nil {
			return nil, f
		}
		out[i] = h
	}
	return out, nil
}

func (in *putRecordsInput) address(c *call) (string, []string) {
	name := in.resolve(c)
	if !c.server.faults.shards.Load() {
		return name, nil
	}
	hashes, f := in.hashes()
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	st, g := a.live(name, c.now())
	if f != nil || g != nil {
		return name, nil
	}
	shards := make([]string, 0, len(hashes))
	for _, h := range hashes {
		shards = append(shards, st.at(h).id)
	}
	return name, shards
}

type putRecordsResult struct {
	ShardId        string
	SequenceNumber string
	ErrorCode      string
	ErrorMessage   string

	number sequence
	shard  *shard
}

type putRecordsOutput struct {
	FailedRecordCount int32
	EncryptionType    string
	Records           []putRecordsResult
}

// putRecords stores what it can, in the order of the request. Source: "Kinesis
// Data Streams attempts to process all records in each PutRecords request. A
// single record failure does not stop the processing of subsequent records",
// API_PutRecords.
func putRecords(c *call, in *putRecordsInput) (*putRecordsOutput, error) {
	hashes, f := in.hashes()
	if f != nil {
		return nil, f
	}
	out := &putRecordsOutput{Records: make([]putRecordsResult, len(in.Records))}
	if err := in.store(c, hashes, out); err != nil {
		return nil, err
	}
	if c.cbor {
		for i := range out.Records {
			if r := &out.Records[i]; r.ErrorCode == "" {
				r.SequenceNumber = r.number.String()
			}
		}
	}
	return out, nil
}

func (in *putRecordsInput) store(c *call, hashes []keyspace.Hash, out *putRecordsOutput) error {
	a := &c.server.account
	a.mu.Lock()
	defer a.mu.Unlock()
	now := c.now()
	st, err := in.with(c, (*account).live)
	if err != nil {
		return err
	}
	records := make([]stored, len(in.Records))
	total, held := 0, int64(0)
	for i := range in.Records {
		e := &in.Records[i]
		r := stored{key: deref(e.PartitionKey), keyed: e.PartitionKey != nil, hash: hashes[i], data: e.Data, kms: st.encryption != "NONE"}
		if f := st.accepts(r); f != nil {
			return f
		}
		total += r.size()
		held += r.held()
		records[i] = r
	}
	if total > limits.PutRecordsBytes {
		return refuse(codeArgument, "Records size exceeds %d MB limit", limits.PutRecordsBytes>>20)
	}
	if in.DryRun != nil && *in.DryRun {
		return dryRun()
	}
	if f := a.room(held, now); f != nil {
		return f
	}
	out.EncryptionType = st.encryption
	for i := range records {
		sh := st.route(hashes[i])
		code := c.judge(i, sh.id)
		if code == "" {
			if sh.trim(now); !sh.admit(records[i].size(), now) {
				code = codeThrottled
			}
		}
		switch r := &out.Records[i]; code {
		case "":
			r.ShardId, r.shard = sh.id, sh
			continue
		case codeThrottled:
			r.ErrorCode, r.ErrorMessage = code, sh.throttled().message
		default:
			r.ErrorCode, r.ErrorMessage = code, "Internal service failure."
		}
		out.FailedRecordCount++
	}
	for i := range records {
		r := &out.Records[i]
		if r.shard == nil {
			continue
		}
		if out.FailedRecordCount > 0 {
			// Records of a request share its memory: what failed must not live as
			// long as what is stored.
			records[i].key, records[i].data = strings.Clone(records[i].key), bytes.Clone(records[i].data)
		}
		r.number = r.shard.store(records[i], now)
	}
	return nil
}

// judge gives the code that injected faults fail an entry with, or "".
func (c *call) judge(index int, shard string) string {
	for i := range c.rules {
		r := &c.rules[i]
		hit := r.hits(index, shard)
		switch {
		case r.code == "" && !hit:
			return codeInternal // StoreSome keeps only what it chose
		case r.code != "" && hit:
			return r.code
		}
	}
	return ""
}

// appendJSON is the encoder of the hot path.
func (out *putRecordsOutput) appendJSON(b []byte) []byte {
	b = slices.Grow(b, 64+140*len(out.Records))
	b = append(b, `{"FailedRecordCount":`...)
	b = strconv.AppendInt(b, int64(out.FailedRecordCount), 10)
	b = append(b, `,"EncryptionType":`...)
	b = appendString(b, out.EncryptionType)
	b = append(b, `,"Records":[`...)
	for i := range out.Records {
		r := &out.Records[i]
		if i > 0 {
			b = append(b, ',')
		}
		if r.ErrorCode != "" {
			b = append(b, `{"ErrorCode":`...)
			b = appendString(b, r.ErrorCode)
			b = append(b, `,"ErrorMessage":`...)
			b = appendString(b, r.ErrorMessage)
			b = append(b, '}')
			continue
		}
		b = append(b, `{"SequenceNumber":"`...)
		b = r.number.append(b)
		b = append(b, `","ShardId":"`...)
		b = append(b, r.ShardId...)
		b = append(b, `"}`...)
	}
	return append(b, "]}"...)
}
