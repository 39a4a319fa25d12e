package shard

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/libvegas/vegas/internal/fetch"
	"github.com/libvegas/vegas/internal/progress"
	"github.com/libvegas/vegas/record"
)

const (
	// laneJobs is how many records wait for one of the parallel handlers.
	laneJobs = 16
	// spanRecords is how many records may be finished behind one that is not:
	// so many are handled again after a crash, and remembered until then.
	spanRecords = 100_000
)

// job is one record on its way to a handler.
type job struct {
	r      *record.Record
	ticket progress.Ticket
	of     *parcel
}

// parcel is an answer that is released when the last of its records is.
type parcel struct {
	answer *fetch.Answer
	left   atomic.Int64
}

// done takes n records off.
func (p *parcel) done(n int) {
	if p.left.Add(-int64(n)) == 0 {
		p.answer.Release()
	}
}

// sideBySide handles records of different keys at the same time, those of one
// key one after the other, in Policy.Parallel lanes.
func (s *Shard) sideBySide(ctx context.Context, h record.Handler) error {
	k := s.keep(ctx)
	defer k.close()
	var (
		seed  = maphash.MakeSeed()
		lanes = make([]chan job, s.life.Parallel)
		fail  = make(chan error, 2*len(lanes)) // the first one of each lane, and that it has ended
		moved = make(chan struct{}, 1)         // Low did
		wg    sync.WaitGroup
		ended atomic.Bool     // nothing more is to be started
		high  progress.Ticket // above the last one that was begun
	)
	// When the reading is stopped, what lies before the last record that was begun
	// is still handled: it would keep the checkpoint from covering that one,
	// which then came again.
	begin := func(t progress.Ticket) bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		switch {
		case ended.Load(), ctx.Err() != nil:
			return false
		case s.stopping():
			return t < high
		}
		high = max(high, t+1)
		return true
	}
	for i := range lanes {
		lanes[i] = make(chan job, laneJobs)
		wg.Go(func() {
			w := s.watch()
			defer w.close()
			returned := false
			defer func() {
				if returned {
					return
				}
				ended.Store(true)
				fail <- errStop{fmt.Errorf("stream %q %s: %w", s.life.Stream, s.life.ID, ErrExited)}
				for range lanes[i] { // nothing of it is released: the consumer ends
				}
			}()
			left := false // a record was given up: those behind it may be of its key
			for j := range lanes[i] {
				if !left && begin(j.ticket) {
					w.wake()
					err := s.handle(ctx, h, j.r, w)
					w.rest()
					if err != nil {
						left = true
						if !errors.Is(err, errStopping) {
							ended.Store(true)
						}
						select {
						case fail <- err:
						default:
						}
					} else {
						k.mu.Lock()
						rose := k.window.Done(j.ticket)
						if rose {
							k.moved()
						}
						k.mu.Unlock()
						if rose {
							select {
							case moved <- struct{}{}:
							default:
							}
						}
					}
				}
				j.of.done(1)
			}
			returned = true
		})
	}
	err := s.spread(ctx, k, lanes, fail, moved, func(r *record.Record) int {
		return int(maphash.String(seed, r.PartitionKey) % uint64(len(lanes)))
	})
	if err != nil && !errors.Is(err, errStopping) {
		ended.Store(true)
	}
	for _, c := range lanes {
		close(c)
	}
	wg.Wait()
	if err == nil {
		select {
		case err = <-fail:
		default:
		}
	}
	return k.last(err)
}

// spread hands the shard's records to the lanes.
func (s *Shard) spread(ctx context.Context, k *keeper, lanes []chan job, fail <-chan error, moved <-chan struct{}, lane func(*record.Record) int) error {
	for {
		b, answer, err := s.next()
		if err != nil || b == nil {
			return err
		}
		// One more than there are records: the parcel is open until all are
		// handed out.
		p := &parcel{answer: answer}
		p.left.Store(int64(len(b.Records)) + 1)
		for i, r := range b.Records {
			k.mu.Lock()
			t := k.window.Add(r.Position)
			span := k.window.Span()
			k.mu.Unlock()
			for span > spanRecords && err == nil {
				select {
				case <-moved:
				case <-s.stop.Done():
					err = errStopping
				case err = <-fail:
				case <-ctx.Done():
					err = context.Cause(ctx)
				}
				k.mu.Lock()
				span = k.window.Span()
				k.mu.Unlock()
			}
			if err == nil {
				select {
				case lanes[lane(r)] <- job{r, t, p}:
				case <-s.stop.Done():
					err = errStopping
				case err = <-fail:
				case <-ctx.Done():
					err = context.Cause(ctx)
				}
			}
			if err != nil {
				p.done(len(b.Records) - i + 1)
				return err
			}
		}
		k.mu.Lock()
		k.window.Pass(b.End)
		k.moved()
		k.mu.Unlock()
		p.done(1)
	}
}
