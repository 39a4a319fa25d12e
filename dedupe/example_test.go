package dedupe_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/dedupe"
	"github.com/libvegas/vegas/localkinesis"
	"github.com/libvegas/vegas/store/memory"
)

// A shop sends an order twice, since it did not hear that the first was stored.
func ExampleBy() {
	srv := localkinesis.Start(new(exampleTB), func(o *localkinesis.Options) { o.Streams = map[string]int{"orders": 1} })
	defer srv.Close()
	for _, data := range []string{`{"id": 7, "total": 12}`, `{"id": 7, "total": 12}`, `{"id": 8, "total": 3}`} {
		if _, err := srv.Put("orders", "customer-42", "", []byte(data)); err != nil {
			fmt.Println(err)
		}
	}

	c, err := vegas.NewConsumer("orders", "billing", func(o *vegas.ConsumerOptions) {
		o.AWS, o.Store, o.Logger = srv.AWS(), memory.New(), slog.New(slog.DiscardHandler) // in a program: leave them alone
		o.Use(dedupe.By(dedupe.JSON("id"), 10*time.Minute))
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	err = c.Run(ctx, func(_ context.Context, r *vegas.Record) error {
		fmt.Printf("%s\n", r.Data)
		if string(r.Data) == `{"id": 8, "total": 3}` {
			cancel()
		}
		return nil
	})
	fmt.Println(err, c.Stats().Deduplicated)
	// Output:
	// {"id": 7, "total": 12}
	// {"id": 8, "total": 3}
	// <nil> 1
}

// exampleTB stands for the testing.TB that a test would give.
type exampleTB struct{ testing.TB }

func (*exampleTB) Helper()               {}
func (*exampleTB) Cleanup(func())        {}
func (*exampleTB) Errorf(string, ...any) {}
