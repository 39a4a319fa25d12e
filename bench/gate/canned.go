package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/libvegas/vegas/bench/contest"
	"github.com/libvegas/vegas/internal/keyspace"
)

// canned is a service inside the process that answers at once: PutRecords by what
// it is asked, everything else by what the embedded server answered to the same
// question before.
type canned struct {
	answers map[string][]byte // by question
	shards  map[string]string // by partition key
	free    sync.Pool         // *answer
}

// question is what tells one request from others: what it is, and the shard or
// iterator that it names.
func question(op string, body []byte) string {
	for _, name := range []string{"ShardIterator", "ShardId"} {
		if value, ok := member(body, name); ok {
			return op + " " + value
		}
	}
	return op
}

// member finds a text member, wherever it is.
func member(body []byte, name string) (string, bool) {
	_, rest, ok := bytes.Cut(body, []byte(`"`+name+`":"`))
	value, _, end := bytes.Cut(rest, []byte{'"'})
	return string(value), ok && end
}

// Do answers a request.
func (s *canned) Do(r *http.Request) (*http.Response, error) {
	a, _ := s.free.Get().(*answer)
	if a == nil {
		a = &answer{service: s}
	}
	a.asked = a.asked[:0]
	if err := a.read(r.Body); err != nil {
		return nil, err
	}
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	var body []byte
	if op == "PutRecords" {
		a.told = s.put(a.told[:0], a.asked)
		body = a.told
	} else {
		q := question(op, a.asked)
		if body = s.answers[q]; body == nil {
			return nil, fmt.Errorf("no answer to %s", q)
		}
	}
	a.Reader.Reset(body)
	response := &http.Response{StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}}, Body: a, ContentLength: int64(len(body))}
	if op == "SubscribeToShard" {
		response.Header.Set("Content-Type", "application/vnd.amazon.eventstream")
		response.Body, response.ContentLength = &subscription{Reader: a.Reader, over: make(chan struct{})}, -1
	}
	return response, nil
}

// answer is the memory of one answer, and its body.
type answer struct {
	bytes.Reader
	service     *canned
	asked, told []byte
}

func (a *answer) read(body io.Reader) error {
	for {
		if len(a.asked) == cap(a.asked) {
			a.asked = append(a.asked, make([]byte, 1<<20)...)[:len(a.asked)]
		}
		n, err := body.Read(a.asked[len(a.asked):cap(a.asked)])
		a.asked = a.asked[:len(a.asked)+n]
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (a *answer) Close() error {
	a.service.free.Put(a)
	return nil
}

// subscription is the body of an answer that does not end by itself.
type subscription struct {
	bytes.Reader
	once sync.Once
	over chan struct{}
}

func (s *subscription) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if errors.Is(err, io.EOF) {
		<-s.over
	}
	return n, err
}

func (s *subscription) Close() error {
	s.once.Do(func() { close(s.over) })
	return nil
}

// put stores every entry in the shard that it belongs to.
func (s *canned) put(b, body []byte) []byte {
	b = append(b, `{"FailedRecordCount":0,"Records":[`...)
	for first := true; ; first = false {
		key, rest, ok := nextKey(body)
		if !ok {
			return append(b, "]}"...)
		}
		if body = rest; !first {
			b = append(b, ',')
		}
		shard, ok := s.shards[string(key)]
		if !ok {
			shard = shardIDs[quarter(key)]
		}
		b = append(b, `{"SequenceNumber":"49671189735617543258164530461734502814375104268312805378","ShardId":"`...)
		b = append(append(b, shard...), `"}`...)
	}
}

// nextKey finds the next entry's ExplicitHashKey or, without one, PartitionKey,
// which stand behind its data; an entry ends with its closing brace.
func nextKey(body []byte) (key, rest []byte, ok bool) {
	end := bytes.IndexByte(body, '}')
	if end < 0 {
		return nil, nil, false
	}
	names := body[max(0, end-150):end]
	for _, name := range []string{`"ExplicitHashKey":"`, `"PartitionKey":"`} {
		for at := range max(0, len(names)-len(name)) {
			if names[at] == '"' && string(names[at:at+len(name)]) == name {
				key = names[at+len(name):]
				return key[:bytes.IndexByte(key, '"')], body[end+1:], true
			}
		}
	}
	return nil, nil, false
}

var shardIDs = [shards]string{"shardId-000000000000", "shardId-000000000001", "shardId-000000000002", "shardId-000000000003"}

// quarter is the shard of a hash key in decimal: the quarter of the key space.
func quarter(key []byte) uint64 {
	var hi, lo uint64
	for _, c := range key {
		carry, low := bits.Mul64(lo, 10)
		var more uint64
		lo, more = bits.Add64(low, uint64(c-'0'), 0)
		hi = hi*10 + carry + more
	}
	return hi >> 62
}

// newCanned makes a service that knows where the keys go.
func newCanned() *canned {
	s := &canned{answers: map[string][]byte{}, shards: map[string]string{}}
	w := contest.Work{Keys: keys}
	for _, key := range w.AllKeys() {
		s.shards[key] = shardIDs[keyspace.OfKey(key).Hi>>62]
	}
	return s
}

// load reads the answers that save wrote.
func (s *canned) load(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	cut := func() []byte {
		n := binary.BigEndian.Uint32(b)
		part := b[4 : 4+n : 4+n]
		b = b[4+n:]
		return part
	}
	s.answers = make(map[string][]byte)
	for len(b) > 0 {
		q := string(cut())
		s.answers[q] = cut()
	}
	return nil
}

// save writes the answers down.
func (s *canned) save(file string) error {
	var b []byte
	for q, a := range s.answers {
		b = binary.BigEndian.AppendUint32(b, uint32(len(q)))
		b = append(b, q...)
		b = binary.BigEndian.AppendUint32(b, uint32(len(a)))
		b = append(b, a...)
	}
	return os.WriteFile(file, b, 0o600)
}
