package shard

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/libvegas/vegas/internal/fetch"
	"github.com/libvegas/vegas/observe"
	"github.com/libvegas/vegas/record"
)

// A checkpoint says which record is done with, and not how old that is: one of a
// quiet shard is days old and misses nothing, another one was passed by
// retention, and what followed it is lost. So each is written together with a
// time by the stream's clock: everything that arrived before it is done with. At
// the tip that is now; it is written again now and then though nothing comes.
type watermark struct {
	stored   time.Time // in the lease
	asked    time.Time // when that was written, or tried
	answers  []stretch // not checkpointed, in stream order
	tip      time.Time // when the end of the last answer was the tip; zero: it was not
	position record.Position
}

// stretch is what one answer brought.
type stretch struct {
	end         record.Position
	first, last time.Time // arrival
}

// came notes an answer.
func (w *watermark) came(a *fetch.Answer, end record.Position, now time.Time) {
	w.tip = time.Time{}
	if a.Behind == 0 {
		w.tip = now
	}
	if n := len(a.Records); n > 0 && end.Compare(w.position) > 0 {
		w.position = end
		w.answers = append(w.answers, stretch{end, a.Records[0].Arrival, a.Records[n-1].Arrival})
	}
}

// at is the time to store with a checkpoint.
func (w *watermark) at(p record.Position) time.Time {
	for len(w.answers) > 0 && w.answers[0].end.Compare(p) < 0 {
		w.answers = w.answers[1:]
	}
	var t time.Time
	switch {
	case len(w.answers) == 0:
		t = w.tip
	case w.answers[0].end.Compare(p) > 0:
		t = w.answers[0].first // of the answer that it lies in
	case len(w.answers) == 1 && !w.tip.IsZero():
		t = w.tip
	default:
		t = w.answers[0].last
	}
	if t.Before(w.stored) {
		return w.stored
	}
	return t
}

// passed tells that retention may have passed the checkpoint.
func (l *Life) passed() bool {
	return l.Retention > 0 && !l.seen.stored.IsZero() && time.Since(l.seen.stored) > l.Retention-skew
}

// skew is what clocks may differ by.
const skew = time.Minute

// refresh stores the checkpoint once more if it is at the tip and its time has
// become old.
func (l *Life) refresh(ctx context.Context) {
	now := time.Now()
	l.mu.Lock()
	at := l.at
	due := l.Retention > 0 && !at.IsStart() && !l.seen.tip.IsZero() && at == l.state.Delivered && now.Sub(l.seen.asked) >= l.Retention/4
	if due {
		l.seen.asked = now
	}
	l.mu.Unlock()
	if !due {
		return
	}
	// It is worth no waiting, and tried again long before it matters.
	l.refreshing.Go(func() {
		err := l.alone(ctx, func() error {
			if l.checkpoint() != at {
				return nil
			}
			return l.Lease.Checkpoint(ctx, at, now)
		})
		if err != nil {
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if now.After(l.seen.stored) {
			l.seen.stored = now
		}
	})
}

// trimmed applies Policy.OnTrimmed.
func (l *Life) trimmed() error {
	l.mu.Lock()
	at, seen := l.at, l.seen.stored
	l.mu.Unlock()
	l.Observer.Count(observe.CheckpointsTrimmed, l.where, 1)
	if l.OnTrimmed == Stop {
		return fmt.Errorf("checkpoint %v: %w: records that followed it may be lost; o.OnTrimmed = vegas.Skip goes on without them (see docs/troubleshooting.md#trimmed)", at, record.ErrTrimmed)
	}
	l.Warn.Warn("retention has passed the checkpoint: reading on with the oldest record, what lay between is lost (see docs/troubleshooting.md#trimmed)",
		append(l.attrs(), slog.String("checkpoint", at.String()), slog.Time("done_up_to", seen), slog.Duration("retention", l.Retention))...)
	return nil
}

// Forgotten tells what to do about a shard that the stream does not have any
// more, though it was not read to its end: retention has passed all of it. nil:
// it counts as read to its end.
func (l *Life) Forgotten() error {
	if err := l.trimmed(); err != nil {
		return fmt.Errorf("stream %q %s: the shard is gone: %w", l.Stream, l.ID, err)
	}
	return nil
}
