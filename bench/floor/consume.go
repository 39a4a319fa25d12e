package floor

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/libvegas/vegas/bench/contest"
)

// Consume is the floor of receiving by GetRecords: shards side by side, one answer
// after the other, until nothing is behind.
func Consume(p *Protocol) func(context.Context, *contest.Work, *contest.Meter) error {
	return eachShard(p, func(ctx context.Context, c *client, shard string, f func([]byte) error) error {
		var first struct{ ShardIterator string }
		from := map[string]any{"StreamName": c.work.Stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
		if err := c.control(ctx, "GetShardIterator", from, &first); err != nil {
			return err
		}
		at := position{first.ShardIterator, 1}
		var body, answer []byte
		for at.next != "" && at.behind > 0 {
			body = p.appendGet(body[:0], at.next)
			var err error
			if answer, err = c.call(ctx, "GetRecords", body, answer); err != nil {
				return err
			}
			if at, err = p.read(answer, "NextShardIterator", f); err != nil {
				return err
			}
		}
		return nil
	})
}

// FanOut is the floor of receiving by SubscribeToShard, which is JSON.
var FanOut = eachShard(JSON, func(ctx context.Context, c *client, shard string, f func([]byte) error) error {
	return c.subscribe(ctx, shard, f, func(at position) bool { return at.behind == 0 })
})

// subscribe reads a shard from its beginning by one subscription, until an event
// is the last one wanted.
func (c *client) subscribe(ctx context.Context, shard string, f func(data []byte) error, last func(position) bool) error {
	body := fmt.Appendf(nil, `{"ConsumerARN":%q,"ShardId":%q,"StartingPosition":{"Type":"TRIM_HORIZON"}}`, c.work.ConsumerARN, shard)
	stream, err := c.post(ctx, "SubscribeToShard", contentJSON, body)
	if err != nil {
		return err
	}
	defer stream.Body.Close()
	var frame []byte
	for {
		var payload []byte
		if payload, frame, err = readFrame(stream.Body, frame); err != nil {
			return fmt.Errorf("wire floor: %s: %w", shard, err)
		}
		if len(payload) == len("{}") { // initial-response
			continue
		}
		at, err := JSON.read(payload, "ContinuationSequenceNumber", f)
		if err != nil {
			return err
		}
		if last(at) {
			return nil
		}
	}
}

// readFrame reads a frame of an event stream into the memory of buf: its length,
// that of its headers, the CRC-32 of both, headers, payload, the CRC-32 of all.
// https://smithy.io/2.0/aws/amazon-eventstream.html
func readFrame(r io.Reader, buf []byte) (payload, frame []byte, err error) {
	const prelude, sum = 12, 4
	if cap(buf) < prelude {
		buf = make([]byte, prelude)
	}
	frame = buf[:prelude]
	if _, err := io.ReadFull(r, frame); err != nil {
		return nil, frame, err
	}
	size, headers := int(binary.BigEndian.Uint32(frame)), int(binary.BigEndian.Uint32(frame[4:]))
	if crc32.ChecksumIEEE(frame[:8]) != binary.BigEndian.Uint32(frame[8:]) || prelude+headers+sum > size {
		return nil, frame, errUnexpected
	}
	if cap(frame) < size {
		frame = append(make([]byte, 0, size+size/8), frame...)
	}
	frame = frame[:size]
	if _, err := io.ReadFull(r, frame[prelude:]); err != nil {
		return nil, frame, err
	}
	end := size - sum
	if crc32.ChecksumIEEE(frame[:end]) != binary.BigEndian.Uint32(frame[end:]) {
		return nil, frame, errUnexpected
	}
	return frame[prelude+headers : end], frame, nil
}

// eachShard reads all shards side by side and splits what aggregates there are.
func eachShard(p *Protocol, read func(ctx context.Context, c *client, shard string, f func([]byte) error) error) func(context.Context, *contest.Work, *contest.Meter) error {
	return func(ctx context.Context, w *contest.Work, m *contest.Meter) error {
		c, err := newClient(w, p)
		if err != nil {
			return err
		}
		defer c.close()
		shards, err := c.shards(ctx)
		if err != nil {
			return err
		}
		g, ctx := errgroup.WithContext(ctx)
		for _, shard := range shards {
			g.Go(func() error {
				var s splitter
				handle := func(_, payload []byte) error { return m.Handle(payload) }
				return read(ctx, c, shard.id, func(data []byte) error { return s.split(data, handle) })
			})
		}
		return g.Wait()
	}
}
