package main

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/libvegas/vegas/bench/figures"
	"github.com/libvegas/vegas/bench/usage"
)

// section is what stands in docs/benchmarks.md.
func (m *measured) section() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %s on %d virtual CPUs of an %s, %s/%s, %s, by `go run ./bench/bindings -rounds %d`. Medians, with the least and the most of the rounds.\n",
		m.began.Format("2 January 2006"), runtime.NumCPU(), usage.Model(), runtime.GOOS, runtime.GOARCH, runtime.Version(), m.settings.rounds)
	var sdks []string
	for _, l := range m.languages {
		if l.sdkTitle != "" {
			sdks = append(sdks, l.sdkTitle)
		}
	}
	fmt.Fprintf(&b, "SDKs: %s.\n", strings.Join(sdks, ", "))
	fmt.Fprintf(&b, "What is measured took %.1f s at least; before it each program had done the same for half as long, or twice as long where it is compiled while it runs (JavaScript, Java, C#).\n", m.shortest())
	if len(m.leftOut) > 0 {
		fmt.Fprintf(&b, "\nNot measured: %s.\n", strings.Join(m.leftOut, "; "))
	}
	if failed := m.failed(); failed != "" {
		b.WriteString("\n" + failed)
	}
	fmt.Fprintf(&b, "\n%s\n\n%s", "### Goals of other languages", m.goals())
	for _, k := range tasks {
		fmt.Fprintf(&b, "\n### In other languages: sending %s\n\n%s", k.name, m.sending(k))
		fmt.Fprintf(&b, "\n### In other languages: receiving %s\n\n%s", k.name, m.receiving(k))
	}
	fmt.Fprintf(&b, "\n### In other languages: a single record, and rest\n\n%s", m.single())
	return b.String()
}

// shortest is the least time that a turn of many records was measured, in seconds.
func (m *measured) shortest() float64 {
	least := 0.0
	for _, r := range m.results {
		if r.err == nil && r.timed() && (least == 0 || r.seconds() < least) {
			least = r.seconds()
		}
	}
	return least
}

func (m *measured) failed() string {
	var b strings.Builder
	for _, r := range m.results {
		if r.err != nil {
			text, _, _ := strings.Cut(r.err.Error(), "\n")
			fmt.Fprintf(&b, "- %s, %s %s, round %d: a turn failed: %s.\n", r.language.title, r.role, r.task.name, r.round+1, text)
		}
	}
	return b.String()
}

func (m *measured) sending(k *task) string {
	t := figures.Table{Head: []string{"", "vegas: CPU of a record, us", "records/s", "own SDK: CPU of a record, us", "records/s", "vegas beside the SDK", "beside Go"}}
	for _, l := range m.languages {
		t.Add(l.title,
			m.spread(l, produce, k, (*result).cpuMicros).Text(), m.spread(l, produce, k, (*result).rate).Text(),
			m.spread(l, sdk, k, (*result).cpuMicros).Text(), m.spread(l, sdk, k, (*result).rate).Text(),
			m.ratio(l, produce, l, sdk, k, (*result).cpuMicros).Text(), m.ratio(l, produce, all[0], produce, k, (*result).cpuMicros).Text())
	}
	return t.Markdown()
}

func (m *measured) receiving(k *task) string {
	t := figures.Table{Head: []string{"", "vegas: CPU of a record, us", "records/s", "JSON lines: CPU of a record, us", "records/s", "times the records/s", "CPU beside Go"}}
	for _, l := range m.languages {
		t.Add(l.title,
			m.spread(l, consume, k, (*result).cpuMicros).Text(), m.spread(l, consume, k, (*result).rate).Text(),
			m.spread(l, lines, k, (*result).cpuMicros).Text(), m.spread(l, lines, k, (*result).rate).Text(),
			m.ratio(l, consume, l, lines, k, (*result).rate).Text(), m.ratio(l, consume, all[0], consume, k, (*result).cpuMicros).Text())
	}
	return t.Markdown()
}

func (m *measured) single() string {
	t := figures.Table{Head: []string{"", "send → result: p50, ms", "p99, ms", "added by the bridge: p50, ms", "p99, ms", "idle: program, MiB", "engine, MiB"}}
	for _, l := range m.languages {
		engine := m.spread(l, idle, tasks[0], func(r *result) float64 { return mib(r.engine) }).Text()
		if l.inProcess {
			engine = "in the program"
		}
		t.Add(l.title,
			m.spread(l, latency, tasks[0], millis(0.5)).Text(), m.spread(l, latency, tasks[0], millis(0.99)).Text(),
			m.added(l, 0.5).Text(), m.added(l, 0.99).Text(),
			m.spread(l, idle, tasks[0], func(r *result) float64 { return mib(r.program) }).Text(), engine)
	}
	return t.Markdown()
}

// millis is a quantile of what single records took.
func millis(q float64) func(*result) float64 {
	return func(r *result) float64 { return quantile(r.told.Micros, q) / 1e3 }
}

// of is a turn that has not failed, or nil.
func (m *measured) of(l *language, as role, k *task, round int) *result {
	for _, r := range m.results {
		if r.language == l && r.role == as && r.task == k && r.round == round && r.err == nil {
			return r
		}
	}
	return nil
}

// spread of a figure over the rounds.
func (m *measured) spread(l *language, as role, k *task, figure func(*result) float64) figures.Spread {
	var turns []float64
	for round := range m.settings.rounds {
		if r := m.of(l, as, k, round); r != nil {
			turns = append(turns, figure(r))
		}
	}
	return figures.Of(turns)
}

// both compares two turns of each round.
func (m *measured) both(a, b func(round int) *result, compare func(a, b *result) float64) figures.Spread {
	var turns []float64
	for round := range m.settings.rounds {
		if x, y := a(round), b(round); x != nil && y != nil {
			turns = append(turns, compare(x, y))
		}
	}
	return figures.Of(turns)
}

// ratio of a figure to another turn's of the same round.
func (m *measured) ratio(l *language, as role, other *language, was role, k *task, figure func(*result) float64) figures.Spread {
	return m.both(
		func(round int) *result { return m.of(l, as, k, round) },
		func(round int) *result { return m.of(other, was, k, round) },
		func(a, b *result) float64 { return figure(a) / figure(b) },
	)
}

// added is how much later than in Go a single record has its result.
func (m *measured) added(l *language, q float64) figures.Spread {
	return m.both(
		func(round int) *result { return m.of(l, latency, tasks[0], round) },
		func(round int) *result { return m.of(all[0], latency, tasks[0], round) },
		func(a, b *result) float64 { return millis(q)(a) - millis(q)(b) },
	)
}

// goals of the bindings, and whether they are met.
func (m *measured) goals() string {
	t := figures.Table{Head: []string{"", "goal", "measured", "met"}}
	add := func(what, sign string, goal float64, unit string, s figures.Spread) {
		met := "not measured"
		switch {
		case s.N == 0:
		case sign == "≥" && s.Median >= goal, sign == "≤" && s.Median <= goal, sign == "<" && s.Median < goal:
			met = "yes"
		default:
			met = "no"
		}
		t.Add(what, sign+" "+figures.Number(goal)+unit, s.Text(), met)
	}
	const cpu = "CPU of host and engine for a record, "
	for _, k := range tasks {
		for _, l := range m.languages {
			beside := func(as role, other *language, was role) figures.Spread {
				return m.ratio(l, as, other, was, k, (*result).cpuMicros)
			}
			switch l.name {
			case "python", "js":
				add(fmt.Sprintf("%s, sending %s: %sbeside its SDK", l.title, k.name, cpu), "≤", 0.2, "", beside(produce, l, sdk))
			case "java":
				add(fmt.Sprintf("%s, sending %s: %sbeside its SDK", l.title, k.name, cpu), "≤", 0.5, "", beside(produce, l, sdk))
			case "csharp", "ruby":
				add(fmt.Sprintf("%s, sending %s: %sbeside Go", l.title, k.name, cpu), "≤", 3, "", beside(produce, all[0], produce))
			case "c", "cpp":
				add(fmt.Sprintf("%s, sending %s: %sbeside Go", l.title, k.name, cpu), "≤", 1.3, "", beside(produce, all[0], produce))
				add(fmt.Sprintf("%s, receiving %s: %sbeside Go", l.title, k.name, cpu), "≤", 1.3, "", beside(consume, all[0], consume))
			}
		}
	}
	for _, k := range tasks {
		for _, l := range m.languages[min(1, len(m.languages)):] { // Go is not behind that protocol
			add(fmt.Sprintf("%s, receiving %s: times the records/s behind JSON lines", l.title, k.name), "≥", 10, "", m.ratio(l, consume, l, lines, k, (*result).rate))
		}
	}
	for _, l := range m.languages {
		if l != all[0] {
			add(l.title+": send → result, added by the bridge, p50", "<", 0.3, " ms", m.added(l, 0.5))
		}
	}
	add("start of the engine, to its hello", "<", 60, " ms", figures.Of(m.starts))
	for _, l := range m.languages {
		if !l.inProcess {
			add("engine of an idle program in "+l.title+", resident", "<", 40, " MB", m.spread(l, idle, tasks[0], func(r *result) float64 { return float64(r.engine) / 1e6 }))
		}
	}
	return t.Markdown()
}
