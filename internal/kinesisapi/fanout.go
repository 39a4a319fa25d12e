package kinesisapi

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/libvegas/vegas/internal/wire"
)

// Subscription is a running SubscribeToShard call. Close it.
type Subscription struct {
	stream *kinesis.SubscribeToShardEventStream
	events *events
	client *Client
	shard  string
}

// Subscribe opens an enhanced fan-out subscription. It lasts 5 minutes at most,
// and ends with ctx.
// (https://docs.aws.amazon.com/kinesis/latest/APIReference/API_SubscribeToShard.html)
func (c *Client) Subscribe(ctx context.Context, consumerARN, shard string, from types.StartingPosition) (*Subscription, error) {
	return call(ctx, c, "subscribe to shard", "SubscribeToShard", shard, func(ctx context.Context) (*Subscription, error) {
		sdk, _, err := c.open(ctx)
		if err != nil {
			return nil, err
		}
		var e *events
		sdk = kinesis.New(sdk.Options(), func(o *kinesis.Options) {
			e = newEvents(o.Protocol)
			o.Protocol = e
		})
		out, err := sdk.SubscribeToShard(ctx, &kinesis.SubscribeToShardInput{
			ConsumerARN:      aws.String(consumerARN),
			ShardId:          aws.String(shard),
			StartingPosition: &from,
		})
		if err != nil {
			e.stop()
			return nil, err
		}
		return &Subscription{out.GetStream(), e, c, shard}, nil
	})
}

// Events delivers what the service pushes; closed at the end, see Err.
func (s *Subscription) Events() <-chan *wire.Answer { return s.events.out }

// Close ends the subscription.
func (s *Subscription) Close() error {
	s.events.stop()
	return s.stream.Close()
}

// Err tells, once Events is closed, why; nil when the service ended them in order.
func (s *Subscription) Err() error {
	err := s.events.err
	if err == nil {
		return nil
	}
	v := classify(err, true, true)
	return &Error{Op: "read subscription", Action: "kinesis:SubscribeToShard", Stream: s.client.name.Stream, Shard: s.shard,
		Class: v.class, Err: err, link: v.link, remedy: v.remedy}
}

// Consumer is a registered fan-out consumer.
type Consumer struct {
	Name   string
	ARN    string
	Status types.ConsumerStatus
}

// RegisterConsumer registers a fan-out consumer on the stream whose ARN is
// given. One that exists is InUse.
func (c *Client) RegisterConsumer(ctx context.Context, streamARN, name string) (Consumer, error) {
	return call(ctx, c, "register consumer", "RegisterStreamConsumer", "", func(ctx context.Context) (Consumer, error) {
		_, sdk, err := c.open(ctx)
		if err != nil {
			return Consumer{}, err
		}
		out, err := sdk.RegisterStreamConsumer(ctx, &kinesis.RegisterStreamConsumerInput{
			StreamARN: aws.String(streamARN), ConsumerName: aws.String(name),
		})
		if err != nil {
			return Consumer{}, err
		}
		if out.Consumer == nil {
			return Consumer{}, ErrEmptyAnswer
		}
		return Consumer{aws.ToString(out.Consumer.ConsumerName), aws.ToString(out.Consumer.ConsumerARN), out.Consumer.ConsumerStatus}, nil
	})
}

// DescribeConsumer finds a fan-out consumer by its ARN, or by its stream's ARN
// and its name.
func (c *Client) DescribeConsumer(ctx context.Context, consumerARN, streamARN, name string) (Consumer, error) {
	return call(ctx, c, "describe consumer", "DescribeStreamConsumer", "", func(ctx context.Context) (Consumer, error) {
		_, sdk, err := c.open(ctx)
		if err != nil {
			return Consumer{}, err
		}
		in := &kinesis.DescribeStreamConsumerInput{}
		if consumerARN != "" {
			in.ConsumerARN = aws.String(consumerARN)
		} else {
			in.StreamARN, in.ConsumerName = aws.String(streamARN), aws.String(name)
		}
		out, err := sdk.DescribeStreamConsumer(ctx, in)
		if err != nil {
			return Consumer{}, err
		}
		d := out.ConsumerDescription
		if d == nil {
			return Consumer{}, ErrEmptyAnswer
		}
		return Consumer{aws.ToString(d.ConsumerName), aws.ToString(d.ConsumerARN), d.ConsumerStatus}, nil
	})
}
