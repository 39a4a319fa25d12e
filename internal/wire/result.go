package wire

import "math"

// notedResult is a result whose places are known.
type notedResult struct {
	shard, code       string
	sequence, message span // in text
}

// PutRecords decodes an answer to PutRecords; false: leave it to the SDK. Nothing
// of body is kept.
// https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
func (d *Decoder) PutRecords(body []byte) (*PutAnswer, bool) {
	d.scanner = scanner{b: body}
	defer d.forget()
	if !d.putAnswer() {
		return nil, false
	}
	a := &PutAnswer{Results: make([]PutResult, len(d.results))}
	text := string(d.text)
	for i := range d.results {
		n := &d.results[i]
		a.Results[i] = PutResult{
			Shard: n.shard, Sequence: text[n.sequence.from:n.sequence.to],
			Code: n.code, Message: text[n.message.from:n.message.to],
		}
	}
	return a, true
}

func (d *Decoder) putAnswer() bool {
	var seen struct{ records bool }
	ok := d.object(func(name []byte) bool {
		switch string(name) {
		case "Records":
			return once(&seen.records) && (d.null() || d.list(d.result))
		case "FailedRecordCount":
			return d.null() || d.count()
		case "EncryptionType":
			return d.null() || d.string(nil)
		}
		return d.skip(name)
	})
	return ok && d.end()
}

func (d *Decoder) count() bool {
	n, ok := d.integer()
	return ok && 0 <= n && n <= math.MaxInt32
}

func (d *Decoder) result() bool {
	var r notedResult
	var seen struct{ shard, sequence, code, message bool }
	ok := d.object(func(name []byte) bool {
		switch string(name) {
		case "ShardId":
			return once(&seen.shard) && (d.null() || d.word(&r.shard))
		case "SequenceNumber":
			return once(&seen.sequence) && (d.null() || d.noteString(&r.sequence))
		case "ErrorCode":
			return once(&seen.code) && (d.null() || d.word(&r.code))
		case "ErrorMessage":
			return once(&seen.message) && (d.null() || d.noteString(&r.message))
		}
		return d.skip(name)
	})
	d.results = append(d.results, r)
	return ok
}

const (
	// wordBytes is the length of the longest word; shard ids have 128 at most.
	wordBytes = 128
	// wordsKept bounds the words that are remembered.
	wordsKept = 1024
)

// word reads a string that comes again and again, and allocates for its first
// appearance only.
func (d *Decoder) word(v *string) bool {
	text, ok := d.content()
	if !ok || len(text) > wordBytes {
		return false
	}
	if *v, ok = d.words[string(text)]; ok {
		return true
	}
	if d.words == nil || len(d.words) == wordsKept {
		d.words = make(map[string]string)
	}
	*v = string(text)
	d.words[*v] = *v
	return true
}
