package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/libvegas/vegas/bench/figures"
	"github.com/libvegas/vegas/internal/foreign"
)

// role is what a program does in a turn.
type role string

const (
	produce role = "produce" // by vegas
	sdk     role = "sdk"     // by PutRecords of the language's own SDK, 500 at a time
	consume role = "consume" // by vegas
	lines   role = "lines"   // the same handler behind the MultiLangDaemon's protocol
	latency role = "latency" // one record after the other, each with its result
	idle    role = "idle"    // a producer and a consumer that have done a single record
)

// task is what a table is of.
type task struct {
	name       string
	size       int
	aggregated bool
	// What part of the records of 100 bytes is done, and what part is sent by vegas: its
	// pace, which keeps to what shards take, is slow where each record is one of the stream.
	part, sent int
}

var tasks = []*task{
	{name: "100 B, aggregated", size: 100, aggregated: true, part: 1, sent: 1},
	{name: "1 KiB, not aggregated", size: 1 << 10, part: 4, sent: 16},
}

// Shards and keys of all streams.
const (
	shards = 4
	keys   = 10_000
)

// How many records are sent one after the other; half of them warm the program up. What
// is compiled meanwhile has four times as many for that.
const latencyRecords = 1000

// turn is a program's work.
type turn struct {
	language *language
	role     role
	task     *task
	round    int
}

// What is measured takes a second at least, and so many records at most, so that streams
// stay in memory. Before that the same is done for half as long, or twice as long where
// a compiler looks at what the program does.
const (
	measuredSeconds = 1.2
	bytesMost       = 256 << 20
)

// amount is how many records there are, and how many of them warm the program up. A
// consumer's warmth comes from another stream. The rate is in records a second, as it was
// found before, or 0.
func (t *turn) amount(short bool, rate float64) (records, warm int) {
	if rate > 0 && t.timed() {
		// Powers of two, so that languages share streams.
		for records = 1 << 10; float64(records) < measuredSeconds*rate && 2*records*t.task.size <= bytesMost; {
			records *= 2
		}
		warm = records / 2
		if t.language.compiles && t.role != lines { // the daemon goes on until that is warm
			warm = records * 2
		}
		if t.role == produce || t.role == sdk {
			records += warm
		}
		return records, warm
	}
	switch t.role {
	case produce, consume:
		records = t.language.produce
	case sdk:
		records = t.language.sdk
	case lines:
		records = t.language.lines
	case latency:
		records, warm = latencyRecords, latencyRecords/2
		if t.language.compiles {
			records, warm = records+3*warm, 4*warm
		}
		if short {
			records, warm = records/10, warm/10
		}
		return records, warm
	case idle:
		return 1, 0
	}
	if t.role == produce {
		records /= t.task.sent
	} else {
		records /= t.task.part
	}
	if short {
		records = max(records/20, 1000)
	}
	warm = records / 2
	if t.role == produce || t.role == sdk {
		records += warm
	}
	return records, warm
}

// timed tells that the turn is as long as it takes to be measured.
func (t *turn) timed() bool { return t.role != latency && t.role != idle }

// pace is how fast a turn was, in whatever round.
func (t turn) pace() turn {
	t.round = 0
	return t
}

// plan is all turns, one after the other.
func plan(languages []*language, rounds int) []turn {
	var plan []turn
	for round := range rounds {
		for _, k := range tasks {
			for _, role := range []role{produce, sdk, consume, lines} {
				for n := range languages {
					// Each round begins with another one, so that nobody is always the first.
					l := languages[(n+round)%len(languages)]
					if role != sdk || l.sdk > 0 {
						plan = append(plan, turn{l, role, k, round})
					}
				}
			}
		}
		for _, role := range []role{latency, idle} {
			for n := range languages {
				plan = append(plan, turn{languages[(n+round)%len(languages)], role, tasks[0], round})
			}
		}
	}
	return plan
}

// measured is all that a session has shown.
type measured struct {
	settings  *settings
	began     time.Time
	languages []*language
	leftOut   []string // "Ruby: ruby is not on the PATH"
	results   []*result
	starts    []float64 // of the engine, milliseconds, a round each
}

// measure has all languages take their turns.
func measure(ctx context.Context, root string, s *settings) (_ *measured, err error) {
	m := &measured{settings: s, began: time.Now()}
	cache := filepath.Join(root, ".cache", "bench", "bindings")
	p := &place{
		root: root, tools: filepath.Join(cache, "tools"),
		Place: foreign.Place{Cache: cache, Sources: filepath.Join(root, "bench", "bindings", "sdk")},
	}
	if err := os.MkdirAll(p.tools, 0o755); err != nil {
		return nil, err
	}
	engine := filepath.Join(p.tools, "vegas-engine")
	if err := foreign.Run(ctx, root, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", engine, "./cmd/vegas/vegas-engine"); err != nil {
		return nil, err
	}
	for _, l := range all {
		if len(s.languages) > 0 && l.name != "go" && !slices.Contains(s.languages, l.name) {
			continue
		}
		switch err := l.ready(ctx, p); {
		case errors.Is(err, errLeftOut):
			m.leftOut = append(m.leftOut, l.title+": "+err.Error())
			fmt.Fprintln(os.Stderr, l.title+":", err)
		case err != nil:
			return nil, err
		default:
			m.languages = append(m.languages, l)
		}
	}
	r, err := newRunner(ctx, engine, s.short)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	if !s.short {
		for _, t := range plan(m.languages, 1) {
			if t.timed() {
				res := r.run(ctx, t) // which tells how much is to be done, and no more
				if ctx.Err() != nil {
					return nil, context.Cause(ctx)
				}
				fmt.Fprintln(os.Stderr, "trial", res.line(1))
				if res.err == nil {
					r.rates[t] = res.rate()
				}
			}
		}
	}
	turns := plan(m.languages, s.rounds)
	progress := figures.NewProgress(len(turns))
	for i, t := range turns {
		if i == 0 || t.round != turns[i-1].round {
			ms, err := startMillis(ctx, engine)
			if err != nil {
				return nil, err
			}
			m.starts = append(m.starts, ms)
		}
		res := r.run(ctx, t)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		m.results = append(m.results, res)
		fmt.Fprintln(os.Stderr, progress.Next(), res.line(s.rounds))
	}
	return m, nil
}

// failures are the turns that failed.
func (m *measured) failures() error {
	n := 0
	for _, r := range m.results {
		if r.err != nil {
			n++
		}
	}
	if n > 0 {
		return fmt.Errorf("%d of %d turns failed", n, len(m.results))
	}
	return nil
}
