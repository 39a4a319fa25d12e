package demo

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/store/file"
)

// Worker is one process of the fleet, seen from inside.
type Worker struct {
	Endpoint  string
	Store     string // directory
	Name      string
	LeaseTime time.Duration
	Log       *slog.Logger
}

// pollEvery is how often a shard is read. It answers five reads a second; two
// workers that hand it over are to share those.
const pollEvery = 250 * time.Millisecond

// Run consumes until ctx or in ends, and reports to out.
func (w *Worker) Run(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	report := newReporter(out)
	go func() { defer stop(); report.answers(in) }()
	events := &steps{queue: make(chan observe.Event, 1<<12)}
	go func() {
		for e := range events.queue {
			if report.event(e) != nil {
				stop()
			}
		}
	}()
	rows := file.New(w.Store)
	defer func() { _ = rows.Close() }()
	consumer, err := vegas.NewConsumer(Stream, Group, func(o *vegas.ConsumerOptions) {
		o.AWS = aws.Config{Region: "us-east-1", BaseEndpoint: &w.Endpoint, Credentials: aws.CredentialsProviderFunc(
			func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
			})}
		o.Store, o.Worker, o.LeaseTime, o.Logger, o.Observer = rows, w.Name, w.LeaseTime, w.Log, events
		o.PollIdle, o.PollBusy, o.CheckpointEvery, o.Grace = pollEvery, pollEvery, time.Second, time.Second
	})
	if err != nil {
		return err
	}
	return consumer.RunBatches(ctx, func(ctx context.Context, b *vegas.Batch) error {
		booked, err := report.handled(b.Records[0].Shard, b.Records)
		if err != nil {
			stop()
			return err
		}
		select {
		case <-booked:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
}

// steps passes on what happens to shards. It does not block: the queue holds more
// than a demo's shards can cause.
type steps struct {
	observe.Nop
	queue chan observe.Event
}

// Event is observe.Observer's.
func (s *steps) Event(e observe.Event) {
	switch e.Kind {
	case observe.Acquired, observe.HandedOver, observe.Ended, observe.Lost:
		select {
		case s.queue <- e:
		default:
		}
	}
}
