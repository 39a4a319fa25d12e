package send

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/internal/lane"
	"github.com/libvegas/vegas/record"
)

// ends are the ends of fed records that the ledger is about to hear of. The
// loop owns it.
type ends struct {
	stored []Stored
	late   []*lane.Item
	dead   []buffer.Dead
	errs   []error
}

// letter adds a dead letter.
func (e *Engine) letter(p *parcel, cause error) {
	outcome, unknown := record.NotStored, p.Unknown || p.old
	if unknown {
		outcome = record.Unknown
	}
	if unknown && !p.Unknown {
		cause = sentBefore(cause)
	}
	key := strings.Clone(p.Key) // who gets the letter may keep it
	err := &record.SendError{
		Stream: e.cfg.Stream, Shard: p.Shard, Key: key, Outcome: outcome, Attempts: int(p.Attempts), Err: cause,
	}
	e.ends.errs = append(e.ends.errs, err)
	e.ends.dead = append(e.ends.dead, buffer.Dead{
		Item: buffer.Item{
			Producer: *p.Producer, Seq: p.Counter, Accepted: time.Unix(0, p.wall),
			Key: key, ExplicitHashKey: p.ExplicitHashKey, Data: p.Data, Headers: p.Headers,
		},
		Reason: err.Error(), Unknown: unknown, At: time.Now().Round(0),
	})
}

// sentBefore is why the outcome of a record is unknown that this process never left
// in doubt.
func sentBefore(cause error) error {
	return fmt.Errorf("an earlier producer of its buffer may have sent it: %w", cause)
}

// clear lets go of what it held.
func (s *ends) clear() {
	clear(s.stored)
	clear(s.late)
	clear(s.dead)
	clear(s.errs)
	s.stored, s.late, s.dead, s.errs = s.stored[:0], s.late[:0], s.dead[:0], s.errs[:0]
}

// lateTimeout bounds one attempt to bury late records: they are kept up by it,
// and so is everything else.
const lateTimeout = 2 * time.Second

// buryLate makes fed records that are past their deadline dead letters and then,
// only then, ends them. If that fails they stay, and may be sent after all; the
// machine tells of them again. Nothing leaves meanwhile: only the loop polls.
func (e *Engine) buryLate() {
	if e.cfg.Ledger == nil {
		return
	}
	s := &e.ends
	e.mu.Lock()
	s.late = e.machine.Late(e.now(), s.late)
	for _, it := range s.late {
		p := of(it)
		e.letter(p, link("deadline", lane.DeadlineError(e.why(p))))
	}
	e.mu.Unlock()
	if len(s.late) == 0 {
		return
	}
	defer s.clear()
	ctx, cancel := context.WithTimeout(e.ctx, lateTimeout)
	defer cancel()
	if err := e.cfg.Ledger.Bury(ctx, s.dead, s.errs); err != nil {
		if e.ctx.Err() != nil {
			return
		}
		e.warn.Warn("late records cannot be made dead letters, they stay", slog.Any("error", err))
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, it := range s.late {
		of(it).grave = true
	}
	e.machine.End(s.late, s.errs)
}

// settle tells the ledger how fed records have ended: those that failed are dead
// letters when it returns. If it returns false they are not, and nothing may
// leave. What Close gave up stays in the buffer.
func (e *Engine) settle(finished []*lane.Item, aborted bool) bool {
	if e.cfg.Ledger == nil || len(finished) == 0 {
		return true
	}
	s := &e.ends
	defer s.clear()
	for _, it := range finished {
		switch p := of(it); {
		case !p.fed:
		case p.Err == nil:
			r, _ := e.result(p)
			s.stored = append(s.stored, Stored{p.Counter, r})
		case !aborted && !p.grave:
			e.letter(p, p.Err)
		}
	}
	if len(s.stored) > 0 {
		e.cfg.Ledger.Stored(s.stored)
	}
	return len(s.dead) == 0 || e.bury(e.ctx, s.dead, s.errs) == nil
}

// withhold takes requests back that may not leave any more.
func (e *Engine) withhold(requests []*lane.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range requests {
		e.machine.Fail(e.now(), r, lane.NotStored, record.ErrClosed)
	}
}
