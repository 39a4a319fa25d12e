package vegas_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/localkinesis"
)

// exampleServer stands for a real stream: leave o.AWS alone to use the SDK's
// configuration.
func exampleServer() (aws func(*vegas.ProducerOptions), stop func()) {
	srv := localkinesis.Start(new(exampleTB), func(o *localkinesis.Options) { o.Streams = map[string]int{"orders": 2} })
	return func(o *vegas.ProducerOptions) {
		o.AWS = srv.AWS()
		o.Logger = slog.New(slog.DiscardHandler)
	}, func() { srv.Close() }
}

// exampleTB is what localkinesis.Start wants of a test.
type exampleTB struct{ testing.TB }

func (*exampleTB) Helper()               {}
func (*exampleTB) Cleanup(func())        {}
func (*exampleTB) Errorf(string, ...any) {}

func ExampleProducer_Send() {
	options, stop := exampleServer()
	defer stop()

	p, err := vegas.NewProducer("orders", options)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	if err := p.Send(ctx, "customer-42", []byte("paid")); err != nil {
		fmt.Println(err)
	}
	err = p.Send(ctx, "", []byte("to nobody"))
	if failed, ok := errors.AsType[*vegas.SendError](err); ok {
		fmt.Println(failed.Outcome)
	}
	fmt.Println(p.Close(ctx))
	// Output:
	// not stored
	// <nil>
}

func ExampleProducer_SendAll() {
	options, stop := exampleServer()
	defer stop()

	p, err := vegas.NewProducer("orders", options)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close(context.Background())

	var records []*vegas.Record
	for i := range 1000 {
		records = append(records, &vegas.Record{PartitionKey: fmt.Sprint("customer-", i%10), Data: fmt.Append(nil, i)})
	}
	receipts, err := p.SendAll(context.Background(), records)
	fmt.Println(len(receipts), err)
	// Output: 1000 <nil>
}

func ExampleProducer_SendAsync() {
	options, stop := exampleServer()
	defer stop()

	p, err := vegas.NewProducer("orders", options)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range 3 {
		r := &vegas.Record{PartitionKey: "customer-42", Data: fmt.Append(nil, i)}
		err := p.SendAsync(context.Background(), r, func(_ vegas.Receipt, err error) { fmt.Println(i, err) })
		if err != nil {
			fmt.Println(err)
		}
	}
	p.Close(context.Background()) // callbacks have run when it returns
	// Output:
	// 0 <nil>
	// 1 <nil>
	// 2 <nil>
}

// A durable producer's records outlive it: what could not be sent is sent by the
// next one.
func ExampleProducer_durable() {
	options, stop := exampleServer()
	defer stop()
	dir, err := os.MkdirTemp("", "vegas-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	durable := func(o *vegas.ProducerOptions) { o.Durable = dir }

	p, err := vegas.NewProducer("orders", options, durable)
	if err != nil {
		fmt.Println(err)
		return
	}
	receipt, err := p.SendRecord(context.Background(), &vegas.Record{PartitionKey: "customer-42", Data: []byte("paid")})
	fmt.Println(receipt.Durable, err) // safe on disk; an outage would not matter

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := p.Close(ctx); err != nil {
		fmt.Println(err) // how many records are left in dir, for the next start
	}
	fmt.Println(p.Stats().Durable.Items)
	// Output:
	// true <nil>
	// 0
}
