//go:build peers && unix

package peers

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/awslabs/kinesis-aggregation/go/v2/deaggregator"

	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/record"
)

// aggregates is what the programs of the aggregation packages are given:
// aggregates to decode, each from a shard of the hash range beside it (none for
// all keys), and records to make an aggregate of.
type aggregates struct {
	Decode [][]byte    `json:"decode"`
	Ranges [][2]string `json:"ranges"`
	Encode [][]entry   `json:"encode"`
}

// aggregated is what they answer.
type aggregated struct {
	Decoded [][]sub `json:"decoded"`
	Encoded []entry `json:"encoded"` // the Kinesis records
}

// sub is a record as a de-aggregator gives it. Aggregated tells that it came
// out of an aggregate.
type sub struct {
	Key        string `json:"key"`
	HashKey    string `json:"hash_key"`
	Data       []byte `json:"data"`
	Aggregated bool   `json:"aggregated"`
}

// An aggregateCase is an aggregate of ours that everyone must read.
type aggregateCase struct {
	name     string
	entries  []entry
	headers  []record.Header     // of every sub-record
	identity *aggregate.Identity // its counters number the sub-records
}

func aggregateCases() []aggregateCase {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	top := keyspace.Max.String()
	identity := func(r keyspace.Range, laned bool, counters ...uint64) *aggregate.Identity {
		id := &aggregate.Identity{Laned: laned, Range: r, Counters: counters}
		copy(id.Producer[:], every[100:])
		return id
	}
	consecutive := func(from uint64, n int) (c []uint64) {
		for i := range n {
			c = append(c, from+uint64(i))
		}
		return c
	}
	headers := []record.Header{{Key: "content-type", Value: "text/plain"}, {Key: "ключ", Value: ""}, {Key: "content-type", Value: "again"}}
	mixed := []entry{
		{"plain", "", []byte("no hash key")},
		{"low", "0", []byte("lowest")},
		{"plain", "", []byte("no hash key again")},
		{"high", top, []byte("highest")},
		{"low", "0", []byte("lowest again")},
	}
	var many []entry
	for i := range 1000 { // indexes and lengths of more than one byte
		many = append(many, entry{Key: fmt.Sprintf("key-%d", i*7%400), Data: bytes.Repeat([]byte{byte(i)}, i%300)})
	}
	inner := build(aggregateCase{entries: []entry{{"inner", "", []byte("not to be taken out")}}}, nil)
	quarter := keyspace.Split(4)[2]
	return []aggregateCase{
		{name: "two records", entries: []entry{{"a", "", []byte("x")}, {"bc", "123", []byte("yz")}}},
		{name: "one record", entries: []entry{{"customer-42", "", []byte("paid")}}},
		{name: "one record, identity", entries: []entry{{"customer-42", "", []byte("paid")}}, identity: identity(keyspace.Full, true, 1)},
		{name: "one record, empty", entries: []entry{{"k", "", []byte{}}}},
		{name: "any bytes", entries: []entry{{"k", "", every}, {"ключ ☃", "", every[128:]}, {strings.Repeat("k", 256), "", []byte{0}}}},
		{name: "headers", entries: []entry{{"k", "", []byte("x")}, {"l", "1", []byte("y")}}, headers: headers},
		{name: "headers, identity", entries: []entry{{"k", "", []byte("x")}, {"l", "1", []byte("y")}}, headers: headers, identity: identity(quarter, true, 5, 6)},
		{name: "hash keys", entries: []entry{{"k", "0", []byte("x")}, {"k", top, []byte("y")}, {"l", "0", []byte("z")}}},
		{name: "hash keys, some", entries: mixed},
		{name: "hash keys, some, identity", entries: mixed, identity: identity(keyspace.Range{First: keyspace.Max, Last: keyspace.Max}, true, 1, 2, 300, 301, 1<<63)},
		{name: "not laned", entries: mixed, identity: identity(keyspace.Full, false, 7, 8, 9, 10, 11)},
		{name: "many", entries: many},
		{name: "many, identity", entries: many, headers: headers[:1], identity: identity(quarter, true, consecutive(1<<40, len(many))...)},
		{name: "one record, header", entries: []entry{{"k", "", []byte("x")}}, headers: []record.Header{{Key: "h", Value: "v"}}},
		{name: "gaps, identity", entries: []entry{{"k", "", []byte("x")}, {"k", "", []byte("y")}, {"k", "", []byte("z")}}, identity: identity(quarter, true, 1, 1<<20, 1<<62)},
		{name: "a record that looks like an aggregate", entries: []entry{{"outer", "", inner}}, identity: identity(keyspace.Full, true, 3)},
	}
}

// build makes an aggregate of ours, with the case's identity or another.
func build(c aggregateCase, t *testing.T) []byte {
	var b aggregate.Builder
	b.Reset(c.identity)
	for i, e := range c.entries {
		var counter uint64
		if c.identity != nil {
			counter = c.identity.Counters[i]
		}
		if err := b.Add(aggregate.Sub{Key: e.Key, ExplicitHashKey: e.HashKey, Data: e.Data, Headers: c.headers}, counter); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
	}
	return b.AppendTo(nil)
}

// A reader says how it shows explicit hash keys.
type reader struct {
	name string
	// hashKey that the reader shows for entry i of a case.
	hashKey func(c aggregateCase, i int) string
}

var (
	// The Python and Node packages read a missing index as 0, so a record
	// without a hash key gets the first one of the table.
	firstOfTable = func(c aggregateCase, i int) string {
		if own := c.entries[i].HashKey; own != "" {
			return own
		}
		for _, e := range c.entries {
			if e.HashKey != "" {
				return e.HashKey
			}
		}
		return ""
	}
	noHashKey = func(aggregateCase, int) string { return "" }
	ownKey    = func(c aggregateCase, i int) string { return c.entries[i].HashKey }
)

func TestAggregatesGo(t *testing.T) {
	t.Parallel()
	decode := func(data []byte) ([]sub, error) {
		outer := types.Record{Data: data, PartitionKey: aws.String("a"), SequenceNumber: aws.String("7")}
		records, err := deaggregator.DeaggregateRecords([]types.Record{outer})
		var subs []sub
		for _, r := range records {
			subs = append(subs, sub{Key: *r.PartitionKey, Data: r.Data, Aggregated: *r.PartitionKey != "a"})
		}
		return subs, err
	}
	for _, c := range aggregateCases() {
		t.Run(c.name, func(t *testing.T) {
			got, err := decode(build(c, t))
			if err != nil {
				t.Fatal(err)
			}
			for i := range got {
				got[i].Aggregated = true // this reader does not tell
			}
			reader{"Go", noHashKey}.check(t, c, got)
		})
	}
}

func TestAggregatesPython(t *testing.T) {
	t.Parallel()
	exchange(t, python(t, "aggregates.py"), reader{"Python", firstOfTable})
}

func TestAggregatesNode(t *testing.T) {
	t.Parallel()
	exchange(t, node(t, "aggregates.js"), reader{"Node", firstOfTable})
}

// exchange has a foreign package read our aggregates, and reads those that it
// makes.
func exchange(t *testing.T, p program, r reader) {
	cases := aggregateCases()
	var in aggregates
	for _, c := range cases {
		in.Decode = append(in.Decode, build(c, t))
		in.Encode = append(in.Encode, c.entries)
	}
	var out aggregated
	p.run(t, in, &out)
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r.check(t, c, out.Decoded[i])
			theirs := out.Encoded[i].Data
			readTheirs(t, c, theirs)
			plain := build(aggregateCase{name: c.name, entries: c.entries}, t)
			if !bytes.Equal(theirs, plain) {
				t.Errorf("%s makes %d bytes of the same records:\n%.400x\nours are %d:\n%.400x", r.name, len(theirs), theirs, len(plain), plain)
			}
		})
	}
}

// check compares what a reader gives with what went in.
func (r reader) check(t *testing.T, c aggregateCase, got []sub) {
	t.Helper()
	if len(got) != len(c.entries) {
		t.Fatalf("%s reads %d records of %d", r.name, len(got), len(c.entries))
	}
	for i, e := range c.entries {
		g := got[i]
		if g.Key != e.Key || !bytes.Equal(g.Data, e.Data) || !g.Aggregated || g.HashKey != r.hashKey(c, i) {
			t.Errorf("%s reads record %d as key %q, hash key %q, data %.100q, out of an aggregate: %t;\nwant %q, %q, %.100q",
				r.name, i, g.Key, g.HashKey, g.Data, g.Aggregated, e.Key, r.hashKey(c, i), e.Data)
		}
	}
}

// readTheirs decodes a foreign aggregate.
func readTheirs(t *testing.T, c aggregateCase, data []byte) {
	t.Helper()
	a, err := aggregate.DecodeBytes(data)
	if err != nil {
		t.Fatalf("decode theirs: %v", err)
	}
	if a.HasIdentity || a.IdentityError != nil {
		t.Errorf("theirs has an identity: %t, %v", a.HasIdentity, a.IdentityError)
	}
	same := slices.EqualFunc(a.Subs, c.entries, func(s aggregate.Sub, e entry) bool {
		return s.Key == e.Key && s.ExplicitHashKey == e.HashKey && bytes.Equal(s.Data, e.Data) && len(s.Headers) == 0
	})
	if !same {
		t.Errorf("theirs decodes to %d records %.500v,\nwant %d: %.500v", len(a.Subs), a.Subs, len(c.entries), c.entries)
	}
}

// The bytes of the format, spelled out: protobuf messages written by hand after
// the KPL's description of the format, and our identity field as
// docs/aggregate-format.md has it.
func TestAggregatesVectors(t *testing.T) {
	t.Parallel()
	const producer = "6465666768696a6b6c6d6e6f70717273"
	for name, message := range map[string]string{
		"two records":          "0a0161 0a026263 1203313233 1a05 0800 1a0178 1a08 0801 1000 1a02797a",
		"one record, header":   "0a016b 1a0d 0800 1a0178 2206 0a0168 120176",
		"one record, identity": "0a0b637573746f6d65722d3432 1a08 0800 1a0470616964 c23e16 0a10" + producer + "1001 2801",
		"gaps, identity": "0a016b 1a05 0800 1a0178 1a05 0800 1a0179 1a05 0800 1a017a" +
			"c23e2a 0a10" + producer + "1001 1a0180 2201bf 2801 320cffff3f8080c0ffffffffff3f",
	} {
		b, err := hex.DecodeString(strings.ReplaceAll(message, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		sum := md5.Sum(b)
		want := slices.Concat([]byte{0xf3, 0x89, 0x9a, 0xc2}, b, sum[:])
		i := slices.IndexFunc(aggregateCases(), func(c aggregateCase) bool { return c.name == name })
		if got := build(aggregateCases()[i], t); !bytes.Equal(got, want) {
			t.Errorf("%s:\n%x, want\n%x", name, got, want)
		}
	}
	// The whole of the first, checksum included.
	const whole = "f3899ac20a01610a02626312033132331a0508001a01781a08080110001a02797ad928d6fb6e49ac46729468cc820f5896"
	if got := hex.EncodeToString(build(aggregateCases()[0], t)); got != whole {
		t.Errorf("%s, want %s", got, whole)
	}
}

// The Java KCL reads ours, and drops a whole aggregate when one of its records
// belongs to another shard: the reason why a producer has to predict shards.
func TestAggregatesJava(t *testing.T) {
	long(t)
	t.Parallel()
	p := java(t, "Aggregates")
	cases := aggregateCases()
	var in aggregates
	for _, c := range cases {
		in.Decode = append(in.Decode, build(c, t))
		in.Ranges = append(in.Ranges, [2]string{"0", keyspace.Max.String()})
	}
	halves := keyspace.Split(2)
	split := aggregateCase{name: "over two shards", entries: []entry{
		{"k", "5", []byte("low")}, {"k", "6", []byte("low too")}, {"k", new(big.Int).Lsh(big.NewInt(1), 127).String(), []byte("high")},
	}}
	for _, r := range halves {
		in.Decode = append(in.Decode, build(split, t))
		in.Ranges = append(in.Ranges, [2]string{r.First.String(), r.Last.String()})
	}
	var out aggregated
	p.run(t, in, &out)
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) { reader{"the Java KCL", ownKey}.check(t, c, out.Decoded[i]) })
	}
	for i := range halves {
		if got := out.Decoded[len(cases)+i]; len(got) != 0 {
			t.Errorf("half %d of an aggregate over two shards: the Java KCL reads %v, want nothing", i, got)
		}
	}
}
