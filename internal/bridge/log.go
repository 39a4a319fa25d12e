package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// logLines are log events that wait to be written. They take what a host that does
// not keep up would let grow: first lines of little weight are dropped, then all.
// The output's lock guards them.
type logLines struct {
	frames  []byte
	dropped int
}

// logBytes is the most that waits, a line of level debug only while it is a quarter
// of that, and one of level info while it is the half.
const logBytes = 512 << 10

func (l *logLines) add(level slog.Level, body results) {
	most := logBytes
	switch {
	case level < slog.LevelInfo:
		most /= 4
	case level < slog.LevelWarn:
		most /= 2
	}
	if len(l.frames) > most {
		l.dropped++
		return
	}
	l.append(body)
}

func (l *logLines) append(body results) {
	start := len(l.frames)
	l.frames = endFrame(appendValue(beginFrame(l.frames, kindEvent), body), start)
}

// take appends what waits to b.
func (l *logLines) take(b []byte) []byte {
	if l.dropped > 0 {
		l.append(logEvent(slog.LevelWarn, time.Now(), fmt.Sprintf("%d log lines were dropped: the program did not read them in time", l.dropped), nil))
		l.dropped = 0
	}
	b = append(b, l.frames...)
	l.frames = l.frames[:0]
	return b
}

func logEvent(level slog.Level, at time.Time, text string, attrs results) results {
	e := results{"event": "log", "level": levelName(level), "time": at.UnixMicro(), "text": text}
	if len(attrs) > 0 {
		e["attrs"] = attrs
	}
	return e
}

func levelName(l slog.Level) string {
	switch {
	case l < slog.LevelInfo:
		return "debug"
	case l < slog.LevelWarn:
		return "info"
	case l < slog.LevelError:
		return "warn"
	}
	return "error"
}

// logTo is a slog.Handler whose lines are events of the session.
type logTo struct {
	s      *session
	prefix string // of groups, each with a dot behind it
	attrs  []slog.Attr
}

// Enabled is slog.Handler's.
func (h *logTo) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.Level(h.s.level.Load())
}

// WithAttrs is slog.Handler's.
func (h *logTo) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.attrs = slices.Clone(h.attrs)
	for _, a := range attrs {
		a.Key = h.prefix + a.Key
		with.attrs = append(with.attrs, a)
	}
	return &with
}

// WithGroup is slog.Handler's.
func (h *logTo) WithGroup(name string) slog.Handler {
	with := *h
	with.prefix += name + "."
	return &with
}

// Handle is slog.Handler's. It does not wait.
func (h *logTo) Handle(_ context.Context, r slog.Record) error {
	attrs := make(results, len(h.attrs)+r.NumAttrs())
	for _, a := range h.attrs {
		attrs[a.Key] = logValue(a.Value)
	}
	r.Attrs(func(a slog.Attr) bool {
		attrs[h.prefix+a.Key] = logValue(a.Value)
		return true
	})
	o := h.s.out
	o.mu.Lock()
	if !o.sealed && o.err == nil {
		o.logs.add(r.Level, logEvent(r.Level, r.Time, brief(named(r.Message), 8<<10), attrs))
	}
	o.mu.Unlock()
	o.wake()
	return nil
}

func logValue(v slog.Value) any {
	switch v = v.Resolve(); v.Kind() {
	case slog.KindBool:
		return v.Bool()
	case slog.KindInt64:
		return v.Int64()
	case slog.KindFloat64:
		return v.Float64()
	case slog.KindAny:
		if err, ok := v.Any().(error); ok {
			return brief(namedIn(err), 8<<10)
		}
	}
	return brief(v.String(), 8<<10)
}

// brief is a text of at most n bytes, cut where a character ends.
func brief(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-len("…")], "") + "…"
}
