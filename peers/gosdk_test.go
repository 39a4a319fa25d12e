//go:build peers && unix

package peers

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
)

func TestSDKGo(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		t.Run(map[bool]string{false: "HTTP1", true: "HTTP2"}[http2], func(t *testing.T) {
			t.Parallel()
			srv, listener := local(t, quick)
			retried := badDay(srv)
			s := newScenario(listener.endpoint(), "played", http2)
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			g := goSDK{client: goClient(listener.endpoint(), http2), stream: &s.Stream, last: map[string]string{}}
			got, err := g.play(ctx, s)
			if err != nil {
				t.Fatal(err)
			}
			s.check(t, *got, start)
			listener.want(t, http2)
			retried(t)
		})
	}
}

// goClient is a client of the SDK over one protocol.
func goClient(endpoint string, http2 bool) *kinesis.Client {
	return kinesis.New(kinesis.Options{
		Region: "us-east-1", BaseEndpoint: &endpoint,
		Credentials: credentials.NewStaticCredentialsProvider("AKIDPEER", "peer", ""),
		HTTPClient:  goHTTP(http2),
	})
}

func goHTTP(http2 bool) *http.Client {
	p := new(http.Protocols)
	p.SetHTTP1(!http2)
	p.SetUnencryptedHTTP2(http2)
	return &http.Client{Transport: wholeBody{&http.Transport{Protocols: p}}}
}

// wholeBody gives net/http a request body that it can always finish. The SDK's
// own is closed when the headers of the answer arrive, and over HTTP/1.1 that
// now and then ends the connection in the middle of the answer, with "use of
// closed network connection" (smithy-go 1.28.9). GetRecords is then retried by
// the SDK, but an event stream is lost.
type wholeBody struct{ http.RoundTripper }

func (w wholeBody) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		return w.RoundTripper.RoundTrip(r)
	}
	b, err := io.ReadAll(r.Body)
	_ = r.Body.Close()
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
	return w.RoundTripper.RoundTrip(r)
}

// goSDK plays the scenario with the AWS SDK for Go v2.
type goSDK struct {
	client *kinesis.Client
	stream *string
	last   map[string]string // sequence number by key
}

func (g goSDK) play(ctx context.Context, in scenario) (*transcript, error) {
	out := &transcript{Polled: map[string]reading{}, Fanned: map[string]reading{}, Tags: map[string]string{}}
	for _, step := range []func(context.Context, scenario, *transcript) error{
		g.control, g.putAndPoll, g.fanOut, g.refusals, g.end,
	} {
		if err := step(ctx, in, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (g goSDK) control(ctx context.Context, in scenario, out *transcript) error {
	if _, err := g.client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: g.stream, ShardCount: aws.Int32(2)}); err != nil {
		return err
	}
	s, err := g.active(ctx)
	if err != nil {
		return err
	}
	out.ARN, out.OpenShards, out.RetentionHours = *s.StreamARN, int(*s.OpenShardCount), int(*s.RetentionPeriodHours)
	if out.Shards, err = g.shards(ctx); err != nil {
		return err
	}
	d, err := g.client.DescribeStream(ctx, &kinesis.DescribeStreamInput{StreamName: g.stream})
	if err != nil {
		return err
	}
	for _, s := range d.StreamDescription.Shards {
		out.Described = append(out.Described, goShard(s))
	}
	if _, err := g.client.AddTagsToStream(ctx, &kinesis.AddTagsToStreamInput{StreamName: g.stream, Tags: in.Tags}); err != nil {
		return err
	}
	tags, err := g.client.ListTagsForStream(ctx, &kinesis.ListTagsForStreamInput{StreamName: g.stream})
	if err != nil {
		return err
	}
	for _, t := range tags.Tags {
		out.Tags[*t.Key] = aws.ToString(t.Value)
	}
	if _, err := g.client.IncreaseStreamRetentionPeriod(ctx, &kinesis.IncreaseStreamRetentionPeriodInput{StreamName: g.stream, RetentionPeriodHours: aws.Int32(48)}); err != nil {
		return err
	}
	if s, err = g.active(ctx); err != nil {
		return err
	}
	out.RetentionRaisedHours = int(*s.RetentionPeriodHours)
	list, err := g.client.ListStreams(ctx, &kinesis.ListStreamsInput{})
	if err != nil {
		return err
	}
	out.Listed = slices.Contains(list.StreamNames, *g.stream)

	c, err := g.client.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: &out.ARN, ConsumerName: aws.String("reader")})
	if err != nil {
		return err
	}
	out.Consumer = *c.Consumer.ConsumerARN
	if err := until(ctx, "consumer active", func() (bool, error) {
		d, err := g.client.DescribeStreamConsumer(ctx, &kinesis.DescribeStreamConsumerInput{ConsumerARN: &out.Consumer})
		return err == nil && d.ConsumerDescription.ConsumerStatus == types.ConsumerStatusActive, err
	}); err != nil {
		return err
	}
	cs, err := g.client.ListStreamConsumers(ctx, &kinesis.ListStreamConsumersInput{StreamARN: &out.ARN})
	if err != nil {
		return err
	}
	for _, c := range cs.Consumers {
		out.Consumers = append(out.Consumers, *c.ConsumerName)
	}
	return nil
}

func (g goSDK) putAndPoll(ctx context.Context, in scenario, out *transcript) (err error) {
	batch := &kinesis.PutRecordsInput{StreamName: g.stream}
	for _, e := range in.Batch {
		batch.Records = append(batch.Records, types.PutRecordsRequestEntry{PartitionKey: &e.Key, ExplicitHashKey: optional(e.HashKey), Data: e.Data})
	}
	a, err := g.client.PutRecords(ctx, batch)
	if err != nil {
		return err
	}
	out.Failed = int(*a.FailedRecordCount)
	for _, r := range a.Records {
		out.Batch = append(out.Batch, place{aws.ToString(r.ShardId), aws.ToString(r.SequenceNumber)})
	}
	if out.Puts, err = g.put(ctx, in.Puts); err != nil {
		return err
	}

	left := out.Shards[0].ID
	for _, s := range out.Shards {
		if out.Polled[s.ID], err = g.poll(ctx, kinesis.GetShardIteratorInput{ShardId: &s.ID, ShardIteratorType: types.ShardIteratorTypeTrimHorizon}); err != nil {
			return err
		}
	}
	if n := len(out.Polled[left].Records); n < 2 {
		return fmt.Errorf("polling %s gives %d records", left, n)
	}
	second := out.Polled[left].Records[1]
	for _, r := range []struct {
		to *reading
		by kinesis.GetShardIteratorInput
	}{
		{&out.At, kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: &second.Sequence}},
		{&out.After, kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAfterSequenceNumber, StartingSequenceNumber: &second.Sequence}},
		{&out.AtTime, kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: aws.Time(time.UnixMilli(second.ArrivalMS))}},
		{&out.Latest, kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeLatest}},
	} {
		r.by.ShardId = &left
		if *r.to, err = g.poll(ctx, r.by); err != nil {
			return err
		}
	}
	return nil
}

func (g goSDK) fanOut(ctx context.Context, in scenario, out *transcript) (err error) {
	left, horizon := out.Shards[0].ID, types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon}
	sub := g.subscribe(ctx, out.Consumer, left, horizon, 0)
	if err := sub.firstRecord(ctx); err != nil {
		return err
	}
	if _, err := g.client.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: g.stream, ShardToSplit: &left, NewStartingHashKey: &in.SplitAt}); err != nil {
		return err
	}
	if out.Fanned[left], err = sub.wait(); err != nil {
		return err
	}
	if _, err := g.active(ctx); err != nil {
		return err
	}
	if out.ShardsSplit, err = g.shards(ctx); err != nil {
		return err
	}
	if out.AfterSplit, err = g.put(ctx, in.AfterSplit); err != nil {
		return err
	}

	var halves []string
	var subs []*goSubscription
	for _, s := range out.ShardsSplit {
		if slices.Contains(s.Parents, left) {
			halves = append(halves, s.ID)
			subs = append(subs, g.subscribe(ctx, out.Consumer, s.ID, horizon, 0))
		}
	}
	if len(halves) != 2 {
		return fmt.Errorf("children of %s: %v", left, halves)
	}
	for _, s := range subs {
		if err := s.firstRecord(ctx); err != nil {
			return err
		}
	}
	if _, err := g.client.MergeShards(ctx, &kinesis.MergeShardsInput{StreamName: g.stream, ShardToMerge: &halves[0], AdjacentShardToMerge: &halves[1]}); err != nil {
		return err
	}
	for i, s := range subs {
		if out.Fanned[halves[i]], err = s.wait(); err != nil {
			return err
		}
	}
	if _, err := g.active(ctx); err != nil {
		return err
	}
	if out.ShardsMerged, err = g.shards(ctx); err != nil {
		return err
	}
	if out.AfterMerge, err = g.put(ctx, in.AfterMerge); err != nil {
		return err
	}
	merged := out.ShardsMerged[len(out.ShardsMerged)-1].ID
	from := types.StartingPosition{Type: types.ShardIteratorTypeAtSequenceNumber, SequenceNumber: &out.AfterMerge[0].Sequence}
	if out.Fanned[merged], err = g.subscribe(ctx, out.Consumer, merged, from, len(in.AfterMerge)).wait(); err != nil {
		return err
	}
	out.Closed, err = g.poll(ctx, kinesis.GetShardIteratorInput{ShardId: &left, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
	return err
}

func (g goSDK) refusals(ctx context.Context, in scenario, out *transcript) error {
	missing := aws.String(in.Stream + "-missing")
	right := out.Shards[1]
	out.Errors = map[string]string{}
	for what, call := range map[string]func() error{
		"describe missing stream": func() error {
			_, err := g.client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: missing})
			return err
		},
		"put to missing stream": func() error {
			_, err := g.client.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: missing, PartitionKey: aws.String("k"), Data: []byte("x")})
			return err
		},
		"create it again": func() error {
			_, err := g.client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: g.stream, ShardCount: aws.Int32(1)})
			return err
		},
		"made-up iterator": func() error {
			_, err := g.client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: aws.String("made-up")})
			return err
		},
		"key too long": func() error {
			_, err := g.client.PutRecord(ctx, &kinesis.PutRecordInput{StreamName: g.stream, PartitionKey: aws.String(strings.Repeat("k", 257)), Data: []byte("x")})
			return err
		},
		"split at the edge": func() error {
			_, err := g.client.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: g.stream, ShardToSplit: &right.ID, NewStartingHashKey: &right.First})
			return err
		},
		"subscribe unknown consumer": func() error {
			_, err := g.client.SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{
				ConsumerARN: aws.String(strings.Replace(out.Consumer, "reader", "nobody", 1)), ShardId: &right.ID,
				StartingPosition: &types.StartingPosition{Type: types.ShardIteratorTypeTrimHorizon},
			})
			return err
		},
	} {
		out.Errors[what] = code(call())
	}
	return nil
}

func (g goSDK) end(ctx context.Context, _ scenario, out *transcript) error {
	if _, err := g.client.DeregisterStreamConsumer(ctx, &kinesis.DeregisterStreamConsumerInput{ConsumerARN: &out.Consumer}); err != nil {
		return err
	}
	if _, err := g.client.DeleteStream(ctx, &kinesis.DeleteStreamInput{StreamName: g.stream, EnforceConsumerDeletion: aws.Bool(true)}); err != nil {
		return err
	}
	return until(ctx, "stream gone", func() (bool, error) {
		_, err := g.client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: g.stream})
		out.Gone = code(err)
		return err != nil, nil
	})
}

// code is the service's name of an error, or its text, or nothing for none.
func code(err error) string {
	var api smithy.APIError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &api):
		return api.ErrorCode()
	}
	return err.Error()
}

// until asks again and again, as nothing tells when a state has passed.
func until(ctx context.Context, what string, ask func() (bool, error)) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if yes, err := ask(); yes || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		}
	}
}

func (g goSDK) active(ctx context.Context) (s *types.StreamDescriptionSummary, err error) {
	return s, until(ctx, "stream active", func() (bool, error) {
		d, err := g.client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: g.stream})
		if err != nil {
			return false, err
		}
		s = d.StreamDescriptionSummary
		return s.StreamStatus == types.StreamStatusActive, nil
	})
}

func goShard(s types.Shard) shard {
	to := shard{ID: *s.ShardId, First: *s.HashKeyRange.StartingHashKey, Last: *s.HashKeyRange.EndingHashKey}
	for _, p := range []*string{s.ParentShardId, s.AdjacentParentShardId} {
		if p != nil {
			to.Parents = append(to.Parents, *p)
		}
	}
	return to
}

func goChildren(children []types.ChildShard) (to []shard) {
	for _, c := range children {
		to = append(to, shard{*c.ShardId, *c.HashKeyRange.StartingHashKey, *c.HashKeyRange.EndingHashKey, c.ParentShards})
	}
	return to
}

func goRecords(records []types.Record) (to []received) {
	for _, r := range records {
		sum := md5.Sum(r.Data)
		to = append(to, received{*r.SequenceNumber, *r.PartitionKey, len(r.Data), hex.EncodeToString(sum[:]), r.ApproximateArrivalTimestamp.UnixMilli()})
	}
	return to
}

func (g goSDK) shards(ctx context.Context) (to []shard, err error) {
	l, err := g.client.ListShards(ctx, &kinesis.ListShardsInput{StreamName: g.stream})
	if err != nil {
		return nil, err
	}
	for _, s := range l.Shards {
		to = append(to, goShard(s))
	}
	return to, nil
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (g goSDK) put(ctx context.Context, entries []entry) (to []place, err error) {
	for _, e := range entries {
		a, err := g.client.PutRecord(ctx, &kinesis.PutRecordInput{
			StreamName: g.stream, PartitionKey: &e.Key, ExplicitHashKey: optional(e.HashKey), Data: e.Data,
			SequenceNumberForOrdering: optional(g.last[e.Key]),
		})
		if err != nil {
			return nil, err
		}
		g.last[e.Key] = *a.SequenceNumber
		to = append(to, place{*a.ShardId, *a.SequenceNumber})
	}
	return to, nil
}

// poll reads a shard up to its tip or end.
func (g goSDK) poll(ctx context.Context, from kinesis.GetShardIteratorInput) (reading, error) {
	from.StreamName = g.stream
	it, err := g.client.GetShardIterator(ctx, &from)
	if err != nil {
		return reading{}, err
	}
	var to reading
	next := it.ShardIterator
	err = until(ctx, "read "+*from.ShardId, func() (bool, error) {
		a, err := g.client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: next, Limit: aws.Int32(1000)})
		if err != nil {
			return false, err
		}
		to.Records = append(to.Records, goRecords(a.Records)...)
		to.Children, to.Ended = goChildren(a.ChildShards), a.NextShardIterator == nil
		next = a.NextShardIterator
		return to.Ended || len(a.Records) == 0 && *a.MillisBehindLatest == 0, nil
	})
	return to, err
}

// goSubscription reads a shard by fan-out until it ends, or until count records
// came.
type goSubscription struct {
	first chan struct{} // closed with the first record, or the end
	done  chan struct{}
	got   reading
	err   error
}

func (g goSDK) subscribe(ctx context.Context, consumer, shardID string, from types.StartingPosition, count int) *goSubscription {
	s := &goSubscription{first: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		first := func() {
			select {
			case <-s.first:
			default:
				close(s.first)
			}
		}
		defer first()
		a, err := g.client.SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{ConsumerARN: &consumer, ShardId: &shardID, StartingPosition: &from})
		if err != nil {
			s.err = err
			return
		}
		events := a.GetStream()
		for e := range events.Events() {
			e := e.(*types.SubscribeToShardEventStreamMemberSubscribeToShardEvent).Value
			s.got.Records = append(s.got.Records, goRecords(e.Records)...)
			s.got.Children = append(s.got.Children, goChildren(e.ChildShards)...)
			if len(s.got.Records) > 0 {
				first()
			}
			if count > 0 && len(s.got.Records) >= count {
				s.err = events.Close()
				return
			}
		}
		s.got.Ended, s.err = true, events.Err()
	}()
	return s
}

func (s *goSubscription) firstRecord(ctx context.Context) error {
	select {
	case <-s.first:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("no record by fan-out: %w", context.Cause(ctx))
	}
}

func (s *goSubscription) wait() (reading, error) {
	<-s.done
	return s.got, s.err
}
