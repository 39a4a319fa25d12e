package memory_test

import (
	"errors"
	"testing"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/buffer/buffertest"
	"github.com/libvegas/vegas/buffer/memory"
	"github.com/libvegas/vegas/record"
)

func TestSuite(t *testing.T) {
	buffertest.Run(t, func(_ *testing.T, limit int64) buffertest.Place {
		return place(memory.New(func(o *memory.Options) { o.Bytes = limit }))
	})
}

func place(b *memory.Buffer) buffertest.Place {
	return buffertest.Place{
		New:  func(*testing.T) buffer.Buffer { return b },
		Copy: func(*testing.T) buffertest.Place { return place(b.Clone()) },
	}
}

func TestBatchThatExceedsTheLimitHasToBeAlone(t *testing.T) {
	b := memory.New(func(o *memory.Options) { o.Bytes = 1000 })
	if err := b.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	large := []*record.Record{{PartitionKey: "k", Data: make([]byte, 5000)}}
	first, err := b.Append(t.Context(), large, nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := b.Append(t.Context(), large, nil)
		done <- err
	}()
	b.Ack([]uint64{first})
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if _, err := b.Append(t.Context(), large, nil); !errors.Is(err, record.ErrClosed) {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
}
