// Package contest is what the contenders of make bench-peers have in common: the
// work, how a contender is written down, and how its process talks with the one
// that measures it.
//
// A contender is one file of bench/peers. It runs in a process of its own, so that
// its CPU time and memory are its own; the server is another process. The process
// says "begin" when it is warm, "end" when what is measured is acknowledged (or
// handled), and "done" when everything is. What it cost is what the system counted
// between the first two.
package contest

import (
	"context"
	"encoding/binary"
	"fmt"
)

// Side is what a contender does.
type Side string

// The sides of the table.
const (
	Produce Side = "produce"
	Consume Side = "consume"
)

// Work is what one run of a contender has to do, the same for all of a table.
type Work struct {
	Stream string `json:"stream"` // exists, with Shards shards
	Shards int    `json:"shards"`
	// Endpoint is the server's, http://127.0.0.1:port; TLS the same server's over
	// TLS, with a certificate nobody knows. DynamoDB is the endpoint of a table
	// service for those that cannot do without; "" unless Contender.DynamoDB.
	Endpoint string `json:"endpoint"`
	TLS      string `json:"tls"`
	DynamoDB string `json:"dynamodb"`
	// ServerPID is the server's process.
	ServerPID int `json:"server_pid"`
	// ConsumerARN is a registered fan-out consumer of the stream; "" when producing.
	ConsumerARN string `json:"consumer_arn"`
	// Dir is an empty directory of this run.
	Dir string `json:"dir"`
	// Size of a record's payload in bytes, at least 8. Aggregated tells whether a
	// consumer's stream holds aggregates, and whether a producer that can aggregate
	// is to do it.
	Size       int  `json:"size"`
	Aggregated bool `json:"aggregated"`
	// Records in all, of Keys partition keys. The first Warm of them warm the
	// process up, and are not measured. Nor are the Last a consumer is given: it has
	// more records at hand than it has handled, as many at the end of what is
	// measured as at its beginning, so that none are counted by half.
	Records int `json:"records"`
	Warm    int `json:"warm"`
	Last    int `json:"last"`
	Keys    int `json:"keys"`
	// Producers send side by side in one process, record i by producer i modulo
	// Producers; Keys is a multiple of it, so that a key has one. 0 is 1.
	Producers int `json:"producers"`
	// Seconds are what the measured records are spread over, or how long what is
	// measured lasts where there are none. 0: as fast as it goes.
	Seconds int `json:"seconds"`
}

// Measured is how many records are measured.
func (w *Work) Measured() int { return w.Records - w.Warm - w.Last }

// Key is the partition key of record i.
func (w *Work) Key(i int) string { return fmt.Sprintf("customer-%06d", w.KeyIndex(i)) }

// KeyIndex is the place in AllKeys of the key of record i.
func (w *Work) KeyIndex(i int) int { return i * 7919 % w.Keys }

// AllKeys are the keys, by KeyIndex: a program that sends has its keys already,
// and printing them is not what is measured.
func (w *Work) AllKeys() []string {
	keys := make([]string, w.Keys)
	for i := range keys {
		keys[i] = fmt.Sprintf("customer-%06d", i)
	}
	return keys
}

// AppendPayload appends the payload of record i: its number, then filler. It costs
// next to nothing beside what is measured.
func (w *Work) AppendPayload(b []byte, i int) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(i))
	for left := w.Size - 8; left > 0; left -= len(filler) {
		b = append(b, filler[:min(left, len(filler))]...)
	}
	return b
}

// filler is what payloads hold behind their number: byte n of one is byte(n*31).
var filler = func() []byte {
	b := make([]byte, 4<<10)
	for n := range b {
		b[n] = byte((n + 8) * 31)
	}
	return b
}()

// Number is the record that a payload is of.
func Number(payload []byte) (int, error) {
	if len(payload) < 8 {
		return 0, fmt.Errorf("a payload of %d bytes has no number", len(payload))
	}
	return int(binary.BigEndian.Uint64(payload)), nil
}

// Contender is a row of the table.
type Contender struct {
	// Name in the table, such as "vegas, fan-out". Unique on its side.
	Name string
	Side Side
	// Module whose version stands beside the name, such as
	// "github.com/a8m/kinesis-producer"; "" for vegas itself.
	Module string
	// Settings are its best ones, in a sentence, for the page.
	Settings string
	// Protocol is what it speaks on the wire, "JSON" or "CBOR"; "" means JSON.
	Protocol string
	// FanOut tells a consumer that is pushed to from one that polls.
	FanOut bool
	// Floor marks a wire floor that multiples are of: of its side, its protocol,
	// FanOut and the works it does. Remembers marks the one of them that has a cache
	// of the hashes of keys, as vegas has.
	Floor, Remembers bool
	// Paced tells a consumer that keeps to the 2 MiB a second that a shard gives to all
	// who poll it: it reads half of what others do, which takes it twenty seconds.
	Paced bool
	// Not gives the reason why it does not do this work; "" when it does.
	Not func(w *Work) string
	// DynamoDB tells that it needs a table service.
	DynamoDB bool
	// Run does the work in this process: it calls m.Begin once, when Work.Warm
	// records are acknowledged (handled), and returns when all are.
	Run func(ctx context.Context, w *Work, m *Meter) error
	// Java is the class in bench/peers/java that runs instead, in a JVM, with
	// arguments JavaArgs; it keeps the same protocol on its own.
	Java     string
	JavaArgs []string
}
