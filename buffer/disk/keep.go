package disk

import (
	"errors"
	"io/fs"
	"log/slog"
	"time"
)

// tidy is the keeper: it writes what was acknowledged, removes what is not
// needed any more, and makes remainders.
func (l *Log) tidy() error {
	var again <-chan time.Time
	for {
		select {
		case <-l.keeper.woken:
		case <-again:
		case <-l.keeper.ending:
			return l.lastTidy()
		}
		again = nil
		l.keep <- struct{}{}
		err := l.tidyOnce()
		l.letGo()
		if err != nil {
			l.warn.Warn("the durable buffer cannot be tidied up; it goes on, and what was acknowledged may come again after a crash", slog.String("dir", l.dir), slog.Any("error", err))
			again = time.After(retryEvery)
		}
	}
}

func (l *Log) tidyOnce() error {
	err := l.writeAcks()
	removed := l.removeSpent()
	return firstOf(err, removed, l.makeRemainder())
}

// lastTidy leaves behind as little as possible.
func (l *Log) lastTidy() error {
	l.keep <- struct{}{}
	defer l.letGo()
	err := firstOf(l.writeAcks(), l.endAcks(), l.removeSpent(), l.removeRevived())
	if l.acks.file != nil {
		err = firstOf(err, l.acks.file.Close())
	}
	if l.burial != nil {
		err = firstOf(err, l.burial.file.Close())
	}
	return err
}

// makeRoom does what lets a full log go on: a last segment of which much is gone
// is ended, so that it can be removed.
func (l *Log) makeRoom() {
	if l.o.Bytes <= 0 || len(l.segments) == 0 {
		return
	}
	if s := l.segments[len(l.segments)-1]; s.size > dataStart && 4*s.live() < 3*s.records() {
		l.roll = true
		l.writer.wake()
	}
	l.keeper.wake()
}

// removeSpent removes segments of which nothing is left, from the oldest on.
func (l *Log) removeSpent() error {
	var failed error
	for _, s := range l.spent() {
		if err := l.disk.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = firstOf(failed, err)
			break
		}
		if !s.closed { // it must not come back without the next one, which says where it ends
			if err := l.syncNames(); err != nil {
				failed = firstOf(failed, err)
				break
			}
		}
		l.mu.Lock()
		l.forget(s)
		l.mu.Unlock()
	}
	for len(l.doomed) > 0 {
		// Not before the remainder that takes its place has its name.
		if err := l.syncNames(); err != nil {
			return firstOf(failed, err)
		}
		if err := l.disk.Remove(l.doomed[0]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return firstOf(failed, err)
		}
		l.doomed = l.doomed[1:]
	}
	return failed
}

// spent are the segments that can be removed.
func (l *Log) spent() []*segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance()
	var spent []*segment
	// The next one says where it ends, if it does not do so itself.
	known := true
	for _, s := range l.segments[:max(0, len(l.segments)-1)] {
		if known && s != l.last && (s.live() == 0 || l.broken == removeAcked) && !s.keep && s.end < l.out {
			spent = append(spent, s)
			continue
		}
		known = s.closed
	}
	return spent
}

// forget takes a segment off the list.
func (l *Log) forget(s *segment) {
	for i := range l.segments {
		if l.segments[i] == s {
			l.segments = append(l.segments[:i:i], l.segments[i+1:]...)
			break
		}
	}
	l.bytes -= s.size
	l.wakeAppender()
	poke(l.unstalled)
}
