package fleettest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
)

// trace is what happened, in order: requests, faults, results, deliveries, the
// life of shards, and what vegas logs. It is always kept, since a second run of
// a seed need not go the same way, and written only for a run that fails.
type trace struct {
	began time.Time
	mu    sync.Mutex
	lines []line
}

type line struct {
	at     time.Duration
	format string
	args   []any // never changed afterwards: they are formatted late
}

// traceLines bounds the memory of a run that does not end.
const traceLines = 300_000

func (t *trace) add(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) < traceLines {
		t.lines = append(t.lines, line{time.Since(t.began), format, args})
	}
}

func (t *trace) write(w io.Writer) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.lines {
		if _, err := fmt.Fprintf(w, "%12.6f  %s\n", l.at.Seconds(), fmt.Sprintf(l.format, l.args...)); err != nil {
			return err
		}
	}
	return nil
}

// logger is a log of one actor that goes into the trace.
func (t *trace) logger(actor string) *slog.Logger { return slog.New(logs{t, actor, nil}) }

type logs struct {
	t     *trace
	actor string
	attrs []slog.Attr
}

func (l logs) Enabled(context.Context, slog.Level) bool { return true }

func (l logs) Handle(_ context.Context, r slog.Record) error {
	attrs := append([]slog.Attr(nil), l.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		if v := a.Value.Resolve(); v.Kind() == slog.KindAny { // it may change, or lock
			a.Value = slog.StringValue(fmt.Sprint(v.Any()))
		}
		attrs = append(attrs, a)
		return true
	})
	l.t.add("%s logs %v: %s %v", l.actor, r.Level, r.Message, attrs)
	return nil
}

func (l logs) WithAttrs(attrs []slog.Attr) slog.Handler {
	l.attrs = append(append([]slog.Attr(nil), l.attrs...), attrs...)
	return l
}

func (l logs) WithGroup(string) slog.Handler { return l }
