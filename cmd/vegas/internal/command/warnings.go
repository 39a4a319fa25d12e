package command

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// warnings is the library's log for people: what is wrong, with the remedy on lines
// of its own, as errors that end a command are told.
type warnings struct {
	to    io.Writer
	attrs []slog.Attr

	mu   *sync.Mutex
	told map[string]time.Time // messages, and when they were written last
}

func newWarnings(to io.Writer) *warnings {
	return &warnings{to: to, mu: &sync.Mutex{}, told: map[string]time.Time{}}
}

// Enabled is slog.Handler's.
func (w *warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// WithAttrs is slog.Handler's.
func (w *warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *w
	with.attrs = append(append([]slog.Attr(nil), w.attrs...), attrs...)
	return &with
}

// WithGroup is slog.Handler's. The library has no groups.
func (w *warnings) WithGroup(string) slog.Handler { return w }

// Handle is slog.Handler's.
func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	if w.stale(r) {
		return nil
	}
	message, links := takeLinks(r.Message)
	remedy := see(links)
	var details, errs []string
	add := func(a slog.Attr) bool {
		switch err, isError := a.Value.Any().(error); {
		case isError:
			what, more := explain(err)
			errs = append(errs, what)
			remedy = append(remedy, more...)
		case a.Key != "stream" && a.Key != "repeated": // nobody asks which, nor how often
			details = append(details, fmt.Sprintf("%s=%v", a.Key, a.Value))
		}
		return true
	}
	for _, a := range w.attrs {
		add(a)
	}
	r.Attrs(add)
	text := "warning: " + message
	if r.Level >= slog.LevelError {
		text = "error: " + message
	}
	if len(details) > 0 {
		text += " (" + strings.Join(details, ", ") + ")"
	}
	if len(errs) > 0 {
		text += ": " + strings.Join(errs, "; ")
	}
	for _, line := range remedy {
		text += "\n" + indent(line)
	}
	_, err := fmt.Fprintln(w.to, text)
	return err
}

// stale tells that r only counts what was told a moment ago. The library writes one
// warning a minute, and at its end how often each came since: to people, no news.
func (w *warnings) stale(r slog.Record) bool {
	repeated := false
	r.Attrs(func(a slog.Attr) bool {
		repeated = repeated || a.Key == "repeated"
		return !repeated
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if last, told := w.told[r.Message]; told && repeated && r.Time.Sub(last) < time.Minute {
		return true
	}
	w.told[r.Message] = r.Time
	return false
}
