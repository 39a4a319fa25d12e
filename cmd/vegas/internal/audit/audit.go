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

// Auditor keeps the sender's accounts and those of its readers. All methods may
// be called by many goroutines; a reader's deliveries of one key must be handed
// in in the order of their arrival.
type Auditor struct {
	mu   sync.Mutex
	keys map[string][]Result // by number
	sent Sums                // the sender's part

}

// New is an auditor without accounts.
func New() *Auditor { return &Auditor{keys: map[string][]Result{}} }

// Next makes the stamp of the key's next record and counts it as sent.
func (a *Auditor) Next(key string, now time.Time) Stamp {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := len(a.keys[key])
	a.keys[key] = append(a.keys[key], unanswered)
	a.sent.Sent++
	return Stamp{Key: key, Number: uint64(n), Sent: now}
}

// Answer records how the sending of a stamped record ended. A second answer to
// the same record is a fault of the sender, counted as AnsweredTwice.
func (a *Auditor) Answer(s Stamp, r Result) {
	a.mu.Lock()
	defer a.mu.Unlock()
	results := a.keys[s.Key]
	if s.Number >= uint64(len(results)) || results[s.Number] != unanswered {
		a.sent.AnsweredTwice++
		return
	}
	results[s.Number] = r
	switch r {
	case Acknowledged:
		a.sent.Acknowledged++
	case NotStored:
		a.sent.NotStored++
	default:
		a.sent.Unknown++
	}
}

// Reader is one receiver of the whole stream.
type Reader struct {
	a    *Auditor
	keys map[string]*arrivals
	got  Sums // the reader's part; OutOfOrder over all deliveries
}

type arrivals struct {
	seen    []bool   // by number
	order   []uint32 // numbers in the order of their first arrival
	highest int64
}

// Reader opens the accounts of one more receiver.
func (a *Auditor) Reader() *Reader {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := &Reader{a: a, keys: map[string]*arrivals{}}
	return r
}

// Deliver records the arrival of a record under a partition key and returns its
// stamp. A payload that the auditor never stamped, or that was changed, or that
// arrived under another key, is an error, counted as Corrupt.
func (r *Reader) Deliver(key string, payload []byte) (Stamp, error) {
	s, err := Parse(payload)
	r.a.mu.Lock()
	defer r.a.mu.Unlock()
	sent := len(r.a.keys[s.Key])
	switch {
	case err != nil:
	case s.Key != key:
		err = fmt.Errorf("record %d of key %q arrived under key %q", s.Number, s.Key, key)
	case s.Number >= uint64(sent):
		err = fmt.Errorf("record %d of key %q was never sent", s.Number, s.Key)
	}
	if err != nil {
		r.got.Corrupt++
		return Stamp{}, err
	}
	k := r.keys[key]
	if k == nil {
		k = &arrivals{highest: -1}
		r.keys[key] = k
	}
	for len(k.seen) < sent {
		k.seen = append(k.seen, false)
	}
	if k.seen[s.Number] {
		r.got.Duplicated++
		return s, nil
	}
	k.seen[s.Number] = true
	k.order = append(k.order, uint32(s.Number))
	r.got.Delivered++
	if n := int64(s.Number); n < k.highest {
		r.got.OutOfOrder++
	} else {
		k.highest = n
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

// Sent is the sender's part of the accounts, at any moment.
func (a *Auditor) Sent() Sums {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sent
	s.Keys = int64(len(a.keys))
	return s
}

// Live is what can be told of a reader at any moment at no cost: without Lost
// and Ghosts, and with OutOfOrder over all deliveries, acknowledged or not.
func (r *Reader) Live() Sums {
	r.a.mu.Lock()
	defer r.a.mu.Unlock()
	return r.got
}

// Complete tells that every acknowledged record has arrived.
func (r *Reader) Complete() bool {
	r.a.mu.Lock()
	defer r.a.mu.Unlock()
	if r.got.Delivered < r.a.sent.Acknowledged {
		return false // the usual case while records are under way, and cheap
	}
	return r.lost() == 0
}

func (r *Reader) lost() (n int64) {
	for key, results := range r.a.keys {
		for i, result := range results {
			if result == Acknowledged && !r.arrived(key, i) {
				n++
			}
		}
	}
	return n
}

func (r *Reader) arrived(key string, n int) bool {
	k := r.keys[key]
	return k != nil && n < len(k.seen) && k.seen[n]
}

// Sums closes the books of a reader: to be called when the sender has answered
// for every record and the reader has read to the end.
func (r *Reader) Sums() Sums {
	r.a.mu.Lock()
	defer r.a.mu.Unlock()
	s := r.a.sent
	s.Keys = int64(len(r.a.keys))
	s.Delivered, s.Duplicated, s.Corrupt = r.got.Delivered, r.got.Duplicated, r.got.Corrupt
	s.Lost = r.lost()
	for key, results := range r.a.keys {
		for i, result := range results {
			switch {
			case result == unanswered:
				s.Unanswered++
			case result == NotStored && r.arrived(key, i):
				s.Ghosts++
			}
		}
		if k := r.keys[key]; k != nil {
			highest := int64(-1)
			for _, n := range k.order {
				switch {
				case results[n] != Acknowledged:
				case int64(n) < highest:
					s.OutOfOrder++
				default:
					highest = int64(n)
				}
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
