package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/libvegas/vegas/bench/contest"
	"github.com/libvegas/vegas/localkinesis"
)

// recorder asks the embedded server what a load will ask, and writes the answers
// down.
type recorder struct {
	canned
	server *localkinesis.Server
	url    string
}

func newRecorder() (*recorder, error) {
	r := &recorder{server: localkinesis.New(func(o *localkinesis.Options) {
		o.Streams, o.StateDelay, o.NoLimits = map[string]int{"orders": shards}, 0, true
	})}
	listener, err := localkinesis.Listen("127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r.url = "http://" + listener.Addr().String()
	go func() { _ = r.server.Serve(listener) }() // until it is closed
	return r, nil
}

// config reaches the embedded server.
func (r *recorder) config() aws.Config {
	cfg := r.canned.config()
	cfg.HTTPClient, cfg.BaseEndpoint = http.DefaultClient, aws.String(r.url)
	return cfg
}

// record writes down what l asks, and is answered now.
func (r *recorder) record(ctx context.Context, l *load, file string) error {
	r.answers = map[string][]byte{}
	summary, err := r.ask(ctx, "DescribeStreamSummary", `{"StreamName":"orders"}`)
	if err != nil {
		return err
	}
	if _, err := r.ask(ctx, "ListShards", `{"StreamName":"orders"}`); err != nil {
		return err
	}
	if l.side == contest.Consume {
		if err := r.recordShards(ctx, l, summary); err != nil {
			return err
		}
	}
	return r.save(file)
}

func (r *recorder) recordShards(ctx context.Context, l *load, summary []byte) error {
	stream, _ := member(summary, "StreamARN")
	consumer := ""
	if l.fanOut {
		named := fmt.Sprintf(`{"StreamARN":%q,"ConsumerName":"group"}`, stream)
		registered, err := r.ask(ctx, "DescribeStreamConsumer", named)
		if err != nil { // not yet
			_, err = r.ask(ctx, "RegisterStreamConsumer", named)
			if err == nil {
				registered, err = r.ask(ctx, "DescribeStreamConsumer", named)
			}
		}
		if err != nil {
			return err
		}
		consumer, _ = member(registered, "ConsumerARN")
	}
	for _, id := range shardIDs {
		var err error
		if l.fanOut {
			err = r.recordEvents(ctx, consumer, id)
		} else {
			err = r.recordAnswers(ctx, l, id)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
	}
	return nil
}

// recordAnswers reads a shard in answers of about a mebibyte.
func (r *recorder) recordAnswers(ctx context.Context, l *load, shard string) error {
	limit := 4 // aggregates
	if l.raw {
		limit = 1000
	}
	b, err := r.ask(ctx, "GetShardIterator", fmt.Sprintf(`{"StreamName":"orders","ShardId":%q,"ShardIteratorType":"TRIM_HORIZON"}`, shard))
	for err == nil {
		const name = "NextShardIterator"
		at, ok := member(b, name)
		if !ok {
			at, _ = member(b, "ShardIterator")
		}
		b, err = r.ask(ctx, "GetRecords", fmt.Sprintf(`{"ShardIterator":%q,"Limit":%d}`, at, limit))
		if bytes.HasPrefix(b, []byte(`{"Records":[]`)) {
			// Whoever asks again gets the same.
			next, _ := member(b, name)
			r.answers[question("GetRecords", fmt.Appendf(nil, `{"ShardIterator":%q}`, next))] = b
			break
		}
	}
	return err
}

// recordEvents reads a subscription to the last record.
func (r *recorder) recordEvents(ctx context.Context, consumer, shard string) error {
	body := fmt.Appendf(nil, `{"ConsumerARN":%q,"ShardId":%q,"StartingPosition":{"Type":"TRIM_HORIZON"}}`, consumer, shard)
	r.server.Advance(6 * time.Second) // or the one before is in the way
	response, err := r.post(ctx, "SubscribeToShard", body)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var events []byte
	for {
		var size [4]byte
		if _, err := io.ReadFull(response.Body, size[:]); err != nil {
			return err
		}
		frame := make([]byte, binary.BigEndian.Uint32(size[:]))
		copy(frame, size[:])
		if _, err := io.ReadFull(response.Body, frame[len(size):]); err != nil {
			return err
		}
		events = append(events, frame...)
		if bytes.Contains(frame, []byte(`"MillisBehindLatest":0,`)) {
			r.answers[question("SubscribeToShard", body)] = events
			return nil
		}
	}
}

func (r *recorder) ask(ctx context.Context, op, body string) ([]byte, error) {
	response, err := r.post(ctx, op, []byte(body))
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	r.answers[question(op, []byte(body))] = b
	return b, nil
}

func (r *recorder) post(ctx context.Context, op string, body []byte) (*http.Response, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	q.Header.Set("Content-Type", "application/x-amz-json-1.1")
	q.Header.Set("X-Amz-Target", "Kinesis_20131202."+op)
	q.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=x, Signature=x")
	response, err := http.DefaultClient.Do(q)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(response.Body)
		response.Body.Close()
		return nil, fmt.Errorf("%s: %s %s", op, response.Status, b)
	}
	return response, nil
}
