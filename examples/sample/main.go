// Sample sends a record to a stream, and prints what it receives from it.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"

	"github.com/libvegas/vegas"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	p, err := vegas.NewProducer("stream-name")
	if err != nil {
		log.Fatal(err)
	}
	if err := p.Send(ctx, "partition-key", []byte("message")); err != nil {
		log.Fatal(err)
	}

	processRecord := func(_ context.Context, r *vegas.Record) error {
		fmt.Println(r.PartitionKey + ":" + string(r.Data))
		return nil
	}

	c, err := vegas.NewConsumer("stream-name", "efo-arn") // group name or EFO consumer ARN
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("Consumer is running. Press ctrl+c to stop")
	if err := c.Run(ctx, processRecord); err != nil {
		log.Fatal(err)
	}
}
