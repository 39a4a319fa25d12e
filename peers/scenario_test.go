//go:build peers && unix

package peers

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libvegas/vegas/record"
)

// A scenario is what every SDK plays against the embedded server, each in its
// own language: the control plane, puts, polling with every kind of iterator,
// fan-out across a split and a merge, errors. What it saw comes back as a
// transcript, and one function says what that must be.
type scenario struct {
	Endpoint string            `json:"endpoint"`
	Stream   string            `json:"stream"`
	HTTP2    bool              `json:"http2"`
	Tags     map[string]string `json:"tags"`

	Batch      []entry `json:"batch"` // by one PutRecords
	Puts       []entry `json:"puts"`  // then by PutRecord, one after the other
	SplitAt    string  `json:"split_at"`
	AfterSplit []entry `json:"after_split"` // by PutRecord, to the halves
	AfterMerge []entry `json:"after_merge"` // by PutRecord, to the merged shard
}

// entry is a record to put, or one inside an aggregate.
type entry struct {
	Key     string `json:"key"`
	HashKey string `json:"hash_key,omitempty"`
	Data    []byte `json:"data"`
}

// transcript is what an SDK saw.
type transcript struct {
	ARN                  string            `json:"arn"`
	OpenShards           int               `json:"open_shards"`
	RetentionHours       int               `json:"retention_hours"`
	RetentionRaisedHours int               `json:"retention_raised_hours"`
	Listed               bool              `json:"listed"`
	Tags                 map[string]string `json:"tags"`
	Consumer             string            `json:"consumer"`
	Consumers            []string          `json:"consumers"`

	Shards       []shard `json:"shards"`
	Described    []shard `json:"described"`
	ShardsSplit  []shard `json:"shards_split"`
	ShardsMerged []shard `json:"shards_merged"`

	Puts       []place `json:"puts"`
	Batch      []place `json:"batch"`
	Failed     int     `json:"failed"`
	AfterSplit []place `json:"after_split"`
	AfterMerge []place `json:"after_merge"`

	Polled map[string]reading `json:"polled"`
	At     reading            `json:"at"`
	After  reading            `json:"after"`
	AtTime reading            `json:"at_time"`
	Latest reading            `json:"latest"`
	Closed reading            `json:"closed"`
	Fanned map[string]reading `json:"fanned"`

	Errors map[string]string `json:"errors"`
	Gone   string            `json:"gone"`

	// ContentTypes of the requests, where a program can see them.
	ContentTypes []string `json:"content_types"`
}

type shard struct {
	ID      string   `json:"id"`
	First   string   `json:"first"`
	Last    string   `json:"last"`
	Parents []string `json:"parents"`
}

// place is where a record was stored.
type place struct {
	Shard    string `json:"shard"`
	Sequence string `json:"sequence"`
}

// reading is a shard read by polling or fan-out.
type reading struct {
	Records  []received `json:"records"`
	Ended    bool       `json:"ended"`
	Children []shard    `json:"children"`
}

type received struct {
	Sequence  string `json:"sequence"`
	Key       string `json:"key"`
	Bytes     int    `json:"bytes"`
	MD5       string `json:"md5"`
	ArrivalMS int64  `json:"arrival_ms"`
}

var (
	hashKeys = new(big.Int).Lsh(big.NewInt(1), 128) // how many there are
	half     = new(big.Int).Lsh(big.NewInt(1), 127)
	quarter  = new(big.Int).Lsh(big.NewInt(1), 126)
)

// hashOf is the hash key of an entry, by the service's documentation: its
// ExplicitHashKey, or the MD5 of its partition key.
func hashOf(e entry) *big.Int {
	if e.HashKey != "" {
		h, ok := new(big.Int).SetString(e.HashKey, 10)
		if !ok {
			panic("peers: hash key " + e.HashKey)
		}
		return h
	}
	sum := md5.Sum([]byte(e.Key))
	return new(big.Int).SetBytes(sum[:])
}

func (s shard) holds(h *big.Int) bool {
	first, _ := new(big.Int).SetString(s.First, 10)
	last, _ := new(big.Int).SetString(s.Last, 10)
	return first != nil && last != nil && first.Cmp(h) <= 0 && h.Cmp(last) <= 0
}

// newScenario makes the records: every byte value, text outside ASCII, the
// longest key, hash keys at the edges, the largest record.
func newScenario(endpoint, stream string, http2 bool) scenario {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	top := new(big.Int).Sub(hashKeys, big.NewInt(1)).String()
	edge := new(big.Int).Sub(half, big.NewInt(1)).String()
	s := scenario{
		Endpoint: endpoint, Stream: stream, HTTP2: http2,
		Tags:    map[string]string{"team": "red", "schlüssel": "wert – ß", "empty": ""},
		SplitAt: quarter.String(),
		Puts: []entry{
			{"first", "0", []byte("at the lowest hash key")},
			{"first", edge, every},
			{"customer-42", "", []byte("paid")},
			{"customer-42", "", []byte("shipped")},
			{"ключ ☃", "", []byte("text outside ASCII: ☃")},
			{strings.Repeat("k", 256), "", []byte{0}},
			{"large", "5", bytes.Repeat([]byte("0123456789abcdef"), 300<<10/16)}, // by fan-out too
			{"last", half.String(), []byte("at the lowest hash key of the second shard")},
			{"last", top, bytes.Repeat([]byte{0xff, 0x00, '"', '\\'}, (1<<20-4)/4)}, // 1 MiB with its key
		},
	}
	for i := range 20 {
		e := entry{Key: fmt.Sprintf("key-%d", i), Data: fmt.Appendf(nil, "batch %d", i)}
		if i%5 == 0 {
			e.HashKey = new(big.Int).Mul(big.NewInt(int64(i)), quarter).String() // 0, then far above: only i = 0 fits
			if i > 0 {
				e.HashKey = new(big.Int).Sub(half, big.NewInt(int64(i))).String()
			}
		}
		s.Batch = append(s.Batch, e)
	}
	for i := range 3 {
		low, high := big.NewInt(int64(i)), new(big.Int).Add(quarter, big.NewInt(int64(i)))
		s.AfterSplit = append(s.AfterSplit,
			entry{"low", low.String(), fmt.Appendf(nil, "low half %d", i)},
			entry{"high", high.String(), fmt.Appendf(nil, "high half %d", i)})
		s.AfterMerge = append(s.AfterMerge, entry{"merged", high.String(), fmt.Appendf(nil, "merged %d", i)})
	}
	return s
}

// check says what an SDK must have seen.
func (s scenario) check(t *testing.T, got transcript, start time.Time) {
	t.Helper()
	equal := func(what string, got, want any) {
		t.Helper()
		if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
			t.Errorf("%s = %s, want %s", what, g, w)
		}
	}
	top := new(big.Int).Sub(hashKeys, big.NewInt(1)).String()
	below := func(x *big.Int) string { return new(big.Int).Sub(x, big.NewInt(1)).String() }
	const left, right = "shardId-000000000000", "shardId-000000000001"
	low, high, merged := "shardId-000000000002", "shardId-000000000003", "shardId-000000000004"

	equal("stream ARN", got.ARN, "arn:aws:kinesis:us-east-1:123456789012:stream/"+s.Stream)
	equal("open shards", got.OpenShards, 2)
	equal("retention", got.RetentionHours, 24)
	equal("retention, raised", got.RetentionRaisedHours, 48)
	equal("stream is listed", got.Listed, true)
	equal("tags", got.Tags, s.Tags)
	equal("consumers", got.Consumers, []string{"reader"})
	if want := got.ARN + "/consumer/reader:"; !strings.HasPrefix(got.Consumer, want) {
		t.Errorf("consumer ARN = %s, want %s…", got.Consumer, want)
	}

	two := []shard{{left, "0", below(half), nil}, {right, half.String(), top, nil}}
	halves := []shard{{low, "0", below(quarter), []string{left}}, {high, quarter.String(), below(half), []string{left}}}
	whole := []shard{{merged, "0", below(half), []string{low, high}}}
	equal("ListShards", got.Shards, two)
	equal("DescribeStream", got.Described, two)
	equal("ListShards after the split", got.ShardsSplit, slices.Concat(two, halves))
	equal("ListShards after the merge", got.ShardsMerged, slices.Concat(two, halves, whole))
	if t.Failed() {
		return // what follows would only repeat it
	}

	// Where each record must be, in the order of the puts.
	stored := map[string][]received{}
	file := func(what string, entries []entry, places []place, open []shard) {
		t.Helper()
		if len(places) != len(entries) {
			t.Fatalf("%s: %d answers for %d records", what, len(places), len(entries))
		}
		for i, e := range entries {
			at := places[i]
			n := slices.IndexFunc(open, func(s shard) bool { return s.holds(hashOf(e)) })
			if open[n].ID != at.Shard {
				t.Errorf("%s %d (key %.20q, hash key %q) went to %s, want %s", what, i, e.Key, e.HashKey, at.Shard, open[n].ID)
			}
			before := stored[at.Shard]
			if len(before) > 0 && record.CompareSequence(before[len(before)-1].Sequence, at.Sequence) >= 0 {
				t.Errorf("%s %d in %s has sequence number %s, not above %s", what, i, at.Shard, at.Sequence, before[len(before)-1].Sequence)
			}
			if len(at.Sequence) != 56 {
				t.Errorf("%s %d: sequence number %s has %d digits, want 56", what, i, at.Sequence, len(at.Sequence))
			}
			sum := md5.Sum(e.Data)
			stored[at.Shard] = append(before, received{Sequence: at.Sequence, Key: e.Key, Bytes: len(e.Data), MD5: hex.EncodeToString(sum[:])})
		}
	}
	read := func(what string, got reading, want []received, children []shard, ended bool) {
		t.Helper()
		var plain []received
		for _, r := range got.Records {
			at := time.UnixMilli(r.ArrivalMS)
			if at.Before(start.Add(-time.Second)) || at.After(time.Now().Add(time.Second)) {
				t.Errorf("%s: %s arrived at %s, not since %s", what, r.Sequence, at, start)
			}
			r.ArrivalMS = 0
			plain = append(plain, r)
		}
		if !slices.Equal(plain, want) {
			t.Errorf("%s: %d records %v,\nwant %d: %v", what, len(plain), plain, len(want), want)
		}
		equal(what+": ended", got.Ended, ended)
		equal(what+": child shards", got.Children, children)
	}

	equal("PutRecords: failed", got.Failed, 0)
	file("batch entry", s.Batch, got.Batch, two)
	file("put", s.Puts, got.Puts, two)
	if t.Failed() {
		return
	}
	read("polling "+left, got.Polled[left], stored[left], nil, false)
	read("polling "+right, got.Polled[right], stored[right], nil, false)
	read("AT_SEQUENCE_NUMBER", got.At, stored[left][1:], nil, false)
	read("AFTER_SEQUENCE_NUMBER", got.After, stored[left][2:], nil, false)
	read("LATEST", got.Latest, nil, nil, false)
	// Languages keep milliseconds, so what arrived in the same one comes too.
	if n := len(got.AtTime.Records); n < len(stored[left])-1 || n > len(stored[left]) {
		t.Errorf("AT_TIMESTAMP of the second record gives %d records of %d", n, len(stored[left]))
	}

	// The halves' own records come after the parent's end, the merged shard's after theirs.
	fanned := map[string][]received{left: stored[left]}
	stored = map[string][]received{}
	file("put after the split", s.AfterSplit, got.AfterSplit, halves)
	fanned[low], fanned[high] = stored[low], stored[high]
	file("put after the merge", s.AfterMerge, got.AfterMerge, whole)
	fanned[merged] = stored[merged]
	equal("shards read by fan-out", slices.Sorted(maps.Keys(got.Fanned)), []string{left, low, high, merged})
	read("fan-out of "+left, got.Fanned[left], fanned[left], halves, true)
	read("fan-out of "+low, got.Fanned[low], fanned[low], whole, true)
	read("fan-out of "+high, got.Fanned[high], fanned[high], whole, true)
	read("fan-out of "+merged, got.Fanned[merged], fanned[merged], nil, false)
	read("polling the closed "+left, got.Closed, fanned[left], halves, true)

	equal("errors", got.Errors, map[string]string{
		"describe missing stream":    "ResourceNotFoundException",
		"put to missing stream":      "ResourceNotFoundException",
		"create it again":            "ResourceInUseException",
		"made-up iterator":           "InvalidArgumentException",
		"key too long":               "ValidationException",
		"split at the edge":          "InvalidArgumentException",
		"subscribe unknown consumer": "ResourceNotFoundException",
	})
	equal("describe after the deletion", got.Gone, "ResourceNotFoundException")
}
