// Package floor is the wire floor: what any client of Kinesis has to do for a
// record, and nothing else. Others are measured as multiples of it.
//
// To produce: hash the key, find its shard, frame the record, checksum the
// aggregate, encode it for the protocol (base64 in JSON), hash and sign the
// request, write it. To consume: read the answer, check what is checksummed,
// decode it, split aggregates, hand the payloads on. There is no error handling
// beyond noticing, no retry, no order, no lease, no checkpoint; memory is used
// again for the next request or answer, whoever may still want it.
//
// Transport is net/http, as for the others.
package floor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/libvegas/vegas/bench/contest"
	"github.com/libvegas/vegas/internal/keyspace"
)

// Protocol is one of the two that the service speaks.
type Protocol struct {
	content string
	// appendPut appends a PutRecords request.
	appendPut func(dst []byte, stream string, entries []entry) []byte
	// appendGet appends a GetRecords request.
	appendGet func(dst []byte, iterator string) []byte
	// nothingFailed is in the answer of PutRecords if nothing failed.
	nothingFailed []byte
	// read hands each record of an answer to GetRecords, or an event, to f, and
	// tells where to go on. It decodes in place.
	read func(answer []byte, next string, f func(data []byte) error) (position, error)
}

// entry is one of a PutRecords request.
type entry struct {
	data []byte
	key  string
	hash string // explicit hash key; "" for none
}

// position is where an answer says that reading goes on.
type position struct {
	next   string
	behind int64 // milliseconds
}

// errUnexpected is an answer that does not look as those of the measured server.
var errUnexpected = errors.New("the answer has another form than the floor reads")

// client speaks with the server.
type client struct {
	work     *contest.Work
	protocol *Protocol
	http     *http.Client
	endpoint *url.URL
	signer   signer
}

func newClient(w *contest.Work, p *Protocol) (*client, error) {
	endpoint, err := url.Parse(w.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("wire floor: endpoint: %w", err)
	}
	endpoint.Path = "/"
	transport := &http.Transport{
		MaxIdleConnsPerHost: 2 * w.Shards,
		DisableCompression:  true,
		WriteBufferSize:     64 << 10,
		ReadBufferSize:      64 << 10,
	}
	return &client{w, p, &http.Client{Transport: transport}, endpoint, newSigner("AKIDFLOOR", "floor", "us-east-1", "kinesis")}, nil
}

func (c *client) close() { c.http.CloseIdleConnections() }

// post makes a call. The body of its answer is the caller's to close.
func (c *client) post(ctx context.Context, operation, content string, body []byte) (*http.Response, error) {
	header := make(http.Header, 8)
	header["Content-Type"] = []string{content}
	header["X-Amz-Target"] = []string{"Kinesis_20131202." + operation}
	c.signer.sign(header, c.endpoint.Host, body, time.Now())
	r := &http.Request{
		Method: http.MethodPost, URL: c.endpoint, Host: c.endpoint.Host, Header: header,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
	answer, err := c.http.Do(r.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("wire floor: %s: %w", operation, err)
	}
	if answer.StatusCode != http.StatusOK {
		defer answer.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10)) // for people
		return nil, fmt.Errorf("wire floor: %s: %s: %s", operation, answer.Status, text)
	}
	return answer, nil
}

// call makes a call and reads its answer into the memory of buf.
func (c *client) call(ctx context.Context, operation string, body, buf []byte) ([]byte, error) {
	answer, err := c.post(ctx, operation, c.protocol.content, body)
	if err != nil {
		return buf, err
	}
	defer answer.Body.Close()
	return readAll(answer, buf)
}

func readAll(answer *http.Response, buf []byte) ([]byte, error) {
	if need := int(answer.ContentLength) + 1; need > cap(buf) { // one more, so that the end shows
		buf = make([]byte, 0, need+need/8)
	}
	buf = buf[:0]
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := answer.Body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return buf, fmt.Errorf("wire floor: read the answer: %w", err)
		}
	}
}

// shard is one that is open.
type shard struct {
	id   string
	last keyspace.Hash // of its range
}

// shards lists the stream's, in the order of their ranges.
func (c *client) shards(ctx context.Context) ([]shard, error) {
	var answer struct {
		Shards []struct {
			ShardID      string `json:"ShardId"`
			HashKeyRange struct{ EndingHashKey string }
		}
	}
	if err := c.control(ctx, "ListShards", map[string]any{"StreamName": c.work.Stream}, &answer); err != nil {
		return nil, err
	}
	all := make([]shard, len(answer.Shards))
	for i, s := range answer.Shards {
		last, err := keyspace.Parse(s.HashKeyRange.EndingHashKey)
		if err != nil {
			return nil, fmt.Errorf("wire floor: hash range of %s: %w", s.ShardID, err)
		}
		all[i] = shard{s.ShardID, last}
	}
	return all, nil
}

// control makes a call that carries no records.
func (c *client) control(ctx context.Context, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	answer, err := c.post(ctx, operation, contentJSON, body)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	return json.NewDecoder(answer.Body).Decode(out)
}
