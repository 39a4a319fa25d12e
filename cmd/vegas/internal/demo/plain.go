package demo

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/record"
)

// Until the producer and the consumer are in the demo, the plain SDK stands in
// for them: one request at a time with at most one record of a key, so that
// order survives refused entries. It cannot tell a lost answer from a lost
// request, so its mishaps stop at what the SDK survives.

type plainSender struct {
	client *kinesis.Client
	mu     sync.Mutex
	queue  []plainRecord
	closed bool
	wake   chan struct{}
	ended  chan struct{}
}

type plainRecord struct {
	entry types.PutRecordsRequestEntry
	done  func(record.Receipt, error)
}

func (w *world) newSender() (sender, error) {
	p := &plainSender{client: kinesis.NewFromConfig(w.server.AWS()), wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go p.run()
	return p, nil
}

func (p *plainSender) SendAsync(_ context.Context, r *record.Record, done func(record.Receipt, error)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, plainRecord{types.PutRecordsRequestEntry{
		PartitionKey: aws.String(r.PartitionKey), Data: append([]byte(nil), r.Data...)}, done})
	p.signal()
	return nil
}

func (p *plainSender) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *plainSender) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	p.signal()
	p.mu.Unlock()
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *plainSender) run() {
	defer close(p.ended)
	for {
		p.mu.Lock()
		seen := map[string]bool{}
		var batch, rest []plainRecord
		for _, r := range p.queue {
			if key := *r.entry.PartitionKey; len(batch) < 500 && !seen[key] {
				seen[key] = true
				batch = append(batch, r)
			} else {
				seen[key] = true
				rest = append(rest, r)
			}
		}
		p.queue = rest
		closed := p.closed
		p.mu.Unlock()
		if len(batch) == 0 {
			if closed {
				return
			}
			<-p.wake
			continue
		}
		in := &kinesis.PutRecordsInput{StreamName: aws.String(Stream)}
		for _, r := range batch {
			in.Records = append(in.Records, r.entry)
		}
		out, err := p.client.PutRecords(context.Background(), in)
		var again []plainRecord
		for i, r := range batch {
			switch {
			case err != nil:
				again = append(again, r)
			case out.Records[i].ErrorCode != nil:
				again = append(again, r)
			default:
				r.done(record.Receipt{Shard: *out.Records[i].ShardId, Position: record.Position{Sequence: *out.Records[i].SequenceNumber}}, nil)
			}
		}
		p.mu.Lock()
		p.queue = append(again, p.queue...)
		p.mu.Unlock()
	}
}

type way struct {
	group, name string
	consume     func(*world, *reader) (func(context.Context) error, error)
}

var ways = []way{{"billing", "polling", plainReader}}

// plainReader follows every shard by GetRecords, children after their parents.
func plainReader(w *world, r *reader) (func(context.Context) error, error) {
	client := kinesis.NewFromConfig(w.server.AWS())
	return func(ctx context.Context) error {
		done := map[string]chan struct{}{}
		var wait sync.WaitGroup
		defer wait.Wait()
		for ctx.Err() == nil {
			s, err := w.server.Stream(Stream)
			if err != nil {
				return err
			}
			for _, sh := range s.Shards {
				if done[sh.ID] != nil {
					continue
				}
				ended := make(chan struct{})
				done[sh.ID] = ended
				parents := []chan struct{}{done[sh.Parent], done[sh.AdjacentParent]}
				wait.Go(func() {
					for _, p := range parents {
						if p != nil {
							select {
							case <-p:
							case <-ctx.Done():
								return
							}
						}
					}
					if plainShard(ctx, client, r, sh.ID) == nil {
						close(ended)
					}
				})
			}
			pause(ctx, 100*time.Millisecond)
		}
		return nil
	}, nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func plainShard(ctx context.Context, client *kinesis.Client, r *reader, shard string) error {
	last := ""
	for ctx.Err() == nil {
		in := &kinesis.GetShardIteratorInput{StreamName: aws.String(Stream), ShardId: &shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon}
		if last != "" {
			in.ShardIteratorType, in.StartingSequenceNumber = types.ShardIteratorTypeAfterSequenceNumber, &last
		}
		it, err := client.GetShardIterator(ctx, in)
		if err != nil {
			pause(ctx, 250*time.Millisecond)
			continue
		}
		for next := it.ShardIterator; ctx.Err() == nil; {
			if next == nil {
				return nil
			}
			out, err := client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: next})
			var expired *types.ExpiredIteratorException
			if errors.As(err, &expired) {
				break
			}
			if err == nil {
				for _, rec := range out.Records {
					_ = r.handle(ctx, &record.Record{PartitionKey: *rec.PartitionKey, Data: rec.Data})
					last = *rec.SequenceNumber
				}
				r.setBehind(shard, time.Duration(aws.ToInt64(out.MillisBehindLatest))*time.Millisecond)
				next = out.NextShardIterator
			}
			pause(ctx, 250*time.Millisecond)
		}
	}
	return ctx.Err()
}
