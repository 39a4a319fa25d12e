package shard

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/libvegas/vegas/internal/progress"
	"github.com/libvegas/vegas/record"
)

// keeper writes automatic checkpoints: of what handlers finished, at most every
// CheckpointEvery while there is progress, none without, and always a last one.
// It has a goroutine only while it writes.
type keeper struct {
	s   *Shard
	ctx context.Context //nolint:containedctx // of the function whose checkpoints these are

	mu     sync.Mutex
	window progress.Window
	next   time.Time   // no write before
	timer  *time.Timer // of the next write; nil before the first one
	due    bool        // a write is to come, or runs
	closed bool
	writes sync.WaitGroup // those that are due
}

// keep starts a keeper; close ends it.
func (s *Shard) keep(ctx context.Context) *keeper {
	k := &keeper{s: s, ctx: ctx, next: time.Now().Add(s.life.CheckpointEvery)}
	k.window.Reset(s.life.checkpoint())
	return k
}

// moved makes a write due, if none is; the caller holds mu.
func (k *keeper) moved() {
	if k.due || k.closed {
		return
	}
	k.due = true
	k.writes.Add(1)
	if wait := time.Until(k.next); k.timer == nil {
		k.timer = time.AfterFunc(wait, k.write)
	} else {
		k.timer.Reset(wait)
	}
}

func (k *keeper) write() {
	defer k.writes.Done()
	began := time.Now()
	at := k.at()
	err := k.s.life.write(k.ctx, at, false)
	if err != nil && k.ctx.Err() == nil {
		k.s.life.Warn.Warn("a checkpoint could not be written, trying again later", append(k.s.life.attrs(), slog.Any("error", err))...)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.due, k.next = false, began.Add(k.s.life.CheckpointEvery)
	if k.ctx.Err() == nil && (err != nil || k.window.Low() != at) {
		k.moved()
	}
}

// at is what can be checkpointed.
func (k *keeper) at() record.Position {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.window.Low()
}

// passed tells that everything up to p is done with; for handling in order.
func (k *keeper) passed(p record.Position) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.window.Pass(p)
	k.moved()
}

// close ends the writing. It may be called again.
func (k *keeper) close() {
	k.mu.Lock()
	k.closed = true
	if k.timer != nil && k.timer.Stop() {
		k.writes.Done()
	}
	k.mu.Unlock()
	k.writes.Wait()
}

// last writes what was finished, at the end of a function that returns err:
// also when its grace time is over, for what was finished is finished. Not when
// the lease is lost: then it is somebody else's.
func (k *keeper) last(err error) error {
	k.close()
	k.mu.Lock()
	low, whole := k.window.Low(), k.window.Whole()
	k.mu.Unlock()
	return k.s.finish(err, low, whole)
}

// finish writes the last position up to which all is done with. whole: nothing
// behind it is.
func (s *Shard) finish(err error, low record.Position, whole bool) error {
	if errors.Is(err, errStopping) {
		err = nil
	}
	s.unfinished(low)
	writeErr := s.life.settle(s.ctx, low)
	s.kept, s.settled = true, whole && writeErr == nil
	return errors.Join(err, writeErr)
}
