package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libvegas/vegas/cmd/vegas/internal/audit"
	"github.com/libvegas/vegas/record"
)

// reader is one consumer group with its auditor.
type reader struct {
	w     *world
	name  string
	way   string // polling or fan-out
	audit *audit.Reader
	rate  meter
	delay histogram // from sending to the handler

	mu     sync.Mutex
	err    error
	ended  chan struct{}
	behind map[string]time.Duration
}

// startReaders starts the consumer groups.
func (w *world) startReaders(ctx context.Context) error {
	for _, way := range ways {
		r := &reader{w: w, name: way.group, way: way.name, audit: w.auditor.Reader(),
			ended: make(chan struct{}), behind: map[string]time.Duration{}}
		run, err := way.consume(w, r)
		if err != nil {
			return fmt.Errorf("consumer group %s: %w", r.name, err)
		}
		w.readers = append(w.readers, r)
		go func() {
			defer close(r.ended)
			if err := run(ctx); err != nil && !errors.Is(err, context.Canceled) {
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
func (r *reader) handle(_ context.Context, rec *record.Record) error {
	s, err := r.audit.Deliver(rec.PartitionKey, rec.Data)
	if err != nil {
		return nil // the auditor has counted it as corrupt
	}
	now := time.Now()
	at := now.Sub(r.w.started)
	r.rate.add(at, 1)
	r.delay.add(at, now.Sub(s.Sent))
	return nil
}

// setBehind notes how far a shard is behind its tip.
func (r *reader) setBehind(shard string, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.behind[shard] = d
}

// lag is that of one shard, and of the one that is furthest behind.
func (r *reader) lag(open map[string]bool) (by map[string]time.Duration, most time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	by = map[string]time.Duration{}
	for id, d := range r.behind {
		by[id] = d
		if open[id] {
			most = max(most, d)
		}
	}
	return by, most
}
