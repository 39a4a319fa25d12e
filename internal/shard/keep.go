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
type keeper struct {
	s    *Shard
	news chan struct{} // holds a token when there is progress
	done chan struct{} // closed to end the writer
	gone chan struct{} // closed when it has ended
	once sync.Once

	mu     sync.Mutex
	window progress.Window
}

// keep starts a keeper; close ends it.
func (s *Shard) keep(ctx context.Context) *keeper {
	k := &keeper{s: s, news: make(chan struct{}, 1), done: make(chan struct{}), gone: make(chan struct{})}
	k.window.Reset(s.life.checkpoint())
	go k.write(ctx)
	return k
}

func (k *keeper) write(ctx context.Context) {
	defer close(k.gone)
	timer := time.NewTimer(0)
	defer timer.Stop()
	next := time.Now().Add(k.s.life.CheckpointEvery)
	for {
		select {
		case <-k.news:
		case <-k.done:
			return
		}
		timer.Reset(time.Until(next))
		select {
		case <-timer.C:
		case <-k.done:
			return
		}
		next = time.Now().Add(k.s.life.CheckpointEvery)
		if err := k.s.life.write(ctx, k.at(), false); err != nil && ctx.Err() == nil {
			k.s.life.Warn.Warn("a checkpoint could not be written, trying again later", append(k.s.life.attrs(), slog.Any("error", err))...)
			k.tell()
		}
	}
}

func (k *keeper) tell() {
	select {
	case k.news <- struct{}{}:
	default:
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
	k.window.Pass(p)
	k.mu.Unlock()
	k.tell()
}

// close ends the writer. It may be called again.
func (k *keeper) close() {
	k.once.Do(func() { close(k.done) })
	<-k.gone
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
