package vegas_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/localkinesis"
	"github.com/libvegas/vegas/store/memory"
)

// exampleStream stands for a real stream that holds three records: leave o.AWS
// alone to use the SDK's configuration, and set VEGAS_STORE instead of o.Store.
func exampleStream() (options func(*vegas.ConsumerOptions), stop func()) {
	srv := localkinesis.Start(new(exampleTB), func(o *localkinesis.Options) { o.Streams = map[string]int{"orders": 1} })
	for _, s := range []string{"ordered", "paid", "sent"} {
		if _, err := srv.Put("orders", "customer-42", "", []byte(s)); err != nil {
			fmt.Println(err)
		}
	}
	return func(o *vegas.ConsumerOptions) {
		o.AWS, o.Store = srv.AWS(), memory.New()
		o.Logger = slog.New(slog.DiscardHandler)
	}, func() { srv.Close() }
}

func ExampleConsumer_Run() {
	options, stop := exampleStream()
	defer stop()

	c, err := vegas.NewConsumer("orders", "billing", options)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background()) // in a program: signal.NotifyContext
	defer cancel()
	err = c.Run(ctx, func(_ context.Context, r *vegas.Record) error {
		fmt.Printf("%s %s\n", r.PartitionKey, r.Data)
		if string(r.Data) == "sent" {
			cancel()
		}
		return nil // done with: a checkpoint may pass it
	})
	fmt.Println(err)
	// Output:
	// customer-42 ordered
	// customer-42 paid
	// customer-42 sent
	// <nil>
}

// A record that cannot be handled goes to a queue of its own after three
// attempts, and its neighbours go on.
func ExampleConsumer_Run_deadLetter() {
	options, stop := exampleStream()
	defer stop()

	c, err := vegas.NewConsumer("orders", "billing", options, func(o *vegas.ConsumerOptions) {
		o.MaxAttempts = 3
		o.DeadLetter = func(_ context.Context, r *vegas.Record, err error) error {
			fmt.Printf("dead: %s: %v\n", r.Data, err)
			return nil
		}
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	err = c.Run(ctx, func(_ context.Context, r *vegas.Record) error {
		switch string(r.Data) {
		case "paid":
			return errors.New("no such account")
		case "sent":
			cancel()
		}
		fmt.Printf("%s\n", r.Data)
		return nil
	})
	fmt.Println(err)
	// Output:
	// ordered
	// dead: paid: no such account
	// sent
	// <nil>
}

func ExampleConsumer_RunBatches() {
	options, stop := exampleStream()
	defer stop()

	c, err := vegas.NewConsumer("orders", "warehouse", options)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	err = c.RunBatches(ctx, func(_ context.Context, b *vegas.Batch) error {
		fmt.Println(len(b.Records), "records up to the tip:", b.Behind == 0)
		cancel()
		return nil
	})
	fmt.Println(err)
	// Output:
	// 3 records up to the tip: true
	// <nil>
}

// The life of a shard as ordinary control flow, with checkpoints of one's own.
func ExampleConsumer_RunShards() {
	options, stop := exampleStream()
	defer stop()

	c, err := vegas.NewConsumer("orders", "accounts", options)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	err = c.RunShards(ctx, func(ctx context.Context, s *vegas.Shard) error {
		for batch, err := range s.Batches() { // ends at shard end, handoff or shutdown
			if err != nil {
				return err // reading failed for good
			}
			for _, r := range batch.Records {
				fmt.Printf("%s: %s\n", s.ID(), r.Data)
			}
			if err := s.Checkpoint(ctx, batch.End); err != nil {
				return err
			}
			cancel()
		}
		fmt.Println(s.Ending())
		return nil
	})
	fmt.Println(err)
	// Output:
	// shardId-000000000000: ordered
	// shardId-000000000000: paid
	// shardId-000000000000: sent
	// shutdown
	// <nil>
}
