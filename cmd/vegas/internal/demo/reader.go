package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/cmd/vegas/internal/audit"
	"github.com/libvegas/vegas/store/memory"
)

// reader is one consumer group with its auditor.
type reader struct {
	w     *world
	name  string
	way   string // polling or fan-out
	audit *audit.Reader
	rate  meter
	delay histogram // from sending to the handler

	mu    sync.Mutex
	err   error
	ended chan struct{}

	consumer *vegas.Consumer
}

// groups are the consumer groups, by the way they read.
var groups = []struct {
	name, way string
	fanOut    bool
}{
	{"billing", "polling", false},
	{"search", "fan-out", true},
}

// startReaders starts the consumer groups.
func (w *world) startReaders(ctx context.Context) error {
	for _, g := range groups {
		r := &reader{w: w, name: g.name, way: g.way, audit: w.auditor.Reader(), ended: make(chan struct{})}
		consumer, err := vegas.NewConsumer(Stream, g.name, func(o *vegas.ConsumerOptions) {
			o.AWS, o.Logger, o.Store, o.FanOut = w.server.AWS(), w.Log, memory.New(), g.fanOut
		})
		if err != nil {
			return fmt.Errorf("consumer group %s: %w", r.name, err)
		}
		r.consumer = consumer
		w.readers = append(w.readers, r)
		go func() {
			defer close(r.ended)
			if err := consumer.Run(ctx, r.handle); err != nil && !errors.Is(err, context.Canceled) {
				r.mu.Lock()
				r.err = fmt.Errorf("consumer group %s: %w", r.name, err)
				r.mu.Unlock()
			}
		}()
	}
	return nil
}

func (w *world) stopReaders(stop context.CancelFunc) error {
	stop()
	var errs []error
	for _, r := range w.readers {
		<-r.ended
		errs = append(errs, r.failed())
	}
	return errors.Join(errs...)
}

func (r *reader) failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// handle is what the consumer calls for each record.
func (r *reader) handle(_ context.Context, rec *vegas.Record) error {
	// What is not the auditor's was counted as corrupt by it, and is done with.
	if s, err := r.audit.Deliver(rec.PartitionKey, rec.Data); err == nil {
		now := time.Now()
		at := now.Sub(r.w.started)
		r.rate.add(at, 1)
		r.delay.add(at, now.Sub(s.Sent))
	}
	return nil
}

// lag is how far each shard is behind its tip, and the most of them.
func (r *reader) lag() (by map[string]time.Duration, most time.Duration) {
	by = map[string]time.Duration{}
	for _, s := range r.consumer.Stats().Shards {
		by[s.Shard] = s.Behind
		most = max(most, s.Behind)
	}
	return by, most
}
