// Package quiet keeps repeated warnings to one line a minute.
package quiet

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Every is how often the same warning is written at most.
const Every = time.Minute

// Logger writes warnings. The first of a kind is written at once; those that
// follow within Every are counted, and the next one written tells how many. The
// kind is the message alone: a thousand throttled shards are one line.
type Logger struct {
	log *slog.Logger

	mu    sync.Mutex
	kinds map[string]*kind
}

type kind struct {
	next    time.Time // not before
	held    int       // since the last line
	lastArg []any     // of the last one held back
}

// New wraps a logger.
func New(log *slog.Logger) *Logger {
	return &Logger{log: log, kinds: map[string]*kind{}}
}

// Warn writes a warning, or counts it. Messages are constants: each one is
// remembered.
func (l *Logger) Warn(message string, args ...any) {
	now := time.Now()
	l.mu.Lock()
	k := l.kinds[message]
	if k == nil {
		k = &kind{}
		l.kinds[message] = k
	}
	if now.Before(k.next) {
		k.held++
		k.lastArg = args
		l.mu.Unlock()
		return
	}
	held := k.held
	k.held, k.lastArg, k.next = 0, nil, now.Add(Every)
	l.mu.Unlock()
	if held > 0 {
		args = append(slices.Clip(args), slog.Int("repeated", held))
	}
	l.log.Log(context.Background(), slog.LevelWarn, message, args...)
}

// Flush writes what was held back: at the end, so that no count is lost.
func (l *Logger) Flush() {
	type line struct {
		message string
		args    []any
	}
	var lines []line
	l.mu.Lock()
	for message, k := range l.kinds {
		if k.held > 0 {
			lines = append(lines, line{message, append(slices.Clip(k.lastArg), slog.Int("repeated", k.held))})
			k.held, k.lastArg = 0, nil
		}
	}
	l.mu.Unlock()
	for _, x := range lines {
		l.log.Log(context.Background(), slog.LevelWarn, x.message, x.args...)
	}
}
