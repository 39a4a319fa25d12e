package shard

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/libvegas/vegas/internal/mark"
	"github.com/libvegas/vegas/record"
)

// resume asks whoever keeps positions elsewhere where to begin. That is asked again
// whenever the function is started again: the effects of what it did are behind the
// position that it kept with them, and not behind our checkpoint.
func (l *Life) resume(ctx context.Context, s *Shard) error {
	l.enter(true)
	defer l.enter(false)
	var p record.Position
	err := guard(func() (err error) {
		p, err = l.Resume(ctx, s)
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("resume: stream %q %s: %w", l.Stream, l.ID, err)
	case p.IsShardEnd(), p.Sequence == record.SequenceLatest, !p.IsStart() && record.CheckSequence(p.Sequence) != nil, p.SubSequence < 0:
		return fmt.Errorf("resume: stream %q %s: %q/%d is no position to begin behind: pass a record's Position, TrimHorizon or Shard.Start() (see docs/troubleshooting.md#resume)", l.Stream, l.ID, p.Sequence, p.SubSequence)
	}
	l.beginAt(p)
	s.start, s.delivered = p, p
	return nil
}

// beginAt moves the place where reading begins from the checkpoint to another one.
func (l *Life) beginAt(p record.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := p.Compare(l.at)
	if c == 0 {
		return
	}
	l.Log.Info("the program keeps its position, which is not the checkpoint: beginning there",
		append(l.attrs(), slog.String("position", p.String()), slog.String("checkpoint", l.at.String()))...)
	before := l.at
	l.at, l.At, l.Tried = p, p, 0 // whoever died has not died behind it
	l.seen.answers, l.seen.position = nil, p
	l.state.Checkpoint, l.state.Delivered = p, p
	if c > 0 {
		// Read from the checkpoint, or further back, the marks rise to it. Nothing
		// up to it is delivered. From the start on that may be all that the stream
		// has, for marks that nobody has.
		l.marks.Checkpointed(p)
		if l.lags = !before.IsStart(); !l.lags {
			l.from = l.startAt(p)
		}
		return
	}
	// What was handled is to be delivered again, and the marks would take it for
	// duplicates.
	l.marks = mark.New(l.Range, 0)
	l.marks.Checkpointed(p)
	l.savedAt, l.known, l.lags = record.Position{}, false, false
	if l.Marks != nil && l.marks.Restore(l.Marks, p) {
		l.savedAt, l.known, l.lags = l.Marks.At, true, l.Marks.At.Compare(p) < 0
		l.from = l.startAt(l.Marks.At)
		return
	}
	for _, m := range l.ParentsMarks {
		l.marks.Inherit(m)
	}
	l.from = l.startAt(p)
}
