package shard

import (
	"log/slog"
	"sync"
	"time"

	"github.com/libvegas/vegas/record"
)

// watch tells when a handler takes very long: one warning for each record or
// batch, with the hash of its key. Its timer runs through many records, so that
// watching costs next to nothing.
type watch struct {
	life *Life

	// Only the handling goroutine uses them.
	now   time.Time // as last read
	woken time.Time // when both clocks were read

	mu      sync.Mutex
	timer   *time.Timer
	ticking bool
	began   time.Time
	r       *record.Record // being handled; nil: none
	n       int
}

func (s *Shard) watch() *watch { return &watch{life: s.life} }

// wake reads the time, after something that may have taken long.
func (w *watch) wake() time.Time {
	w.woken = time.Now()
	w.now = w.woken
	return w.now
}

// time reads the time by the monotonic clock since wake. Reading the wall clock
// as well, before and after each record, took a fifth of what one of 100 bytes
// costs.
func (w *watch) time() time.Time {
	w.now = w.woken.Add(time.Since(w.woken))
	return w.now
}

// begin starts the handling of n records from r on, at the time that was read
// last, and returns it. It lasts until rest, or until the next one begins.
func (w *watch) begin(r *record.Record, n int) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.began, w.r, w.n = w.now, r, n
	if !w.ticking {
		w.ticking = true
		if w.timer == nil {
			w.timer = time.AfterFunc(slowAfter, w.look)
		} else {
			w.timer.Reset(slowAfter)
		}
	}
	return w.now
}

// rest tells that nothing is being handled.
func (w *watch) rest() {
	w.mu.Lock()
	w.r = nil
	w.mu.Unlock()
}

func (w *watch) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.r = nil
	if w.timer != nil {
		w.timer.Stop()
	}
}

func (w *watch) look() {
	w.mu.Lock()
	if w.r == nil {
		w.ticking = false
		w.mu.Unlock()
		return
	}
	if left := slowAfter - time.Since(w.began); left > 0 {
		w.timer.Reset(left)
		w.mu.Unlock()
		return
	}
	w.ticking = false // told once
	r, n, ran := w.r, w.n, time.Since(w.began)
	w.mu.Unlock()
	w.life.Warn.Warn("a handler has been running for long (see docs/troubleshooting.md#slow-handler)", append(w.life.attrs(),
		slog.String("sequence", r.Position.String()), slog.String("key_hash", keyHash(r)), slog.Int("records", n), slog.Duration("for", ran))...)
}
