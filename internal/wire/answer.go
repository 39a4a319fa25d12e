package wire

import (
	"sync"
	"time"
)

// Decoder decodes answers. It reads one in two steps: first it notes where
// everything stands, then it allocates once for all strings, once for each slab of
// payloads and, unless an answer's was recycled, once for all records, as much as they
// take.
//
// The zero Decoder is ready for use, by one goroutine at a time. It keeps the
// memory of its notes for the next answer.
type Decoder struct {
	scanner
	records []noted
	results []notedResult
	text    []byte            // keys, sequence numbers and messages
	words   map[string]string // see word
}

// noted is a record whose places are known.
type noted struct {
	data          span // base64, in the body
	size          int  // of the payload
	key, sequence span // in text
	millis        int64
	has           fields
}

type span struct{ from, to int }

// fields are those of a record that were there.
type fields uint8

const (
	hasData fields = 1 << iota
	hasKey
	hasSequence
	hasArrival
)

// recordsKept bounds the notes that are kept. The service gives no more than
// 10,000 records, and as many results as a request has entries.
const recordsKept = 1 << 14

// GetRecords decodes an answer to GetRecords; false: leave it to the SDK. Nothing
// of body is kept.
// https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html
func (d *Decoder) GetRecords(body []byte) (*Answer, bool) {
	return d.decode(body, "NextShardIterator")
}

// Event decodes the payload of a SubscribeToShardEvent, likewise.
// https://docs.aws.amazon.com/kinesis/latest/APIReference/API_SubscribeToShardEvent.html
func (d *Decoder) Event(payload []byte) (*Answer, bool) {
	return d.decode(payload, "ContinuationSequenceNumber")
}

func (d *Decoder) decode(body []byte, next string) (*Answer, bool) {
	d.scanner = scanner{b: body}
	a := &Answer{Behind: Unknown}
	ok := d.answer(a, next) && d.build(a)
	d.forget()
	if !ok {
		return nil, false
	}
	return a, true
}

// forget makes room for the notes of the next answer.
func (d *Decoder) forget() {
	if max(cap(d.records), cap(d.results)) > recordsKept {
		d.records, d.results, d.text = nil, nil, nil
	}
	d.scanner, d.records, d.results, d.text = scanner{}, d.records[:0], d.results[:0], d.text[:0]
}

func (d *Decoder) answer(a *Answer, next string) bool {
	var seen struct{ records, behind, next, children bool }
	ok := d.object(func(name []byte) bool {
		switch string(name) {
		case "Records":
			return once(&seen.records) && (d.null() || d.list(d.record))
		case "MillisBehindLatest":
			return once(&seen.behind) && (d.null() || d.behind(a))
		case next:
			return once(&seen.next) && (d.null() || d.string(&a.Next))
		case "ChildShards":
			return once(&seen.children) && (d.null() || d.list(func() bool { return d.child(a) }))
		}
		return d.skip(name)
	})
	return ok && d.end()
}

// once refuses what comes twice.
func once(seen *bool) bool {
	first := !*seen
	*seen = true
	return first
}

func (d *Decoder) behind(a *Answer) bool {
	n, ok := d.integer()
	a.Behind = time.Duration(n) * time.Millisecond
	return ok && n >= 0
}

func (d *Decoder) record() bool {
	var r noted
	ok := d.object(func(name []byte) bool {
		var has fields
		switch string(name) {
		case "Data":
			has = hasData
		case "PartitionKey":
			has = hasKey
		case "SequenceNumber":
			has = hasSequence
		case "ApproximateArrivalTimestamp":
			has = hasArrival
		case "EncryptionType":
			return d.null() || d.string(nil)
		default:
			return d.skip(name)
		}
		if r.has&has != 0 {
			return false
		}
		if d.null() {
			return true
		}
		r.has |= has
		ok := false
		switch has {
		case hasData:
			ok = d.payload(&r)
		case hasKey:
			ok = d.noteString(&r.key)
		case hasSequence:
			ok = d.noteString(&r.sequence)
		case hasArrival:
			r.millis, ok = d.millis()
		}
		return ok
	})
	d.records = append(d.records, r)
	return ok
}

// payload notes where a payload stands. What is no base64 shows when it is
// decoded: neither an escape nor a control character is any.
func (d *Decoder) payload(r *noted) bool {
	var ok bool
	if r.data, ok = d.quoted(); !ok {
		return false
	}
	r.size, ok = base64Size(d.b[r.data.from:r.data.to])
	return ok
}

// noteString copies a string to the others of the answer.
func (d *Decoder) noteString(at *span) bool {
	text, ok := d.content()
	from := len(d.text)
	d.text = append(d.text, text...)
	*at = span{from, len(d.text)}
	return ok
}

// recycled are the records of answers that nobody looks at any more. What they
// point to is not in them: a user's records are made of copies. They would be a
// sixteenth of what a plain record of 1 KiB allocates. (In a sync.Pool they are: two
// garbage collections empty it.)
var recycled struct {
	sync.Mutex
	free [][]Record // the last one used on top
	size int        // of all of them
}

// recycledKept bounds the records that are kept, to 2.5 MiB: those of three answers
// of the largest number, or of thirty events of fan-out.
const recycledKept = 1 << 15

// room is that for n records, all of them zero.
func room(n int) []Record {
	if r := recycledRoom(n); r != nil {
		return r
	}
	return make([]Record, n) // nobody waits for the lock meanwhile
}

// recycledRoom is room that was recycled; nil: there is none. What lies on top and has
// less goes.
func recycledRoom(n int) []Record {
	recycled.Lock()
	defer recycled.Unlock()
	for len(recycled.free) > 0 {
		last := len(recycled.free) - 1
		r := recycled.free[last]
		recycled.free[last] = nil
		recycled.free = recycled.free[:last]
		recycled.size -= cap(r)
		if cap(r) >= n {
			return r[:n]
		}
	}
	return nil
}

// Recycle gives the memory of Records, though not what they point to, to answers
// that are yet to come.
func (a *Answer) Recycle() {
	r := a.Records[:0]
	clear(a.Records)
	a.Records = nil
	recycled.Lock()
	defer recycled.Unlock()
	if cap(r) > 0 && recycled.size+cap(r) <= recycledKept {
		recycled.free = append(recycled.free, r)
		recycled.size += cap(r)
	}
}

// build makes the records that were noted.
func (d *Decoder) build(a *Answer) bool {
	if len(d.records) == 0 {
		return true
	}
	a.Records = room(len(d.records))
	text := string(d.text)
	payloads := []byte{}
	for i := range d.records {
		if len(payloads) < d.records[i].size {
			payloads = make([]byte, d.slab(i))
		}
		n, r := &d.records[i], &a.Records[i]
		r.Key, r.Sequence = text[n.key.from:n.key.to], text[n.sequence.from:n.sequence.to]
		if n.has&hasArrival != 0 {
			r.Arrival = time.Unix(0, n.millis*1e6).UTC() // as the SDK, beyond the year 2262 too
		}
		if n.has&hasData != 0 {
			r.Data, payloads = payloads[:n.size:n.size], payloads[n.size:]
			if !decodeBase64(r.Data, d.b[n.data.from:n.data.to]) {
				return false
			}
		}
	}
	return true
}

// slabBytes is how much payload is allocated at a time, unless it is one record. It
// is written twice, first with zeros: that is to be near to the processor still when
// the payload comes, which the 4 MiB of an answer are not. Nor is a record that is
// kept for long to hold all of its answer.
const slabBytes = 64 << 10

// slab is the size of the payloads from record i on that share an allocation.
func (d *Decoder) slab(i int) int {
	size := d.records[i].size
	for _, r := range d.records[i+1:] {
		if size+r.size > slabBytes {
			break
		}
		size += r.size
	}
	return size
}

func (d *Decoder) child(a *Answer) bool {
	var c Child
	var seen struct{ id, parents, keys bool }
	ok := d.object(func(name []byte) bool {
		switch string(name) {
		case "ShardId":
			return once(&seen.id) && (d.null() || d.string(&c.ID))
		case "ParentShards":
			return once(&seen.parents) && (d.null() || d.list(func() bool {
				c.Parents = append(c.Parents, "")
				return d.string(&c.Parents[len(c.Parents)-1])
			}))
		case "HashKeyRange":
			return once(&seen.keys) && (d.null() || d.keys(&c))
		}
		return d.skip(name)
	})
	a.Children = append(a.Children, c)
	return ok
}

func (d *Decoder) keys(c *Child) bool {
	var seen struct{ first, last bool }
	return d.object(func(name []byte) bool {
		switch string(name) {
		case "StartingHashKey":
			return once(&seen.first) && (d.null() || d.string(&c.First))
		case "EndingHashKey":
			return once(&seen.last) && (d.null() || d.string(&c.Last))
		}
		return d.skip(name)
	})
}
