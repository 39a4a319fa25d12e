// Package audit proves what a stream did to the records that went through it.
//
// The sender stamps every record with its key, a counter that rises by one per
// key, and the time; the receiver hands in what arrived. From both accounts the
// auditor tells what was lost, reordered, repeated, changed, or reported
// wrongly. It knows nothing of how records travel, so that nothing it checks
// can hide in what it uses.
package audit

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"strconv"
	"sync"
	"time"
)

// Stamp is what a record carries to be recognised by.
type Stamp struct {
	Key string
	// Number counts the records of the key, from 0.
	Number uint64
	// Sent is when it was handed to the sender.
	Sent time.Time
}

// Result is how the sending of a record ended.
type Result uint8

// Results of sending.
const (
	unanswered Result = iota
	// Acknowledged: the stream said that it has the record.
	Acknowledged
	// NotStored: the sender said that the record is not in the stream.
	NotStored
	// Unknown: the sender cannot tell.
	Unknown
)

// Auditor keeps the accounts. Its methods may be called by many goroutines;
// those of one key's deliveries must be called in the order of arrival.
type Auditor struct {
	mu   sync.Mutex
	keys map[string]*account
	live Sums // without Lost, and with OutOfOrder counted over all deliveries
}

type account struct {
	results   []Result // by number
	delivered []uint8  // by number: how often, at most 255
	arrivals  []uint32 // numbers in the order of their first delivery
	highest   int64    // highest number delivered
}

// New is an auditor without accounts.
func New() *Auditor { return &Auditor{keys: map[string]*account{}} }

// Next makes the stamp of the key's next record and counts it as sent.
func (a *Auditor) Next(key string, now time.Time) Stamp {
	a.mu.Lock()
	defer a.mu.Unlock()
	acc := a.keys[key]
	if acc == nil {
		acc = &account{highest: -1}
		a.keys[key] = acc
	}
	n := len(acc.results)
	acc.results = append(acc.results, unanswered)
	acc.delivered = append(acc.delivered, 0)
	a.live.Sent++
	return Stamp{Key: key, Number: uint64(n), Sent: now}
}

// Answer records how the sending of a stamped record ended. A second answer to
// the same record is a fault of the sender, counted as AnsweredTwice.
func (a *Auditor) Answer(s Stamp, r Result) {
	a.mu.Lock()
	defer a.mu.Unlock()
	acc := a.keys[s.Key]
	if acc == nil || s.Number >= uint64(len(acc.results)) || acc.results[s.Number] != unanswered {
		a.live.AnsweredTwice++
		return
	}
	acc.results[s.Number] = r
	switch r {
	case Acknowledged:
		a.live.Acknowledged++
	case NotStored:
		a.live.NotStored++
	default:
		a.live.Unknown++
	}
}

// Deliver records the arrival of a record under a partition key and returns its
// stamp. A payload that the auditor never stamped, or that was changed, or that
// arrived under another key, is an error, counted as Corrupt.
func (a *Auditor) Deliver(key string, payload []byte) (Stamp, error) {
	s, err := Parse(payload)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil && s.Key != key {
		err = fmt.Errorf("record %d of key %q arrived under key %q", s.Number, s.Key, key)
	}
	acc := a.keys[s.Key]
	if err == nil && (acc == nil || s.Number >= uint64(len(acc.results))) {
		err = fmt.Errorf("record %d of key %q was never sent", s.Number, s.Key)
	}
	if err != nil {
		a.live.Corrupt++
		return Stamp{}, err
	}
	if acc.delivered[s.Number] < 255 {
		acc.delivered[s.Number]++
	}
	if acc.delivered[s.Number] > 1 {
		a.live.Duplicated++
		return s, nil
	}
	a.live.Delivered++
	acc.arrivals = append(acc.arrivals, uint32(s.Number))
	if int64(s.Number) < acc.highest {
		a.live.OutOfOrder++
	} else {
		acc.highest = int64(s.Number)
	}
	return s, nil
}

// Sums is the result of an audit.
type Sums struct {
	// Sent counts the records handed to the sender, Keys their keys.
	Sent, Keys int64
	// Acknowledged, NotStored and Unknown count their results.
	Acknowledged, NotStored, Unknown int64
	// Delivered counts records that arrived at least once.
	Delivered int64
	// Lost counts acknowledged records that did not arrive.
	Lost int64
	// OutOfOrder counts acknowledged records that first arrived after a later
	// acknowledged record of their key.
	OutOfOrder int64
	// Duplicated counts arrivals beyond a record's first.
	Duplicated int64
	// Corrupt counts arrivals that were never sent in that form.
	Corrupt int64
	// Unanswered counts records whose sending never ended, AnsweredTwice
	// answers beyond the first.
	Unanswered, AnsweredTwice int64
	// Ghosts counts records that arrived although they were reported as not
	// stored.
	Ghosts int64
}

// Clean tells that nothing is wrong. Records that were reported as failed are
// not wrong.
func (s Sums) Clean() bool {
	return s.Lost|s.OutOfOrder|s.Duplicated|s.Corrupt|s.Unanswered|s.AnsweredTwice|s.Ghosts == 0
}

// Missing is how many acknowledged records have yet to arrive, counted roughly
// while both sides run.
func (s Sums) Missing() int64 { return max(s.Acknowledged+s.Unknown-s.Delivered, 0) }

// Live is what can be told at any moment at no cost: without Lost, Unanswered
// and Ghosts, and with OutOfOrder over all deliveries, acknowledged or not.
func (a *Auditor) Live() Sums {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.live
	s.Keys = int64(len(a.keys))
	return s
}

// Sums closes the books: to be called when the sender has answered for every
// record and the receiver has read to the end.
func (a *Auditor) Sums() Sums {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.live
	s.Keys = int64(len(a.keys))
	s.OutOfOrder = 0
	for _, acc := range a.keys {
		for n, r := range acc.results {
			arrived := acc.delivered[n] > 0
			switch {
			case r == unanswered:
				s.Unanswered++
			case r == Acknowledged && !arrived:
				s.Lost++
			case r == NotStored && arrived:
				s.Ghosts++
			}
		}
		highest := int64(-1)
		for _, n := range acc.arrivals {
			switch {
			case acc.results[n] != Acknowledged:
			case int64(n) < highest:
				s.OutOfOrder++
			default:
				highest = int64(n)
			}
		}
	}
	return s
}

// The payload is text, for people who look into the stream:
//
//	{"key":"customer-7","n":12,"sent_us":1732430000000000,"pad":"....","crc":"89abcdef"}
//
// The checksum covers everything before it.
const (
	mid1 = `","n":`
	mid2 = `,"sent_us":`
	mid3 = `,"pad":"`
	tail = `","crc":"`
)

// Append appends the stamp's payload, padded to at least size bytes. The key
// must be one that JSON writes as it is.
func (s Stamp) Append(b []byte, size int) []byte {
	start := len(b)
	b = append(append(append(b, `{"key":"`...), s.Key...), mid1...)
	b = strconv.AppendUint(b, s.Number, 10)
	b = append(b, mid2...)
	b = strconv.AppendInt(b, s.Sent.UnixMicro(), 10)
	b = append(b, mid3...)
	for len(b)-start < size-len(tail)-10 {
		b = append(b, '.')
	}
	sum := crc32.ChecksumIEEE(b[start:])
	return fmt.Appendf(b, `%s%08x"}`, tail, sum)
}

// Parse reads a payload that Append wrote.
func Parse(b []byte) (Stamp, error) {
	bad := func(what string) (Stamp, error) {
		return Stamp{}, fmt.Errorf("payload %.60q: %s", b, what)
	}
	head, sum, ok := bytes.Cut(b, []byte(tail))
	if !ok || len(sum) != 10 || string(sum[8:]) != `"}` || !bytes.HasPrefix(head, []byte(`{"key":"`)) {
		return bad("not the auditor's")
	}
	if want, err := strconv.ParseUint(string(sum[:8]), 16, 32); err != nil || uint32(want) != crc32.ChecksumIEEE(head) {
		return bad("changed on its way: the checksum differs")
	}
	key, rest, ok1 := bytes.Cut(head[len(`{"key":"`):], []byte(mid1))
	number, rest, ok2 := bytes.Cut(rest, []byte(mid2))
	sent, _, ok3 := bytes.Cut(rest, []byte(mid3))
	n, err1 := strconv.ParseUint(string(number), 10, 32)
	us, err2 := strconv.ParseInt(string(sent), 10, 64)
	if !ok1 || !ok2 || !ok3 || err1 != nil || err2 != nil {
		return bad("not the auditor's")
	}
	return Stamp{Key: string(key), Number: n, Sent: time.UnixMicro(us)}, nil
}
