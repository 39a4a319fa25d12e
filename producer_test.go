package vegas_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/localkinesis"
)

func TestSendReturnsOnceStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := localkinesis.Start(t, func(o *localkinesis.Options) { o.Streams = map[string]int{"orders": 4} })
		p, err := vegas.NewProducer("orders", func(o *vegas.ProducerOptions) { o.AWS = srv.AWS() })
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			if err := p.Send(t.Context(), fmt.Sprint("customer-", i), []byte("paid")); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		if s := p.Stats(); s.Sent != 20 || s.Open != 0 || s.BufferBytes != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestAStreamIsNamedByItsARNToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		srv := localkinesis.Start(t, func(o *localkinesis.Options) { o.Streams = map[string]int{"orders": 2} })
		s, err := srv.Stream("orders")
		if err != nil {
			t.Fatal(err)
		}
		p, err := vegas.NewProducer(s.ARN, quietly, func(o *vegas.ProducerOptions) { o.AWS = srv.AWS() })
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Check(t.Context()); err != nil {
			t.Error(err)
		}
		srv.Inject(localkinesis.Fault{Op: "PutRecords", Do: localkinesis.Split, Count: 1, After: 5})
		for i := range 20 {
			if err := p.Send(t.Context(), fmt.Sprint("customer-", i), []byte("paid")); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if got := contents(t, srv, "orders"); len(firsts(got)) != 20 {
			t.Errorf("%d records arrived", len(got))
		}
		if _, err := p.SendRecord(t.Context(), &vegas.Record{}); outcome(t, err).Stream != "orders" {
			t.Errorf("%v", err)
		}
	})
}
