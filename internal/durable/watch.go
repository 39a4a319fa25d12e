package durable

import (
	"log/slog"
	"time"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/internal/quiet"
	"github.com/libvegas/vegas/observe"
)

// watcher says in the log and to the observer how the buffer fares.
type watcher struct {
	p        *Producer
	observer observe.Observer // nil: none

	said    buffer.Stats // what was reported last
	least   int64        // the fewest records since the last line about the backlog
	told    time.Time    // of that line
	backlog bool         // the log has told of one that has not drained
}

func newWatcher(p *Producer) *watcher {
	w := &watcher{p: p, observer: p.c.Send.Observer}
	if _, nop := w.observer.(observe.Nop); nop {
		w.observer = nil
	}
	return w
}

// How often the watcher looks, with and without an observer.
const (
	gaugeEvery = time.Second
	watchEvery = 10 * time.Second
)

// run looks at the buffer until the producer ends.
func (w *watcher) run() {
	every := watchEvery
	if w.observer != nil {
		every = gaugeEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.look(w.p.buf.Stats(), time.Now())
		case <-w.p.feeding.Done():
			w.look(w.p.buf.Stats(), time.Now())
			w.p.warn.Flush()
			return
		}
	}
}

// begin is told what earlier openings left.
func (w *watcher) begin(s buffer.Stats, now time.Time) {
	w.said, w.told, w.least = s, now, s.Items
	w.said.Appended, w.said.Syncs = 0, 0
	args := []any{slog.Int64("records", s.Items), slog.Int64("bytes", s.Bytes), slog.Int64("dead_letters", s.Dead)}
	if s.Items > 0 {
		w.backlog = true
		args = append(args, slog.Duration("oldest", age(&s, now)))
	}
	w.p.log.Info("durable buffer opened", args...)
}

// look reports.
func (w *watcher) look(s buffer.Stats, now time.Time) {
	if lost := s.Lost - w.said.Lost; lost > 0 {
		w.p.log.Error("records of the durable buffer are lost: they were safe there and cannot be read any more",
			slog.Int64("records", lost), slog.Int64("quarantined_bytes", s.Quarantined))
	}
	w.progress(&s, now)
	w.report(&s, now)
	w.said = s
}

// progress says that the backlog does not shrink, or that it is gone.
func (w *watcher) progress(s *buffer.Stats, now time.Time) {
	switch {
	case s.Items == 0:
		if w.backlog {
			w.p.log.Info("durable buffer has drained")
		}
		w.backlog, w.told, w.least = false, now, 0
	case now.Sub(w.told) >= quiet.Every:
		// Young records are no backlog, however many there are.
		if old := age(s, now); s.Items >= w.least && old >= quiet.Every {
			w.backlog = true
			args := []any{slog.Int64("records", s.Items), slog.Int64("bytes", s.Bytes), slog.Duration("oldest", old)}
			if why := w.p.engine.Why(); why != nil {
				args = append(args, slog.Any("why", why))
			}
			if s.Stalled != nil {
				args = append(args, slog.Any("takes_nothing", s.Stalled))
			}
			w.p.log.Warn("durable buffer does not drain", args...)
		}
		w.told, w.least = now, s.Items
	default:
		w.least = min(w.least, s.Items)
	}
}

func (w *watcher) report(s *buffer.Stats, now time.Time) {
	o, at := w.observer, w.p.at
	if o == nil {
		return
	}
	o.Gauge(observe.DurableRecords, at, s.Items)
	o.Gauge(observe.DurableBytes, at, s.Bytes)
	o.Gauge(observe.DurableOldest, at, age(s, now).Milliseconds())
	for c, n := range map[observe.Counter]int64{
		observe.RecordsDurable: s.Appended - w.said.Appended,
		observe.RecordsLost:    s.Lost - w.said.Lost,
	} {
		if n > 0 {
			o.Count(c, at, n)
		}
	}
}

func age(s *buffer.Stats, now time.Time) time.Duration {
	if s.Oldest.IsZero() {
		return 0
	}
	return max(now.Round(0).Sub(s.Oldest), 0)
}
